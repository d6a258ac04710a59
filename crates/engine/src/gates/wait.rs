//! A time during which a gate is closed.

use domain::time::Timestamp;

/// A clock that is behind by more than this was set back. Less is the order in which threads read
/// it.
pub(super) const SET_BACK_MS: i64 = 1_000;

/// From a point in time on, for so long. It knows its beginning, so that a clock that is set back
/// ends it early instead of making it longer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    from: Timestamp,
    ms: i64,
}

impl Wait {
    pub(super) fn new(from: Timestamp, ms: i64) -> Self {
        Self { from, ms }
    }

    /// When it is over; `None` once it is.
    pub(super) fn end(self, now: Timestamp) -> Option<Timestamp> {
        let passed = now.ms_since(self.from);
        (-SET_BACK_MS..self.ms).contains(&passed).then(|| self.from.plus_ms(self.ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_when_its_time_is_over_or_the_clock_was_set_back() {
        let wait = Wait::new(Timestamp(10_000), 500);
        let end = Some(Timestamp(10_500));
        for (now, expected) in [
            (10_000, end),
            (10_499, end),
            (10_500, None),
            (9_999, end),
            (9_000, end),
            (8_999, None),
        ] {
            assert_eq!(wait.end(Timestamp(now)), expected, "at {now}");
        }
    }
}
