//! Random numbers; the only source of randomness in a run.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Random numbers that follow from a seed.
pub(crate) struct SeededRng(ChaCha8Rng);

impl SeededRng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A generator whose numbers depend on `seed` and `purpose` alone, not on numbers drawn before.
    pub(crate) fn derived(seed: u64, purpose: &impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        (seed, purpose).hash(&mut hasher);
        Self::new(hasher.finish())
    }

    /// A number from 0 to `end - 1`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0.next_u64() % end.max(1)
    }

    /// True with a chance of `percent` in 100.
    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A number from `from` to `to`, both included.
    pub(crate) fn between(&mut self, from: i64, to: i64) -> i64 {
        let span = u64::try_from(to.saturating_sub(from)).unwrap_or(0).saturating_add(1);
        from.saturating_add(i64::try_from(self.below(span)).unwrap_or(0))
    }

    /// A random index into a list of this length. `None` when the list is empty.
    pub(crate) fn index(&mut self, length: usize) -> Option<usize> {
        let end = u64::try_from(length).ok().filter(|&end| end > 0)?;
        usize::try_from(self.below(end)).ok()
    }

    /// A random item of a list.
    pub(crate) fn pick<'a, T>(&mut self, list: &'a [T]) -> Option<&'a T> {
        self.index(list.len()).map(|at| &list[at])
    }
}
