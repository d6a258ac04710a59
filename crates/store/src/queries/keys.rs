//! Unique keys, which expire.

use super::{Dialect, Query};
use crate::StoreError;
use crate::tables::{Cells, FromRow, KEYS};
use domain::tenant::Tenant;
use domain::time::Timestamp;
use domain::unique_keys::{KeyHash, UniqueKey};

pub(crate) fn find(tenant: Tenant, hash: KeyHash) -> Query<UniqueKey> {
    Query::by_key(&KEYS, tenant, hash.0)
}

/// A key with the answer that is stored with it.
pub(crate) struct Holder {
    pub(crate) key: UniqueKey,
    pub(crate) answer: Option<Box<str>>,
}

/// The holder of a unique key that has not expired.
pub(crate) fn holder(key: &UniqueKey, now: Timestamp) -> Query<Holder> {
    let sql = format!(
        "SELECT {}, answer FROM keys WHERE scope = $1 AND hash = $2 \
         AND (expires_at IS NULL OR expires_at > $3)",
        KEYS.columns()
    );
    Query::new(sql).with(key.tenant).with(key.hash.0).with(now)
}

impl FromRow for Holder {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        Ok(Self { key: UniqueKey::from_row(c)?, answer: c.text()? })
    }
}

/// Deletes keys that expired before `now`, and returns a row for each.
pub(crate) fn forget(dialect: Dialect, now: Timestamp, limit: u32) -> Query<()> {
    delete_expired(dialect, "keys", "expires_at < $1").with(now).with(limit)
}

/// Deletes rows of a table by scope and hash. Skips rows that another transaction has locked, since the
/// transaction may be about to take them again.
pub(super) fn delete_expired(dialect: Dialect, table: &str, is_expired: &str) -> Query<()> {
    let old =
        format!("SELECT scope, hash FROM {table} WHERE {is_expired} ORDER BY expires_at LIMIT $2");
    Query::new(match dialect {
        Dialect::Sqlite => {
            format!("DELETE FROM {table} WHERE (scope, hash) IN ({old}) RETURNING 1")
        }
        Dialect::Postgres => format!(
            "WITH old AS ({old} FOR UPDATE SKIP LOCKED) DELETE FROM {table} t USING old \
             WHERE t.scope = old.scope AND t.hash = old.hash RETURNING 1"
        ),
    })
}
