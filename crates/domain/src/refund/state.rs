//! The state machine of a refund.
//!
//! [`next`] is the whole machine: one match over every pair of state and fact, without a wildcard,
//! so that a new state or fact does not compile until every pair is decided.

use crate::codes::codes;
use crate::machine::Next;
use State as S;

codes! {
    /// Where a refund really is. Printed as `statusDetail`.
    pub enum State {
        /// Somebody else must agree first.
        AwaitingApproval = 1 "awaiting_approval",
        /// Waits out a grace delay in which it can be withdrawn.
        Scheduled = 2 "scheduled",
        Queued = 3 "queued",
        /// The intent to call the provider is durable; the call may be under way.
        Sending = 4 "sending",
        Submitted = 5 "submitted",
        /// It may have been sent; only a provider's statement moves it on.
        Unknown = 6 "unknown",
        /// Someone must act at the provider.
        RequiresAction = 7 "requires_action",
        /// The provider refused it for lack of the merchant's money; it is sent again later.
        WaitingForFunds = 8 "waiting_for_funds",
        /// The provider's statement does not fit; a person must look.
        NeedsReview = 9 "needs_review",
        Succeeded = 10 "succeeded",
        /// The provider refused it or took it back.
        Failed = 11 "failed",
        /// Withdrawn before the money moved.
        Canceled = 12 "canceled",
        /// The provider has it and waits for the merchant's money. Asked about, never sent again.
        Held = 13 "held",
    }
}

codes! {
    /// The status that everybody sees.
    pub enum Status {
        /// Not decided yet.
        Pending = 1 "pending",
        Succeeded = 2 "succeeded",
        /// It will not.
        Failed = 3 "failed",
        Canceled = 4 "canceled",
    }
}

codes! {
    /// Something that happened to a refund, as far as the state machine is concerned.
    pub enum Fact {
        /// Approved, to be sent at once.
        Approved = 1 "approved",
        /// Approved, to be sent after a grace delay.
        ApprovedWithDelay = 2 "approved_with_delay",
        DelayOver = 3 "delay_over",
        /// A node commits the intent to call the provider.
        Leased = 4 "leased",
        /// Certain: no byte left.
        NeverSent = 5 "never_sent",
        /// May have been sent; no usable answer.
        Unknown = 6 "lost",
        Accepted = 7 "accepted",
        /// Someone must act at the provider.
        ActionRequired = 8 "action_required",
        /// The provider waits for the merchant's money.
        WaitingForFunds = 9 "waiting_for_funds",
        Completed = 10 "completed",
        /// The provider refused it or took it back.
        Failed = 11 "failed",
        Withdrawn = 12 "withdrawn",
        Canceled = 13 "canceled",
        /// The provider speaks of another amount, currency or payment.
        Contradicted = 14 "contradicted",
        /// Nobody found out about it for too long.
        GivenUp = 15 "given_up",
        /// The provider has it and waits for the merchant's money.
        Held = 16 "held",
        /// The call did nothing, and no earlier call is in doubt.
        NotDone = 17 "not_done",
        /// The provider was asked often and late enough, and has no such refund.
        ProvenAbsent = 18 "proven_absent",
        /// The provider says that a failed refund was made, and not when.
        Doubted = 19 "doubted",
        /// A person proved that the provider has no such refund.
        SendAgain = 20 "send_again",
    }
}

/// The state machine.
pub const fn next(state: State, fact: Fact) -> Next<State> {
    use Next::{Move, Refuse, Stay};
    match (fact, state) {
        (Fact::Approved, S::AwaitingApproval) => Move(S::Queued),
        (Fact::ApprovedWithDelay, S::AwaitingApproval) => Move(S::Scheduled),
        (
            Fact::Approved | Fact::ApprovedWithDelay,
            S::Scheduled
            | S::Queued
            | S::Sending
            | S::Submitted
            | S::Unknown
            | S::RequiresAction
            | S::WaitingForFunds
            | S::Held
            | S::NeedsReview
            | S::Succeeded
            | S::Failed
            | S::Canceled,
        ) => Refuse,

        (Fact::DelayOver, S::Scheduled) => Move(S::Queued),
        (
            Fact::DelayOver,
            S::AwaitingApproval
            | S::Queued
            | S::Sending
            | S::Submitted
            | S::Unknown
            | S::RequiresAction
            | S::WaitingForFunds
            | S::Held
            | S::NeedsReview
            | S::Succeeded
            | S::Failed
            | S::Canceled,
        ) => Refuse,

        (Fact::Leased, S::Queued | S::WaitingForFunds) => Move(S::Sending),
        (
            Fact::Leased,
            S::AwaitingApproval
            | S::Scheduled
            | S::Sending
            | S::Submitted
            | S::Unknown
            | S::RequiresAction
            | S::Held
            | S::NeedsReview
            | S::Succeeded
            | S::Failed
            | S::Canceled,
        ) => Refuse,

        // Only a refund of which nothing is in doubt is `sending`, so nothing of it is at the provider.
        (Fact::NeverSent | Fact::NotDone, S::Sending) => Move(S::Queued),
        (Fact::WaitingForFunds, S::Sending) => Move(S::WaitingForFunds),
        (Fact::Unknown, S::Sending) => Move(S::Unknown),
        // From `unknown` an earlier attempt may still have been booked.
        (
            Fact::NeverSent | Fact::NotDone | Fact::WaitingForFunds | Fact::Unknown,
            S::AwaitingApproval
            | S::Scheduled
            | S::Queued
            | S::Submitted
            | S::Unknown
            | S::RequiresAction
            | S::WaitingForFunds
            | S::Held
            | S::NeedsReview
            | S::Succeeded
            | S::Failed
            | S::Canceled,
        ) => Stay,

        // A refund that was never sent by these books may have been sent by books that were lost.
        (
            Fact::Accepted,
            S::AwaitingApproval
            | S::Scheduled
            | S::Queued
            | S::Sending
            | S::Unknown
            | S::RequiresAction
            | S::WaitingForFunds
            | S::Held,
        ) => Move(S::Submitted),
        (
            Fact::Accepted,
            S::Submitted | S::NeedsReview | S::Succeeded | S::Failed | S::Canceled,
        ) => Stay,

        (Fact::ActionRequired, S::Sending | S::WaitingForFunds) => Move(S::RequiresAction),
        (Fact::Held, S::Sending | S::WaitingForFunds) => Move(S::Held),
        // The provider has it, which is all that `unknown` needed to learn.
        (
            Fact::ActionRequired | Fact::Held,
            S::AwaitingApproval | S::Scheduled | S::Queued | S::Unknown,
        ) => Move(S::Submitted),
        (
            Fact::ActionRequired | Fact::Held,
            S::Submitted
            | S::RequiresAction
            | S::Held
            | S::NeedsReview
            | S::Succeeded
            | S::Failed
            | S::Canceled,
        ) => Stay,

        // `failed` comes back only on a newer statement; the caller of `next` sees to that. A refund
        // that was withdrawn or never sent and is paid all the same is booked.
        (
            Fact::Completed,
            S::AwaitingApproval
            | S::Scheduled
            | S::Queued
            | S::Sending
            | S::Submitted
            | S::Unknown
            | S::RequiresAction
            | S::WaitingForFunds
            | S::Held
            | S::NeedsReview
            | S::Failed
            | S::Canceled,
        ) => Move(S::Succeeded),
        (Fact::Completed, S::Succeeded) => Stay,

        (
            Fact::Failed,
            S::Sending
            | S::Submitted
            | S::Unknown
            | S::RequiresAction
            | S::WaitingForFunds
            | S::Held
            | S::NeedsReview
            | S::Succeeded,
        ) => Move(S::Failed),
        (
            Fact::Failed,
            S::AwaitingApproval | S::Scheduled | S::Queued | S::Failed | S::Canceled,
        ) => Stay,

        (
            Fact::Canceled,
            S::Sending | S::Submitted | S::RequiresAction | S::WaitingForFunds | S::Held,
        ) => Move(S::Canceled),
        // From here the money goes back to the merchant as after a failure.
        (Fact::Canceled, S::Unknown | S::NeedsReview | S::Succeeded) => Move(S::Failed),
        (
            Fact::Canceled,
            S::AwaitingApproval | S::Scheduled | S::Queued | S::Failed | S::Canceled,
        ) => Stay,

        (
            Fact::Contradicted,
            S::AwaitingApproval
            | S::Scheduled
            | S::Queued
            | S::Sending
            | S::Submitted
            | S::Unknown
            | S::RequiresAction
            | S::WaitingForFunds
            | S::Held
            | S::Failed
            | S::Canceled,
        ) => Move(S::NeedsReview),
        (Fact::Contradicted, S::NeedsReview | S::Succeeded) => Stay,

        (Fact::GivenUp, S::Unknown) => Move(S::NeedsReview),
        (Fact::ProvenAbsent, S::Unknown) => Move(S::Queued),
        (
            Fact::GivenUp | Fact::ProvenAbsent,
            S::AwaitingApproval
            | S::Scheduled
            | S::Queued
            | S::Sending
            | S::Submitted
            | S::RequiresAction
            | S::WaitingForFunds
            | S::Held
            | S::NeedsReview
            | S::Succeeded
            | S::Failed
            | S::Canceled,
        ) => Stay,

        (Fact::Doubted, S::Failed) => Move(S::NeedsReview),
        (
            Fact::Doubted,
            S::AwaitingApproval
            | S::Scheduled
            | S::Queued
            | S::Sending
            | S::Submitted
            | S::Unknown
            | S::RequiresAction
            | S::WaitingForFunds
            | S::Held
            | S::NeedsReview
            | S::Succeeded
            | S::Canceled,
        ) => Stay,

        (Fact::SendAgain, S::Unknown | S::NeedsReview) => Move(S::Queued),
        (
            Fact::SendAgain,
            S::AwaitingApproval
            | S::Scheduled
            | S::Queued
            | S::Sending
            | S::Submitted
            | S::RequiresAction
            | S::WaitingForFunds
            | S::Held
            | S::Succeeded
            | S::Failed
            | S::Canceled,
        ) => Refuse,

        (Fact::Withdrawn, S::AwaitingApproval | S::Scheduled | S::Queued) => Move(S::Canceled),
        (Fact::Withdrawn, S::Canceled) => Stay,
        (
            Fact::Withdrawn,
            S::Sending
            | S::Submitted
            | S::Unknown
            | S::RequiresAction
            | S::WaitingForFunds
            | S::Held
            | S::NeedsReview
            | S::Succeeded
            | S::Failed,
        ) => Refuse,
    }
}

/// Which part of the payment's balance a refund in some state counts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bucket {
    /// May still go back.
    Reserved,
    Refunded,
    /// Counts to nothing.
    Released,
}

impl State {
    /// The status that everybody sees.
    pub const fn status(self) -> Status {
        match self {
            S::AwaitingApproval
            | S::Scheduled
            | S::Queued
            | S::Sending
            | S::Submitted
            | S::Unknown
            | S::RequiresAction
            | S::WaitingForFunds
            | S::Held
            | S::NeedsReview => Status::Pending,
            S::Succeeded => Status::Succeeded,
            S::Failed => Status::Failed,
            S::Canceled => Status::Canceled,
        }
    }

    /// Where the refund's amount counts.
    pub const fn bucket(self) -> Bucket {
        match self.status() {
            Status::Pending => Bucket::Reserved,
            Status::Succeeded => Bucket::Refunded,
            Status::Failed | Status::Canceled => Bucket::Released,
        }
    }

    /// The states that have a word of their own; see [`State::detail`].
    pub const DETAILS: &[Self] = Self::ALL.split_at(Self::ALL.len() - 1).0;

    /// The word that everybody sees: a refund that waits for the merchant's money waits for it whether
    /// or not the provider has the refund.
    pub const fn detail(self) -> &'static str {
        match self {
            S::Held => S::WaitingForFunds.as_str(),
            other => other.as_str(),
        }
    }

    /// False in the states in which the provider has nothing of it: an id that was said meanwhile names
    /// something else.
    pub const fn may_have_id(self) -> bool {
        match self {
            S::AwaitingApproval | S::Scheduled | S::Queued | S::Sending | S::WaitingForFunds => {
                false
            }
            S::Submitted
            | S::Unknown
            | S::RequiresAction
            | S::Held
            | S::NeedsReview
            | S::Succeeded
            | S::Failed
            | S::Canceled => true,
        }
    }

    /// True in the states in which Refundry has something to do sooner or later.
    pub const fn has_work(self) -> bool {
        match self {
            S::Scheduled
            | S::Queued
            | S::Sending
            | S::Submitted
            | S::Unknown
            | S::RequiresAction
            | S::WaitingForFunds
            | S::Held
            | S::NeedsReview => true,
            S::AwaitingApproval | S::Succeeded | S::Failed | S::Canceled => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the design: every state and where it may go.
    const LEAVES_TO: &[(State, &[State])] = &[
        (
            S::AwaitingApproval,
            &[S::Scheduled, S::Queued, S::Canceled, S::Submitted, S::Succeeded, S::NeedsReview],
        ),
        (S::Scheduled, &[S::Queued, S::Canceled, S::Submitted, S::Succeeded, S::NeedsReview]),
        (S::Queued, &[S::Sending, S::Canceled, S::Submitted, S::Succeeded, S::NeedsReview]),
        (
            S::Sending,
            &[
                S::Queued,
                S::Submitted,
                S::Unknown,
                S::RequiresAction,
                S::WaitingForFunds,
                S::Held,
                S::NeedsReview,
                S::Succeeded,
                S::Failed,
                S::Canceled,
            ],
        ),
        (S::Submitted, &[S::Succeeded, S::Failed, S::Canceled, S::NeedsReview]),
        (S::Unknown, &[S::Queued, S::Submitted, S::Succeeded, S::Failed, S::NeedsReview]),
        (S::RequiresAction, &[S::Submitted, S::Succeeded, S::Failed, S::Canceled, S::NeedsReview]),
        (
            S::WaitingForFunds,
            &[
                S::Sending,
                S::Submitted,
                S::RequiresAction,
                S::Held,
                S::Succeeded,
                S::Failed,
                S::Canceled,
                S::NeedsReview,
            ],
        ),
        (S::Held, &[S::Submitted, S::Succeeded, S::Failed, S::Canceled, S::NeedsReview]),
        (S::NeedsReview, &[S::Queued, S::Succeeded, S::Failed]),
        (S::Succeeded, &[S::Failed]),
        (S::Failed, &[S::Succeeded, S::NeedsReview]),
        (S::Canceled, &[S::Succeeded, S::NeedsReview]),
    ];

    #[test]
    fn every_state_leaves_to_exactly_the_states_of_the_design() {
        assert_eq!(LEAVES_TO.len(), State::ALL.len());
        for &(state, expected) in LEAVES_TO {
            let mut reached: Vec<State> = Fact::ALL
                .iter()
                .filter_map(|&fact| match next(state, fact) {
                    Next::Move(to) => Some(to),
                    Next::Stay | Next::Refuse => None,
                })
                .collect();
            reached.sort();
            reached.dedup();
            let mut expected = expected.to_vec();
            expected.sort();
            assert_eq!(reached, expected, "from {state}");
        }
    }

    #[test]
    fn a_fact_repeated_after_it_moved_a_refund_never_moves_it_again() {
        // Exceptions are facts about acts, not about outcomes: repeating them is a mistake.
        for &state in State::ALL {
            for &fact in Fact::ALL {
                if let Next::Move(to) = next(state, fact) {
                    assert!(
                        !matches!(next(to, fact), Next::Move(_)),
                        "{state} {fact} {to} moves twice"
                    );
                }
            }
        }
    }

    #[test]
    fn only_what_is_certainly_not_at_the_provider_goes_back_to_the_queue() {
        let mut ways = Vec::new();
        for &state in State::ALL {
            for &fact in Fact::ALL {
                if next(state, fact) == Next::Move(S::Queued) {
                    ways.push((state, fact));
                }
            }
        }
        let expected = [
            (S::AwaitingApproval, Fact::Approved),
            (S::Scheduled, Fact::DelayOver),
            (S::Sending, Fact::NeverSent),
            (S::Sending, Fact::NotDone),
            (S::Unknown, Fact::ProvenAbsent),
            (S::Unknown, Fact::SendAgain),
            (S::NeedsReview, Fact::SendAgain),
        ];
        assert_eq!(ways, expected);
    }

    #[test]
    fn what_the_provider_has_is_never_sent_again() {
        for state in [S::Held, S::RequiresAction, S::Submitted, S::Succeeded] {
            for &fact in Fact::ALL {
                let to = next(state, fact);
                assert!(!matches!(to, Next::Move(S::Sending | S::Queued)), "{state} {fact}");
            }
        }
    }

    #[test]
    fn nothing_fails_or_is_canceled_without_someone_saying_so() {
        for &state in State::ALL {
            for &fact in Fact::ALL {
                if let Next::Move(S::Failed | S::Canceled) = next(state, fact) {
                    assert!(
                        matches!(fact, Fact::Failed | Fact::Canceled | Fact::Withdrawn),
                        "{state} {fact}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_caller_cannot_withdraw_what_may_have_been_sent() {
        for state in [
            S::Sending,
            S::Submitted,
            S::Unknown,
            S::RequiresAction,
            S::WaitingForFunds,
            S::Held,
            S::NeedsReview,
        ] {
            assert_eq!(next(state, Fact::Withdrawn), Next::Refuse, "{state}");
        }
    }

    #[test]
    fn a_held_refund_is_the_only_one_without_a_word_of_its_own() {
        assert!(!State::DETAILS.contains(&S::Held));
        assert_eq!(State::DETAILS.len(), State::ALL.len() - 1);
        assert_eq!(S::Held.detail(), "waiting_for_funds");
    }

    #[test]
    fn codes_and_words_read_back() {
        for &state in State::ALL {
            assert_eq!(State::from_code(state.code()), Some(state));
            assert_eq!(State::from_text(state.as_str()), Some(state));
        }
        assert_eq!(State::from_code(0), None);
        assert_eq!(Status::from_text("paid"), None);
    }
}
