//! Recording what was said about a refund.
//!
//! A payout is always booked: a statement that does not fit never disappears. It moves the refund to a
//! person, or is booked as a refund of its own, or is told as an event.

use super::adopt;
use super::advance::{Arrival, advance};
use super::record_event::record_attention;
use super::statement::{is_or_may_be_paid, record_on, refund_key, with_refund};
use super::unique_keys::{insert_key, live_key};
use super::{AdoptRefund, Done, RecordOutcome, RefundRef, Refusal, Rows, rows};
use crate::ids::{Ids, RefundId};
use crate::money::{Currency, MAX_AMOUNT, Money};
use crate::outcome::{Failure, Observation, ProviderOutcome as Is, Said, Source};
use crate::refund::{Fact, Refund, State, Status};
use crate::time::Timestamp;
use crate::unique_keys::KeyHash;
use crate::view::View;
use rand_core::Rng;

pub(super) fn decide<R: Rng>(
    view: &mut View,
    record: &RecordOutcome,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Done, Refusal> {
    let RecordOutcome { of, observation, name, .. } = record;
    let said = &observation.said;
    let taken = name.and_then(|name| live_key(view, of.tenant, name, now));
    let other = taken.map(|key| RefundId::from_ulid(key.id)).filter(|id| *id != of.refund);
    if let Some(other) = other {
        return booked_elsewhere(view, record, other, now, ids);
    }
    let (refund, payment, _) = rows(view, *of)?;
    let refund = &refund.value;
    let is_paid_out = is_or_may_be_paid(said.outcome);
    if let (Some(id), Some(known)) = (&said.provider_refund_id, &refund.provider_refund_id)
        && id != known
    {
        // A statement that a refund of which we never knew went wrong changes nothing.
        let Some(name) = name.filter(|_| is_paid_out) else { return as_it_is(view, record) };
        let currency = payment.value.capture.currency;
        let money =
            said.money.filter(|money| money.currency == currency && is_bookable(money.minor));
        return match money {
            Some(money) => book_beside(view, record, &name, money, "second_payout", now, ids),
            None => tell_of_another(rows(view, *of)?, record, id, now, ids),
        };
    }
    if let (Some(name), Some(more)) =
        (name, paid_beyond(refund, payment.value.capture.currency, observation))
    {
        return book_beside(view, record, &name.part(), more, "paid_more", now, ids);
    }
    let learns = said.provider_refund_id.is_some() && refund.provider_refund_id.is_none();
    let done = record_on(rows(view, *of)?, record, record.lease, now, ids)?;
    let (refund, ..) = rows(view, *of)?;
    let learned = learns && refund.value.provider_refund_id.is_some();
    let is_failed = refund.value.state == State::Failed && said.outcome == Is::Failed;
    // Without an amount, all that was paid under this id was taken back.
    let is_more = said.money.is_none_or(|money| money.minor > refund.value.amount);
    if let Some(name) = name.filter(|_| learned) {
        insert_key(view, refund_key(*of, name));
    }
    let beside = name.filter(|_| is_failed && is_more).map(KeyHash::part);
    if let Some(part) = beside.and_then(|part| live_key(view, of.tenant, part, now)) {
        let of = RefundRef { refund: RefundId::from_ulid(part.id), ..*of };
        record_on(rows(view, of)?, record, None, now, ids)?;
        return as_it_is(view, record);
    }
    Ok(done)
}

/// Books a refund that was made at the provider itself, or records what is said of it if it is booked.
pub(super) fn adopt_or_record<R: Rng>(
    view: &mut View,
    adopt: &AdoptRefund,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Done, Refusal> {
    let tenant = adopt.tenant;
    let Some(taken) = live_key(view, tenant, adopt.name, now) else {
        return adopt::decide(view, adopt, now, ids);
    };
    let refund = RefundId::from_ulid(taken.id);
    let record = adopt.record(RefundRef { tenant, refund, payment: adopt.payment });
    decide(view, &record, now, ids)
}

fn as_it_is(view: &mut View, record: &RecordOutcome) -> Result<Done, Refusal> {
    let (refund, payment, _) = rows(view, record.of)?;
    let (refund, payment) = (Box::new(refund.value.clone()), payment.value.clone());
    Ok(Done::Refund { refund, payment, replayed: false })
}

fn is_bookable(minor: i64) -> bool {
    (1..=MAX_AMOUNT).contains(&minor)
}

/// By how much more than is booked a decided refund was paid.
fn paid_beyond(refund: &Refund, currency: Currency, observation: &Observation) -> Option<Money> {
    let said = &observation.said;
    if observation.source == Source::Submit {
        return None;
    }
    let money = said.money.filter(|money| money.currency == currency)?;
    let is_decided = refund.state == State::Succeeded && said.outcome == Is::Completed;
    let more =
        money.minor.checked_sub(refund.amount).filter(|more| is_decided && is_bookable(*more))?;
    Some(Money::new(more, currency))
}

/// Books money that the provider paid under the key of a refund, and that is not this refund, and says
/// so.
fn book_beside<R: Rng>(
    view: &mut View,
    record: &RecordOutcome,
    name: &KeyHash,
    money: Money,
    code: &str,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Done, Refusal> {
    let (refund, ..) = rows(view, record.of)?;
    let said = Said { money: Some(money), ..record.observation.said.clone() };
    let adopt = AdoptRefund {
        tenant: record.of.tenant,
        payment: refund.value.payment,
        name: *name,
        observation: Observation { said, ..record.observation.clone() },
        recheck_at: record.recheck_at,
        rules: record.rules,
    };
    let is_new = live_key(view, adopt.tenant, adopt.name, now).is_none();
    let done = adopt_or_record(view, &adopt, now, ids)?;
    if is_new && let Done::Refund { refund: booked, .. } = &done {
        let message = format!(
            "the provider paid {} more under this refund's key; it is booked as {}",
            booked.money(),
            booked.id
        );
        let (refund, _, new_rows) = rows(view, record.of)?;
        refund.change().needs_attention = false;
        record_attention(refund, new_rows, &Failure::new(code, &message), now, ids);
    }
    Ok(done)
}

/// The provider has a second refund under the key of this one, and does not say of how much, so that
/// nothing can be booked: a person must look.
fn tell_of_another<R: Rng>(
    (row, payment, new_rows): Rows<'_>,
    record: &RecordOutcome,
    id: &str,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Done, Refusal> {
    let message = format!("the provider also has {id} under this refund's key, of no clear amount");
    let why = Failure::new("refund_mismatch", &message);
    let arrival = Arrival {
        due_at: Some(record.recheck_at),
        failure: Some(why.clone()),
        ..Arrival::default()
    };
    let done = advance(row, payment, new_rows, Fact::Contradicted, arrival, now, ids)?;
    if row.value.state.status() != Status::Pending {
        record_attention(row, new_rows, &why, now, ids);
    }
    Ok(with_refund(done, &row.value))
}

/// The provider's refund id belongs to another refund of ours, which the statement is about then. A
/// refund that is still open under this key goes to a person.
fn booked_elsewhere<R: Rng>(
    view: &mut View,
    record: &RecordOutcome,
    other: RefundId,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Done, Refusal> {
    rows(view, record.of)?;
    let of = RefundRef { refund: other, ..record.of };
    // The lease is one of this refund, not of the other.
    let done = record_on(rows(view, of)?, record, None, now, ids)?;
    let (row, payment, new_rows) = rows(view, record.of)?;
    if row.value.state.status() == Status::Pending {
        let message = format!("the provider's refund is booked as {other}");
        let failure = Some(Failure::new("refund_mismatch", &message));
        let due_at = Some(record.recheck_at);
        let arrival = Arrival { due_at, failure, ..Arrival::default() };
        advance(row, payment, new_rows, Fact::Contradicted, arrival, now, ids)?;
    }
    Ok(done)
}
