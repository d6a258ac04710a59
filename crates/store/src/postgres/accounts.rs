//! Accounts and API keys: small tables, off the hot path.

use super::PostgresStore;
use super::session::Step;
use super::statement::Statement;
use super::value::{Columns, Value};
use crate::StoreError;
use crate::answers::Once;
use crate::cells::inconsistent;
use crate::query::{Account, ApiKeyRow, NewApiKey};
use crate::sqlite::accounts::{ORDER_OF_ACCOUNT, SELECT_KEYS, read_account, read_api_key};
use domain::account::Mode;
use domain::ids::AccountId;
use domain::keys::Key;
use domain::time::Timestamp;
use tokio_postgres::Row;

/// Two nodes that give the same number are in conflict; one of them tries again.
/// Nothing when it is there already, as after an answer that was lost.
const INSERT_ACCOUNT: &str = "INSERT INTO accounts (no, id, name, created_at) \
     SELECT coalesce(max(no), 0) + 1, $1, $2, $3 FROM accounts \
     ON CONFLICT (id) DO NOTHING RETURNING no, id, name";

const INSERT_KEY: &str = "INSERT INTO api_keys (id, account, mode, platform, scopes, \
     error_profile, name, bearer_hash, bearer_prefix, secret_sealed, created_at, secret_hash) \
     VALUES ($1, $2::bigint, $3::bigint, $4::bigint, $5, $6, $7, $8, $9, $10, $11, $12)";

const NOTE_KEY_USE: &str = "UPDATE api_keys SET last_used_at = $2 \
     WHERE id = $1 AND coalesce(last_used_at, 0) < $2";

/// At the same time as before it is the same revocation, whose answer was lost.
const REVOKE_KEY: &str = "UPDATE api_keys SET revoked_at = $2 \
     WHERE id = $1 AND (revoked_at IS NULL OR revoked_at = $2) RETURNING 1";

fn accounts(rows: &[Row]) -> Result<Vec<Account>, StoreError> {
    rows.iter().map(|row| read_account(&mut Columns::new(row))).collect()
}

fn api_keys(rows: &[Row]) -> Result<Vec<ApiKeyRow>, StoreError> {
    rows.iter().map(|row| read_api_key(&mut Columns::new(row))).collect()
}

fn text(text: &str) -> Value<'_> {
    Value::Text(text.into())
}

fn number(number: i64) -> Value<'static> {
    Value::Int(Some(number))
}

impl PostgresStore {
    /// Creates an account.
    pub async fn create_account(
        &self,
        id: AccountId,
        name: &str,
        now: Timestamp,
    ) -> Result<Account, StoreError> {
        let values = vec![Value::Id(id.bytes()), text(name), number(now.0)];
        let rows = self.write(Statement::new(INSERT_ACCOUNT, values)).await?;
        match accounts(&rows)?.pop() {
            Some(account) => Ok(account),
            None => self.find_account(id).await?.ok_or_else(|| inconsistent("accounts")),
        }
    }

    /// The account with this id.
    pub async fn find_account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        let select = "SELECT no, id, name FROM accounts WHERE id = $1";
        let rows = self.read(Statement::new(select, vec![Value::Id(id.bytes())])).await?;
        Ok(accounts(&rows)?.pop())
    }

    /// The account with this number.
    pub async fn find_account_by_number(&self, of: u32) -> Result<Option<Account>, StoreError> {
        let select = "SELECT no, id, name FROM accounts WHERE no = $1";
        let rows = self.read(Statement::new(select, vec![number(of.into())])).await?;
        Ok(accounts(&rows)?.pop())
    }

    /// The first 1,000 accounts, oldest first.
    pub async fn list_accounts(&self) -> Result<Vec<Account>, StoreError> {
        let select = "SELECT no, id, name FROM accounts ORDER BY no LIMIT 1000";
        accounts(&self.read(Statement::new(select, Vec::new())).await?)
    }

    /// Stores an API key and the SHA-256 of its secret, once under `name`. What is answered under it
    /// later is the key's id.
    pub async fn create_api_key(
        &self,
        key: NewApiKey,
        secret_hash: [u8; 32],
        name: Option<Key>,
    ) -> Result<Once<()>, StoreError> {
        let prefix = key.bearer_prefix.as_deref().map(Into::into);
        let values = vec![
            text(&key.id),
            number(key.account.into()),
            Value::Int(key.mode.map(Mode::code)),
            number(key.platform.into()),
            text(&key.scopes),
            text(&key.error_profile),
            text(&key.name),
            Value::Bytes(key.bearer_hash.as_slice().into()),
            Value::Maybe(prefix),
            Value::Bytes(key.secret_sealed.as_slice().into()),
            number(key.created_at.0),
            Value::Bytes(secret_hash.as_slice().into()),
        ];
        let name = name.as_ref().map(|name| (name, &*key.id));
        let steps = [Step::Run(Statement::new(INSERT_KEY, values)), Step::Commit];
        self.save_once(name, key.created_at, &steps).await
    }

    async fn select_keys(
        &self,
        rest: &str,
        values: Vec<Value<'_>>,
    ) -> Result<Vec<ApiKeyRow>, StoreError> {
        let sql = format!("{SELECT_KEYS} {rest}");
        api_keys(&self.read(Statement::new(sql, values)).await?)
    }

    /// The API key with this id.
    pub async fn find_api_key(&self, id: &str) -> Result<Option<ApiKeyRow>, StoreError> {
        Ok(self.select_keys("WHERE k.id = $1", vec![text(id)]).await?.pop())
    }

    /// The API key with this SHA-256 of its Bearer token, or of its secret.
    pub async fn find_api_key_by_bearer(
        &self,
        hash: [u8; 32],
    ) -> Result<Option<ApiKeyRow>, StoreError> {
        let values = vec![Value::Bytes(hash.as_slice().into())];
        Ok(self.select_keys("WHERE k.bearer_hash = $1 OR k.secret_hash = $1", values).await?.pop())
    }

    /// The first 1,000 API keys, oldest first.
    pub async fn list_api_keys(&self) -> Result<Vec<ApiKeyRow>, StoreError> {
        self.select_keys("ORDER BY k.created_at, k.id LIMIT 1000", Vec::new()).await
    }

    /// The API keys of an account, at most 1,000: those that work first, newest first. With a mode,
    /// only its keys.
    pub async fn list_api_keys_of(
        &self,
        account: u32,
        mode: Option<Mode>,
    ) -> Result<Vec<ApiKeyRow>, StoreError> {
        let rest =
            format!("WHERE k.account = $1 AND ($2 IS NULL OR k.mode = $2) {ORDER_OF_ACCOUNT}");
        let values = vec![number(account.into()), Value::Int(mode.map(Mode::code))];
        self.select_keys(&rest, values).await
    }

    /// Notes when an API key was used.
    pub async fn note_api_key_use(&self, id: &str, at: Timestamp) -> Result<(), StoreError> {
        self.write(Statement::new(NOTE_KEY_USE, vec![text(id), number(at.0)])).await.map(|_| ())
    }

    /// Revokes an API key. `false` when there is none that works.
    pub async fn revoke_api_key(&self, id: &str, now: Timestamp) -> Result<bool, StoreError> {
        let rows = self.write(Statement::new(REVOKE_KEY, vec![text(id), number(now.0)])).await?;
        Ok(rows.len() == 1)
    }
}
