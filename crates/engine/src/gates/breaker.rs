//! A circuit breaker: stops calls to a provider that does not answer, or that does not know the
//! credentials any more.

use super::wait::Wait;
use super::{Closed, Verdict, Why};
use crate::retry_policy::Backoff;
use domain::time::Timestamp;
use rand_core::Rng;

/// Calls in a row without an answer that open it.
const LOST_IN_A_ROW: u32 = 5;

/// For how long it is then open, each time in a row.
const OPEN: Backoff = Backoff { first_ms: 1_000, most_ms: 5 * 60_000 };

/// Refusals of the credentials in a row that open it, and for how long. They may come from one
/// operation that the key may not do, so a single one proves nothing.
const UNAUTHORIZED_IN_A_ROW: u32 = 3;
const UNAUTHORIZED_MS: i64 = 15 * 60_000;

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Breaker {
    open: Option<Open>,
    /// Counts openings and resets. Calls that entered before the last one say nothing about now.
    epoch: u64,
    lost: u32,
    unauthorized: u32,
    /// Openings without an answer in between.
    openings: u32,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    wait: Wait,
    why: Why,
    /// The one call that finds out how things are is under way.
    probing: bool,
}

/// The entry of a call as the breaker saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Passed {
    epoch: u64,
    probe: bool,
}

/// The effect of a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Opened { why: Why, again: bool, ms: i64 },
    Closed,
}

impl Breaker {
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Whether it remembers nothing.
    pub(super) fn is_untouched(&self) -> bool {
        !self.is_open() && self.lost == 0 && self.unauthorized == 0
    }

    /// How many calls may pass now: all, or the one that finds out how things are.
    pub(super) fn room(&self, now: Timestamp) -> Result<u32, Closed> {
        let Some(open) = self.open else { return Ok(u32::MAX) };
        let until = open.wait.end(now);
        if open.probing || until.is_some() {
            return Err(Closed { until, why: open.why });
        }
        Ok(1)
    }

    /// Lets a call pass; there is room for it.
    pub(super) fn pass(&mut self) -> Passed {
        if let Some(open) = &mut self.open {
            open.probing = true;
        }
        Passed { epoch: self.epoch, probe: self.open.is_some() }
    }

    /// A call is over, with or without a verdict.
    pub(super) fn leave(&mut self, passed: Passed) {
        if passed.probe
            && passed.epoch == self.epoch
            && let Some(open) = &mut self.open
        {
            open.probing = false;
        }
    }

    /// Closes it and forgets everything. `true` when it was open.
    pub(super) fn reset(&mut self) -> bool {
        let was_open = self.is_open();
        *self = Self { epoch: self.epoch + 1, ..Self::default() };
        was_open
    }

    pub(super) fn report(
        &mut self,
        verdict: Verdict,
        passed: Passed,
        now: Timestamp,
        rng: &mut impl Rng,
    ) -> Option<Change> {
        if passed.epoch != self.epoch {
            return None;
        }
        match verdict {
            Verdict::Answered => {
                self.unauthorized = 0;
                self.answered()
            }
            Verdict::Throttled { .. } => self.answered(),
            Verdict::Unauthorized => {
                self.unauthorized = self.unauthorized.saturating_add(1);
                if self.unauthorized < UNAUTHORIZED_IN_A_ROW {
                    return self.answered();
                }
                self.lost = 0;
                self.openings = 0;
                Some(self.open(Why::Unauthorized, UNAUTHORIZED_MS, now))
            }
            Verdict::NotConnected | Verdict::Lost => {
                self.lost = self.lost.saturating_add(1);
                if self.lost < LOST_IN_A_ROW && !self.is_open() {
                    return None;
                }
                let ms = OPEN.wait_ms(self.openings, rng);
                self.openings = self.openings.saturating_add(1);
                Some(self.open(Why::BreakerOpen, ms, now))
            }
        }
    }

    fn answered(&mut self) -> Option<Change> {
        self.lost = 0;
        self.openings = 0;
        self.open.take().map(|_| Change::Closed)
    }

    fn open(&mut self, why: Why, ms: i64, now: Timestamp) -> Change {
        let open = Open { wait: Wait::new(now, ms), why, probing: false };
        let again = self.open.replace(open).is_some();
        self.epoch += 1;
        Change::Opened { why, again, ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    struct Setup {
        breaker: Breaker,
        now: Timestamp,
        rng: ChaCha20Rng,
    }

    impl Setup {
        fn new() -> Self {
            let rng = ChaCha20Rng::seed_from_u64(5);
            Self { breaker: Breaker::default(), now: Timestamp(0), rng }
        }

        fn say(&mut self, verdict: Verdict, passed: Passed) -> Option<Change> {
            let change = self.breaker.report(verdict, passed, self.now, &mut self.rng);
            self.breaker.leave(passed);
            change
        }

        /// One call from its entry to its verdict.
        fn call(&mut self, verdict: Verdict) -> Option<Change> {
            self.breaker.room(self.now).expect("it is closed");
            let passed = self.breaker.pass();
            self.say(verdict, passed)
        }

        /// Goes on to when a probe may pass, and returns how long that took.
        fn wait(&mut self) -> i64 {
            let until = self.breaker.room(self.now).expect_err("open").until.expect("a time");
            let waited = until.ms_since(self.now);
            self.now = until;
            waited
        }
    }

    #[test]
    fn five_lost_calls_in_a_row_open_it_and_an_answer_starts_the_count_anew() {
        let mut setup = Setup::new();
        for _ in 0..3 {
            for verdict in [Verdict::Lost, Verdict::NotConnected, Verdict::Lost, Verdict::Lost] {
                assert_eq!(setup.call(verdict), None);
            }
            assert_eq!(setup.call(Verdict::Answered), None);
        }
        for _ in 0..4 {
            assert_eq!(setup.call(Verdict::NotConnected), None);
        }
        let change = setup.call(Verdict::Lost);
        assert!(matches!(change, Some(Change::Opened { why: Why::BreakerOpen, again: false, .. })));
        assert_eq!(setup.breaker.room(setup.now).expect_err("open").why, Why::BreakerOpen);
    }

    #[test]
    fn it_stays_open_twice_as_long_each_time_up_to_five_minutes() {
        let mut setup = Setup::new();
        for _ in 0..5 {
            setup.call(Verdict::Lost);
        }
        for doubled in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            let waited = setup.wait();
            let expected = doubled * 1_000;
            assert!((expected * 4 / 5..=expected * 6 / 5).contains(&waited), "{waited}");
            assert!(matches!(setup.call(Verdict::Lost), Some(Change::Opened { again: true, .. })));
        }
        setup.wait();
        assert_eq!(setup.call(Verdict::Answered), Some(Change::Closed));
        for _ in 0..5 {
            setup.call(Verdict::Lost);
        }
        assert!(setup.wait() <= 1_200);
    }

    #[test]
    fn one_probe_passes_and_one_that_leaves_without_a_verdict_makes_room_for_another() {
        let mut setup = Setup::new();
        for _ in 0..5 {
            setup.call(Verdict::Lost);
        }
        setup.wait();
        assert_eq!(setup.breaker.room(setup.now), Ok(1));
        let probe = setup.breaker.pass();
        let closed = Closed { until: None, why: Why::BreakerOpen };
        assert_eq!(setup.breaker.room(setup.now), Err(closed));
        setup.breaker.leave(probe);
        assert_eq!(setup.breaker.room(setup.now), Ok(1));
    }

    #[test]
    fn calls_that_entered_before_it_opened_change_nothing() {
        let mut setup = Setup::new();
        let before: Vec<_> = (0..32).map(|_| setup.breaker.pass()).collect();
        let changes: Vec<_> =
            before.iter().filter_map(|passed| setup.say(Verdict::Lost, *passed)).collect();
        assert_eq!(changes.len(), 1, "a burst opens it once");
        assert!(setup.wait() <= 1_200);
        let probe = setup.breaker.pass();
        for late in [Verdict::Answered, Verdict::Lost, Verdict::Unauthorized] {
            assert_eq!(setup.say(late, before[0]), None);
        }
        assert!(setup.breaker.room(setup.now).is_err(), "the probe is still under way");
        assert_eq!(setup.say(Verdict::Answered, probe), Some(Change::Closed));
    }

    #[test]
    fn refused_credentials_close_the_gate_for_a_quarter_of_an_hour() {
        let mut setup = Setup::new();
        for verdict in [Verdict::Unauthorized, Verdict::Unauthorized, Verdict::Answered] {
            assert_eq!(setup.call(verdict), None);
        }
        setup.call(Verdict::Unauthorized);
        // Neither says anything about the credentials.
        setup.call(Verdict::Lost);
        setup.call(Verdict::Throttled { retry_after_ms: None });
        setup.call(Verdict::Unauthorized);
        let change = setup.call(Verdict::Unauthorized);
        assert!(matches!(change, Some(Change::Opened { why: Why::Unauthorized, .. })));
        assert_eq!(setup.wait(), UNAUTHORIZED_MS);
        // The probe is refused as well: at once for as long again.
        setup.call(Verdict::Unauthorized);
        assert_eq!(setup.wait(), UNAUTHORIZED_MS);
        // So is the next one lost: there is no word about the credentials yet.
        assert!(matches!(
            setup.call(Verdict::Lost),
            Some(Change::Opened { why: Why::BreakerOpen, again: true, .. })
        ));
        setup.wait();
        assert_eq!(setup.call(Verdict::Answered), Some(Change::Closed));
        assert!(setup.breaker.is_untouched());
    }

    #[test]
    fn a_reset_closes_it_and_a_probe_from_before_says_nothing() {
        let mut setup = Setup::new();
        for _ in 0..3 {
            setup.call(Verdict::Unauthorized);
        }
        setup.wait();
        let probe = setup.breaker.pass();
        assert!(setup.breaker.reset());
        assert_eq!(setup.breaker.room(setup.now), Ok(u32::MAX));
        assert_eq!(setup.say(Verdict::Unauthorized, probe), None);
        assert!(setup.breaker.is_untouched());
    }
}
