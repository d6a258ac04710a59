//! Work that is done once under a name: what was answered is kept with the name, in the transaction
//! of the work itself.

use super::SqliteStore;
use super::batch::load_key;
use crate::StoreError;
use crate::answers::Once;
use domain::keys::{Key, Target};
use domain::time::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

const SELECT_ANSWER: &str = "SELECT answer FROM keys WHERE scope = ?1 AND hash = ?2";

/// A name that ran out and was not yet swept away is taken over.
const KEEP_ANSWER: &str = "INSERT INTO keys (scope, hash, request, target, id, expires_at, answer) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (scope, hash) DO UPDATE SET \
     request = excluded.request, target = excluded.target, id = excluded.id, state = NULL, \
     expires_at = excluded.expires_at, answer = excluded.answer";

impl SqliteStore {
    /// Does `work` unless `name` says that it was done before. Work that comes with a text to
    /// answer takes the name; without one it changed nothing and the name stays free.
    pub(super) async fn once<T: Send + 'static>(
        &self,
        name: Option<Key>,
        now: Timestamp,
        work: impl FnOnce(&Connection) -> Result<(T, Option<String>), StoreError> + Send + 'static,
    ) -> Result<Once<T>, StoreError> {
        self.writer
            .run(move |connection| {
                let transaction = connection
                    .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
                if let Some(name) = &name
                    && let Some(before) = find(&transaction, name, now)?
                {
                    return Ok(before);
                }
                let (done, answer) = work(&transaction)?;
                if let (Some(name), Some(answer)) = (&name, answer) {
                    keep(&transaction, name, &answer)?;
                }
                transaction.commit()?;
                Ok(Once::Done(done))
            })
            .await
    }
}

fn find<T>(
    connection: &Connection,
    name: &Key,
    now: Timestamp,
) -> Result<Option<Once<T>>, StoreError> {
    let taken = load_key(connection, name.scope, name.hash)?;
    let live = |key: &Key| key.expires_at.is_none_or(|at| now < at);
    let Some(taken) = taken.filter(live) else { return Ok(None) };
    let mut select = connection.prepare_cached(SELECT_ANSWER)?;
    let at = params![name.scope.code(), name.hash.0];
    let answer: Option<Option<String>> = select.query_row(at, |row| row.get(0)).optional()?;
    Once::before(name, &taken, answer.flatten().map(Into::into)).map(Some)
}

fn keep(connection: &Connection, name: &Key, answer: &str) -> Result<(), StoreError> {
    connection.prepare_cached(KEEP_ANSWER)?.execute(params![
        name.scope.code(),
        name.hash.0,
        name.request,
        Target::Answer.code(),
        name.id.to_bytes(),
        name.expires_at.map(|at| at.0),
        answer,
    ])?;
    Ok(())
}
