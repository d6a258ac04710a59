//! One limit on the time of a call.

use std::time::Duration;
use tokio::time::Instant;

/// The time at which a call must have ended. Calls that belong together, such as one for a token
/// and one that uses it, share a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Instant);

impl Deadline {
    /// Longest limit that a deadline can have.
    pub const LONGEST: Duration = Duration::from_mins(1);

    /// A deadline `limit` from now, or [`Self::LONGEST`] from now if that is sooner.
    pub fn within(limit: Duration) -> Self {
        Self(now() + limit.min(Self::LONGEST))
    }

    /// Time until the deadline; zero when it has passed.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(now())
    }

    /// The result of `work`, or `None` if the deadline passes first. Does not begin the work if the
    /// deadline has passed already.
    pub(super) async fn limit<T>(self, work: impl Future<Output = T>) -> Option<T> {
        if self.left().is_zero() {
            return None;
        }
        tokio::time::timeout_at(self.0, work).await.ok()
    }
}

#[expect(clippy::disallowed_methods, reason = "it limits a wait and never reaches a decision")]
pub(super) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_limit_is_capped_and_a_passed_deadline_begins_nothing() {
        let deadline = Deadline::within(Duration::from_hours(1));
        assert_eq!(deadline.left(), Deadline::LONGEST);
        assert_eq!(deadline.limit(async { 1 }).await, Some(1));
        tokio::time::advance(Deadline::LONGEST).await;
        assert_eq!(deadline.left(), Duration::ZERO);
        assert_eq!(deadline.limit(async { 1 }).await, None);
        assert_eq!(Deadline::within(Duration::MAX).left(), Deadline::LONGEST);
    }
}
