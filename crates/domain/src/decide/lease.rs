//! Taking the work on a refund that is due.

use super::advance::{Arrival, advance};
use super::{Done, RefundRef, Refusal, rows};
use crate::ids::Ids;
use crate::outcome::Failure;
use crate::refund::{Fact, State};
use crate::time::Timestamp;
use crate::view::View;
use rand_core::Rng;

pub(super) fn decide<R: Rng>(
    view: &mut View,
    of: RefundRef,
    lease_until: Timestamp,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Done, Refusal> {
    let (refund, payment, new_rows) = rows(view, of)?;
    if refund.value.due_at.is_none_or(|due| now < due) {
        return Err(Refusal::NotDue);
    }
    let arrival = || Arrival { due_at: Some(lease_until), ..Arrival::default() };
    match refund.value.state {
        State::Scheduled => {
            advance(refund, payment, new_rows, Fact::DelayOver, arrival(), now, ids)?;
            advance(refund, payment, new_rows, Fact::Leased, arrival(), now, ids)
        }
        State::Queued | State::WaitingForFunds => {
            advance(refund, payment, new_rows, Fact::Leased, arrival(), now, ids)
        }
        // The node that held the lease is gone; whether it had called the provider is unknown.
        State::Sending => {
            let message = "the node that sent this refund stopped before it had the answer";
            let failure = Failure::new("interrupted", message);
            let arrival = Arrival { failure: Some(failure), ..arrival() };
            advance(refund, payment, new_rows, Fact::Unknown, arrival, now, ids)
        }
        State::Submitted | State::Unknown | State::RequiresAction => {
            refund.change().due_at = Some(lease_until);
            let (refund, payment) = (refund.value.clone(), payment.value.clone());
            Ok(Done::Refund { refund: Box::new(refund), payment, replayed: false })
        }
        State::AwaitingApproval
        | State::NeedsReview
        | State::Succeeded
        | State::Failed
        | State::Canceled => Err(Refusal::NotDue),
    }
}
