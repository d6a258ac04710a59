//! Recording what was said about a refund, or that nobody says anything.

use super::advance::{Arrival, advance};
use super::{Done, RefundRef, Refusal, Rows, rows};
use crate::evidence::{Claim, Evidence, Source};
use crate::ids::Ids;
use crate::payment::Payment;
use crate::refund::{Fact, Failure, Refund, State};
use crate::time::Timestamp;
use crate::view::View;
use rand_core::Rng;

pub(super) fn decide<R: Rng>(
    view: &mut View,
    of: RefundRef,
    evidence: &Evidence,
    recheck_at: Timestamp,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Done, Refusal> {
    record(rows(view, of)?, evidence, recheck_at, now, ids)
}

/// Moves a refund as the evidence has it.
pub(super) fn record<R: Rng>(
    (refund, payment, book): Rows<'_>,
    evidence: &Evidence,
    recheck_at: Timestamp,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Done, Refusal> {
    let (fact, failure) = match contradiction(&refund.value, &payment.value, evidence) {
        Some(failure) => (Fact::Contradicted, Some(failure)),
        None => (fact_of(evidence.claim), failure_of(evidence)),
    };
    let stale = is_stale(&refund.value, fact, evidence);
    let arrival = Arrival { due_at: Some(recheck_at), failure, evidence: Some(evidence), stale };
    advance(refund, payment, book, fact, arrival, now, ids)
}

/// A person must find out what became of the refund.
pub(super) fn give_up<R: Rng>(
    view: &mut View,
    of: RefundRef,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Done, Refusal> {
    let (refund, payment, book) = rows(view, of)?;
    let failure = Failure {
        code: "unresolved".into(),
        message: "no evidence was found of whether the provider made this refund".into(),
    };
    let arrival = Arrival { failure: Some(failure), ..Arrival::default() };
    advance(refund, payment, book, Fact::GivenUp, arrival, now, ids)
}

const fn fact_of(claim: Claim) -> Fact {
    match claim {
        Claim::NeverSent => Fact::NeverSent,
        Claim::Lost => Fact::Lost,
        Claim::Accepted => Fact::Accepted,
        Claim::ActionRequired => Fact::ActionRequired,
        Claim::WaitingForFunds => Fact::FundsMissing,
        Claim::Completed => Fact::Completed,
        Claim::Failed => Fact::Failed,
        Claim::Canceled => Fact::CanceledByProvider,
    }
}

fn failure_of(evidence: &Evidence) -> Option<Failure> {
    match evidence.claim {
        Claim::Accepted | Claim::Completed => None,
        Claim::NeverSent
        | Claim::Lost
        | Claim::ActionRequired
        | Claim::WaitingForFunds
        | Claim::Failed
        | Claim::Canceled => Some(Failure {
            code: evidence.code.clone().unwrap_or_else(|| evidence.claim.as_str().into()),
            message: evidence
                .message
                .clone()
                .unwrap_or_else(|| "the provider gave no reason".into()),
        }),
    }
}

/// Compares what the evidence speaks of with what was asked for.
fn contradiction(refund: &Refund, payment: &Payment, evidence: &Evidence) -> Option<Failure> {
    let differs = |code: &str, said: String, asked: String| Failure {
        code: code.into(),
        message: format!("the provider speaks of {said} and {asked} was asked for").into(),
    };
    if let Some(money) = evidence.money
        && money != refund.money()
    {
        return Some(differs("amount_mismatch", money.to_string(), refund.money().to_string()));
    }
    if let Some(said) = &evidence.provider_payment_id
        && *said != payment.facts.provider_payment_id
    {
        let asked = format!("payment {}", payment.facts.provider_payment_id);
        return Some(differs("payment_mismatch", format!("payment {said}"), asked));
    }
    if let (Some(said), Some(known)) = (&evidence.provider_refund_id, &refund.provider_refund_id)
        && said != known
    {
        return Some(differs(
            "refund_mismatch",
            format!("refund {said}"),
            format!("refund {known}"),
        ));
    }
    None
}

/// True when something newer is already known, by the provider's own clock. A person with proof is
/// never stale.
fn is_stale(refund: &Refund, fact: Fact, evidence: &Evidence) -> bool {
    if evidence.source == Source::Operator {
        return false;
    }
    match (evidence.at, refund.evidence_at) {
        (Some(at), Some(known)) if at < known => true,
        // Money that was released is booked again only on evidence that is certainly newer.
        (at, known) if refund.state == State::Failed && fact == Fact::Completed => {
            at.is_none() || known.is_some_and(|known| at <= Some(known))
        }
        _ => false,
    }
}
