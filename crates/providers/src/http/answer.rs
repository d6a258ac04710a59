//! The answer of a provider.

use crate::transport::{RetryAfter, read_date};
use domain::outcome::Failure;
use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};
use hyper::body::Bytes;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use std::fmt;
use std::time::Duration;

/// A complete answer. It came from the provider's host, though not always from the provider: a
/// gateway or a firewall before it answers too. Therefore only a body in the provider's own form
/// says anything about a refund.
#[derive(Clone)]
pub struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// True for a 2xx.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The wait that the provider asks for. A date counts from the answer's own `Date`, so that a
    /// wrong clock on this machine does not matter.
    pub fn retry_after(&self) -> Option<Duration> {
        match RetryAfter::read(self.headers.get(RETRY_AFTER)?)? {
            RetryAfter::Seconds(seconds) => Some(Duration::from_secs(seconds.into())),
            RetryAfter::At(at) => {
                let sent = read_date(self.header(DATE.as_str())?)?;
                u64::try_from(at.saturating_sub(sent)).ok().map(Duration::from_secs)
            }
        }
    }

    /// Reads the body as JSON, whatever the answer calls it. A failure says nothing about the
    /// refund and quotes nothing of the body.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        // Authorize.net begins its JSON with a byte order mark.
        let body = self.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&self.body);
        serde_json::from_slice(body).map_err(|error| {
            let why = match error.classify() {
                Category::Data => "is JSON of another form",
                Category::Eof => "ends too early",
                Category::Syntax | Category::Io => "is no JSON",
            };
            let text = format!("the body of the answer with status {} {why}", self.status);
            Failure::new("answer_unreadable", &text)
        })
    }
}

/// Without the headers and the body, which may hold data of a buyer.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
