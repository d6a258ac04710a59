//! Requests under an idempotency key and what they were answered, for doors that repeat the whole
//! answer.

use super::SqliteStore;
use super::codec::Columns;
use crate::StoreError;
use crate::answers::{Begun, NewRequest};
use domain::account::Scope;
use domain::keys::KeyHash;
use domain::time::Timestamp;
use rusqlite::{Connection, TransactionBehavior, params};
use ulid::Ulid;

const SELECT: &str = "SELECT request, generation, lease_until, status, body FROM answers \
     WHERE scope = ?1 AND hash = ?2 AND expires_at > ?3";

const BEGIN: &str = "INSERT OR REPLACE INTO answers \
     (scope, hash, request, generation, lease_until, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

const TAKE_OVER: &str = "UPDATE answers SET lease_until = ?3 WHERE scope = ?1 AND hash = ?2";

const KEEP: &str = "UPDATE answers SET status = ?4, body = ?5 \
     WHERE scope = ?1 AND hash = ?2 AND generation = ?3 AND status IS NULL";

const ABANDON: &str = "UPDATE answers SET lease_until = ?4 \
     WHERE scope = ?1 AND hash = ?2 AND generation = ?3 AND status IS NULL";

const FORGET: &str = "DELETE FROM answers WHERE (scope, hash) IN \
     (SELECT scope, hash FROM answers WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)";

impl SqliteStore {
    /// Begins a request, durably.
    pub async fn begin_request(
        &self,
        new: NewRequest,
        now: Timestamp,
    ) -> Result<Begun, StoreError> {
        self.writer
            .run(move |connection| {
                let transaction =
                    connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                let begun = begin(&transaction, &new, now)?;
                transaction.commit()?;
                Ok(begun)
            })
            .await
    }

    /// Keeps the answer to a request.
    pub async fn keep_answer(
        &self,
        (scope, hash, generation): (Scope, KeyHash, Ulid),
        status: u16,
        body: Vec<u8>,
    ) -> Result<(), StoreError> {
        self.writer
            .run(move |connection| {
                let at = (scope.code(), hash.0, generation.to_bytes());
                connection
                    .prepare_cached(KEEP)?
                    .execute(params![at.0, at.1, at.2, status, body])?;
                Ok(())
            })
            .await
    }

    /// Lets the next request under the key go on where this one ended without an answer.
    pub async fn abandon_request(
        &self,
        (scope, hash, generation): (Scope, KeyHash, Ulid),
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.writer
            .run(move |connection| {
                let at = (scope.code(), hash.0, generation.to_bytes());
                connection.prepare_cached(ABANDON)?.execute(params![at.0, at.1, at.2, now.0])?;
                Ok(())
            })
            .await
    }

    /// Forgets answers that ran out by `now`, at most `limit` of them. Returns how many.
    pub async fn forget_answers(&self, now: Timestamp, limit: u32) -> Result<usize, StoreError> {
        self.writer
            .run(move |connection| {
                Ok(connection.prepare_cached(FORGET)?.execute(params![now.0, limit])?)
            })
            .await
    }
}

fn begin(connection: &Connection, new: &NewRequest, now: Timestamp) -> Result<Begun, StoreError> {
    let (scope, hash) = (new.scope.code(), new.hash.0);
    let mut select = connection.prepare_cached(SELECT)?;
    let mut rows = select.query(params![scope, hash, now.0])?;
    let Some(row) = rows.next()? else {
        connection.prepare_cached(BEGIN)?.execute(params![
            scope,
            hash,
            new.request,
            new.generation.to_bytes(),
            new.lease_until.0,
            new.expires_at.0,
        ])?;
        return Ok(Begun::Process(new.generation));
    };
    let begun = Begun::read(&mut Columns::new(row), new, now)?;
    if let Begun::Process(_) = begun {
        connection.prepare_cached(TAKE_OVER)?.execute(params![scope, hash, new.lease_until.0])?;
    }
    Ok(begun)
}
