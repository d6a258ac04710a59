//! How many calls a gate lets through at once: fewer after the provider said "too many".

use super::wait::Wait;
use super::{Closed, Why};
use crate::retry_policy::Backoff;
use domain::time::Timestamp;
use rand_core::Rng;

/// The answers after which one more call may be under way.
const ANSWERS_PER_SLOT: u32 = 10;

/// The pauses after a refusal that names none.
const UNNAMED: Backoff = Backoff { first_ms: 1_000, most_ms: 60_000 };

/// The pauses that a provider may name. A shorter one is lengthened, a longer one shortened.
const SHORTEST_MS: i64 = 1_000;
const LONGEST_MS: i64 = 3_600_000;

/// Additive increase, multiplicative decrease.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limit {
    /// Below what the pace allows; `None` where it is not.
    lowered: Option<u32>,
    /// Answers since the last change of `lowered`.
    answers: u32,
    /// Refusals without an answer in between.
    refusals: u32,
    /// The number of calls that had entered when the limit was lowered last. Refusals of these say
    /// nothing about the lower limit.
    lowered_after: u64,
    closed: Option<Wait>,
}

impl Limit {
    /// How many calls may be under way at once where the pace allows `at_once`.
    pub(super) fn of(&self, at_once: u32) -> u32 {
        self.lowered.map_or(at_once, |lowered| lowered.min(at_once))
    }

    pub(super) fn check(&self, now: Timestamp) -> Result<(), Closed> {
        match self.closed.and_then(|wait| wait.end(now)) {
            Some(until) => Err(Closed { until: Some(until), why: Why::Throttled }),
            None => Ok(()),
        }
    }

    /// Whether it remembers nothing.
    pub(super) fn is_untouched(&self, now: Timestamp) -> bool {
        self.lowered.is_none() && self.refusals == 0 && self.check(now).is_ok()
    }

    pub(super) fn answered(&mut self, at_once: u32) {
        self.refusals = 0;
        let Some(lowered) = self.lowered else { return };
        self.answers += 1;
        if self.answers >= ANSWERS_PER_SLOT {
            self.answers = 0;
            self.lowered = lowered.checked_add(1).filter(|raised| *raised < at_once);
        }
    }

    /// Call number `call` was refused as too many, when `entered` calls had entered.
    pub(super) fn refused(
        &mut self,
        (call, entered): (u64, u64),
        at_once: u32,
        retry_after_ms: Option<i64>,
        now: Timestamp,
        rng: &mut impl Rng,
    ) {
        let fresh = call > self.lowered_after;
        if fresh {
            self.lowered = Some((self.of(at_once) / 2).max(1));
            self.lowered_after = entered;
            self.answers = 0;
        }
        let wait_ms = match retry_after_ms {
            Some(ms) => ms.clamp(SHORTEST_MS, LONGEST_MS),
            None if fresh => UNNAMED.wait_ms(self.refusals, rng),
            None => return,
        };
        if fresh {
            self.refusals = self.refusals.saturating_add(1);
        }
        let end = self.closed.and_then(|wait| wait.end(now)).unwrap_or(now);
        if now.plus_ms(wait_ms) > end {
            self.closed = Some(Wait::new(now, wait_ms));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    const NOW: Timestamp = Timestamp(50_000);

    fn refuse(limit: &mut Limit, call: u64, entered: u64, after: Option<i64>) -> Option<i64> {
        limit.refused((call, entered), 32, after, NOW, &mut ChaCha20Rng::seed_from_u64(1));
        limit.check(NOW).err()?.until.map(|until| until.ms_since(NOW))
    }

    #[test]
    fn one_burst_of_refusals_halves_once_and_the_next_again() {
        let mut limit = Limit::default();
        for call in 1..=32 {
            refuse(&mut limit, call, 32, None);
        }
        assert_eq!(limit.of(32), 16);
        refuse(&mut limit, 33, 40, None);
        assert_eq!(limit.of(32), 8);
    }

    #[test]
    fn it_never_falls_below_one_and_comes_back_by_one_per_ten_answers() {
        let mut limit = Limit::default();
        for call in 1..100 {
            refuse(&mut limit, call, call, None);
        }
        assert_eq!(limit.of(32), 1);
        for expected in 2..=32 {
            for _ in 0..ANSWERS_PER_SLOT {
                assert_eq!(limit.of(32), expected - 1);
                limit.answered(32);
            }
        }
        assert_eq!(limit.of(32), 32);
        assert!(limit.lowered.is_none());
    }

    #[test]
    fn it_is_closed_as_long_as_the_provider_says_within_an_hour() {
        for (said, expected) in
            [(5_000, 5_000), (i64::MAX, LONGEST_MS), (0, SHORTEST_MS), (-5, SHORTEST_MS)]
        {
            assert_eq!(refuse(&mut Limit::default(), 1, 1, Some(said)), Some(expected), "{said}");
        }
    }

    #[test]
    fn a_shorter_wait_does_not_shorten_a_longer_one() {
        let mut limit = Limit::default();
        refuse(&mut limit, 1, 2, Some(60_000));
        assert_eq!(refuse(&mut limit, 2, 2, Some(2_000)), Some(60_000));
        assert_eq!(refuse(&mut limit, 3, 3, None), Some(60_000));
        assert_eq!(refuse(&mut limit, 3, 3, Some(90_000)), Some(90_000));
    }

    #[test]
    fn without_a_named_wait_it_doubles_up_to_a_minute() {
        let mut limit = Limit::default();
        for (call, expected) in (1..).zip([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000]) {
            limit.closed = None;
            let wait = refuse(&mut limit, call, call, None).expect("closed");
            assert!((expected * 4 / 5..=expected * 6 / 5).contains(&wait), "{call}: {wait}");
        }
    }

    #[test]
    fn a_lower_pace_holds_at_once() {
        let mut limit = Limit::default();
        refuse(&mut limit, 1, 1, None);
        assert_eq!((limit.of(32), limit.of(4)), (16, 4));
    }
}
