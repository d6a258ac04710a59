//! Accounts and API keys: small tables, off the hot path.

use super::codec::Columns;
use crate::StoreError;
use crate::cells::{Cells, inconsistent};
use crate::query::{Account, ApiKeyRow, NewApiKey};
use domain::account::Mode;
use domain::ids::AccountId;
use domain::time::Timestamp;
use rusqlite::{Connection, params};

const INSERT_ACCOUNT: &str = "INSERT INTO accounts (no, id, name, created_at) \
     SELECT coalesce(max(no), 0) + 1, ?1, ?2, ?3 FROM accounts RETURNING no, id, name";

pub(crate) const SELECT_KEYS: &str = "SELECT k.id, k.account, k.mode, k.platform, k.scopes, k.error_profile, \
     k.name, k.bearer_hash, k.bearer_prefix, k.secret_sealed, k.created_at, k.revoked_at, \
     k.last_used_at, a.id \
     FROM api_keys k JOIN accounts a ON a.no = k.account";

const INSERT_KEY: &str = "INSERT INTO api_keys (id, account, mode, platform, scopes, error_profile, \
     name, bearer_hash, bearer_prefix, secret_sealed, created_at, secret_hash) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";

const REVOKE_KEY: &str = "UPDATE api_keys SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL";

const NOTE_KEY_USE: &str = "UPDATE api_keys SET last_used_at = ?2 \
     WHERE id = ?1 AND coalesce(last_used_at, 0) < ?2";

/// Keys that work come first, so that however many were revoked, none of them is left out.
pub(crate) const ORDER_OF_ACCOUNT: &str = "ORDER BY k.revoked_at IS NOT NULL, k.created_at DESC, k.id DESC \
     LIMIT 1000";

/// Reads number, id, name.
pub(crate) fn read_account(c: &mut impl Cells) -> Result<Account, StoreError> {
    Ok(Account { number: c.take()?, id: AccountId::from_ulid(c.ulid()?), name: c.required_text()? })
}

pub(super) fn create(
    connection: &Connection,
    id: AccountId,
    name: &str,
    now: Timestamp,
) -> Result<Account, StoreError> {
    let mut insert = connection.prepare_cached(INSERT_ACCOUNT)?;
    let mut rows = insert.query(params![id.bytes(), name, now.0])?;
    let row = rows.next()?.ok_or_else(|| inconsistent("accounts"))?;
    let account = read_account(&mut Columns::new(row))?;
    // The insert ends only when its rows have been read to the end.
    while rows.next()?.is_some() {}
    Ok(account)
}

pub(super) fn find(connection: &Connection, id: AccountId) -> Result<Option<Account>, StoreError> {
    let mut select =
        connection.prepare_cached("SELECT no, id, name FROM accounts WHERE id = ?1")?;
    let mut rows = select.query([id.bytes()])?;
    rows.next()?.map(|row| read_account(&mut Columns::new(row))).transpose()
}

pub(super) fn list(connection: &Connection) -> Result<Vec<Account>, StoreError> {
    let mut select =
        connection.prepare_cached("SELECT no, id, name FROM accounts ORDER BY no LIMIT 1000")?;
    let mut rows = select.query([])?;
    let mut accounts = Vec::new();
    while let Some(row) = rows.next()? {
        accounts.push(read_account(&mut Columns::new(row))?);
    }
    Ok(accounts)
}

pub(super) fn create_key(
    connection: &Connection,
    key: &NewApiKey,
    secret_hash: [u8; 32],
) -> Result<(), StoreError> {
    connection.prepare_cached(INSERT_KEY)?.execute(params![
        key.id,
        key.account,
        key.mode.map(Mode::code),
        key.platform,
        key.scopes,
        key.error_profile,
        key.name,
        key.bearer_hash,
        key.bearer_prefix,
        key.secret_sealed,
        key.created_at.0,
        secret_hash,
    ])?;
    Ok(())
}

/// Reads the columns of an API key and the id of its account.
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
        created_at: Timestamp(c.take()?),
    };
    let revoked_at = c.take::<Option<i64>>()?.map(Timestamp);
    let last_used_at = c.take::<Option<i64>>()?.map(Timestamp);
    Ok(ApiKeyRow { key, account: AccountId::from_ulid(c.ulid()?), revoked_at, last_used_at })
}

pub(super) fn find_key(connection: &Connection, id: &str) -> Result<Option<ApiKeyRow>, StoreError> {
    let mut select = connection.prepare_cached(&format!("{SELECT_KEYS} WHERE k.id = ?1"))?;
    let mut rows = select.query([id])?;
    rows.next()?.map(|row| read_api_key(&mut Columns::new(row))).transpose()
}

pub(super) fn find_key_by_bearer(
    connection: &Connection,
    hash: [u8; 32],
) -> Result<Option<ApiKeyRow>, StoreError> {
    let mut select = connection
        .prepare_cached(&format!("{SELECT_KEYS} WHERE k.bearer_hash = ?1 OR k.secret_hash = ?1"))?;
    let mut rows = select.query([hash])?;
    rows.next()?.map(|row| read_api_key(&mut Columns::new(row))).transpose()
}

pub(super) fn list_keys(connection: &Connection) -> Result<Vec<ApiKeyRow>, StoreError> {
    let mut select = connection
        .prepare_cached(&format!("{SELECT_KEYS} ORDER BY k.created_at, k.id LIMIT 1000"))?;
    let mut rows = select.query([])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        keys.push(read_api_key(&mut Columns::new(row))?);
    }
    Ok(keys)
}

pub(super) fn list_keys_of(
    connection: &Connection,
    account: u32,
    mode: Option<Mode>,
) -> Result<Vec<ApiKeyRow>, StoreError> {
    let mut select = connection.prepare_cached(&format!(
        "{SELECT_KEYS} WHERE k.account = ?1 AND (?2 IS NULL OR k.mode = ?2) {ORDER_OF_ACCOUNT}"
    ))?;
    let mut rows = select.query(params![account, mode.map(Mode::code)])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        keys.push(read_api_key(&mut Columns::new(row))?);
    }
    Ok(keys)
}

pub(super) fn note_key_use(
    connection: &Connection,
    id: &str,
    at: Timestamp,
) -> Result<(), StoreError> {
    connection.prepare_cached(NOTE_KEY_USE)?.execute(params![id, at.0])?;
    Ok(())
}

pub(super) fn revoke_key(
    connection: &Connection,
    id: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    Ok(connection.prepare_cached(REVOKE_KEY)?.execute(params![id, now.0])? == 1)
}

pub(super) fn find_by_number(
    connection: &Connection,
    number: u32,
) -> Result<Option<Account>, StoreError> {
    let mut select =
        connection.prepare_cached("SELECT no, id, name FROM accounts WHERE no = ?1")?;
    let mut rows = select.query([number])?;
    rows.next()?.map(|row| read_account(&mut Columns::new(row))).transpose()
}
