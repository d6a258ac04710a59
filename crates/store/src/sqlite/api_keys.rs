//! API keys.

use super::SqliteStore;
use super::rows::RowWriter;
use crate::StoreError;
use crate::idempotent_work::Once;
use crate::tables::{API_KEYS, KeyToStore, NewApiKey};
use domain::unique_keys::UniqueKey;
use rusqlite::Connection;

impl SqliteStore {
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
}
