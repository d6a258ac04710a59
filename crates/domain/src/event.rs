//! Events: what happened, in order per refund and per payment.

use crate::codes::codes;
use crate::ids::{
    AccountId, EndpointId, EventId, InvoiceId, PaymentId, ProviderAccountId, RefundId,
};
use crate::refund::State;
use crate::tenant::Tenant;
use crate::{checkout, invoice};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

codes! {
    /// The type of an event.
    pub enum Type {
        PaymentCreated = 1 "payment.created",
        /// A refund succeeded and money remains.
        PaymentPartiallyRefunded = 2 "payment.partially_refunded",
        /// Everything captured went back.
        PaymentRefunded = 3 "payment.refunded",
        /// Money is held, because a dispute is about it.
        PaymentHoldPlaced = 4 "payment.hold_placed",
        /// The merchant keeps the money.
        PaymentHoldReleased = 5 "payment.hold_released",
        /// The money went back to the buyer.
        PaymentHoldBooked = 6 "payment.hold_booked",
        RefundCreated = 10 "refund.created",
        RefundSubmitted = 11 "refund.submitted",
        RefundSucceeded = 12 "refund.succeeded",
        /// The provider refused it or took it back.
        RefundFailed = 13 "refund.failed",
        RefundCanceled = 14 "refund.canceled",
        RefundNeedsReview = 15 "refund.needs_review",
        /// Any other change of state.
        RefundUpdated = 16 "refund.updated",
        /// It waits for a person: for too long, or because the provider said something that does not fit.
        RefundAttentionRequired = 17 "refund.attention_required",
        /// Somebody is asked to pay.
        CheckoutCreated = 20 "checkout_session.created",
        /// A provider was asked to take the money.
        CheckoutPending = 21 "checkout_session.pending",
        /// The merchant must look whether the money came.
        CheckoutPendingReview = 22 "checkout_session.pending_review",
        CheckoutCompleted = 23 "checkout_session.completed",
        /// The provider declined. It can be tried again.
        CheckoutFailed = 24 "checkout_session.failed",
        /// Not paid in time.
        CheckoutExpired = 25 "checkout_session.expired",
        CheckoutCanceled = 26 "checkout_session.canceled",
        CheckoutDeleted = 27 "checkout_session.deleted",
        InvoiceCreated = 30 "invoice.created",
        InvoiceFinalized = 31 "invoice.finalized",
        InvoiceSent = 32 "invoice.sent",
        InvoicePaid = 33 "invoice.paid",
        InvoiceVoided = 34 "invoice.voided",
        /// A provider was asked to take the money.
        InvoicePending = 35 "invoice.pending",
        /// The provider declined. It can be tried again.
        InvoiceFailed = 36 "invoice.failed",
        InvoicePastDue = 37 "invoice.past_due",
        /// A webhook endpoint failed for too long, or said that it is gone.
        EndpointDisabled = 40 "webhook_endpoint.disabled",
        ProviderAccountCreated = 50 "provider_account.created",
        /// Nothing is sent through it any more.
        ProviderAccountPaused = 51 "provider_account.paused",
        ProviderAccountResumed = 52 "provider_account.resumed",
        /// It has new secrets.
        ProviderAccountRotated = 53 "provider_account.rotated",
        ProviderAccountDeleted = 54 "provider_account.deleted",
        /// No refund is sent to any provider any more.
        SendingStopped = 55 "sending.stopped",
        SendingStarted = 56 "sending.started",
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
            | State::WaitingForFunds
            | State::Held => Self::RefundUpdated,
            State::Submitted => Self::RefundSubmitted,
            State::NeedsReview => Self::RefundNeedsReview,
            State::Succeeded => Self::RefundSucceeded,
            State::Failed => Self::RefundFailed,
            State::Canceled => Self::RefundCanceled,
        }
    }
}

/// The thing that an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    Payment(PaymentId),
    /// A refund, in the state it had after the event.
    Refund(RefundId, State),
    Checkout(PaymentId, checkout::State),
    Invoice(InvoiceId, invoice::State),
    Endpoint(EndpointId),
    ProviderAccount(ProviderAccountId),
    /// The sending of refunds of an account.
    Sending(AccountId),
}

impl Subject {
    /// The ULID of what it is.
    pub const fn ulid(self) -> Ulid {
        match self {
            Self::Payment(id) | Self::Checkout(id, _) => id.ulid(),
            Self::Refund(id, _) => id.ulid(),
            Self::Invoice(id, _) => id.ulid(),
            Self::Endpoint(id) => id.ulid(),
            Self::ProviderAccount(id) => id.ulid(),
            Self::Sending(id) => id.ulid(),
        }
    }
}

/// The payload of the event of a disabled webhook endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EndpointDetail {
    pub url: Box<str>,
    pub disabled_reason: Box<str>,
    /// How many attempts had failed in a row.
    pub consecutive_failures: u32,
    /// Since when, milliseconds since the epoch.
    pub failing_since: Option<i64>,
}

/// The payload of the events of a provider account: the account without its settings and secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ProviderAccountDetail {
    pub provider: Box<str>,
    pub name: Box<str>,
    /// [`crate::provider_account::State`].
    pub state: Box<str>,
    pub paused_reason: Option<Box<str>>,
    pub version: u32,
    pub deleted: bool,
}

/// The payload of the events of sending.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SendingDetail {
    pub stopped: bool,
    /// [`crate::sending::Reach`] of the switch that was thrown.
    pub reach: Box<str>,
    pub reason: Option<Box<str>>,
}

/// The hold that the event of a payment is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldDetail {
    /// [`crate::ids::HoldId`] as it is printed.
    pub id: Box<str>,
    /// The amount that was held, or that was booked.
    pub amount: i64,
    pub reason: Box<str>,
}

/// The part of the subject that may change later, as it was right after the event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Detail {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_refund_id: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_code: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_message: Option<Box<str>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
    /// [`crate::outcome::Source`] of the statement that led to the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Box<str>>,
    /// The provider's own time of it, milliseconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refunded: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reserved: Option<i64>,
    /// By how much the provider gave back more than was captured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excess: Option<i64>,
    /// Money that holds keep from being refunded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<i64>,
    /// The part of the open holds that the payment does not cover.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_excess: Option<i64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reversed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldDetail>,
    /// The way to pay that the buyer had chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_payment_id: Option<Box<str>>,
    /// When the checkout or invoice was paid, in milliseconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paid_at: Option<i64>,
    /// When an invoice was first asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voided_at: Option<i64>,
    /// Number of failed payment attempts on the invoice at the time of the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Box<str>>,
    /// A webhook endpoint that was disabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<EndpointDetail>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_account: Option<ProviderAccountDetail>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sending: Option<SendingDetail>,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub tenant: Tenant,
    /// Its id, which is also its time.
    pub id: EventId,
    #[expect(clippy::struct_field_names, reason = "`type` is a keyword")]
    pub event_type: Type,
    pub subject: Subject,
    /// Counts the subject's events from 1 without a gap.
    pub seq: u32,
    /// `None` when everything in it has its default.
    pub detail: Option<Box<Detail>>,
}
