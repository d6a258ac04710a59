//! A token bucket with a part that is kept for new refunds.

use super::slots::{Asking, kept_for_new};
use super::wait::SET_BACK_MS;
use domain::provider::Pace;
use domain::time::Timestamp;

/// Parts of a call. At one call per second a quarter of the pace is one part per millisecond, so
/// nothing is rounded.
const CALL: i64 = 4_000;

/// Calls that may go. A quarter of the pace goes into the part that is kept for new refunds; what
/// one of the two cannot hold flows into the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    common: i64,
    kept: i64,
    at: Timestamp,
    /// The parts that found no room, no more than a call's each time.
    spilled: i64,
}

/// A call that was taken out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    asking: Asking,
    spilled: i64,
}

/// How much each part holds.
#[derive(Clone, Copy)]
struct Sizes {
    common: i64,
    kept: i64,
}

impl Sizes {
    fn of(pace: Pace) -> Self {
        let kept = kept_for_new(pace.burst);
        let common = pace.burst.saturating_sub(kept);
        Self { common: i64::from(common) * CALL, kept: i64::from(kept) * CALL }
    }
}

impl Bucket {
    pub(super) fn full(pace: Pace, at: Timestamp) -> Self {
        let Sizes { common, kept } = Sizes::of(pace);
        Self { common, kept, at, spilled: 0 }
    }

    pub(super) fn is_full(&self, pace: Pace) -> bool {
        let Sizes { common, kept } = Sizes::of(pace);
        self.common >= common && self.kept >= kept
    }

    /// Adds what the time since the last call of this has brought.
    pub(super) fn refill(&mut self, pace: Pace, now: Timestamp) {
        let passed = now.ms_since(self.at);
        if passed > 0 {
            let quarter = i64::from(pace.per_second).saturating_mul(passed);
            self.kept = self.kept.saturating_add(quarter);
            self.common = self.common.saturating_add(quarter.saturating_mul(3));
        }
        if !(-SET_BACK_MS..=0).contains(&passed) {
            self.at = now;
        }
        self.level(pace);
    }

    /// Lets each part's surplus flow into the other, and what neither holds away.
    fn level(&mut self, pace: Pace) {
        let sizes = Sizes::of(pace);
        let surplus = self.kept.saturating_sub(sizes.kept).max(0);
        self.kept -= surplus;
        self.common = self.common.saturating_add(surplus);
        let surplus = self.common.saturating_sub(sizes.common).max(0);
        self.common -= surplus;
        let wanted = self.kept.saturating_add(surplus);
        self.kept = wanted.min(sizes.kept);
        self.spilled = self.spilled.saturating_add((wanted - self.kept).min(CALL));
    }

    /// How many calls may go now.
    pub(super) fn calls(&self, pace: Pace, asking: Asking) -> u32 {
        let (common, kept) = (whole_calls(self.common), whole_calls(self.kept));
        match asking {
            Asking::Due => common,
            Asking::New => common.saturating_add(kept),
            Asking::NewBesideDue { .. } if Sizes::of(pace).kept > 0 => kept,
            Asking::NewBesideDue { .. } if asking.may_take_the_only_one() => common,
            Asking::NewBesideDue { .. } => 0,
        }
    }

    /// How many calls it holds, whoever may make them.
    pub(super) fn all_calls(&self, pace: Pace) -> u32 {
        self.calls(pace, Asking::New)
    }

    /// Takes a call out. The common part goes into debt where there is none.
    pub(super) fn take(&mut self, asking: Asking) -> Taken {
        if asking != Asking::Due && self.kept >= CALL {
            self.kept -= CALL;
        } else {
            self.common = self.common.saturating_sub(CALL);
        }
        Taken { asking, spilled: self.spilled }
    }

    /// Takes a further call out, as the work of `taken`.
    pub(super) fn take_again(&mut self, taken: Taken) {
        self.take(taken.asking);
    }

    /// Puts a call back that was not made, less the parts that would not have found room since.
    pub(super) fn put_back(&mut self, pace: Pace, taken: Taken) {
        let parts = CALL.saturating_sub(self.spilled.saturating_sub(taken.spilled)).max(0);
        match taken.asking {
            Asking::Due => self.common = self.common.saturating_add(parts),
            Asking::New | Asking::NewBesideDue { .. } => {
                self.kept = self.kept.saturating_add(parts);
            }
        }
        self.level(pace);
    }

    /// When the next call may go, as of the last refill. `None` where that is not a matter of time.
    pub(super) fn next_at(&self, pace: Pace, asking: Asking) -> Option<Timestamp> {
        let (sizes, quarter) = (Sizes::of(pace), i64::from(pace.per_second.max(1)));
        // A part fills at its own rate, and from when the other is full at the whole one.
        let wait = |level: i64, room_of_other: i64, own: i64| {
            let lacks = CALL.saturating_sub(level);
            let alone = ceil(lacks, own);
            alone.min(ceil(lacks.saturating_add(room_of_other), quarter.saturating_mul(4)))
        };
        let common =
            wait(self.common, sizes.kept.saturating_sub(self.kept), quarter.saturating_mul(3));
        let kept = wait(self.kept, sizes.common.saturating_sub(self.common), quarter);
        let wait_ms = match asking {
            Asking::Due => common,
            Asking::NewBesideDue { .. } if sizes.kept > 0 => kept,
            Asking::NewBesideDue { its_turn: false } => return None,
            Asking::New | Asking::NewBesideDue { .. } if sizes.kept == 0 => common,
            Asking::New | Asking::NewBesideDue { .. } => common.min(kept),
        };
        Some(self.at.plus_ms(wait_ms))
    }
}

fn whole_calls(parts: i64) -> u32 {
    u32::try_from((parts / CALL).max(0)).unwrap_or(u32::MAX)
}

fn ceil(parts: i64, per_ms: i64) -> i64 {
    parts.max(0).saturating_add(per_ms - 1) / per_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { per_second: 10, burst: 8, at_once: 100 };
    const BESIDE: Asking = Asking::NewBesideDue { its_turn: true };

    fn drain(bucket: &mut Bucket, pace: Pace, asking: Asking) -> u32 {
        let mut taken = 0;
        while bucket.calls(pace, asking) > 0 {
            bucket.take(asking);
            taken += 1;
        }
        taken
    }

    #[test]
    fn due_work_takes_three_quarters_and_new_refunds_the_rest() {
        let mut bucket = Bucket::full(PACE, Timestamp(0));
        assert_eq!(drain(&mut bucket, PACE, Asking::Due), 6);
        assert_eq!(drain(&mut bucket, PACE, BESIDE), 2);
        assert_eq!(bucket.all_calls(PACE), 0);
    }

    #[test]
    fn it_fills_at_the_pace_and_never_above_the_burst() {
        let mut bucket = Bucket::full(PACE, Timestamp(0));
        drain(&mut bucket, PACE, Asking::New);
        // 400 ms at 10 per second: one for new refunds, three for all.
        bucket.refill(PACE, Timestamp(400));
        assert_eq!((bucket.calls(PACE, BESIDE), bucket.calls(PACE, Asking::Due)), (1, 3));
        bucket.refill(PACE, Timestamp(i64::MAX));
        assert_eq!(bucket.all_calls(PACE), 8);
        assert!(bucket.is_full(PACE));
    }

    #[test]
    fn many_small_refills_bring_as_much_as_one() {
        for pace in [PACE, Pace { burst: 1, ..PACE }, Pace { burst: 100, ..PACE }] {
            for take in [Asking::Due, BESIDE, Asking::New] {
                let mut once = Bucket::full(pace, Timestamp(0));
                drain(&mut once, pace, take);
                let mut often = once;
                for ms in 1..=317 {
                    often.refill(pace, Timestamp(ms));
                }
                once.refill(pace, Timestamp(317));
                assert_eq!((once.common, once.kept), (often.common, often.kept), "{take:?}");
            }
        }
    }

    #[test]
    fn one_side_gets_the_whole_pace_while_the_other_wants_nothing() {
        for asking in [Asking::Due, BESIDE] {
            let mut bucket = Bucket::full(PACE, Timestamp(0));
            let mut went = 0;
            for ms in 0..100_000 {
                bucket.refill(PACE, Timestamp(ms));
                went += drain(&mut bucket, PACE, asking);
            }
            assert!((999..=1_008).contains(&went), "{asking:?}: {went}");
        }
    }

    #[test]
    fn the_next_call_may_go_at_the_told_time_and_not_before() {
        for burst in [1, 2, 3, 8, 40] {
            for per_second in [1, 3, 10, 997, 5_000] {
                let pace = Pace { per_second, burst, at_once: 1 };
                for (first, then) in [
                    (Asking::New, Asking::Due),
                    (Asking::Due, Asking::Due),
                    (BESIDE, BESIDE),
                    (Asking::New, BESIDE),
                    (Asking::New, Asking::New),
                ] {
                    let mut bucket = Bucket::full(pace, Timestamp(7));
                    drain(&mut bucket, pace, first);
                    let at = bucket.next_at(pace, then).expect("a time");
                    let may_go = |now: Timestamp| {
                        let mut bucket = bucket;
                        bucket.refill(pace, now);
                        bucket.calls(pace, then) > 0
                    };
                    assert!(may_go(at), "{pace:?} {first:?} {then:?}");
                    assert!(at == Timestamp(7) || !may_go(at.plus_ms(-1)), "{pace:?} {then:?}");
                }
            }
        }
    }

    #[test]
    fn a_debt_is_paid_before_the_next_call() {
        let mut bucket = Bucket::full(PACE, Timestamp(0));
        drain(&mut bucket, PACE, Asking::New);
        bucket.take(Asking::Due);
        bucket.take(Asking::Due);
        // Three calls to wait for at seven and a half per second.
        assert_eq!(bucket.next_at(PACE, Asking::Due), Some(Timestamp(400)));
    }

    #[test]
    fn a_call_that_was_not_made_goes_back_but_not_above_the_burst() {
        for asking in [Asking::Due, BESIDE] {
            let mut bucket = Bucket::full(PACE, Timestamp(0));
            let taken = bucket.take(asking);
            assert_eq!(bucket.all_calls(PACE), 7);
            bucket.put_back(PACE, taken);
            bucket.put_back(PACE, taken);
            assert_eq!(bucket.all_calls(PACE), 8);
        }
    }

    #[test]
    fn a_call_that_was_not_made_brings_nothing_once_the_bucket_was_full_again() {
        for (full_for_ms, brings) in [(0, 1), (50, 0), (100, 0), (1_000_000, 0)] {
            let mut bucket = Bucket::full(PACE, Timestamp(0));
            let taken = bucket.take(Asking::Due);
            // A call takes 100 ms to come back; half of one that was spilled is gone.
            bucket.refill(PACE, Timestamp(100 + full_for_ms));
            drain(&mut bucket, PACE, Asking::New);
            bucket.put_back(PACE, taken);
            assert_eq!(bucket.all_calls(PACE), brings, "{full_for_ms}");
        }
    }

    #[test]
    fn threads_that_read_the_clock_in_another_order_bring_nothing() {
        let mut bucket = Bucket::full(PACE, Timestamp(10_000));
        drain(&mut bucket, PACE, Asking::New);
        for _ in 0..10_000 {
            bucket.refill(PACE, Timestamp(10_001));
            bucket.refill(PACE, Timestamp(10_000));
        }
        assert_eq!(bucket.all_calls(PACE), 0);
    }

    #[test]
    fn a_clock_that_was_set_back_fills_on() {
        let mut bucket = Bucket::full(PACE, Timestamp(1_000_000));
        drain(&mut bucket, PACE, Asking::New);
        bucket.refill(PACE, Timestamp(5_000));
        bucket.refill(PACE, Timestamp(6_000));
        assert_eq!(bucket.all_calls(PACE), 8);
    }
}
