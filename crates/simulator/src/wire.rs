//! What the two halves of the simulator say to each other: a PSP's JSON over something like HTTP.

use serde::{Deserialize, Serialize};

/// An answer as it comes off the wire.
#[derive(Debug)]
pub(crate) struct RawAnswer {
    /// HTTP status.
    pub(crate) status: u16,
    /// Whatever came with it.
    pub(crate) body: Vec<u8>,
}

impl RawAnswer {
    pub(crate) fn json(status: u16, body: &impl Serialize) -> Self {
        // Plain structs always serialize; an empty body would be read as an unusable answer.
        Self { status, body: serde_json::to_vec(body).unwrap_or_default() }
    }
}

/// Why a call has no answer at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TransportFault {
    /// Nobody listens: no byte left.
    NotConnected,
    /// The request went out, and then nothing.
    AnswerLost,
}

/// A refund, in answers and webhooks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RefundBody {
    pub(crate) refund_id: Box<str>,
    pub(crate) key: Option<String>,
    pub(crate) payment_id: Box<str>,
    pub(crate) amount: i64,
    pub(crate) currency: Box<str>,
    pub(crate) status: Box<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<Box<str>>,
}

/// The state of a refund, and since when it is in it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RefundAnswer {
    /// Milliseconds since 1970.
    pub(crate) at: i64,
    pub(crate) data: RefundBody,
}

/// The refunds of a payment.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ListAnswer {
    pub(crate) refunds: Vec<RefundAnswer>,
}

/// A payment.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PaymentAnswer {
    pub(crate) captured: i64,
    pub(crate) currency: Box<str>,
}

/// An error, with the time at which the PSP made up its mind.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ErrorAnswer {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<i64>,
    pub(crate) error: ErrorBody,
}

/// A stable word and a sentence.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ErrorBody {
    pub(crate) code: Box<str>,
    pub(crate) message: Box<str>,
}

/// The body of a webhook.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WebhookBody {
    pub(crate) id: Box<str>,
    #[serde(rename = "type")]
    pub(crate) event_type: Box<str>,
    /// Milliseconds since 1970.
    pub(crate) at: i64,
    pub(crate) data: RefundBody,
}
