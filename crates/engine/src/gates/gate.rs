//! The state of one gate.

use super::breaker::{Breaker, Change, Passed};
use super::bucket::{Bucket, Taken};
use super::limit::Limit;
use super::slots::{Slots, Work};
use super::{Closed, GateKey, GateState, Verdict, Why};
use domain::provider::Pace;
use domain::time::Timestamp;
use metrics::{Counter, Gauge};
use rand_core::Rng;

/// A gate that was left alone for so long remembers nothing that still holds: no wait is longer.
const FORGET_AFTER_MS: i64 = 3_600_000;

pub(super) struct Gate {
    pace: Pace,
    slots: Slots,
    limit: Limit,
    bucket: Bucket,
    breaker: Breaker,
    /// Calls that have entered so far.
    entered: u64,
    touched_at: Timestamp,
    meters: Meters,
}

/// The metrics of a provider; all its accounts share them.
struct Meters {
    calls_at_once: Gauge,
    throttled: Counter,
    breaker_open: Gauge,
}

/// The slots around a gate that are free for the work that asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around {
    pub(super) node: u32,
    /// Those of the node that gates of the provider may take.
    pub(super) provider: u32,
}

/// The entry of a call, as its permit keeps it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    number: u64,
    taken: Taken,
    passed: Passed,
}

impl Gate {
    pub(super) fn new(provider: &'static str, pace: Pace, now: Timestamp) -> Self {
        Self {
            pace,
            slots: Slots::default(),
            limit: Limit::default(),
            bucket: Bucket::full(pace, now),
            breaker: Breaker::default(),
            entered: 0,
            touched_at: now,
            meters: Meters {
                calls_at_once: metrics::gauge!("refundry_provider_calls_at_once", "provider" => provider),
                throttled: metrics::counter!("refundry_provider_throttled_total", "provider" => provider),
                breaker_open: metrics::gauge!("refundry_provider_breaker_open", "provider" => provider),
            },
        }
    }

    /// Brings the gate to `now`, with the pace that its provider has today.
    pub(super) fn touch(&mut self, pace: Pace, now: Timestamp) {
        self.pace = pace;
        self.touched_at = now;
        self.bucket.refill(pace, now);
    }

    /// How many calls may enter, at least one, or why none may.
    pub(super) fn room(&self, work: Work, around: Around, now: Timestamp) -> Result<u32, Closed> {
        self.room_with(&self.bucket, work, around, now)
    }

    fn room_with(
        &self,
        bucket: &Bucket,
        work: Work,
        around: Around,
        now: Timestamp,
    ) -> Result<u32, Closed> {
        let asking = self.slots.asking(work, now);
        self.limit.check(now)?;
        let may_pass = self.breaker.room(now)?;
        let slots = self.slots.free(self.limit.of(self.pace.at_once), asking);
        if slots == 0 {
            return Err(Closed { until: None, why: Why::Busy });
        }
        let calls = bucket.calls(self.pace, asking);
        if calls == 0 {
            return Err(Closed { until: bucket.next_at(self.pace, asking), why: Why::Paced });
        }
        let why = match around {
            Around { node: 0, .. } => Why::Full,
            Around { provider: 0, .. } => Why::ProviderBusy,
            Around { provider, .. } => {
                let share = share(self.slots.taken_by(work), provider);
                if share > 0 {
                    return Ok(may_pass.min(slots).min(calls).min(share));
                }
                Why::Busy
            }
        };
        Err(Closed { until: None, why })
    }

    /// A call enters; there is room for it.
    pub(super) fn enter(&mut self, work: Work, now: Timestamp) -> Entry {
        let asking = self.slots.asking(work, now);
        let taken = self.bucket.take(asking);
        self.slots.take(work);
        self.entered += 1;
        self.meters.calls_at_once.increment(1_u32);
        Entry { number: self.entered, taken, passed: self.breaker.pass() }
    }

    /// Due work was refused. Where it waits for a slot or a call of this gate, new refunds keep to
    /// their part from now on.
    pub(super) fn turn_due_away(&mut self, why: Why, now: Timestamp) {
        if matches!(why, Why::Busy | Why::Paced) {
            self.slots.turn_due_away(now);
        }
    }

    /// A call that entered is over.
    pub(super) fn leave(&mut self, work: Work, entry: Entry) {
        self.slots.give_back(work);
        self.breaker.leave(entry.passed);
        self.meters.calls_at_once.decrement(1_u32);
    }

    /// One more call under a permit.
    pub(super) fn call_again(&mut self, entry: Entry, now: Timestamp) {
        self.bucket.refill(self.pace, now);
        self.bucket.take_again(entry.taken);
    }

    /// The call under a permit was not made.
    pub(super) fn put_back(&mut self, entry: Entry, now: Timestamp) {
        self.bucket.refill(self.pace, now);
        self.bucket.put_back(self.pace, entry.taken);
    }

    pub(super) fn report(
        &mut self,
        verdict: Verdict,
        entry: Entry,
        now: Timestamp,
        rng: &mut impl Rng,
    ) -> Option<Change> {
        self.touched_at = now;
        let at_once = self.pace.at_once;
        match verdict {
            Verdict::Answered => self.limit.answered(at_once),
            Verdict::Throttled { retry_after_ms } => {
                let call = (entry.number, self.entered);
                self.limit.refused(call, at_once, retry_after_ms, now, rng);
                self.meters.throttled.increment(1);
            }
            Verdict::NotConnected | Verdict::Lost | Verdict::Unauthorized => {}
        }
        let change = self.breaker.report(verdict, entry.passed, now, rng);
        match change {
            Some(Change::Opened { again: false, .. }) => self.meters.breaker_open.increment(1_u32),
            Some(Change::Closed) => self.meters.breaker_open.decrement(1_u32),
            Some(Change::Opened { again: true, .. }) | None => {}
        }
        change
    }

    /// Opens what a person may open: the breaker.
    pub(super) fn resume(&mut self) {
        if self.breaker.reset() {
            self.meters.breaker_open.decrement(1_u32);
        }
    }

    /// Whether it may be dropped at all.
    pub(super) fn is_droppable(&self) -> bool {
        self.slots.taken() == 0
    }

    /// Whether a new gate would do the same.
    pub(super) fn is_idle(&self, now: Timestamp) -> bool {
        let mut bucket = self.bucket;
        bucket.refill(self.pace, now);
        let untouched = bucket.is_full(self.pace)
            && self.breaker.is_untouched()
            && self.limit.is_untouched(now);
        self.is_droppable() && (untouched || now.ms_since(self.touched_at) >= FORGET_AFTER_MS)
    }

    pub(super) fn touched_at(&self) -> Timestamp {
        self.touched_at
    }

    /// The gate is dropped.
    pub(super) fn forget(&self) {
        if self.breaker.is_open() {
            self.meters.breaker_open.decrement(1_u32);
        }
    }

    pub(super) fn state(&self, key: GateKey, around: Around, now: Timestamp) -> GateState {
        let mut bucket = self.bucket;
        bucket.refill(self.pace, now);
        GateState {
            key,
            calls_at_once: self.slots.taken(),
            limit: self.limit.of(self.pace.at_once),
            calls_left: bucket.all_calls(self.pace),
            closed: self.room_with(&bucket, Work::Due, around, now).err(),
        }
    }
}

/// How many of `free` slots somebody who has taken `taken` may take as well: all together at most
/// three quarters of them, and one is left for others. The last one is for somebody who has none.
pub(super) fn share(taken: u32, free: u32) -> u32 {
    match free {
        0 => 0,
        1 => u32::from(taken == 0),
        _ => (free - 1).saturating_mul(3).saturating_sub(taken).div_ceil(4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_as_much_as_one_after_the_other_could_take() {
        for (taken, free) in (0..40).flat_map(|taken| (0..40).map(move |free| (taken, free))) {
            let (mut took, mut left) = (0, free);
            while share(taken + took, left) > 0 {
                took += 1;
                left -= 1;
            }
            assert_eq!(share(taken, free), took, "{taken} of {free}");
        }
    }

    #[test]
    fn whoever_comes_later_finds_a_slot_until_the_last_one_is_taken() {
        let mut free = 256;
        for expected in [192, 48, 12, 3, 1, 0] {
            let took = share(0, free);
            assert_eq!(took, expected);
            free -= took;
        }
    }

    #[test]
    fn somebody_who_has_one_leaves_the_last_one() {
        assert_eq!((share(0, 1), share(1, 1), share(1, 2), share(3, 2)), (1, 0, 1, 0));
    }
}
