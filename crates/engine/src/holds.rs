//! Holds: money of a payment that cannot be refunded for now, placed by a person or by what a provider
//! tells of a dispute.

use crate::answered::Answered;
use crate::input::IdempotencyKey;
use crate::unique_keys::{self, Books};
use crate::unmatched::Unmatched;
use crate::{Engine, Error};
use domain::decide::hold::{DISPUTE, End, EndHold, HoldRef, PlaceHold};
use domain::decide::{Command, KeyedRequest, Refusal};
use domain::hold::{Hold, NewHold, State};
use domain::ids::{HoldId, PaymentId};
use domain::outcome::Source;
use domain::tenant::Tenant;
use providers::{DisputeNotice, DisputeStage};
use store::{Page, PageQuery};

impl Engine {
    /// A person holds money of a payment. A reference is the name of a dispute, for which money is held
    /// once, whoever tells of it.
    pub async fn place_hold(
        &self,
        new: NewHold,
        key: Option<&IdempotencyKey>,
    ) -> Result<Answered<Hold>, Error> {
        let tenant = new.tenant;
        let payment = self.find_payment(tenant, new.payment).await?;
        let payment = payment.ok_or(Refusal::PaymentNotFound)?;
        let request = unique_keys::hold_request(&new);
        let key = key.map(|key| KeyedRequest { hash: unique_keys::idempotency(key), request });
        let books = Books::of(&payment.capture);
        let dispute = new.reference.as_deref().map(|reference| {
            let hash = unique_keys::dispute(books, reference);
            KeyedRequest { hash, request }
        });
        let place = Command::PlaceHold(Box::new(PlaceHold { new, dispute, key }));
        self.commit(place, key.map(|key| (tenant, key.hash))).await?.try_into()
    }

    /// A person ends a hold of a payment.
    pub async fn end_hold(
        &self,
        tenant: Tenant,
        payment: PaymentId,
        id: HoldId,
        end: End,
        key: Option<&IdempotencyKey>,
    ) -> Result<Answered<Hold>, Error> {
        let found = self.store().find_hold(tenant, id).await?;
        let found = found.filter(|hold| hold.payment == payment).ok_or(Refusal::HoldNotFound)?;
        let request = unique_keys::end_request(id, end);
        let key = key.map(|key| KeyedRequest { hash: unique_keys::idempotency(key), request });
        let of = HoldRef { tenant, hold: id, payment: found.payment };
        let end = EndHold { of, end, source: Source::Operator, key };
        let name = key.map(|key| (tenant, key.hash));
        self.commit(Command::EndHold(Box::new(end)), name).await?.try_into()
    }

    /// The holds of a payment, by time.
    pub async fn list_holds(
        &self,
        tenant: Tenant,
        payment: PaymentId,
        page: PageQuery,
    ) -> Result<Page<Hold>, Error> {
        Ok(self.store().list_holds(tenant, payment, page).await?)
    }

    /// Records what a provider tells of a dispute. Returns why it fits nothing, if so.
    ///
    /// A dispute that is told as decided before it was told as open is held and decided at once, so that
    /// the order in which a provider's webhooks come does not matter.
    pub(crate) async fn apply_dispute(
        &self,
        tenant: Tenant,
        books: Books<'_>,
        told: &DisputeNotice,
        source: Source,
    ) -> Result<Option<Unmatched>, Error> {
        let charge = self.find_charge(tenant, books, &told.provider_payment_id).await?;
        let Some(payment) = charge else { return Ok(Some(Unmatched::PaymentNotRegistered)) };
        let hash = unique_keys::dispute(books, &told.dispute);
        let new = NewHold {
            tenant,
            payment,
            amount: told.money.minor,
            currency: Some(told.money.currency),
            reason: DISPUTE.into(),
            reference: Some(told.dispute.clone()),
            source,
        };
        let dispute = Some(KeyedRequest { hash, request: unique_keys::hold_request(&new) });
        let place = Command::PlaceHold(Box::new(PlaceHold { new, dispute, key: None }));
        let hold: Hold = match self.committer().run(place).await {
            Ok(done) => Answered::try_from(done)?.value,
            Err(Error::Refused(refusal)) => return Ok(Some(Unmatched::of(&refusal))),
            Err(error) => return Err(error),
        };
        if hold.payment != payment {
            // A person took the dispute for one of another payment, whose money is not at stake.
            tracing::error!(hold = %hold.id, "a dispute is of another payment than its hold");
            return Ok(Some(Unmatched::Refused));
        }
        if hold.currency != told.money.currency {
            return Ok(Some(Unmatched::OtherCurrency));
        }
        let (end, state, lost) = match told.stage {
            DisputeStage::Open => return Ok(None),
            DisputeStage::Won => (End::Release, State::Released, None),
            DisputeStage::Lost => {
                let lost = Some(told.money.minor);
                (End::Book { amount: lost }, State::Booked, lost)
            }
        };
        let of = HoldRef { tenant, hold: hold.id, payment: hold.payment };
        let end = Command::EndHold(Box::new(EndHold { of, end, source, key: None }));
        match self.committer().run(end).await {
            Ok(_) => Ok(None),
            Err(Error::Refused(Refusal::HoldEnded(ended))) => {
                let is_known = ended == state && self.booked_amount(tenant, hold.id).await? == lost;
                Ok((!is_known).then_some(Unmatched::HoldEnded))
            }
            Err(Error::Refused(refusal)) => Ok(Some(Unmatched::of(&refusal))),
            Err(error) => Err(error),
        }
    }

    /// The amount that a hold was booked with; `None` where it was not.
    async fn booked_amount(&self, tenant: Tenant, id: HoldId) -> Result<Option<i64>, Error> {
        let hold = self.store().find_hold(tenant, id).await?;
        let Some(refund) = hold.and_then(|hold| hold.refund) else { return Ok(None) };
        Ok(self.find_refund(tenant, refund).await?.map(|view| view.refund.amount))
    }
}
