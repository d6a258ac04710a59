//! Accounts and API keys: small tables, off the hot path.

use super::SqliteStore;
use super::codec::{SqliteCells, list, one};
use super::rows::RowWriter;
use crate::StoreError;
use crate::idempotent_work::Once;
use crate::queries::{
    API_KEY_BY_HASH, API_KEY_BY_ID, API_KEYS_IN_ORDER, API_KEYS_OF_ACCOUNT, Account, ApiKeyRow,
    NewApiKey, select_accounts, select_api_keys,
};
use crate::tables::{
    ACCOUNT_COLUMNS, API_KEYS, KeyToStore, inconsistent, read_account, read_api_key,
};
use domain::account::Mode;
use domain::ids::AccountId;
use domain::keys::UniqueKey;
use domain::time::Timestamp;
use rusqlite::{Connection, Params, params};

const REVOKE_KEY: &str = "UPDATE api_keys SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL";

const NOTE_KEY_USE: &str = "UPDATE api_keys SET last_used_at = ?2 \
     WHERE id = ?1 AND coalesce(last_used_at, 0) < ?2";

fn insert_account(
    connection: &Connection,
    id: AccountId,
    name: &str,
    now: Timestamp,
) -> Result<Account, StoreError> {
    let mut insert = connection.prepare_cached(&format!(
        "INSERT INTO accounts (no, id, name, created_at) \
         SELECT coalesce(max(no), 0) + 1, ?1, ?2, ?3 FROM accounts RETURNING {ACCOUNT_COLUMNS}"
    ))?;
    let mut rows = insert.query(params![id.bytes(), name, now.0])?;
    let row = rows.next()?.ok_or_else(|| inconsistent("accounts"))?;
    let account = read_account(&mut SqliteCells::new(row))?;
    // The insert ends only when its rows have been read to the end.
    while rows.next()?.is_some() {}
    Ok(account)
}

impl SqliteStore {
    pub(crate) async fn create_account(
        &self,
        id: AccountId,
        name: &str,
        now: Timestamp,
    ) -> Result<Account, StoreError> {
        let name = name.to_owned();
        self.writer.run(move |c| insert_account(c, id, &name, now)).await
    }

    pub(crate) async fn find_account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        let sql = select_accounts("WHERE id = $1");
        self.read(move |c| one(c, &sql, [id.bytes()], |c| read_account(c))).await
    }

    pub(crate) async fn find_account_by_number(
        &self,
        number: u32,
    ) -> Result<Option<Account>, StoreError> {
        let sql = select_accounts("WHERE no = $1");
        self.read(move |c| one(c, &sql, [number], |c| read_account(c))).await
    }

    pub(crate) async fn list_accounts(&self) -> Result<Vec<Account>, StoreError> {
        let sql = select_accounts("ORDER BY no LIMIT 1000");
        self.read(move |c| list(c, &sql, [], |c| read_account(c))).await
    }

    pub(crate) async fn create_api_key(
        &self,
        key: NewApiKey,
        secret_hash: [u8; 32],
        name: Option<UniqueKey>,
    ) -> Result<Once<()>, StoreError> {
        let now = key.created_at;
        let row = KeyToStore { key, secret_hash };
        let create = move |connection: &Connection| {
            RowWriter::new(connection, &API_KEYS).insert(&row, None)?;
            Ok(((), Some(row.key.id.into())))
        };
        self.once(name, now, create).await
    }

    async fn select_keys(
        &self,
        rest: &str,
        params: impl Params + Send + 'static,
    ) -> Result<Vec<ApiKeyRow>, StoreError> {
        let sql = select_api_keys(rest);
        self.read(move |c| list(c, &sql, params, |c| read_api_key(c))).await
    }

    pub(crate) async fn find_api_key(&self, id: &str) -> Result<Option<ApiKeyRow>, StoreError> {
        Ok(self.select_keys(API_KEY_BY_ID, [id.to_owned()]).await?.pop())
    }

    pub(crate) async fn find_api_key_by_bearer(
        &self,
        hash: [u8; 32],
    ) -> Result<Option<ApiKeyRow>, StoreError> {
        Ok(self.select_keys(API_KEY_BY_HASH, [hash]).await?.pop())
    }

    pub(crate) async fn list_api_keys(&self) -> Result<Vec<ApiKeyRow>, StoreError> {
        self.select_keys(API_KEYS_IN_ORDER, []).await
    }

    pub(crate) async fn list_api_keys_of(
        &self,
        account: u32,
        mode: Option<Mode>,
    ) -> Result<Vec<ApiKeyRow>, StoreError> {
        self.select_keys(API_KEYS_OF_ACCOUNT, (account, mode.map(Mode::code))).await
    }

    pub(crate) async fn note_api_key_use(&self, id: &str, at: Timestamp) -> Result<(), StoreError> {
        self.change_key(NOTE_KEY_USE, id, at).await.map(|_| ())
    }

    pub(crate) async fn revoke_api_key(
        &self,
        id: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(self.change_key(REVOKE_KEY, id, now).await? == 1)
    }

    async fn change_key(
        &self,
        sql: &'static str,
        id: &str,
        at: Timestamp,
    ) -> Result<usize, StoreError> {
        let id = id.to_owned();
        self.writer.run(move |c| Ok(c.prepare_cached(sql)?.execute(params![id, at.0])?)).await
    }
}
