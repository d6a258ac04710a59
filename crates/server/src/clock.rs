//! The clock and the random numbers of the system. No other module reads them.

use domain::time::{Clock, Timestamp};
use std::time::{SystemTime, UNIX_EPOCH};

pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that everything else is given"
    )]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// 32 random bytes from the system.
#[expect(clippy::disallowed_methods, reason = "this is the seed that everything else is given")]
pub fn seed() -> Result<[u8; 32], crate::Failure> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        crate::Failure::Usage(format!("the system gave no random bytes: {error}"))
    })?;
    Ok(bytes)
}
