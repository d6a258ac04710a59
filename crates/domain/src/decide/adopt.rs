//! Booking a refund that was made at the provider itself.

use super::advance::rebalance;
use super::record_event::record_refund_event;
use super::statement::{record_on, refund_key};
use super::unique_keys::insert_key;
use super::{AdoptRefund, Done, RecordOutcome, RefundRef, Refusal, Rows};
use crate::event::Type;
use crate::ids::Ids;
use crate::payment::Payment;
use crate::refund::{Origin, Refund, State};
use crate::time::Timestamp;
use crate::view::{Row, View};
use rand_core::Rng;

impl AdoptRefund {
    /// The same statement, as one about the refund `of`.
    pub(super) fn record(&self, of: RefundRef) -> RecordOutcome {
        RecordOutcome {
            of,
            observation: self.observation.clone(),
            name: None,
            recheck_at: self.recheck_at,
            lease: None,
            rules: self.rules,
        }
    }
}

/// Books the refund, whose name is free.
pub(super) fn decide<R: Rng>(
    view: &mut View,
    adopt: &AdoptRefund,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Done, Refusal> {
    let tenant = adopt.tenant;
    let row = view.payments.get(&(tenant, adopt.payment)).ok_or(Refusal::PaymentNotFound)?;
    let said = &adopt.observation.said;
    let money = said.money.filter(|money| money.minor > 0).ok_or(Refusal::NoAmount)?;
    let capture = row.value.capture.clone();
    if money.currency != capture.currency {
        return Err(Refusal::CurrencyMismatch {
            expected: capture.currency,
            given: money.currency,
        });
    }
    let reserved = row.value.reserved.checked_add(money.minor).ok_or(Refusal::TooLarge)?;
    let rebalanced = rebalance(&row.value, row.value.refunded, reserved, row.value.on_hold())?;
    let refund = Refund {
        origin: Origin::External,
        provider_refund_id: said.provider_refund_id.clone(),
        due_at: Some(adopt.recheck_at),
        ..Refund::new(ids.refund(now), &row.value, money.minor, State::Submitted, now)
    };
    let record = adopt.record(RefundRef { tenant, refund: refund.id, payment: adopt.payment });
    let done = insert_external(view, refund, rebalanced, now, ids, |rows, ids| {
        record_on(rows, &record, None, now, ids)
    })?;
    insert_key(view, refund_key(record.of, adopt.name));
    Ok(done)
}

/// Makes the row of a refund that was made at the provider, and `move_on` moves it. A refund that
/// cannot be moved is not made.
pub(super) fn insert_external<R: Rng>(
    view: &mut View,
    mut refund: Refund,
    rebalanced: Payment,
    now: Timestamp,
    ids: &mut Ids<R>,
    move_on: impl FnOnce(Rows<'_>, &mut Ids<R>) -> Result<Done, Refusal>,
) -> Result<Done, Refusal> {
    let (tenant, id, at) = (refund.tenant, refund.id, (refund.tenant, refund.payment));
    let mut payment = view.payments.get(&at).ok_or(Refusal::PaymentNotFound)?.clone();
    *payment.change() = Payment { updated_at: now, ..rebalanced };
    let told = view.new_rows.events.len();
    record_refund_event(&mut refund, &mut view.new_rows, Type::RefundCreated, None, now, ids);
    let mut refund = Row::inserted(refund);
    let done = move_on((&mut refund, &mut payment, &mut view.new_rows), ids).inspect_err(|_| {
        view.new_rows.events.truncate(told);
    })?;
    view.payments.insert(at, payment);
    view.refunds.insert((tenant, id), refund);
    Ok(done)
}
