//! The wire between the two halves of the simulator: a PSP's JSON over something like HTTP.

use serde::{Deserialize, Serialize};

/// An answer before it is parsed.
#[derive(Debug)]
pub(crate) struct RawAnswer {
    pub(crate) status: u16,
    /// The header `Retry-After`.
    pub(crate) retry_after_s: Option<u32>,
    pub(crate) body: Vec<u8>,
}

impl RawAnswer {
    pub(crate) fn json(status: u16, body: &impl Serialize) -> Self {
        // Plain structs always serialize. The adapter reads an empty body as an unusable answer.
        let body = serde_json::to_vec(body).unwrap_or_default();
        Self { status, retry_after_s: None, body }
    }

    /// A page for people, as gateways send it.
    pub(crate) fn html(status: u16) -> Self {
        let body = b"<html>Bad gateway</html>".to_vec();
        Self { status, retry_after_s: None, body }
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<i64>,
    pub(crate) data: RefundBody,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ListAnswer {
    pub(crate) refunds: Vec<RefundAnswer>,
    /// The refund behind which the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<Box<str>>,
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
    /// The refund that the key belongs to.
    #[serde(rename = "refundId", skip_serializing_if = "Option::is_none")]
    pub(crate) refund_id: Option<Box<str>>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WebhookBody {
    pub(crate) id: Box<str>,
    #[serde(rename = "type")]
    pub(crate) event_type: Box<str>,
    /// Milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<i64>,
    pub(crate) data: RefundBody,
}
