//! Accounts and API keys: small tables, off the hot path.

use super::PostgresStore;
use super::reads::number;
use super::session::Step;
use super::statement::{Rows, Statement};
use super::value::{PostgresCells, Value};
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

const NOTE_KEY_USE: &str = "UPDATE api_keys SET last_used_at = $2 \
     WHERE id = $1 AND coalesce(last_used_at, 0) < $2";

/// A revocation at the same time is the same request, whose reply was lost.
const REVOKE_KEY: &str = "UPDATE api_keys SET revoked_at = $2 \
     WHERE id = $1 AND (revoked_at IS NULL OR revoked_at = $2) RETURNING 1";

fn text(text: &str) -> Value<'_> {
    Value::Text(text.into())
}

impl PostgresStore {
    /// When two nodes give the same number, one of them conflicts and tries again. The account
    /// exists already when the reply to an earlier try was lost.
    pub async fn create_account(
        &self,
        id: AccountId,
        name: &str,
        now: Timestamp,
    ) -> Result<Account, StoreError> {
        let insert = format!(
            "INSERT INTO accounts (no, id, name, created_at) \
             SELECT coalesce(max(no), 0) + 1, $1, $2, $3 FROM accounts \
             ON CONFLICT (id) DO NOTHING RETURNING {ACCOUNT_COLUMNS}"
        );
        let values = vec![Value::Id(id.bytes()), text(name), number(now.0)];
        let rows = self.write(Statement::new(insert, values)).await?;
        match rows.first() {
            Some(row) => read_account(&mut PostgresCells::new(row)),
            None => self.find_account(id).await?.ok_or_else(|| inconsistent("accounts")),
        }
    }

    pub(crate) async fn find_account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        let sql = select_accounts("WHERE id = $1");
        self.one(sql, vec![Value::Id(id.bytes())], |c| read_account(c)).await
    }

    pub(crate) async fn find_account_by_number(
        &self,
        of: u32,
    ) -> Result<Option<Account>, StoreError> {
        let sql = select_accounts("WHERE no = $1");
        self.one(sql, vec![number(of.into())], |c| read_account(c)).await
    }

    pub(crate) async fn list_accounts(&self) -> Result<Vec<Account>, StoreError> {
        let select = Statement::new(select_accounts("ORDER BY no LIMIT 1000"), Vec::new());
        self.list(select, |c| read_account(c)).await
    }

    pub(crate) async fn create_api_key(
        &self,
        key: NewApiKey,
        secret_hash: [u8; 32],
        name: Option<UniqueKey>,
    ) -> Result<Once<()>, StoreError> {
        let row = KeyToStore { key, secret_hash };
        let insert = Rows::inserted(&API_KEYS, [&row].into_iter())?.map(Rows::insert);
        let steps: Vec<_> = insert.map(Step::Run).into_iter().chain([Step::Commit]).collect();
        let name = name.as_ref().map(|name| (name, &*row.key.id));
        self.save_once(name, row.key.created_at, &steps).await
    }

    async fn select_keys(
        &self,
        rest: &str,
        values: Vec<Value<'_>>,
    ) -> Result<Vec<ApiKeyRow>, StoreError> {
        self.list(Statement::new(select_api_keys(rest), values), |c| read_api_key(c)).await
    }

    pub(crate) async fn find_api_key(&self, id: &str) -> Result<Option<ApiKeyRow>, StoreError> {
        Ok(self.select_keys(API_KEY_BY_ID, vec![text(id)]).await?.pop())
    }

    pub(crate) async fn find_api_key_by_bearer(
        &self,
        hash: [u8; 32],
    ) -> Result<Option<ApiKeyRow>, StoreError> {
        let values = vec![Value::Bytes(hash.as_slice().into())];
        Ok(self.select_keys(API_KEY_BY_HASH, values).await?.pop())
    }

    pub(crate) async fn list_api_keys(&self) -> Result<Vec<ApiKeyRow>, StoreError> {
        self.select_keys(API_KEYS_IN_ORDER, Vec::new()).await
    }

    pub(crate) async fn list_api_keys_of(
        &self,
        account: u32,
        mode: Option<Mode>,
    ) -> Result<Vec<ApiKeyRow>, StoreError> {
        let values = vec![number(account.into()), Value::Int(mode.map(Mode::code))];
        self.select_keys(API_KEYS_OF_ACCOUNT, values).await
    }

    pub(crate) async fn note_api_key_use(&self, id: &str, at: Timestamp) -> Result<(), StoreError> {
        self.write(Statement::new(NOTE_KEY_USE, vec![text(id), number(at.0)])).await.map(|_| ())
    }

    pub(crate) async fn revoke_api_key(
        &self,
        id: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let rows = self.write(Statement::new(REVOKE_KEY, vec![text(id), number(now.0)])).await?;
        Ok(rows.len() == 1)
    }
}
