//! Unique keys: idempotency keys, references and ids of providers, found by their hash.

use super::put::{id, int, maybe_int, maybe_text, maybe_time};
use super::{Cells, FromRow, Table, changing, inconsistent, key, unread};
use crate::StoreError;
use domain::refund::State;
use domain::unique_keys::{KeyHash, KeyTarget, UniqueKey};

pub(crate) static KEYS: Table<UniqueKey> = Table::new(
    "keys",
    &[
        key("scope", |k| int(k.tenant.code())),
        key("hash", |k| id(k.hash.0)),
        changing("request", |k| id(k.request)),
        changing("target", |k| int(k.target.code())),
        changing("id", |k| id(k.id.to_bytes())),
        changing("state", |k| maybe_int(k.state.map(State::code))),
        changing("expires_at", |k| maybe_time(k.expires_at)),
        // Only a key of idempotent work has one.
        unread("answer", |_| maybe_text(None)),
    ],
);

impl FromRow for UniqueKey {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        Ok(UniqueKey {
            tenant: c.tenant()?,
            hash: KeyHash(c.take()?),
            request: c.take()?,
            target: c.code(KeyTarget::from_code, "keys.target")?,
            id: c.ulid()?,
            state: match c.take::<Option<i64>>()? {
                Some(code) => {
                    Some(State::from_code(code).ok_or_else(|| inconsistent("keys.state"))?)
                }
                None => None,
            },
            expires_at: c.maybe_time()?,
        })
    }
}
