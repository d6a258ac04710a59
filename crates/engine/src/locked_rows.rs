//! Rows that batches could not have, since other transactions have locked them.

use domain::row_key::RowKey;
use domain::view::RowKeys;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Tries after which a row counts as locked for long. With the pauses between them, 3 to 6 seconds.
const MANY: u32 = 60;

/// The rows that are known to be locked, and how often each was tried since. They are the rows of
/// commands that wait for them, whose number is bounded.
#[derive(Default)]
pub(crate) struct LockedRows {
    /// Asked before every batch.
    is_any: AtomicBool,
    tries: Mutex<BTreeMap<RowKey, u32>>,
}

impl LockedRows {
    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<RowKey, u32>) -> T) -> T {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        let done = act(&mut tries);
        self.is_any.store(!tries.is_empty(), Ordering::Release);
        done
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.is_any.load(Ordering::Acquire)
    }

    /// Whether one of the wanted rows is known to be locked.
    pub(crate) fn has_one_of(&self, wanted: &RowKeys) -> bool {
        self.with(|tries| wanted.iter().any(|row| tries.contains_key(&row)))
    }

    pub(crate) fn add(&self, rows: &[RowKey]) {
        self.with(|tries| {
            for row in rows {
                tries.entry(*row).or_default();
            }
        });
    }

    /// Notes that the wanted rows were tried, and for how many tries that counts for those that are
    /// still locked.
    pub(crate) fn note_tries(&self, wanted: &RowKeys, locked: impl Iterator<Item = (RowKey, u32)>) {
        let locked: BTreeMap<RowKey, u32> = locked.collect();
        self.with(|tries| {
            tries.retain(|row, _| locked.contains_key(row) || !wanted.contains(*row));
            for (row, more) in locked {
                let tried = tries.entry(row).or_default();
                let before = std::mem::replace(tried, tried.saturating_add(more));
                if before < MANY && *tried >= MANY {
                    tracing::warn!(%row, "another transaction keeps a row locked");
                }
            }
        });
    }

    pub(crate) fn is_locked_for_long(&self, rows: &[RowKey]) -> bool {
        self.with(|tries| rows.iter().any(|row| tries.get(row).is_some_and(|tried| *tried >= MANY)))
    }

    pub(crate) fn clear(&self) {
        self.with(BTreeMap::clear);
    }
}
