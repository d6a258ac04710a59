//! How often what happened in a run.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Mutex, PoisonError};

/// Counts by name, of all nodes.
#[derive(Debug, Default)]
pub(crate) struct Counts(Mutex<BTreeMap<String, u64>>);

impl Counts {
    pub(crate) fn count(&self, kind: &str, name: impl Display) {
        self.add(kind, name, 1);
    }

    /// Counts several at once; none leaves no name.
    pub(crate) fn add(&self, kind: &str, name: impl Display, number: u64) {
        if number > 0 {
            let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *counts.entry(format!("{kind}: {name}")).or_default() += number;
        }
    }

    pub(crate) fn take(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
