//! Moving a refund from state to state, and what that takes: balances, transfers, events.

use super::record_event::{record_payment_event, record_refund_event};
use super::{Done, Refusal};
use crate::event::Type;
use crate::ids::Ids;
use crate::ledger::{Reason, Transfer};
use crate::machine::Next;
use crate::outcome::{Failure, Observation, Source};
use crate::payment::Payment;
use crate::refund::{Bucket, Fact, Refund, State, Status, next};
use crate::time::Timestamp;
use crate::view::{NewRows, Row};
use rand_core::Rng;

/// How a refund arrives in its next state.
#[derive(Default)]
pub(super) struct Arrival<'a> {
    /// When to look again.
    pub(super) due_at: Option<Timestamp>,
    /// The reason why it is there, if something is wrong.
    pub(super) failure: Option<Failure>,
    pub(super) observation: Option<&'a Observation>,
    /// Something newer is already known, so nothing moves.
    pub(super) stale: bool,
}

/// Runs the state machine and does what a move takes: balances, transfers, events.
pub(super) fn advance<R: Rng>(
    refund_row: &mut Row<Refund>,
    payment_row: &mut Row<Payment>,
    new_rows: &mut NewRows,
    fact: Fact,
    arrival: Arrival<'_>,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Done, Refusal> {
    let state = refund_row.value.state;
    let step = if arrival.stale { Next::Stay } else { next(state, fact) };
    match step {
        Next::Refuse => return Err(Refusal::Impossible { state, fact }),
        Next::Stay => stay(refund_row, &arrival),
        Next::Move(to) => move_money(refund_row, payment_row, new_rows, to, arrival, now, ids)?,
    }
    let (refund, payment) = (refund_row.value.clone(), payment_row.value.clone());
    Ok(Done::Refund { refund: Box::new(refund), payment, replayed: false })
}

/// Without a move: notes what else was said, and sets the time of the next look.
fn stay(row: &mut Row<Refund>, arrival: &Arrival<'_>) {
    let asked = arrival.observation.is_some_and(|seen| seen.source != Source::Webhook);
    let said = arrival.observation.map(|seen| &seen.said);
    let refund = &row.value;
    let learns_id = refund.provider_refund_id.is_none()
        && said.is_some_and(|said| said.provider_refund_id.is_some());
    let newer_at = said.and_then(|said| said.at).filter(|at| Some(*at) > refund.evidence_at);
    let reschedules = refund.state.has_work() && asked;
    if !(learns_id || newer_at.is_some() || reschedules) {
        return;
    }
    let refund = row.change();
    if reschedules {
        refund.due_at = arrival.due_at;
        refund.checks = refund.checks.saturating_add(1);
    }
    if learns_id {
        refund.provider_refund_id = said.and_then(|said| said.provider_refund_id.clone());
    }
    // A failed refund keeps the time of its failure: only a newer statement revives it.
    if newer_at.is_some() && !arrival.stale {
        refund.evidence_at = newer_at;
    }
}

fn move_money<R: Rng>(
    refund_row: &mut Row<Refund>,
    payment_row: &mut Row<Payment>,
    new_rows: &mut NewRows,
    to: State,
    arrival: Arrival<'_>,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<(), Refusal> {
    let (from, amount) = (refund_row.value.state, refund_row.value.amount);
    let payment = &payment_row.value;
    let (mut reserved, mut refunded) = (payment.reserved, payment.refunded);
    let minus = |sum: i64| sum.checked_sub(amount).ok_or(Refusal::TooLarge);
    let plus = |sum: i64| sum.checked_add(amount).ok_or(Refusal::TooLarge);
    let reason = match (from.bucket(), to.bucket()) {
        (Bucket::Reserved, Bucket::Refunded) => {
            (reserved, refunded) = (minus(reserved)?, plus(refunded)?);
            Some(Reason::Refund)
        }
        (Bucket::Reserved, Bucket::Released) => {
            reserved = minus(reserved)?;
            None
        }
        (Bucket::Refunded, Bucket::Released) => {
            refunded = minus(refunded)?;
            Some(Reason::LateFailure)
        }
        (Bucket::Released, Bucket::Refunded) => {
            refunded = plus(refunded)?;
            Some(Reason::Refund)
        }
        (Bucket::Refunded | Bucket::Released | Bucket::Reserved, Bucket::Reserved)
        | (Bucket::Refunded, Bucket::Refunded)
        | (Bucket::Released, Bucket::Released) => None,
    };
    let rebalanced = rebalance(payment, refunded, reserved)?;
    if let Some(reason) = reason
        && !new_rows.post(Transfer::refund(ids.transfer(now), reason, &refund_row.value))
    {
        return Err(Refusal::TooLarge);
    }

    let refund = refund_row.change();
    refund.state = to;
    refund.late = from == State::Succeeded;
    refund.due_at = arrival.due_at.filter(|_| to.has_work());
    let retries = from == State::Sending && matches!(to, State::Queued | State::WaitingForFunds);
    if retries {
        refund.checks = refund.checks.saturating_add(1);
    } else if to != State::Sending {
        refund.checks = 0;
    }
    refund.failure = arrival.failure;
    if let Some(Observation { said, .. }) = arrival.observation {
        if refund.provider_refund_id.is_none() {
            refund.provider_refund_id.clone_from(&said.provider_refund_id);
        }
        refund.evidence_at = said.at.max(refund.evidence_at);
    }
    record_refund_event(refund, new_rows, Type::of_arrival(to), arrival.observation, now, ids);

    if from.bucket() != to.bucket() {
        let before_settlement = refund.before_settlement;
        let payment = payment_row.change();
        *payment = Payment { updated_at: now, ..rebalanced };
        record_payment_refunded(payment, to, before_settlement, new_rows, now, ids);
    }
    Ok(())
}

/// The payment with other sums, and with by how much more than the captured amount they make. Only
/// what a provider did on its own gets here with more; Refundry's own refunds are checked when they
/// are created. Refused when the sums do not fit into one, so that nobody who adds them overflows.
pub(super) fn rebalance(
    payment: &Payment,
    refunded: i64,
    reserved: i64,
) -> Result<Payment, Refusal> {
    let spent = refunded.checked_add(reserved).and_then(|sum| sum.checked_add(payment.held));
    let excess = spent.ok_or(Refusal::TooLarge)?.saturating_sub(payment.capture.captured).max(0);
    let payment = Payment { refunded, reserved, excess, ..payment.clone() };
    assert!(payment.within_limit(), "a payment's balance is out of bounds");
    Ok(payment)
}

fn record_payment_refunded<R: Rng>(
    payment: &mut Payment,
    to: State,
    before_settlement: bool,
    new_rows: &mut NewRows,
    now: Timestamp,
    ids: &mut Ids<R>,
) {
    let full = payment.refunded >= payment.capture.captured;
    payment.reversed = full && (payment.reversed || before_settlement);
    if to.status() == Status::Succeeded {
        let event = if full { Type::PaymentRefunded } else { Type::PaymentPartiallyRefunded };
        record_payment_event(payment, new_rows, event, now, ids);
    }
}
