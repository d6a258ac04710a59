//! Events: what happened, in order per refund and per payment.

use crate::account::Scope;
use crate::codes::codes;
use crate::ids::{EventId, PaymentId, RefundId};
use crate::refund::State;
use serde::{Deserialize, Serialize};

codes! {
    /// What happened.
    pub enum Type {
        /// A payment became known.
        PaymentCreated = 1 "payment.created",
        /// A refund succeeded and money remains.
        PaymentPartiallyRefunded = 2 "payment.partially_refunded",
        /// Everything captured went back.
        PaymentRefunded = 3 "payment.refunded",
        /// A refund was asked for.
        RefundCreated = 10 "refund.created",
        /// The provider has it.
        RefundSubmitted = 11 "refund.submitted",
        /// The money went back.
        RefundSucceeded = 12 "refund.succeeded",
        /// The provider refused it or took it back.
        RefundFailed = 13 "refund.failed",
        /// Withdrawn.
        RefundCanceled = 14 "refund.canceled",
        /// A person must look.
        RefundNeedsReview = 15 "refund.needs_review",
        /// Any other change of state.
        RefundUpdated = 16 "refund.updated",
    }
}

impl Type {
    /// The event that tells of a refund's arrival in `state`.
    pub const fn of_arrival(state: State) -> Self {
        match state {
            State::AwaitingApproval
            | State::Scheduled
            | State::Queued
            | State::Sending
            | State::Unknown
            | State::RequiresAction
            | State::WaitingForFunds => Self::RefundUpdated,
            State::Submitted => Self::RefundSubmitted,
            State::NeedsReview => Self::RefundNeedsReview,
            State::Succeeded => Self::RefundSucceeded,
            State::Failed => Self::RefundFailed,
            State::Canceled => Self::RefundCanceled,
        }
    }
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A payment.
    Payment(PaymentId),
    /// A refund, in the state it had after the event.
    Refund(RefundId, State),
}

/// What an event says beyond its subject's unchanging part: enough to print the subject as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Detail {
    /// The provider's refund id by then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_refund_id: Option<Box<str>>,
    /// Failure code by then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_code: Option<Box<str>>,
    /// Failure sentence by then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_message: Option<Box<str>>,
    /// The refund had succeeded before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
    /// Where the evidence came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Box<str>>,
    /// The provider's own time of it, milliseconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_at: Option<i64>,
    /// A payment's refunded amount by then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refunded: Option<i64>,
    /// A payment's reserved amount by then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserved: Option<i64>,
    /// By how much the provider gave back more than was captured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excess: Option<i64>,
    /// The payment counts as reversed by then.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reversed: bool,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whose it is.
    pub scope: Scope,
    /// Its id, which is also its time.
    pub id: EventId,
    /// What happened.
    #[expect(clippy::struct_field_names, reason = "`type` is a keyword")]
    pub event_type: Type,
    /// To what.
    pub subject: Subject,
    /// Counts the subject's events from 1 without a gap.
    pub seq: u32,
    /// What else it says; `None` when there is nothing.
    pub detail: Option<Box<Detail>>,
}
