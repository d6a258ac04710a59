//! How far the changes at each provider were read.

use super::Query;
use crate::tables::{RECONCILE_CURSORS, ReconcileCursor};
use domain::tenant::Tenant;
use domain::time::Timestamp;
use std::sync::LazyLock;

/// Tenants that have payments, behind the tenant `after`, each found with one step along the primary key.
pub(crate) fn tenants(after: Option<Tenant>, limit: u32) -> Query<Tenant> {
    let sql = "WITH RECURSIVE tenants (scope) AS (
             SELECT (SELECT p.scope FROM payments p WHERE p.scope > $1 ORDER BY p.scope LIMIT 1)
             UNION ALL
             SELECT (SELECT p.scope FROM payments p WHERE p.scope > t.scope
                     ORDER BY p.scope LIMIT 1)
             FROM tenants t WHERE t.scope IS NOT NULL
         ) SELECT scope FROM tenants WHERE scope IS NOT NULL LIMIT $2";
    Query::new(sql).with(after.map_or(-1, Tenant::code)).with(limit)
}

/// The cursors of a tenant, of which there is one per provider account.
pub(crate) fn cursors(tenant: Tenant) -> Query<ReconcileCursor> {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        format!("SELECT {} FROM reconcile_cursors WHERE scope = $1", RECONCILE_CURSORS.columns())
    });
    Query::new(&**TEXT).with(tenant)
}

/// Stores a cursor, unless another node was faster.
pub(crate) fn begin(cursor: ReconcileCursor) -> Query<()> {
    let sql = format!(
        "{} ON CONFLICT (scope, provider, provider_account) DO NOTHING",
        RECONCILE_CURSORS.texts().insert.replace('?', "$")
    );
    Query::new(sql)
        .with(cursor.tenant)
        .with(cursor.provider)
        .with(cursor.provider_account)
        .with(cursor.since)
        .with(cursor.page.unwrap_or_default())
        .with(cursor.began_at)
        .with(cursor.failures)
        .with(cursor.due_at)
}

/// Takes the reading of the next page until `lease_until`, if it is due at `now`.
pub(crate) fn claim(
    cursor: &ReconcileCursor,
    now: Timestamp,
    lease_until: Timestamp,
) -> Query<ReconcileCursor> {
    let sql = format!(
        "UPDATE reconcile_cursors SET due_at = $1 WHERE scope = $2 AND provider = $3 \
         AND provider_account = $4 AND due_at <= $5 RETURNING {}",
        RECONCILE_CURSORS.columns()
    );
    Query::new(sql)
        .with(lease_until)
        .with(cursor.tenant)
        .with(&*cursor.provider)
        .with(&*cursor.provider_account)
        .with(now)
}

/// Stores how far a node came that had the lease until `lease_until`, unless another one took over.
pub(crate) fn save(cursor: ReconcileCursor, lease_until: Timestamp) -> Query<()> {
    let sql = "UPDATE reconcile_cursors SET since = $1, page = $2, began_at = $3, failures = $4, \
               due_at = $5 WHERE scope = $6 AND provider = $7 AND provider_account = $8 \
               AND due_at = $9";
    Query::new(sql)
        .with(cursor.since)
        .with(cursor.page.unwrap_or_default())
        .with(cursor.began_at)
        .with(cursor.failures)
        .with(cursor.due_at)
        .with(cursor.tenant)
        .with(cursor.provider)
        .with(cursor.provider_account)
        .with(lease_until)
}
