//! All gates of a node, under one lock.

use super::breaker::Change;
use super::gate::{Around, Entry, Gate, share};
use super::slots::{Slots, Work};
use super::{Closed, GateKey, GateState, Verdict, Why};
use domain::provider::Pace;
use domain::time::Timestamp;
use rand_core::Rng;
use std::collections::{BTreeMap, BTreeSet};

/// Gates that are kept, where the calls at once are not more. Beyond this, those that were left
/// alone for the longest time are dropped, and what they remember with them.
const MOST_GATES: usize = 65_536;

/// Gates that are kept without a look for idle ones.
const FEW_GATES: usize = 64;

pub(super) struct Table {
    gates: BTreeMap<GateKey, Gate>,
    /// The slots of all gates together.
    node: Slots,
    /// The slots of the gates of each provider together.
    providers: BTreeMap<&'static str, Slots>,
    total: u32,
    /// When there are so many gates, the idle ones are dropped.
    sweep_at: usize,
    most: usize,
}

impl Table {
    pub(super) fn new(total: u32) -> Self {
        let at_once = usize::try_from(total).unwrap_or(usize::MAX);
        Self::with_most(total, MOST_GATES.max(at_once.saturating_mul(4)))
    }

    fn with_most(total: u32, most: usize) -> Self {
        Self {
            gates: BTreeMap::new(),
            node: Slots::default(),
            providers: BTreeMap::new(),
            total,
            sweep_at: FEW_GATES.min(most),
            most,
        }
    }

    /// The gate of `key`, as of `now`.
    fn gate(&mut self, key: GateKey, pace: Pace, now: Timestamp) -> &mut Gate {
        let Pace { per_second, burst, at_once } = pace;
        let pace =
            Pace { per_second: per_second.max(1), burst: burst.max(1), at_once: at_once.max(1) };
        if self.gates.len() >= self.sweep_at && !self.gates.contains_key(&key) {
            self.sweep(now);
        }
        let gate = self.gates.entry(key).or_insert_with(|| Gate::new(key.provider, pace, now));
        gate.touch(pace, now);
        gate
    }

    pub(super) fn enter(
        &mut self,
        key: GateKey,
        pace: Pace,
        work: Work,
        now: Timestamp,
    ) -> Result<Entry, Closed> {
        self.room(key, pace, work, now)?;
        self.node.take(work);
        self.providers.entry(key.provider).or_default().take(work);
        Ok(self.gate(key, pace, now).enter(work, now))
    }

    /// How many calls may enter, at least one, or why none may. Notes due work that is turned away.
    pub(super) fn room(
        &mut self,
        key: GateKey,
        pace: Pace,
        work: Work,
        now: Timestamp,
    ) -> Result<u32, Closed> {
        let around = self.around(key.provider, work, now);
        let gate = self.gate(key, pace, now);
        let room = gate.room(work, around, now);
        if let Err(closed) = room
            && work == Work::Due
        {
            gate.turn_due_away(closed.why, now);
            if closed.why == Why::Full {
                self.node.turn_due_away(now);
            }
        }
        room
    }

    fn around(&self, provider: &str, work: Work, now: Timestamp) -> Around {
        let node = self.node.free(self.total, self.node.asking(work, now));
        let taken = self.providers.get(provider).map_or(0, |slots| slots.taken_by(work));
        Around { node, provider: share(taken, node) }
    }

    /// A call is over. Returns how many are left.
    pub(super) fn leave(&mut self, key: &GateKey, work: Work, entry: Entry) -> u32 {
        self.node.give_back(work);
        if let Some(provider) = self.providers.get_mut(key.provider) {
            provider.give_back(work);
        }
        // A gate with a call under way is never dropped.
        if let Some(gate) = self.gates.get_mut(key) {
            gate.leave(work, entry);
        }
        self.node.taken()
    }

    pub(super) fn report(
        &mut self,
        key: &GateKey,
        verdict: Verdict,
        entry: Entry,
        now: Timestamp,
        rng: &mut impl Rng,
    ) -> Option<Change> {
        self.gates.get_mut(key)?.report(verdict, entry, now, rng)
    }

    pub(super) fn call_again(&mut self, key: &GateKey, entry: Entry, now: Timestamp) {
        if let Some(gate) = self.gates.get_mut(key) {
            gate.call_again(entry, now);
        }
    }

    pub(super) fn put_back(&mut self, key: &GateKey, entry: Entry, now: Timestamp) {
        if let Some(gate) = self.gates.get_mut(key) {
            gate.put_back(entry, now);
        }
    }

    pub(super) fn resume(&mut self, key: &GateKey) {
        if let Some(gate) = self.gates.get_mut(key) {
            gate.resume();
        }
    }

    pub(super) fn calls_at_once(&self) -> u32 {
        self.node.taken()
    }

    pub(super) fn states(&self, now: Timestamp) -> Vec<GateState> {
        let state = |(key, gate): (&GateKey, &Gate)| {
            gate.state(*key, self.around(key.provider, Work::Due, now), now)
        };
        self.gates.iter().map(state).collect()
    }

    /// Drops the gates that a new one would equal, and where that is not enough, those that were
    /// left alone for the longest time. A quarter of the gates is free afterwards: at most a quarter have
    /// calls under way.
    fn sweep(&mut self, now: Timestamp) {
        self.drop_all(|_, gate| gate.is_idle(now));
        let surplus = self.gates.len().saturating_sub(self.most - self.most / 4);
        if surplus > 0 {
            let droppable = self.gates.iter().filter(|(_, gate)| gate.is_droppable());
            let mut by_age: Vec<_> =
                droppable.map(|(key, gate)| (gate.touched_at(), *key)).collect();
            by_age.sort_unstable();
            let oldest: BTreeSet<_> =
                by_age.into_iter().take(surplus).map(|(_, key)| key).collect();
            self.drop_all(|key, _| oldest.contains(key));
        }
        self.sweep_at =
            self.gates.len().saturating_mul(2).clamp(FEW_GATES.min(self.most), self.most);
    }

    fn drop_all(&mut self, dropped: impl Fn(&GateKey, &Gate) -> bool) {
        self.gates.retain(|key, gate| {
            let stays = !dropped(key, gate);
            if !stays {
                gate.forget();
            }
            stays
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::tenant::{Mode, Tenant};
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    const FAST: Pace = Pace { per_second: 1_000, burst: 1_000, at_once: 100 };
    const NOW: Timestamp = Timestamp(1_000_000);

    fn key(account: u32) -> GateKey {
        GateKey { tenant: Tenant::new(account, Mode::Live), provider: "stripe", account: None }
    }

    fn at(account: u32) -> Timestamp {
        NOW.plus_ms(account.into())
    }

    /// A call that was lost, which the gate remembers.
    fn lose(table: &mut Table, account: u32) {
        let now = at(account);
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let entry = table.enter(key(account), FAST, Work::Due, now).expect("it is open");
        table.report(&key(account), Verdict::Lost, entry, now, &mut rng);
        table.leave(&key(account), Work::Due, entry);
    }

    #[test]
    fn idle_gates_are_dropped() {
        let mut table = Table::with_most(4, 1_000);
        for account in 0..10_000 {
            let entry = table.enter(key(account), FAST, Work::Due, at(account)).expect("open");
            table.leave(&key(account), Work::Due, entry);
            assert!(table.gates.len() <= FEW_GATES);
        }
    }

    #[test]
    fn beyond_the_limit_the_oldest_are_dropped_and_never_one_that_is_in_use() {
        let mut table = Table::with_most(50, 200);
        let in_use: Vec<u32> = (100..120).collect();
        for account in &in_use {
            table.enter(key(*account), FAST, Work::New, at(*account)).expect("open");
        }
        for account in 120..5_000 {
            lose(&mut table, account);
            assert!(table.gates.len() <= 200);
        }
        for account in in_use.iter().copied().chain(4_980..5_000) {
            assert!(table.gates.contains_key(&key(account)), "{account}");
        }
        assert!(!table.gates.contains_key(&key(120)));
    }

    #[test]
    fn a_gate_remembers_what_a_new_one_would_not_know() {
        let mut table = Table::with_most(4, 1_000);
        lose(&mut table, 1);
        for account in 2..200 {
            let entry = table.enter(key(account), FAST, Work::Due, at(account)).expect("open");
            table.leave(&key(account), Work::Due, entry);
        }
        assert!(table.gates.contains_key(&key(1)));
        let hour_later = NOW.plus_ms(3_600_000);
        table.sweep(hour_later.plus_ms(1));
        assert!(table.gates.is_empty(), "nothing is remembered for longer than an hour");
    }
}
