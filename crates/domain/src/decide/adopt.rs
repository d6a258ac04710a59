//! Booking a refund that was made at the provider itself.

use super::advance::rebalance;
use super::record::{decide as decide_record, record};
use super::record_event::record_refund_event;
use super::unique_keys::{insert_key, live_key};
use super::{Done, RefundRef, Refusal};
use crate::event::Type;
use crate::ids::{Ids, PaymentId, RefundId};
use crate::outcome::Observation;
use crate::payment::Payment;
use crate::refund::{Origin, Refund, State};
use crate::tenant::Tenant;
use crate::time::Timestamp;
use crate::unique_keys::{KeyHash, KeyTarget, UniqueKey};
use crate::view::{Row, View};
use rand_core::Rng;

pub(super) fn decide<R: Rng>(
    view: &mut View,
    (tenant, name): (Tenant, KeyHash),
    payment_id: PaymentId,
    observation: &Observation,
    recheck_at: Timestamp,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Done, Refusal> {
    if let Some(taken) = live_key(view, tenant, name, now) {
        let of = RefundRef { tenant, refund: RefundId::from_ulid(taken.id), payment: payment_id };
        return decide_record(view, of, observation, recheck_at, now, ids);
    }
    let row = view.payments.get(&(tenant, payment_id)).ok_or(Refusal::PaymentNotFound)?;
    let money = observation.said.money.filter(|money| money.minor > 0).ok_or(Refusal::NoAmount)?;
    let capture = row.value.capture.clone();
    if money.currency != capture.currency {
        return Err(Refusal::CurrencyMismatch {
            expected: capture.currency,
            given: money.currency,
        });
    }
    let reserved = row.value.reserved.checked_add(money.minor).ok_or(Refusal::TooLarge)?;
    let rebalanced = rebalance(&row.value, row.value.refunded, reserved)?;
    let mut refund = Refund {
        origin: Origin::External,
        provider_refund_id: observation.said.provider_refund_id.clone(),
        due_at: Some(recheck_at),
        ..Refund::new(ids.refund(now), &row.value, money.minor, State::Submitted, now)
    };
    let mut payment = row.clone();
    *payment.change() = Payment { updated_at: now, ..rebalanced };
    let told = view.new_rows.events.len();
    record_refund_event(&mut refund, &mut view.new_rows, Type::RefundCreated, None, now, ids);
    let id = refund.id;
    let mut refund = Row::inserted(refund);
    let rows = (&mut refund, &mut payment, &mut view.new_rows);
    let done = record(rows, observation, recheck_at, now, ids).inspect_err(|_| {
        // The statement cannot be booked, so the refund is not made.
        view.new_rows.events.truncate(told);
    })?;
    let key = UniqueKey {
        tenant,
        hash: name,
        request: [0; 16],
        target: KeyTarget::Refund,
        id: id.ulid(),
        state: None,
        expires_at: None,
    };
    insert_key(view, key);
    view.payments.insert((tenant, payment_id), payment);
    view.refunds.insert((tenant, id), refund);
    Ok(done)
}
