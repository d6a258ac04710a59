//! Turns a statement about a refund into a move: the fact that it is, and whether it is believed.

use super::advance::{Arrival, advance};
use super::lease::{gives_up_at, unresolved};
use super::record_event::record_attention;
use super::{Done, RecordOutcome, RefundRef, Refusal, Rows};
use crate::ids::Ids;
use crate::outcome::{Failure, Observation, ProviderOutcome as Is, Said, Source};
use crate::payment::Payment;
use crate::provider::Rules;
use crate::refund::{Fact, Refund, State, Status};
use crate::time::Timestamp;
use crate::unique_keys::{KeyHash, KeyTarget, UniqueKey};
use crate::view::Row;
use rand_core::Rng;

/// How far apart two looks must be that prove together that the provider has no such refund.
const ABSENCE_GAP_MS: i64 = 60_000;

/// The name of a provider's refund id, which leads to the refund that it is.
pub(super) fn refund_key(of: RefundRef, name: KeyHash) -> UniqueKey {
    UniqueKey {
        tenant: of.tenant,
        hash: name,
        request: [0; 16],
        target: KeyTarget::Refund,
        id: of.refund.ulid(),
        state: None,
        expires_at: None,
    }
}

/// True when the statement says that money went or may go.
pub(super) const fn is_or_may_be_paid(outcome: Is) -> bool {
    matches!(outcome, Is::Completed | Is::Accepted | Is::ActionRequired | Is::Held | Is::Twin)
}

pub(super) fn with_refund(done: Done, refund: &Refund) -> Done {
    match done {
        Done::Refund { payment, replayed, .. } => {
            Done::Refund { refund: Box::new(refund.clone()), payment, replayed }
        }
        done => done,
    }
}

/// Moves a refund to where the observation puts it. `lease` is the one under which the refund's own
/// provider was asked.
pub(super) fn record_on<R: Rng>(
    (row, payment, new_rows): Rows<'_>,
    record: &RecordOutcome,
    lease: Option<u32>,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Done, Refusal> {
    let rules = &record.rules;
    let observation = &order_by_time(&record.observation);
    let said = &observation.said;
    let is_holder = lease == Some(row.value.lease);
    let refund = &row.value;
    let contradiction = contradiction(refund, &payment.value, said);
    let is_unpaid = matches!(refund.state, State::Failed | State::Canceled);
    if contradiction.is_some() && is_unpaid && !is_or_may_be_paid(said.outcome) {
        // Both say that no money moved.
        let refund = Box::new(refund.clone());
        return Ok(Done::Refund { refund, payment: payment.value.clone(), replayed: false });
    }
    let (fact, failure) = match contradiction {
        Some(failure) => (Fact::Contradicted, Some(failure)),
        None => fact_of(refund, observation, rules, is_holder, now),
    };
    let belief = believe(refund, fact, observation);
    let disagrees = failure.clone();
    let is_absent = is_proof_time(refund, observation, rules, is_holder, now);
    let arrival = Arrival {
        due_at: Some(due_at(record, fact, refund)),
        failure,
        observation: Some(observation),
        stale: belief == Belief::Stale,
        is_holder,
    };
    let done = match belief {
        Belief::Take | Belief::Stale => advance(row, payment, new_rows, fact, arrival, now, ids)?,
        Belief::Look => {
            let look_at = now.plus_ms(rules.traits.lookup.lag_ms);
            look_soon(row, fact, look_at);
            let (fact, arrival) = doubted(&row.value, arrival, look_at);
            advance(row, payment, new_rows, fact, arrival, now, ids)?
        }
    };
    note_answer(row, observation, is_holder, now);
    settle_dispute(row, fact, observation, is_holder);
    let is_shown = row.value.absent_at > row.value.sent_at;
    if row.value.state == State::Unknown && !is_shown && is_absent {
        row.change().absent_at = Some(now);
    }
    let is_decided = row.value.state.status() != Status::Pending;
    if let (Fact::Contradicted, true, Some(why)) = (fact, is_decided, &disagrees) {
        record_attention(row, new_rows, why, now, ids);
    }
    Ok(with_refund(done, &row.value))
}

/// The observation with a time only where it tells the state of a refund. The time at which a call was
/// refused says nothing about when the provider made or failed a refund that it has.
fn order_by_time(observation: &Observation) -> Observation {
    let mut observation = observation.clone();
    let said = &mut observation.said;
    let is_state = match said.outcome {
        Is::Accepted | Is::ActionRequired | Is::Completed | Is::Canceled | Is::Held => true,
        Is::Failed => observation.source != Source::Submit || said.provider_refund_id.is_some(),
        Is::NeverSent
        | Is::Unknown
        | Is::WaitingForFunds
        | Is::NotDone
        | Is::InProgress
        | Is::Twin
        | Is::Spent
        | Is::Impossible
        | Is::Absent => false,
    };
    said.at = said.at.filter(|_| is_state);
    observation
}

/// Stores what the last call was answered with.
fn note_answer(row: &mut Row<Refund>, observation: &Observation, is_holder: bool, now: Timestamp) {
    let waits = row.value.sent_at.is_some() && row.value.answered_at.is_none();
    if observation.source != Source::Submit || !is_holder || !waits {
        return;
    }
    let refund = row.change();
    refund.answered_at = Some(now);
    let outcome = observation.said.outcome.as_str();
    refund.answer = Some(match &observation.said.failure {
        Some(Failure { code, message }) => format!("{outcome}: {code}: {message}").into(),
        None => outcome.into(),
    });
}

/// The fact that a statement is for a refund in its state. An answer to a call that repeats another one
/// is no evidence of a failure: it may speak of the refund that the first call made.
fn fact_of(
    refund: &Refund,
    observation: &Observation,
    rules: &Rules,
    is_holder: bool,
    now: Timestamp,
) -> (Fact, Option<Failure>) {
    let said = &observation.said;
    let is_answer = observation.source == Source::Submit;
    let is_first = is_answer && is_holder && nothing_was_made(refund);
    let unsettled = || settle_by_time(refund, observation, rules, is_holder, now);
    if is_withdrawn(refund) && is_or_may_be_paid(said.outcome) && said.outcome != Is::Completed {
        let message = "the provider has this refund, which was withdrawn";
        return (Fact::Contradicted, Some(Failure::new("not_withdrawn", message)));
    }
    let fact = match said.outcome {
        Is::Accepted | Is::Twin => Fact::Accepted,
        Is::ActionRequired => Fact::ActionRequired,
        Is::Held => Fact::Held,
        Is::Completed => Fact::Completed,
        Is::Failed | Is::Canceled if is_answer && !is_first => unsettled(),
        Is::Failed => Fact::Failed,
        Is::Canceled => Fact::Canceled,
        Is::Impossible if is_first => Fact::Failed,
        // After another call the payment may be spent because that one was made.
        Is::Spent if is_first && refund.state == State::Sending => Fact::Failed,
        Is::NeverSent if is_first && refund.state == State::Sending => Fact::NeverSent,
        Is::NotDone if is_first && refund.state == State::Sending => Fact::NotDone,
        Is::WaitingForFunds if is_first && refund.state == State::Sending => Fact::WaitingForFunds,
        Is::NeverSent
        | Is::NotDone
        | Is::WaitingForFunds
        | Is::Spent
        | Is::Impossible
        | Is::Unknown
        | Is::InProgress
        | Is::Absent => unsettled(),
    };
    let failure = match fact {
        Fact::Accepted | Fact::Completed => None,
        Fact::GivenUp => Some(unresolved()),
        _ => {
            let word = said.outcome.as_str();
            let unexplained = || Failure::new(word, "the provider gave no reason");
            Some(said.failure.clone().unwrap_or_else(unexplained))
        }
    };
    (fact, failure)
}

/// True when no call before the last one made the refund: there was none, or a look between them showed
/// that the provider had nothing.
fn nothing_was_made(refund: &Refund) -> bool {
    match refund.state {
        State::Sending => true,
        State::Unknown => refund.absent_at.is_some_and(|at| Some(at) <= refund.sent_at),
        State::AwaitingApproval
        | State::Scheduled
        | State::Queued
        | State::Submitted
        | State::RequiresAction
        | State::WaitingForFunds
        | State::Held
        | State::NeedsReview
        | State::Succeeded
        | State::Failed
        | State::Canceled => false,
    }
}

/// The fact that a refund in doubt is still in doubt, or has been for too long, or that looks have proved
/// that the provider does not have it. An old refund is not sent again even so: each proof begins a new
/// round, and a provider that only ever answers with errors would be asked for ever.
fn settle_by_time(
    refund: &Refund,
    observation: &Observation,
    rules: &Rules,
    is_holder: bool,
    now: Timestamp,
) -> Fact {
    // A refund that the provider has named an id for is there, whatever a look says.
    let proved = is_proof_time(refund, observation, rules, is_holder, now)
        && refund.provider_refund_id.is_none()
        && refund.absent_at.is_some_and(|first| {
            Some(first) > refund.sent_at && first.plus_ms(ABSENCE_GAP_MS) <= now
        });
    let is_old = refund.id.at().plus_ms(rules.give_up_after_ms) <= now;
    match refund.state {
        State::Unknown if proved && !is_old => Fact::ProvenAbsent,
        State::Unknown if proved || gives_up_at(refund, rules) <= now => Fact::GivenUp,
        _ => Fact::Unknown,
    }
}

/// True for a complete look without the refund, so long after the last call that a refund would be
/// seen. A look under an older lease may be older than the last call.
fn is_proof_time(
    refund: &Refund,
    observation: &Observation,
    rules: &Rules,
    is_holder: bool,
    now: Timestamp,
) -> bool {
    let sent = refund.sent_at.unwrap_or(refund.id.at());
    is_look(observation.source)
        && is_holder
        && observation.said.outcome == Is::Absent
        && rules.traits.lookup.proves_absence_after_ms.is_some_and(|ms| sent.plus_ms(ms) <= now)
}

const fn is_look(source: Source) -> bool {
    matches!(source, Source::Lookup | Source::List)
}

/// True for a refund that a caller withdrew, of which the provider should know nothing.
fn is_withdrawn(refund: &Refund) -> bool {
    refund.state == State::Canceled && refund.first_sent_at.is_none()
}

/// When the refund is worked on next.
fn due_at(record: &RecordOutcome, fact: Fact, refund: &Refund) -> Timestamp {
    let RecordOutcome { recheck_at, rules, .. } = record;
    let idempotency = rules.traits.idempotency;
    let fades = refund.first_sent_at.and_then(|first| idempotency.refusal_fades_at(first));
    match fact {
        // The same key would only bring the same refusal again.
        Fact::WaitingForFunds => fades.map_or(*recheck_at, |fades| fades.max(*recheck_at)),
        _ => *recheck_at,
    }
}

/// Compares what was said with the refund and the payment that it is about.
fn contradiction(refund: &Refund, payment: &Payment, said: &Said) -> Option<Failure> {
    let differs = |code: &str, said: String, asked: String| {
        let message = format!("the provider speaks of {said} and {asked} was asked for");
        Some(Failure::new(code, &message))
    };
    if let Some(id) = &said.provider_payment_id
        && *id != payment.capture.provider_payment_id
    {
        let asked = format!("payment {}", payment.capture.provider_payment_id);
        return differs("payment_mismatch", format!("payment {id}"), asked);
    }
    // A refund that is taken back frees its money, whatever its amount was.
    if let Some(money) = said.money
        && money != refund.money()
        && is_or_may_be_paid(said.outcome)
    {
        return differs("amount_mismatch", money.to_string(), refund.money().to_string());
    }
    None
}

/// Whether a statement moves the refund.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Belief {
    Take,
    /// Something newer is known, by the provider's own clock.
    Stale,
    /// It would turn over what was decided, and nothing says that it is newer: the provider is asked.
    Look,
}

fn believe(refund: &Refund, fact: Fact, observation: &Observation) -> Belief {
    let (at, known) = (observation.said.at, refund.evidence_at);
    if observation.source == Source::Operator {
        return Belief::Take;
    }
    if at.is_some() && at < known {
        return Belief::Stale;
    }
    let is_being_sent = refund.state == State::Sending;
    if is_being_sent && fact == Fact::Unknown && observation.source != Source::Submit {
        // It says nothing about the call that is under way.
        return Belief::Stale;
    }
    let turns_over = match refund.state {
        State::Failed => fact == Fact::Completed,
        State::Succeeded => matches!(fact, Fact::Failed | Fact::Canceled),
        // The statement that made it doubtful may come again, and the older one, too.
        State::NeedsReview if is_doubted(refund) => {
            matches!(fact, Fact::Completed | Fact::Failed | Fact::Canceled)
        }
        State::AwaitingApproval
        | State::Scheduled
        | State::Queued
        | State::Sending
        | State::Submitted
        | State::Unknown
        | State::RequiresAction
        | State::WaitingForFunds
        | State::Held
        | State::NeedsReview
        | State::Canceled => false,
    };
    let is_newer = matches!((at, known), (Some(at), Some(known)) if known < at);
    let is_look = is_look(observation.source);
    if turns_over && !is_newer && !is_look { Belief::Look } else { Belief::Take }
}

/// The code of a failed refund of which the provider also said, not when, that it was made.
const DOUBTED: &str = "doubted";

fn is_doubted(refund: &Refund) -> bool {
    refund.failure.as_ref().is_some_and(|failure| &*failure.code == DOUBTED)
}

/// The fact that a statement is for a refund while it is not believed yet.
fn doubted<'a>(refund: &Refund, arrival: Arrival<'a>, look_at: Timestamp) -> (Fact, Arrival<'a>) {
    if refund.state != State::Failed {
        return (Fact::Unknown, arrival);
    }
    let message = "the provider says that this failed refund was made, and not when";
    let failure = Some(Failure::new(DOUBTED, message));
    (Fact::Doubted, Arrival { due_at: Some(look_at), failure, ..arrival })
}

/// A succeeded refund that is said to have failed stays as it is until the provider was asked. A look
/// that is under way may be older than the failure, so its lease ends here.
fn look_soon(row: &mut Row<Refund>, fact: Fact, look_at: Timestamp) {
    if row.value.state == State::Succeeded && matches!(fact, Fact::Failed | Fact::Canceled) {
        let refund = row.change();
        refund.due_at = Some(look_at);
        refund.lease = refund.lease.saturating_add(1);
    }
}

/// A look that finds a succeeded refund as it is settles that it was said to have failed.
fn settle_dispute(row: &mut Row<Refund>, fact: Fact, observation: &Observation, is_holder: bool) {
    let found = is_look(observation.source) && is_holder && fact == Fact::Completed;
    if found && row.value.state == State::Succeeded && row.value.due_at.is_some() {
        let refund = row.change();
        (refund.due_at, refund.checks) = (None, 0);
    }
}
