//! API keys with the ids of their accounts.

use super::Query;
use crate::tables::{API_KEYS, ApiKeyRow};
use domain::tenant::Mode;
use domain::time::Timestamp;

fn select(rest: &str) -> Query<ApiKeyRow> {
    let columns = API_KEYS.columns_of("k");
    Query::new(format!(
        "SELECT {columns}, a.id FROM api_keys k JOIN accounts a ON a.no = k.account {rest}"
    ))
}

pub(crate) fn find(id: &str) -> Query<ApiKeyRow> {
    select("WHERE k.id = $1").with(id)
}

/// The API key with this SHA-256 of its Bearer token, or of its secret.
pub(crate) fn find_by_bearer(hash: [u8; 32]) -> Query<ApiKeyRow> {
    select("WHERE k.bearer_hash = $1 OR k.secret_hash = $1").with(hash.to_vec())
}

pub(crate) fn list() -> Query<ApiKeyRow> {
    select("ORDER BY k.created_at, k.id LIMIT 1000")
}

/// Keys that work come first, so that revoked keys never push one of them past the limit.
pub(crate) fn list_of(account: u32, mode: Option<Mode>) -> Query<ApiKeyRow> {
    let of = "WHERE k.account = $1 AND ($2 IS NULL OR k.mode = $2) \
              ORDER BY k.revoked_at IS NOT NULL, k.created_at DESC, k.id DESC LIMIT 1000";
    select(of).with(account).with(mode.map(Mode::code))
}

pub(crate) fn note_use(id: &str, at: Timestamp) -> Query<()> {
    let sql = "UPDATE api_keys SET last_used_at = $1 \
               WHERE id = $2 AND coalesce(last_used_at, 0) < $1";
    Query::new(sql).with(at).with(id)
}

/// A revocation at the same time is the same request, whose reply was lost.
pub(crate) fn revoke(id: &str, now: Timestamp) -> Query<()> {
    let sql = "UPDATE api_keys SET revoked_at = $1 \
               WHERE id = $2 AND (revoked_at IS NULL OR revoked_at = $1) RETURNING 1";
    Query::new(sql).with(now).with(id)
}
