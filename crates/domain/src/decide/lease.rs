//! Taking the work on a refund that is due, and choosing the call that its provider gets.

use super::advance::{Arrival, advance};
use super::record_event::record_attention;
use super::{Done, RefundRef, Refusal, Rows, rows};
use crate::ids::Ids;
use crate::outcome::Failure;
use crate::provider::Rules;
use crate::refund::{Fact, Refund, State};
use crate::time::Timestamp;
use crate::view::View;
use rand_core::Rng;

/// Looks at a succeeded refund that is said to have failed, before a person is told.
const MOST_LOOKS: u32 = 20;

/// How long a refund that is to be sent may be due before a person is told.
pub const LEFT_QUEUED_MS: i64 = 24 * 60 * 60_000;

/// How long the lease of a refund that is being sent may be over before it is in doubt.
pub const LEFT_SENDING_MS: i64 = 5 * 60_000;

/// The call that a leased refund needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Ask for the refund. Nothing of it is at the provider.
    Submit,
    /// Ask for it again under its key. An earlier call may have made it.
    SubmitAgain,
    /// Look for it.
    Look,
    /// Nothing: the provider cannot be asked, or makes another refund of the payment first.
    Wait,
}

pub(super) fn decide<R: Rng>(
    view: &mut View,
    of: RefundRef,
    (lease, lease_ms, behind): (u32, i64, Option<Timestamp>),
    rules: &Rules,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Done, Refusal> {
    let mut rows = rows(view, of)?;
    // Without a time of its own it was decided since the claim, or waits for a person.
    let is_due = rows.0.value.due_at.is_some();
    if rows.0.value.lease != lease || !is_due {
        return Err(Refusal::NotDue);
    }
    let (row, payment, _) = &mut rows;
    if let Some(until) = behind.filter(|_| is_to_be_sent(row.value.state)) {
        row.change().due_at = Some(until);
        let (refund, payment) = (Box::new(row.value.clone()), payment.value.clone());
        return Ok(Done::Leased { refund, payment, call: Call::Wait });
    }
    let lease_until = now.plus_ms(lease_ms);
    note_age(&mut rows, rules, now, ids);
    move_on(&mut rows, lease_until, now, ids)?;
    let (row, payment, new_rows) = rows;
    let call = call_for(&row.value, rules, now);
    if call == Call::Wait
        && row.value.state == State::Unknown
        && gives_up_at(&row.value, rules) <= now
    {
        let arrival = Arrival { failure: Some(unresolved()), ..Arrival::default() };
        advance(row, payment, new_rows, Fact::GivenUp, arrival, now, ids)?;
    }
    let refund = row.change();
    refund.due_at = Some(lease_until);
    match call {
        Call::Submit | Call::SubmitAgain => {
            if call == Call::Submit {
                // Earlier calls did nothing, so the provider sees the key as a new one.
                refund.first_sent_at = None;
            }
            // A look after the last call showed that none of the calls so far made it.
            let shown_absent = refund.absent_at.filter(|at| Some(*at) >= refund.sent_at);
            new_rows.refund_attempts.extend(refund.begin_attempt(now));
            refund.absent_at = shown_absent.filter(|_| call == Call::SubmitAgain);
        }
        Call::Look => {}
        // A person or a webhook moves it on.
        Call::Wait => refund.due_at = waits_until(refund, rules),
    }
    if is_disputed(refund, call) {
        refund.due_at = None;
        let message = "the provider says that this refund failed, not when, and cannot be asked";
        record_attention(row, new_rows, &Failure::new("disputed", message), now, ids);
    }
    let (refund, payment) = (Box::new(row.value.clone()), payment.value.clone());
    Ok(Done::Leased { refund, payment, call })
}

fn is_to_be_sent(state: State) -> bool {
    matches!(state, State::Scheduled | State::Queued | State::WaitingForFunds)
}

/// Tells a person of a refund that has waited for too long. One that was being sent by a node that is gone,
/// and that nobody may work on now, is in doubt from here on.
pub(super) fn age<R: Rng>(
    view: &mut View,
    of: RefundRef,
    rules: &Rules,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Done, Refusal> {
    let mut rows = rows(view, of)?;
    let refund = &rows.0.value;
    if refund.state == State::Sending && is_due_since(refund, LEFT_SENDING_MS, now) {
        move_on(&mut rows, now, now, ids)?;
    }
    note_age(&mut rows, rules, now, ids);
    let (refund, payment) = (Box::new(rows.0.value.clone()), rows.1.value.clone());
    Ok(Done::Refund { refund, payment, replayed: false })
}

fn note_age<R: Rng>(
    (refund, _, new_rows): &mut Rows<'_>,
    rules: &Rules,
    now: Timestamp,
    ids: &mut Ids<R>,
) {
    if is_overdue(&refund.value, rules, now) {
        let message = "it has waited for too long; a person should look at the provider";
        record_attention(refund, new_rows, &Failure::new("overdue", message), now, ids);
    }
}

/// Moves the refund to the state in which it is worked on.
fn move_on<R: Rng>(
    (refund, payment, new_rows): &mut Rows<'_>,
    lease_until: Timestamp,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<(), Refusal> {
    let (state, why) = (refund.value.state, refund.value.failure.clone());
    let mut to = |fact, failure| {
        let arrival = Arrival { due_at: Some(lease_until), failure, ..Arrival::default() };
        advance(refund, payment, new_rows, fact, arrival, now, ids).map(|_| ())
    };
    match state {
        State::Scheduled => {
            to(Fact::DelayOver, None)?;
            to(Fact::Leased, None)
        }
        State::Queued => to(Fact::Leased, None),
        // Kept, so that the same refusal is not told again.
        State::WaitingForFunds => to(Fact::Leased, why),
        // The node that held the lease is gone; whether it had called the provider is unknown.
        State::Sending => {
            let message = "the node that sent this refund stopped before it had the answer";
            to(Fact::Unknown, Some(Failure::new("interrupted", message)))
        }
        State::Submitted
        | State::Unknown
        | State::RequiresAction
        | State::Held
        | State::NeedsReview
        | State::Succeeded => Ok(()),
        State::AwaitingApproval | State::Failed | State::Canceled => Err(Refusal::NotDue),
    }
}

/// A refund that succeeded is only worked on because the provider also said that it failed.
fn is_disputed(refund: &Refund, call: Call) -> bool {
    refund.state == State::Succeeded && (call == Call::Wait || refund.checks > MOST_LOOKS)
}

/// The next call. While the provider still knows the key, looking and asking again take turns; later
/// the refund is only looked for.
fn call_for(refund: &Refund, rules: &Rules, now: Timestamp) -> Call {
    let can_look = rules.traits.lookup.can_find(refund.provider_refund_id.is_some());
    match refund.state {
        State::Sending => Call::Submit,
        State::NeedsReview if refund.needs_attention => Call::Wait,
        State::Unknown => {
            let first = refund.first_sent_at.unwrap_or(refund.id.at());
            let is_safe = rules.traits.idempotency.protects(first, now);
            let asks_next = refund.checks % 2 == 1;
            match (is_safe, can_look) {
                (true, false) => Call::SubmitAgain,
                (true, true) if asks_next => Call::SubmitAgain,
                (_, true) => Call::Look,
                (false, false) => Call::Wait,
            }
        }
        State::Submitted
        | State::RequiresAction
        | State::Held
        | State::NeedsReview
        | State::Succeeded
            if can_look =>
        {
            Call::Look
        }
        State::AwaitingApproval
        | State::Scheduled
        | State::Queued
        | State::WaitingForFunds
        | State::Submitted
        | State::RequiresAction
        | State::Held
        | State::NeedsReview
        | State::Succeeded
        | State::Failed
        | State::Canceled => Call::Wait,
    }
}

/// When a refund that cannot be asked about becomes a person's; `None` once a person knows.
fn waits_until(refund: &Refund, rules: &Rules) -> Option<Timestamp> {
    let after = rules.attention_after_ms(refund.state)?;
    if !refund.needs_attention {
        return Some(refund.updated_at.plus_ms(after));
    }
    (refund.state == State::Unknown).then(|| gives_up_at(refund, rules))
}

/// Why a refund in doubt is given up to a person.
pub(super) fn unresolved() -> Failure {
    let message = "no evidence was found of whether the provider made this refund";
    Failure::new("unresolved", message)
}

/// When a refund in doubt is given up to a person.
pub(super) fn gives_up_at(refund: &Refund, rules: &Rules) -> Timestamp {
    refund.first_sent_at.unwrap_or(refund.id.at()).plus_ms(rules.give_up_after_ms)
}

fn is_overdue(refund: &Refund, rules: &Rules, now: Timestamp) -> bool {
    let after = rules.attention_after_ms(refund.state);
    let is_old = after.is_some_and(|after| refund.updated_at.plus_ms(after) <= now);
    let is_queued = matches!(refund.state, State::Scheduled | State::Queued);
    let is_left = is_queued && is_due_since(refund, LEFT_QUEUED_MS, now);
    !refund.needs_attention && (is_old || is_left)
}

/// True when nobody has taken the work on this refund for so long: nothing is sent, its provider account is
/// paused or gone, or no node has its provider.
fn is_due_since(refund: &Refund, ms: i64, now: Timestamp) -> bool {
    refund.due_at.is_some_and(|due| due.plus_ms(ms) <= now)
}
