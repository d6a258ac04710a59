//! Asking for a refund.

use super::record_event::{record_attention, record_refund_event};
use super::unique_keys::{insert_key, live_key};
use super::{CreateRefund, Done, Refusal, Start};
use crate::event::Type;
use crate::ids::{Ids, ProviderAccountId, RefundId};
use crate::money::Money;
use crate::outcome::Failure;
use crate::payment::{Capture, Payment};
use crate::provider::{OutcomeBy, PerPayment};
use crate::refund::{NewRefund, Refund, State};
use crate::time::Timestamp;
use crate::unique_keys::{KeyTarget, UniqueKey};
use crate::view::{Row, View};
use rand_core::Rng;

/// The word for a payment whose provider account was deleted.
pub const ACCOUNT_DELETED: &str = "provider_account_deleted";

pub(super) fn decide<R: Rng>(
    view: &mut View,
    create: &CreateRefund,
    now: Timestamp,
    ids: &mut Ids<R>,
    may_send: &mut dyn FnMut(&Capture) -> bool,
) -> Result<Done, Refusal> {
    let CreateRefund { new, reference, key, request, start, providers, .. } = create;
    let tenant = new.tenant;
    if let Some(hash) = *key
        && let Some(taken) = live_key(view, tenant, hash, now)
    {
        if taken.request != *request || taken.target != KeyTarget::Refund {
            return Err(Refusal::KeyReused);
        }
        return replay_refund(view, taken);
    }
    if let Some(hash) = *reference
        && let Some(taken) = live_key(view, tenant, hash, now)
    {
        let taken = taken.clone();
        if taken.request != *request {
            return Err(Refusal::ReferenceTaken(RefundId::from_ulid(taken.id)));
        }
        if let Some(hash) = *key {
            insert_key(view, UniqueKey { hash, ..taken.clone() });
        }
        return replay_refund(view, &taken);
    }

    let payment = &view
        .payments
        .get(&(tenant, new.payment))
        .filter(|row| new.kind.is_none_or(|kind| kind == row.value.capture.kind))
        .ok_or(Refusal::PaymentNotFound)?
        .value;
    let amount = check_amount(payment, new)?;
    let capture = &payment.capture;
    let traits = providers
        .get(&*capture.provider)
        .ok_or_else(|| Refusal::ProviderNotConfigured(capture.provider.clone()))?;
    traits
        .check(capture, Money::new(amount, capture.currency), now)
        .map_err(|(code, message)| Refusal::NotPossible { code, message })?;
    check_account(create, capture)?;
    let may_be_sent = match traits.per_payment {
        PerPayment::Parallel => true,
        // The balance changed when the refund before this one was decided.
        PerPayment::OneAtATime { gap_ms } => {
            payment.reserved == 0 && payment.updated_at.plus_ms(gap_ms) <= now
        }
    };
    let reserved = payment.reserved.checked_add(amount).ok_or(Refusal::TooLarge)?;
    let is_by_hand = traits.outcome == OutcomeBy::Person;
    let (state, due_at) = match *start {
        Start::Send { .. } | Start::Queue if is_by_hand => (State::NeedsReview, None),
        Start::Send { lease_ms } if may_be_sent && may_send(capture) => {
            (State::Sending, Some(now.plus_ms(lease_ms)))
        }
        Start::Send { .. } | Start::Queue => (State::Queued, Some(now)),
        Start::Schedule { until } => (State::Scheduled, Some(until)),
        Start::AwaitApproval => (State::AwaitingApproval, None),
    };
    let mut refund = Refund {
        reason: new.reason.clone(),
        reference: new.reference.clone(),
        metadata: new.metadata.clone(),
        due_at,
        ..Refund::new(ids.refund(now), payment, amount, state, now)
    };
    if state == State::Sending {
        refund.lease = 1;
        refund.begin_attempt(now);
    }
    record_refund_event(&mut refund, &mut view.new_rows, Type::RefundCreated, None, now, ids);
    let mut refund = Row::inserted(refund);
    if state == State::NeedsReview {
        refund.value.failure = Some(by_hand());
        record_attention(&mut refund, &mut view.new_rows, &by_hand(), now, ids);
    }
    let names = key.iter().chain(reference).copied();
    for hash in names {
        let key = UniqueKey {
            tenant,
            hash,
            request: *request,
            target: KeyTarget::Refund,
            id: refund.value.id.ulid(),
            state: Some(state),
            expires_at: None,
        };
        insert_key(view, key);
    }
    let row = view.payments.get_mut(&(tenant, new.payment)).ok_or(Refusal::PaymentNotFound)?;
    let payment = row.change();
    payment.reserved = reserved;
    payment.updated_at = now;
    assert!(payment.within_limit(), "a refund passed the captured amount");
    let payment = payment.clone();
    let done = Box::new(refund.value.clone());
    view.refunds.insert((tenant, done.id), refund);
    Ok(Done::Refund { refund: done, payment, replayed: false })
}

/// Why a refund of a payment that was taken by hand waits for a person.
fn by_hand() -> Failure {
    let message = "the payment was taken by hand: pay the refund by hand and then resolve it";
    Failure::new("paid_by_hand", message)
}

/// Refuses a refund that can never be sent, since its provider account was deleted.
fn check_account(create: &CreateRefund, capture: &Capture) -> Result<(), Refusal> {
    let named = capture.provider_account.as_deref().map(ProviderAccountId::parse);
    // Names of another kind are older than provider accounts.
    let Some(Ok(id)) = named else { return Ok(()) };
    if create.accounts.iter().any(|account| account.id == id) {
        return Ok(());
    }
    let message = format!(
        "the payment's provider account {id} was deleted, so nothing can be sent; make the refund at the provider itself"
    );
    Err(Refusal::NotPossible { code: ACCOUNT_DELETED, message })
}

/// The amount to refund, once everything about it has been checked.
fn check_amount(payment: &Payment, new: &NewRefund) -> Result<i64, Refusal> {
    let refundable = payment.refundable();
    if let Some(given) = new.currency
        && given != payment.capture.currency
    {
        return Err(Refusal::CurrencyMismatch { expected: payment.capture.currency, given });
    }
    if let Some(expected) = new.expected_refundable
        && expected != refundable
    {
        return Err(Refusal::BalanceChanged { expected, refundable });
    }
    let status = payment.status();
    match new.amount {
        None if refundable == 0 => Err(Refusal::NothingRefundable { status }),
        None => Ok(refundable),
        Some(requested) if requested < 1 || requested > refundable => {
            let money = |minor| Money::new(minor, payment.capture.currency);
            let (requested, refundable) = (money(requested), money(refundable));
            Err(Refusal::OverRefund { requested, refundable, status })
        }
        Some(requested) => Ok(requested),
    }
}

/// The refund as it was when the request that made it was answered.
fn replay_refund(view: &View, taken: &UniqueKey) -> Result<Done, Refusal> {
    let id = RefundId::from_ulid(taken.id);
    let now = &view.refunds.get(&(taken.tenant, id)).ok_or(Refusal::RefundNotFound)?.value;
    let payment =
        &view.payments.get(&(taken.tenant, now.payment)).ok_or(Refusal::PaymentNotFound)?.value;
    let state = taken.state.unwrap_or(now.state);
    let (is_sent, is_by_hand) = (state == State::Sending, state == State::NeedsReview);
    let refund = Refund {
        state,
        sends: u32::from(is_sent),
        first_sent_at: is_sent.then(|| id.at()),
        late: false,
        needs_attention: is_by_hand,
        provider_refund_id: None,
        failure: is_by_hand.then(by_hand),
        updated_at: id.at(),
        ..now.clone()
    };
    Ok(Done::Refund { refund: Box::new(refund), payment: payment.clone(), replayed: true })
}
