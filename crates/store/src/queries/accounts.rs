//! Accounts and API keys.

use crate::tables::{ACCOUNT_COLUMNS, API_KEYS};

pub(crate) fn select_accounts(rest: &str) -> String {
    format!("SELECT {ACCOUNT_COLUMNS} FROM accounts {rest}")
}

/// API keys with the ids of their accounts.
pub(crate) fn select_api_keys(rest: &str) -> String {
    let columns = API_KEYS.columns_of("k");
    format!("SELECT {columns}, a.id FROM api_keys k JOIN accounts a ON a.no = k.account {rest}")
}

pub(crate) const API_KEY_BY_ID: &str = "WHERE k.id = $1";

pub(crate) const API_KEY_BY_HASH: &str = "WHERE k.bearer_hash = $1 OR k.secret_hash = $1";

pub(crate) const API_KEYS_IN_ORDER: &str = "ORDER BY k.created_at, k.id LIMIT 1000";

/// Keys that work come first, so that revoked keys never push one of them past the limit.
pub(crate) const API_KEYS_OF_ACCOUNT: &str = "WHERE k.account = $1 AND ($2 IS NULL OR k.mode = $2) \
     ORDER BY k.revoked_at IS NOT NULL, k.created_at DESC, k.id DESC LIMIT 1000";
