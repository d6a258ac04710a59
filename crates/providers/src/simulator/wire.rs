//! What the two halves of the simulator say to each other: a PSP's JSON over something like HTTP.

use serde::{Deserialize, Serialize};

/// An answer as it comes off the wire.
#[derive(Debug)]
pub(super) struct RawAnswer {
    /// HTTP status.
    pub(super) status: u16,
    /// Whatever came with it.
    pub(super) body: Vec<u8>,
}

impl RawAnswer {
    pub(super) fn json(status: u16, body: &impl Serialize) -> Self {
        // Plain structs always serialize; an empty body would be read as an unusable answer.
        Self { status, body: serde_json::to_vec(body).unwrap_or_default() }
    }
}

/// Why a call has no answer at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TransportFault {
    /// Nobody listens: no byte left.
    NotConnected,
    /// The request went out, and then nothing.
    AnswerLost,
}

/// A refund, in answers and webhooks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RefundBody {
    pub(super) refund_id: Box<str>,
    pub(super) key: Option<String>,
    pub(super) payment_id: Box<str>,
    pub(super) amount: i64,
    pub(super) currency: Box<str>,
    pub(super) status: Box<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<Box<str>>,
}

/// The state of a refund, and since when it is in it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RefundAnswer {
    /// Milliseconds since 1970.
    pub(super) at: i64,
    pub(super) data: RefundBody,
}

/// The refunds of a payment.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ListAnswer {
    pub(super) refunds: Vec<RefundAnswer>,
}

/// A payment.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PaymentAnswer {
    pub(super) captured: i64,
    pub(super) currency: Box<str>,
}

/// An error, with the time at which the PSP made up its mind.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ErrorAnswer {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<i64>,
    pub(super) error: ErrorBody,
}

/// A stable word and a sentence.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ErrorBody {
    pub(super) code: Box<str>,
    pub(super) message: Box<str>,
}

/// The body of a webhook.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct WebhookBody {
    pub(super) id: Box<str>,
    #[serde(rename = "type")]
    pub(super) event_type: Box<str>,
    /// Milliseconds since 1970.
    pub(super) at: i64,
    pub(super) data: RefundBody,
}
