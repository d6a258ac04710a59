//! API keys.

use super::PostgresStore;
use super::session::Step;
use super::statement::Rows;
use crate::StoreError;
use crate::idempotent_work::Once;
use crate::tables::{API_KEYS, KeyToStore, NewApiKey};
use domain::unique_keys::UniqueKey;

impl PostgresStore {
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
}
