//! Refunds: asking for one, withdrawing it, waiting for it, finding it.

use crate::answered::Answered;
use crate::input::IdempotencyKey;
use crate::unique_keys::{self, Books};
use crate::{Engine, Error};
use domain::decide::{
    ACCOUNT_DELETED, Command, CreateRefund, KeyedRequest, RefundRef, Refusal, Resolution,
    ResolveRefund, Start,
};
use domain::ids::RefundId;
use domain::outcome::{Observation, ProviderOutcome, Source};
use domain::provider::OutcomeBy;
use domain::refund::{Attempt, NewRefund, Refund, RefundView, State, Status};
use domain::tenant::Tenant;
use std::time::Duration;
use store::{Page, PageQuery, RefundFilter};

/// How often a refund that is waited for is looked at, where another node may decide it.
const SHARED_POLL: Duration = Duration::from_millis(200);

/// A person's decision about a refund, and the proof of it.
#[derive(Clone, Debug)]
pub struct Decision {
    pub resolution: Resolution,
    /// The provider's refund id that the person saw.
    pub provider_refund_id: Option<Box<str>>,
    /// The finding in the person's own words.
    pub text: Option<Box<str>>,
}

impl Engine {
    /// Asks for a refund. Answers when that is durable; the provider is called after that.
    pub async fn create_refund(
        &self,
        new: NewRefund,
        key: Option<&IdempotencyKey>,
    ) -> Result<Answered<RefundView>, Error> {
        let (tenant, payment, kind) = (new.tenant, new.payment, new.kind);
        let key = key.map(unique_keys::idempotency);
        let config = self.config();
        let start = if config.dispatch_at_once {
            Start::Send { lease_ms: config.lease_ms }
        } else {
            Start::Queue
        };
        let reference = new.reference.as_deref().map(unique_keys::reference);
        let request = unique_keys::refund_request(&new);
        let create = |new, accounts| {
            let providers = self.registry().traits().clone();
            let create = CreateRefund { new, reference, key, request, start, providers, accounts };
            Command::Create(Box::new(create))
        };
        let name = key.map(|key| (tenant, key));
        // Most payments have no provider account, so the accounts are read only where one has.
        let known = self.account_states().fresh(tenant, self.now()).unwrap_or_default();
        let mut done = self.commit(create(new.clone(), known), name).await;
        if let Err(Error::Refused(Refusal::NotPossible { code: ACCOUNT_DELETED, .. })) = &done {
            let known = self.read_account_states(tenant).await?;
            done = self.commit(create(new, known), name).await;
        }
        match done {
            Err(Error::Refused(Refusal::PaymentNotFound)) => {
                Err(self.why_not_paid(tenant, payment, kind).await?.into())
            }
            done => done?.try_into(),
        }
    }

    /// Withdraws a refund that was not sent yet, or that its provider takes back.
    pub async fn cancel_refund(
        &self,
        tenant: Tenant,
        id: RefundId,
        key: Option<&IdempotencyKey>,
    ) -> Result<Answered<RefundView>, Error> {
        let found = self.find_refund(tenant, id).await?.ok_or(Refusal::RefundNotFound)?;
        let request = unique_keys::cancel_request(id);
        let key = key.map(|key| KeyedRequest { hash: unique_keys::idempotency(key), request });
        let command = Command::Cancel { of: RefundRef::from(&found.refund), key };
        let done = self.commit(command, key.map(|key| (tenant, key.hash))).await;
        if let Err(Error::Refused(Refusal::TooLateToCancel(state))) = done {
            return self.take_back(tenant, id, state).await;
        }
        done?.try_into()
    }

    /// Asks the provider to take a refund back that waits there. A repetition asks again, which changes
    /// nothing.
    async fn take_back(
        &self,
        tenant: Tenant,
        id: RefundId,
        state: State,
    ) -> Result<Answered<RefundView>, Error> {
        let too_late = Error::Refused(Refusal::TooLateToCancel(state));
        if !matches!(state, State::Submitted | State::RequiresAction | State::Held) {
            return Err(too_late);
        }
        let RefundView { refund, payment } =
            self.find_refund(tenant, id).await?.ok_or(Refusal::RefundNotFound)?;
        let balance = self.find_payment(tenant, refund.payment).await?;
        let balance = balance.ok_or(Refusal::PaymentNotFound)?;
        let said = self.ask_to_cancel(&refund, &balance).await;
        match said.outcome {
            ProviderOutcome::Canceled => {}
            ProviderOutcome::Unknown | ProviderOutcome::NeverSent | ProviderOutcome::InProgress => {
                return Err(Error::NotTakenBack);
            }
            _ => return Err(too_late),
        }
        let observation = Observation { source: Source::Lookup, said };
        let record = self.outcome_of(&refund, &payment, observation, 0);
        self.committer().run(Command::Record(Box::new(record))).await?;
        let value = self.find_refund(tenant, id).await?.ok_or(Refusal::RefundNotFound)?;
        Ok(Answered { value, replayed: false })
    }

    /// Records a person's decision about a refund in doubt.
    pub async fn resolve_refund(
        &self,
        tenant: Tenant,
        id: RefundId,
        decision: Decision,
        key: Option<&IdempotencyKey>,
    ) -> Result<Answered<RefundView>, Error> {
        let found = self.find_refund(tenant, id).await?.ok_or(Refusal::RefundNotFound)?;
        let Decision { resolution, provider_refund_id, text } = decision;
        let is_by_hand = self.rules(&found.payment.provider).traits.outcome == OutcomeBy::Person;
        if resolution == Resolution::SendAgain && is_by_hand {
            let message = "nothing is sent for a payment that was taken by hand: say that the refund \
                           succeeded once it was paid by hand, or that it failed";
            return Err(
                Refusal::NotPossible { code: "paid_by_hand", message: message.into() }.into()
            );
        }
        let books = Books::of(&found.payment);
        let name = provider_refund_id.as_deref();
        let mut resolve = ResolveRefund {
            of: RefundRef::from(&found.refund),
            resolution,
            name: name.map(|id| unique_keys::provider_refund(books, id)),
            provider_refund_id,
            text,
            key: None,
        };
        let request = unique_keys::resolve_request(&resolve);
        resolve.key = key.map(|key| KeyedRequest { hash: unique_keys::idempotency(key), request });
        let name = resolve.key.map(|key| (tenant, key.hash));
        self.commit(Command::Resolve(Box::new(resolve)), name).await?.try_into()
    }

    /// The calls that asked the provider for a refund, oldest first.
    pub async fn refund_attempts(&self, refund: &Refund) -> Result<Vec<Attempt>, Error> {
        let mut attempts = self.store().refund_attempts(refund.tenant, refund.id).await?;
        attempts.extend(refund.last_attempt());
        Ok(attempts)
    }

    /// Waits until the refund is decided or needs a person, or `limit` is over. Always the refund
    /// as it is then.
    pub async fn wait_for_refund(
        &self,
        tenant: Tenant,
        id: RefundId,
        limit: Duration,
    ) -> Result<Option<RefundView>, Error> {
        let Some(waiter) = self.waiters().wait(id) else {
            return self.find_refund(tenant, id).await;
        };
        let until_decided = async {
            loop {
                let changed = waiter.changed();
                tokio::pin!(changed);
                changed.as_mut().enable();
                let found = self.find_refund(tenant, id).await?;
                let decided = found.as_ref().is_none_or(|view| {
                    let state = view.refund.state;
                    state.status() != Status::Pending || state == State::NeedsReview
                });
                if decided {
                    return Ok(found);
                }
                if self.store().is_shared() {
                    // Other nodes wake nobody here.
                    let _ = tokio::time::timeout(SHARED_POLL, changed).await;
                } else {
                    changed.await;
                }
            }
        };
        match tokio::time::timeout(limit, until_decided).await {
            Ok(found) => found,
            Err(_) => self.find_refund(tenant, id).await,
        }
    }

    /// The refund with this id.
    pub async fn find_refund(
        &self,
        tenant: Tenant,
        id: RefundId,
    ) -> Result<Option<RefundView>, Error> {
        Ok(self.store().find_refund(tenant, id).await?)
    }

    /// Refunds by time of creation.
    pub async fn list_refunds(
        &self,
        tenant: Tenant,
        filter: RefundFilter,
        page: PageQuery,
    ) -> Result<Page<RefundView>, Error> {
        Ok(self.store().list_refunds(tenant, filter, page).await?)
    }
}
