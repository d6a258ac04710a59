//! The header `Retry-After`.

use http::HeaderValue;
use std::time::SystemTime;

/// The wait that a server asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    Seconds(u32),
    /// Until a time, in seconds since the epoch.
    At(i64),
}

impl RetryAfter {
    pub(crate) fn read(value: &HeaderValue) -> Option<Self> {
        let text = value.to_str().ok()?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Self::Seconds(seconds));
        }
        read_date(text).map(Self::At)
    }
}

/// An HTTP date, in seconds since the epoch.
pub(crate) fn read_date(text: &str) -> Option<i64> {
    let at = httpdate::parse_http_date(text).ok()?;
    let since = at.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}
