//! Settings of the rate limits.

use super::wrong;
use crate::Failure;
use api::RateLimits;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// Limits per account and mode, and per client.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Whether the limits apply. Default: on in `serve`, off in `demo`.
    pub enabled: Option<bool>,
    /// Reading requests per second, for each account and mode.
    pub reads_per_second: NonZeroU32,
    /// Writing requests per second, for each account and mode.
    pub writes_per_second: NonZeroU32,
    /// Exports per minute, for each account and mode.
    pub heavy_per_minute: NonZeroU32,
    /// Requests without a key per second, for each client.
    pub public_per_second: NonZeroU32,
    /// Requests with a wrong key per minute, for each client.
    pub failures_per_minute: NonZeroU32,
    /// Header in which a proxy in front names the client, such as `X-Forwarded-For`.
    pub client_header: Option<String>,
}

const fn number(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: None,
            reads_per_second: number(100),
            writes_per_second: number(20),
            heavy_per_minute: number(5),
            public_per_second: number(50),
            failures_per_minute: number(60),
            client_header: None,
        }
    }
}

impl Settings {
    /// The limits. `None` when they are off.
    pub fn limits(&self) -> Result<Option<RateLimits>, Failure> {
        let client_header = self.client_header.as_ref().map(|name| {
            let text = "rate_limits.client_header must be a header's name";
            name.parse().map_err(|_| wrong(format!("{text}, not {name:?}")))
        });
        let limits = RateLimits {
            reads_per_second: self.reads_per_second,
            writes_per_second: self.writes_per_second,
            heavy_per_minute: self.heavy_per_minute,
            public_per_second: self.public_per_second,
            failures_per_minute: self.failures_per_minute,
            client_header: client_header.transpose()?,
        };
        Ok(self.enabled.unwrap_or(true).then_some(limits))
    }
}
