//! API keys.

use super::put::{bytes, int, maybe_int, maybe_text, text, time};
use super::{Cells, Table, fixed, inconsistent, key, read_only, unread};
use crate::StoreError;
use crate::queries::{ApiKeyRow, NewApiKey};
use domain::account::Mode;
use domain::ids::AccountId;

/// An API key and the SHA-256 of its secret.
pub(crate) struct KeyToStore {
    pub(crate) key: NewApiKey,
    pub(crate) secret_hash: [u8; 32],
}

pub(crate) static API_KEYS: Table<KeyToStore> = Table::new(
    "api_keys",
    &[
        key("id", |k| text(&k.key.id)),
        fixed("account", |k| int(k.key.account)),
        fixed("mode", |k| maybe_int(k.key.mode.map(Mode::code))),
        fixed("platform", |k| int(k.key.platform)),
        fixed("scopes", |k| text(&k.key.scopes)),
        fixed("error_profile", |k| text(&k.key.error_profile)),
        fixed("name", |k| text(&k.key.name)),
        fixed("bearer_hash", |k| bytes(k.key.bearer_hash.as_slice())),
        fixed("bearer_prefix", |k| maybe_text(k.key.bearer_prefix.as_deref())),
        fixed("secret_sealed", |k| bytes(&*k.key.secret_sealed)),
        fixed("created_at", |k| time(k.key.created_at)),
        read_only("revoked_at"),
        read_only("last_used_at"),
        unread("secret_hash", |k| bytes(k.secret_hash.as_slice())),
    ],
);

/// Reads the columns of an API key, and the id of its account behind them.
pub(crate) fn read_api_key(c: &mut impl Cells) -> Result<ApiKeyRow, StoreError> {
    let key = NewApiKey {
        id: c.required_text()?,
        account: c.take()?,
        mode: match c.take::<Option<i64>>()? {
            Some(code) => Some(Mode::from_code(code).ok_or_else(|| inconsistent("api_keys.mode"))?),
            None => None,
        },
        platform: c.take()?,
        scopes: c.required_text()?,
        error_profile: c.required_text()?,
        name: c.required_text()?,
        bearer_hash: c.take()?,
        bearer_prefix: c.text()?,
        secret_sealed: c.take()?,
        created_at: c.time()?,
    };
    let (revoked_at, last_used_at) = (c.maybe_time()?, c.maybe_time()?);
    Ok(ApiKeyRow { key, account: AccountId::from_ulid(c.ulid()?), revoked_at, last_used_at })
}
