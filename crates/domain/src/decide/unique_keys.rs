//! Names in a view.

use crate::tenant::Tenant;
use crate::time::Timestamp;
use crate::unique_keys::{KeyHash, UniqueKey};
use crate::view::{Row, View};

/// The row of a name, unless it ran out.
pub(super) fn live_key(
    view: &View,
    tenant: Tenant,
    hash: KeyHash,
    now: Timestamp,
) -> Option<&UniqueKey> {
    let key = &view.keys.get(&(tenant, hash))?.value;
    key.expires_at.is_none_or(|at| now < at).then_some(key)
}

/// Takes a name. A name that ran out and was not yet swept away is taken over.
pub(super) fn insert_key(view: &mut View, key: UniqueKey) {
    let at = (key.tenant, key.hash);
    match view.keys.get_mut(&at) {
        Some(row) => *row.change() = key,
        None => {
            view.keys.insert(at, Row::inserted(key));
        }
    }
}
