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
    /// The gate of the provider that was served last.
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

impl<T> Iterator for Turns<T> {
    type Item = (GateKey, T);

    fn next(&mut self) -> Option<Self::Item> {
        while let Some((provider, mut gates)) = self.rest.pop_front() {
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
