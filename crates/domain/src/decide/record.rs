//! Recording what was said about a refund, or that the search for an answer was given up.

use super::advance::{Arrival, advance};
use super::{Done, RefundRef, Refusal, Rows, rows};
use crate::ids::Ids;
use crate::outcome::{Failure, Observation, ProviderOutcome, Said, Source};
use crate::payment::Payment;
use crate::refund::{Fact, Refund, State};
use crate::time::Timestamp;
use crate::view::View;
use rand_core::Rng;

pub(super) fn decide<R: Rng>(
    view: &mut View,
    of: RefundRef,
    observation: &Observation,
    recheck_at: Timestamp,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Done, Refusal> {
    record(rows(view, of)?, observation, recheck_at, now, ids)
}

/// Moves a refund to where the observation puts it.
pub(super) fn record<R: Rng>(
    (refund, payment, new_rows): Rows<'_>,
    observation: &Observation,
    recheck_at: Timestamp,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Done, Refusal> {
    let said = &observation.said;
    let (fact, failure) = match contradiction(&refund.value, &payment.value, said) {
        Some(failure) => (Fact::Contradicted, Some(failure)),
        None => (Fact::from(said.outcome), failure_of(said)),
    };
    let stale = is_stale(&refund.value, fact, observation);
    let observation = Some(observation);
    let arrival = Arrival { due_at: Some(recheck_at), failure, observation, stale };
    advance(refund, payment, new_rows, fact, arrival, now, ids)
}

/// Leaves the refund to a person, who must find out what became of it.
pub(super) fn give_up<R: Rng>(
    view: &mut View,
    of: RefundRef,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Done, Refusal> {
    let (refund, payment, new_rows) = rows(view, of)?;
    let message = "no evidence was found of whether the provider made this refund";
    let failure = Some(Failure::new("unresolved", message));
    let arrival = Arrival { failure, ..Arrival::default() };
    advance(refund, payment, new_rows, Fact::GivenUp, arrival, now, ids)
}

fn failure_of(said: &Said) -> Option<Failure> {
    match said.outcome {
        ProviderOutcome::Accepted | ProviderOutcome::Completed => None,
        ProviderOutcome::NeverSent
        | ProviderOutcome::Unknown
        | ProviderOutcome::ActionRequired
        | ProviderOutcome::WaitingForFunds
        | ProviderOutcome::Failed
        | ProviderOutcome::Canceled => {
            let unexplained = || Failure::new(said.outcome.as_str(), "the provider gave no reason");
            Some(said.failure.clone().unwrap_or_else(unexplained))
        }
    }
}

/// Compares what was said with the refund and the payment that it is about.
fn contradiction(refund: &Refund, payment: &Payment, said: &Said) -> Option<Failure> {
    let differs = |code: &str, said: String, asked: String| {
        let message = format!("the provider speaks of {said} and {asked} was asked for");
        Some(Failure::new(code, &message))
    };
    if let Some(money) = said.money
        && money != refund.money()
    {
        return differs("amount_mismatch", money.to_string(), refund.money().to_string());
    }
    if let Some(id) = &said.provider_payment_id
        && *id != payment.capture.provider_payment_id
    {
        let asked = format!("payment {}", payment.capture.provider_payment_id);
        return differs("payment_mismatch", format!("payment {id}"), asked);
    }
    if let (Some(id), Some(known)) = (&said.provider_refund_id, &refund.provider_refund_id)
        && id != known
    {
        return differs("refund_mismatch", format!("refund {id}"), format!("refund {known}"));
    }
    None
}

/// True when something newer is already known, by the provider's own clock. A person with proof is
/// never stale.
fn is_stale(refund: &Refund, fact: Fact, observation: &Observation) -> bool {
    let (at, known) = (observation.said.at, refund.evidence_at);
    if observation.source == Source::Operator {
        return false;
    }
    if at.is_some() && at < known {
        return true;
    }
    // Money that was released is booked again only when that is certainly newer.
    let revives = refund.state == State::Failed && fact == Fact::Completed;
    revives && (at.is_none() || known.is_some_and(|known| at <= Some(known)))
}
