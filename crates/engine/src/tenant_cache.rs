//! Values of tenants that are believed for a moment without reading them again.

use domain::tenant::Tenant;
use domain::time::Timestamp;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How long a value is believed. A change by another process takes effect within this time; one by this process at
/// once.
const BELIEVED_MS: i64 = 1_000;

/// How many tenants are remembered; the memory starts over when it is full.
const LIMIT: usize = 10_000;

/// A value for each tenant, with the time of reading it.
pub(crate) struct TenantCache<T> {
    values: Mutex<HashMap<Tenant, (T, Timestamp)>>,
    /// Counts the changes by this process. A value whose reading one overtook is not remembered.
    changes: AtomicU64,
}

impl<T> Default for TenantCache<T> {
    fn default() -> Self {
        Self { values: Mutex::default(), changes: AtomicU64::new(0) }
    }
}

impl<T: Clone> TenantCache<T> {
    fn values(&self) -> MutexGuard<'_, HashMap<Tenant, (T, Timestamp)>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value, if it was read a moment ago.
    pub(crate) fn fresh(&self, tenant: Tenant, now: Timestamp) -> Option<T> {
        let values = self.values();
        let (value, read_at) = values.get(&tenant)?;
        // A clock that was set back must not keep a value alive.
        (0..BELIEVED_MS).contains(&now.ms_since(*read_at)).then(|| value.clone())
    }

    /// The value that was read last, however long ago.
    pub(crate) fn last(&self, tenant: Tenant) -> Option<T> {
        self.values().get(&tenant).map(|(value, _)| value.clone())
    }

    /// To be noted before a value is read, for [`TenantCache::remember`].
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Remembers a value whose reading began at `now`, unless this process changed something since.
    pub(crate) fn remember(&self, tenant: Tenant, value: T, now: Timestamp, changes: u64) {
        let mut values = self.values();
        if self.changes() != changes {
            return;
        }
        if values.len() >= LIMIT {
            values.clear();
        }
        values.insert(tenant, (value, now));
    }

    /// Forgets all values after a change.
    pub(crate) fn forget(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.values().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::tenant::Mode;

    #[test]
    fn a_value_is_believed_for_a_second_and_not_past_a_change() {
        let (cache, tenant) = (TenantCache::default(), Tenant::new(1, Mode::Test));
        cache.remember(tenant, 1, Timestamp(5_000), cache.changes());
        for (now, value) in [(5_000, Some(1)), (5_999, Some(1)), (6_000, None), (4_999, None)] {
            assert_eq!(cache.fresh(tenant, Timestamp(now)), value, "{now}");
        }
        assert_eq!(cache.fresh(Tenant::new(1, Mode::Live), Timestamp(5_000)), None);
        assert_eq!(cache.last(tenant), Some(1));
        let before = cache.changes();
        cache.forget();
        cache.remember(tenant, 2, Timestamp(5_000), before);
        assert_eq!((cache.fresh(tenant, Timestamp(5_000)), cache.last(tenant)), (None, None));
        for account in 0..=10_000 {
            let tenant = Tenant::new(account, Mode::Test);
            cache.remember(tenant, 3, Timestamp(5_000), cache.changes());
        }
        assert_eq!(cache.values().len(), 1);
    }
}
