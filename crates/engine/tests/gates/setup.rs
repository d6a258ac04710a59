//! Gates with a clock and randomness of their own.

use domain::tenant::{Mode, Tenant};
use domain::time::Timestamp;
use engine::gates::{Closed, GateKey, Gates, Pace, Permit, RoundRobin, Verdict, Work};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::collections::BTreeMap;

/// A pace that stands in nobody's way.
pub const FAST: Pace = Pace { per_second: 1_000_000, burst: 1_000_000, at_once: 1_000 };

pub struct Setup {
    pub gates: Gates,
    pub turns: RoundRobin,
    pub now: Timestamp,
    pub pace: Pace,
    rng: ChaCha20Rng,
}

/// The gate of an account at a provider, live mode.
pub fn key(account: u32, provider: &'static str) -> GateKey {
    GateKey { tenant: Tenant::new(account, Mode::Live), provider, account: None }
}

impl Setup {
    pub fn new(total: usize, pace: Pace) -> Self {
        Self {
            gates: Gates::new(total),
            turns: RoundRobin::default(),
            now: Timestamp(1_700_000_000_000),
            pace,
            rng: ChaCha20Rng::seed_from_u64(11),
        }
    }

    pub fn enter(&self, key: GateKey, work: Work) -> Result<Permit, Closed> {
        self.gates.try_enter(&key, self.pace, work, self.now)
    }

    /// Lets in as many as get in, and keeps them under way.
    pub fn fill(&self, key: GateKey, work: Work) -> Vec<Permit> {
        std::iter::from_fn(|| self.enter(key, work).ok()).collect()
    }

    /// Lets in due work as the steps of an engine do: gate after gate in turn, each as much as it has room.
    pub fn admit(&mut self, due: impl IntoIterator<Item = GateKey>) -> Vec<Permit> {
        let mut waiting = BTreeMap::<GateKey, usize>::new();
        due.into_iter().for_each(|key| *waiting.entry(key).or_default() += 1);
        let mut entered = Vec::new();
        for (key, count) in self.turns.order(waiting) {
            let room = usize::try_from(self.gates.room(&key, self.pace, self.now)).unwrap_or(0);
            let before = entered.len();
            let some = (0..room.min(count)).map_while(|_| self.enter(key, Work::Due).ok());
            entered.extend(some);
            if entered.len() > before {
                self.turns.served(key);
            }
        }
        entered
    }

    pub fn report(&mut self, permit: &Permit, verdict: Verdict) {
        permit.report(verdict, self.now, &mut self.rng);
    }

    /// One call from its entry to its end.
    pub fn call(&mut self, key: GateKey, verdict: Verdict) {
        let permit = self.enter(key, Work::Due).expect("the gate is open");
        self.report(&permit, verdict);
    }

    pub fn pass_ms(&mut self, ms: i64) {
        self.now = self.now.plus_ms(ms);
    }

    /// Why due work does not get in, and for how many milliseconds.
    pub fn closed(&self, key: GateKey) -> Option<(engine::gates::Why, Option<i64>)> {
        let closed = self.enter(key, Work::Due).err()?;
        Some((closed.why, closed.until.map(|until| until.ms_since(self.now))))
    }
}
