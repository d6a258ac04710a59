//! Responses that are stored under idempotency keys.

use super::keys::delete_expired;
use super::{Dialect, Query};
use domain::tenant::Tenant;
use domain::time::Timestamp;
use domain::unique_keys::KeyHash;
use ulid::Ulid;

/// Stores the response to a request, unless it has one.
pub(crate) fn keep(
    (tenant, hash, generation): (Tenant, KeyHash, Ulid),
    status: u16,
    body: Vec<u8>,
) -> Query<()> {
    let sql = "UPDATE answers SET status = $1, body = $2 \
               WHERE scope = $3 AND hash = $4 AND generation = $5 AND status IS NULL";
    let query = Query::new(sql).with(i64::from(status)).with(body);
    query.with(tenant).with(hash.0).with(generation)
}

/// Ends the lease of a request without a response.
pub(crate) fn abandon(
    (tenant, hash, generation): (Tenant, KeyHash, Ulid),
    now: Timestamp,
) -> Query<()> {
    let sql = "UPDATE answers SET lease_until = $1 \
               WHERE scope = $2 AND hash = $3 AND generation = $4 AND status IS NULL";
    Query::new(sql).with(now).with(tenant).with(hash.0).with(generation)
}

/// Deletes responses that expired by `now`, and returns a row for each.
pub(crate) fn forget(dialect: Dialect, now: Timestamp, limit: u32) -> Query<()> {
    delete_expired(dialect, "answers", "expires_at <= $1").with(now).with(limit)
}
