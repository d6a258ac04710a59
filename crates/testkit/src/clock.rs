//! A clock that a test moves.

use domain::time::{Clock, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Returns the time that a test has set.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// Time of every new clock: 2023-11-14, 22:13:20 UTC.
    pub const START: Timestamp = Timestamp(1_700_000_000_000);

    pub fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(Self::START.0)))
    }

    pub fn advance(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }

    /// Moves the clock forward to `time`. A clock past `time` stays.
    pub fn advance_to(&self, time: Timestamp) {
        self.0.fetch_max(time.0, Ordering::SeqCst);
    }

    /// Sets the clock, also to an earlier time.
    pub fn set(&self, time: Timestamp) {
        self.0.store(time.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}
