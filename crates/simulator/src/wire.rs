//! The wire between the two halves of the simulator: a PSP's JSON over something like HTTP.

use serde::{Deserialize, Serialize};

/// An answer before it is parsed.
#[derive(Debug)]
pub(crate) struct RawAnswer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl RawAnswer {
    pub(crate) fn json(status: u16, body: &impl Serialize) -> Self {
        // Plain structs always serialize. The adapter reads an empty body as an unusable answer.
        Self { status, body: serde_json::to_vec(body).unwrap_or_default() }
    }
}

/// Reasons for a call without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TransportFault {
    /// Nobody listens; no byte was sent.
    NotConnected,
    /// The request was sent and no answer came.
    AnswerLost,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RefundBody {
    pub(crate) refund_id: Box<str>,
    pub(crate) key: Option<String>,
    pub(crate) payment_id: Box<str>,
    pub(crate) amount: i64,
    pub(crate) currency: Box<str>,
    pub(crate) status: Box<str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<Box<str>>,
}

/// The state of a refund, and the time of its last change.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RefundAnswer {
    /// Milliseconds since 1970.
    pub(crate) at: i64,
    pub(crate) data: RefundBody,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ListAnswer {
    pub(crate) refunds: Vec<RefundAnswer>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PaymentAnswer {
    pub(crate) captured: i64,
    pub(crate) currency: Box<str>,
}

/// An error, with the time of the PSP's decision.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ErrorAnswer {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<i64>,
    pub(crate) error: ErrorBody,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ErrorBody {
    pub(crate) code: Box<str>,
    pub(crate) message: Box<str>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WebhookBody {
    pub(crate) id: Box<str>,
    #[serde(rename = "type")]
    pub(crate) event_type: Box<str>,
    /// Milliseconds since 1970.
    pub(crate) at: i64,
    pub(crate) data: RefundBody,
}
