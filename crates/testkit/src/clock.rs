//! A clock that stands still until a test moves it.

use domain::time::{Clock, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Tells the time that a test has set.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// Where every clock starts: 2023-11-14, 22:13:20 UTC.
    pub const START: Timestamp = Timestamp(1_700_000_000_000);

    /// A clock at [`ManualClock::START`].
    pub fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(Self::START.0)))
    }

    /// Moves the clock forward.
    pub fn advance(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }

    /// Moves the clock to a time, unless it is there or past it already.
    pub fn advance_to(&self, time: Timestamp) {
        self.0.fetch_max(time.0, Ordering::SeqCst);
    }

    /// Sets the clock to any time, also to an earlier one.
    pub fn set(&self, time: Timestamp) {
        self.0.store(time.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}
