//! Moving a refund from state to state, and what that takes: balances, transfers, events.

use super::record_event::{record_payment_event, record_refund_event};
use super::{Done, Refusal};
use crate::event::Type;
use crate::ids::Ids;
use crate::ledger::{Reason, Transfer};
use crate::machine::Next;
use crate::outcome::{Failure, Observation};
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
    /// The provider was asked, and nobody else has leased the refund since.
    pub(super) is_holder: bool,
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
    let said = arrival.observation.map(|seen| &seen.said);
    let refund = &row.value;
    // A payment that is not this refund's says nothing about this refund's id.
    let learns_id = refund.provider_refund_id.is_none()
        && refund.state.may_have_id()
        && said.is_some_and(|said| said.provider_refund_id.is_some())
        && !speaks_of_another(arrival.failure.as_ref());
    // While the provider should have nothing of it, a time may be that of another refund under its key.
    let is_ordered = !arrival.stale && refund.state.may_have_id();
    let at = said.and_then(|said| said.at).filter(|_| is_ordered);
    let newer_at = at.filter(|at| Some(*at) > refund.evidence_at);
    let has_work = refund.state.has_work() || refund.due_at.is_some();
    let reschedules = has_work && arrival.is_holder;
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
    refund.evidence_at = newer_at.or(refund.evidence_at);
}

/// True when `failure` says that a statement was about another payment or another refund, whose id must
/// not become this refund's.
fn speaks_of_another(failure: Option<&Failure>) -> bool {
    failure.is_some_and(|f| matches!(&*f.code, "payment_mismatch" | "refund_mismatch"))
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
    match from.bucket() {
        Bucket::Reserved => reserved = minus(reserved)?,
        Bucket::Refunded => refunded = minus(refunded)?,
        Bucket::Released => {}
    }
    match to.bucket() {
        Bucket::Reserved => reserved = plus(reserved)?,
        Bucket::Refunded => refunded = plus(refunded)?,
        Bucket::Released => {}
    }
    let reason = match (from.bucket(), to.bucket()) {
        (Bucket::Reserved | Bucket::Released, Bucket::Refunded) => Some(Reason::Refund),
        (Bucket::Refunded, Bucket::Reserved | Bucket::Released) => Some(Reason::LateFailure),
        (Bucket::Reserved | Bucket::Released, Bucket::Reserved | Bucket::Released)
        | (Bucket::Refunded, Bucket::Refunded) => None,
    };
    let rebalanced = rebalance(payment, refunded, reserved, payment.on_hold())?;
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
    let says_it_again = refund.failure.as_ref().map(|f| &f.code)
        == arrival.failure.as_ref().map(|failure| &failure.code);
    let is_told = !is_silent(from, to, says_it_again);
    if to == State::Queued {
        // Nothing of it is at the provider, which sees its key as a new one.
        (refund.first_sent_at, refund.absent_at) = (None, None);
    }
    let contradicted = speaks_of_another(arrival.failure.as_ref());
    refund.failure = arrival.failure;
    if let Some(Observation { said, .. }) = arrival.observation {
        if refund.provider_refund_id.is_none() && to.may_have_id() && !contradicted {
            refund.provider_refund_id.clone_from(&said.provider_refund_id);
        }
        refund.evidence_at = said.at.max(refund.evidence_at);
    }
    if is_told {
        refund.needs_attention = false;
        record_refund_event(refund, new_rows, Type::of_arrival(to), arrival.observation, now, ids);
    }

    if from.bucket() != to.bucket() {
        let before_settlement = refund.before_settlement;
        let payment = payment_row.change();
        *payment = Payment { updated_at: now, ..rebalanced };
        record_payment_refunded(payment, to, before_settlement, new_rows, now, ids);
    }
    Ok(())
}

/// Moves between waiting and sending are not told: a provider that is away for hours would make
/// thousands of them, and the attempts say when it was called.
const fn is_silent(from: State, to: State, says_it_again: bool) -> bool {
    match (from, to) {
        (State::Queued | State::WaitingForFunds, State::Sending)
        | (State::Sending, State::Queued) => true,
        (State::Sending, State::WaitingForFunds) => says_it_again,
        _ => false,
    }
}

/// The payment with other sums, and with by how much more than the captured amount they make. Only
/// what a provider did on its own gets here with more; Refundry's own refunds are checked when they
/// are created. Holds get what the refunds leave, and so the balance follows from the sums alone.
/// Refused when the sums do not fit into one, so that nobody who adds them overflows.
pub(super) fn rebalance(
    payment: &Payment,
    refunded: i64,
    reserved: i64,
    on_hold: i64,
) -> Result<Payment, Refusal> {
    let captured = payment.capture.captured;
    let spent = refunded.checked_add(reserved).ok_or(Refusal::TooLarge)?;
    spent.checked_add(on_hold).ok_or(Refusal::TooLarge)?;
    let held = on_hold.min(captured.saturating_sub(spent).max(0));
    let held_excess = on_hold.saturating_sub(held);
    let excess = spent.saturating_sub(captured).max(0);
    let payment = Payment { refunded, reserved, held, held_excess, excess, ..payment.clone() };
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
