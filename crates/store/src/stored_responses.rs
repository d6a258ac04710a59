//! Requests under an idempotency key, and the HTTP responses that are stored for them.

use domain::tenant::Tenant;
use domain::time::Timestamp;
use domain::unique_keys::KeyHash;
use ulid::Ulid;

/// A request under an idempotency key.
#[derive(Clone, Copy, Debug)]
pub struct NewRequest {
    pub tenant: Tenant,
    /// Hash of the idempotency key.
    pub hash: KeyHash,
    /// Hash of the request.
    pub request: [u8; 16],
    /// Names this use of the key, if this request is its first.
    pub generation: Ulid,
    /// From this time on another node may take the request over.
    pub lease_until: Timestamp,
    /// From this time on the key is free again.
    pub expires_at: Timestamp,
}

/// The result of beginning a request under an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdempotentRequest {
    /// The caller processes the request, under this generation: its own, or that of a node which began
    /// the request and stored no response within its lease.
    Process(Ulid),
    /// Another caller is processing the request.
    Running,
    /// The key was used with another request.
    Other,
    /// The request has a stored response.
    Answered {
        generation: Ulid,
        /// HTTP status.
        status: u16,
        /// The sealed body.
        body: Vec<u8>,
    },
}

/// The row of an idempotency key that has not expired.
pub(crate) struct StoredResponse {
    /// The request that began it.
    pub(crate) request: NewRequest,
    pub(crate) status: Option<u16>,
    pub(crate) body: Option<Vec<u8>>,
}

impl StoredResponse {
    /// Answers a request that found this row under its key.
    pub(crate) fn begin(self, new: &NewRequest, now: Timestamp) -> IdempotentRequest {
        let first = self.request;
        if first.request != new.request {
            return IdempotentRequest::Other;
        }
        if let (Some(status), Some(body)) = (self.status, self.body) {
            return IdempotentRequest::Answered { generation: first.generation, status, body };
        }
        // The caller finds its own generation when the database's reply to its insert was lost.
        let is_free = now >= first.lease_until || first.generation == new.generation;
        if is_free {
            IdempotentRequest::Process(first.generation)
        } else {
            IdempotentRequest::Running
        }
    }
}
