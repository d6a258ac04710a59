//! The result of a payment attempt: paid, declined, or still open.

use super::Refusal;
use super::checkout::{Charge, advance};
use super::record_event::record_payment_event;
use super::unique_keys::{insert_key, live_key};
use crate::checkout::{Checkout, Fact, Outcome, PaymentAttempt, Terms};
use crate::event::Type;
use crate::ids::{Ids, PaymentId};
use crate::ledger::Transfer;
use crate::outcome::Failure;
use crate::payment::{self, Payment};
use crate::time::Timestamp;
use crate::unique_keys::{KeyTarget, UniqueKey};
use crate::view::{Row, View};
use rand_core::Rng;

/// Records the provider's answer about the attempt under way.
pub(super) fn record<R: Rng>(
    view: &mut View,
    checkout: &mut Checkout,
    outcome: &Outcome,
    charge: Option<&Charge>,
    recheck_at: Timestamp,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Option<Type>, Refusal> {
    let flight = match outcome {
        Outcome::Paid { provider_payment_id, money, at } => {
            let charge = charge.filter(|charge| charge.id == *provider_payment_id);
            let charge = charge.ok_or(Refusal::NoAmount)?;
            if *money == checkout.terms.money() {
                return complete(view, checkout, Fact::Paid, charge, *at, now, ids);
            }
            let asked = checkout.terms.money();
            let message = format!("the provider took {money} and {asked} was asked for");
            let failure = Failure::new("amount_mismatch", &message);
            checkout.provider_payment_id = Some(provider_payment_id.clone());
            return land(checkout, Fact::Contradicted, failure, Type::CheckoutPendingReview);
        }
        Outcome::Declined(failure) => {
            return land(checkout, Fact::Declined, failure.clone(), Type::CheckoutFailed);
        }
        Outcome::ActionRequired => PaymentAttempt::ActionRequired,
        Outcome::Processing => PaymentAttempt::Processing,
        Outcome::Lost => checkout.flight,
    };
    checkout.checks = checkout.checks.saturating_add(1);
    checkout.flight = flight;
    checkout.due_at = Some(recheck_at);
    Ok(None)
}

/// Ends the attempt in flight without a payment.
fn land(
    checkout: &mut Checkout,
    fact: Fact,
    failure: Failure,
    event: Type,
) -> Result<Option<Type>, Refusal> {
    let moved = advance(checkout, fact)?;
    checkout.flight = PaymentAttempt::None;
    checkout.checks = 0;
    checkout.failure = Some(failure);
    checkout.due_at = checkout.rests_until();
    Ok(moved.then_some(event))
}

/// Turns a checkout into a payment: the row, its name, its transfer, its event.
pub(super) fn complete<R: Rng>(
    view: &mut View,
    checkout: &mut Checkout,
    fact: Fact,
    charge: &Charge,
    captured_at: Timestamp,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Option<Type>, Refusal> {
    let terms = checkout.terms.clone();
    let (tenant, id) = (terms.tenant, terms.id);
    if !advance(checkout, fact)? {
        return Ok(None);
    }
    if let Some(taken) = live_key(view, tenant, charge.name, now) {
        return Err(Refusal::ChargeTaken(PaymentId::from_ulid(taken.id)));
    }
    if view.payments.contains_key(&(tenant, id)) {
        return Err(Refusal::PaymentExists(id));
    }
    let settled_at = charge.settles_after_ms.map(|ms| captured_at.plus_ms(ms));
    let mut payment = Payment::new(capture_of(&terms, charge, captured_at), settled_at, now);
    if !view.new_rows.post(Transfer::capture(ids.transfer(now), &payment)) {
        return Err(Refusal::TooLarge);
    }
    record_payment_event(&mut payment, &mut view.new_rows, Type::PaymentCreated, now, ids);
    let key = UniqueKey {
        tenant,
        hash: charge.name,
        request: id.bytes(),
        target: KeyTarget::Payment,
        id: id.ulid(),
        state: None,
        expires_at: None,
    };
    insert_key(view, key);
    view.payments.insert((tenant, id), Row::inserted(payment));
    checkout.flight = PaymentAttempt::None;
    checkout.checks = 0;
    checkout.failure = None;
    checkout.provider_payment_id = Some(charge.id.clone());
    checkout.completed_at = Some(now);
    checkout.due_at = None;
    Ok(Some(Type::CheckoutCompleted))
}

fn capture_of(terms: &Terms, charge: &Charge, captured_at: Timestamp) -> payment::Capture {
    payment::Capture {
        tenant: terms.tenant,
        id: terms.id,
        kind: terms.kind,
        captured: terms.amount,
        currency: terms.currency,
        provider: charge.provider.clone(),
        provider_account: None,
        provider_payment_id: charge.id.clone(),
        provider_data: None,
        captured_at,
        reference: None,
        metadata: terms.metadata.clone(),
    }
}
