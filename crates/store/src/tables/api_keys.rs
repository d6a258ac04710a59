//! API keys.

use super::put::{bytes, int, maybe_int, maybe_text, text, time};
use super::{Cells, FromRow, Table, fixed, inconsistent, key, read_only, unread};
use crate::StoreError;
use domain::ids::AccountId;
use domain::tenant::Mode;
use domain::time::Timestamp;

/// An API key to store. Secrets arrive hashed or encrypted.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// Its public id, such as `ak_test_…`.
    pub id: Box<str>,
    /// The number of the account.
    pub account: u32,
    /// `None` for platform keys, which name the mode per request.
    pub mode: Option<Mode>,
    /// The key may act for other accounts.
    pub platform: bool,
    /// Permissions, separated by spaces.
    pub scopes: Box<str>,
    /// The error table of the responses.
    pub error_profile: Box<str>,
    pub name: Box<str>,
    /// SHA-256 of the Bearer token.
    pub bearer_hash: [u8; 32],
    /// The first characters of the Bearer token, for people; unknown for old keys.
    pub bearer_prefix: Option<Box<str>>,
    /// The signing secret, encrypted under the master key.
    pub secret_sealed: Vec<u8>,
    pub created_at: Timestamp,
}

/// An API key as stored.
#[derive(Clone, Debug)]
pub struct ApiKeyRow {
    pub key: NewApiKey,
    pub account: AccountId,
    pub revoked_at: Option<Timestamp>,
    /// To the hour.
    pub last_used_at: Option<Timestamp>,
}

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
impl FromRow for ApiKeyRow {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        let key = NewApiKey {
            id: c.required_text()?,
            account: c.take()?,
            mode: match c.take::<Option<i64>>()? {
                Some(code) => {
                    Some(Mode::from_code(code).ok_or_else(|| inconsistent("api_keys.mode"))?)
                }
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
}
