//! Work that is done once per unique key. Its answer is stored with the key, in the transaction of the
//! work itself.

use super::SqliteStore;
use super::codec::one;
use super::rows::values_but;
use super::trust::commit;
use crate::StoreError;
use crate::idempotent_work::Once;
use crate::queries::keys;
use crate::tables::{KEYS, Put};
use domain::time::Timestamp;
use domain::unique_keys::UniqueKey;
use rusqlite::{Connection, params_from_iter};

impl SqliteStore {
    /// Does `work` unless another request did it under the same key. Work that returns an answer takes
    /// the key; without an answer it changed nothing and the key stays free.
    pub(super) async fn once<T: Send + 'static>(
        &self,
        key: Option<UniqueKey>,
        now: Timestamp,
        work: impl FnOnce(&Connection) -> Result<(T, Option<String>), StoreError> + Send + 'static,
    ) -> Result<Once<T>, StoreError> {
        self.writer
            .run(move |connection| {
                let transaction = connection
                    .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
                if let Some(key) = &key
                    && let Some(holder) = one(&transaction, &keys::holder(key, now))?
                {
                    return Once::before(key, holder);
                }
                let (done, answer) = work(&transaction)?;
                if let (Some(key), Some(answer)) = (&key, answer) {
                    keep(&transaction, key, &answer)?;
                }
                commit(transaction)?;
                Ok(Once::Done(done))
            })
            .await
    }
}

/// Takes the key, also from a holder that expired and is not yet deleted.
fn keep(connection: &Connection, key: &UniqueKey, answer: &str) -> Result<(), StoreError> {
    let text = format!("{} {}", KEYS.texts().insert, KEYS.or_replace());
    let values = values_but(KEYS.inserted(), key, "answer", || Put::Text(Some(answer)));
    connection.prepare_cached(&text)?.execute(params_from_iter(values))?;
    Ok(())
}
