//! Whose turn it is: one provider after the other, and one gate of a provider after the other.

use super::GateKey;
use std::collections::{BTreeMap, VecDeque};

/// Remembers which provider was served last, and which gate of each provider. The next round begins
/// behind them, so a long backlog of one gate cannot keep others from their turn, however few are
/// served at a time.
#[derive(Clone, Debug, Default)]
pub struct RoundRobin {
    provider: Option<&'static str>,
    gates: BTreeMap<&'static str, GateKey>,
}

impl RoundRobin {
    /// The gate of the provider that was served last. A query for due work that cannot return the
    /// work of all gates begins behind it.
    pub fn last(&self, provider: &str) -> Option<GateKey> {
        self.gates.get(provider).copied()
    }

    /// A gate got its turn. One that was passed over for lack of slots that it shares with others
    /// did not: it comes before those that were served.
    pub fn served(&mut self, key: GateKey) {
        self.provider = Some(key.provider);
        self.gates.insert(key.provider, key);
    }

    /// Puts due work into turns. Keeps the order within a gate, and nothing beyond the call: the
    /// caller bounds how much it passes.
    pub fn order<T>(&self, due: impl IntoIterator<Item = (GateKey, T)>) -> Turns<T> {
        let mut by_provider: BTreeMap<_, BTreeMap<GateKey, VecDeque<T>>> = BTreeMap::new();
        for (key, item) in due {
            let gates = by_provider.entry(key.provider).or_default();
            gates.entry(key).or_default().push_back(item);
        }
        let gates_in_turn = |(provider, gates)| {
            let mut gates = VecDeque::from_iter(gates);
            let last = self.last(provider);
            gates.rotate_left(gates.partition_point(|(key, _)| Some(*key) <= last));
            (provider, gates)
        };
        let mut rest: VecDeque<_> = by_provider.into_iter().map(gates_in_turn).collect();
        rest.rotate_left(rest.partition_point(|(name, _)| Some(*name) <= self.provider));
        Turns { rest }
    }
}

/// The due work of a gate.
type Row<T> = (GateKey, VecDeque<T>);

/// Due work in turn.
#[derive(Debug)]
pub struct Turns<T> {
    rest: VecDeque<(&'static str, VecDeque<Row<T>>)>,
}

impl<T> Turns<T> {
    /// Leaves out the rest of the gate whose work was returned last: it lets nothing through.
    pub fn leave_out(&mut self, last_returned: GateKey) {
        // More of its work would stand at the end.
        let Some((_, gates)) = self.rest.back_mut() else { return };
        if gates.back().is_some_and(|(key, _)| *key == last_returned) {
            gates.pop_back();
        }
    }

    /// Leaves out all gates of the provider whose work was returned last.
    pub fn leave_out_provider(&mut self, last_returned: GateKey) {
        if self.rest.back().is_some_and(|(name, _)| *name == last_returned.provider) {
            self.rest.pop_back();
        }
    }
}

impl<T> Iterator for Turns<T> {
    type Item = (GateKey, T);

    fn next(&mut self) -> Option<Self::Item> {
        while let Some((provider, mut gates)) = self.rest.pop_front() {
            // A provider whose gates were all left out has nothing more.
            let Some((key, mut items)) = gates.pop_front() else { continue };
            let item = items.pop_front();
            if !items.is_empty() {
                gates.push_back((key, items));
            }
            if !gates.is_empty() {
                self.rest.push_back((provider, gates));
            }
            if let Some(item) = item {
                return Some((key, item));
            }
        }
        None
    }
}
