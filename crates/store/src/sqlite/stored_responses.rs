//! Requests under an idempotency key and their stored responses.

use super::SqliteStore;
use super::codec::one;
use super::rows::RowWriter;
use crate::StoreError;
use crate::stored_responses::{IdempotentRequest, NewRequest};
use crate::tables::{STORED_RESPONSES, read_stored_response};
use domain::account::Tenant;
use domain::keys::KeyHash;
use domain::time::Timestamp;
use rusqlite::{Connection, TransactionBehavior, params};
use ulid::Ulid;

const TAKE_OVER: &str = "UPDATE answers SET lease_until = ?3 WHERE scope = ?1 AND hash = ?2";

const KEEP: &str = "UPDATE answers SET status = ?4, body = ?5 \
     WHERE scope = ?1 AND hash = ?2 AND generation = ?3 AND status IS NULL";

const ABANDON: &str = "UPDATE answers SET lease_until = ?4 \
     WHERE scope = ?1 AND hash = ?2 AND generation = ?3 AND status IS NULL";

const FORGET: &str = "DELETE FROM answers WHERE (scope, hash) IN \
     (SELECT scope, hash FROM answers WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)";

impl SqliteStore {
    pub(crate) async fn begin_request(
        &self,
        new: NewRequest,
        now: Timestamp,
    ) -> Result<IdempotentRequest, StoreError> {
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

    pub(crate) async fn keep_answer(
        &self,
        (tenant, hash, generation): (Tenant, KeyHash, Ulid),
        status: u16,
        body: Vec<u8>,
    ) -> Result<(), StoreError> {
        self.writer
            .run(move |connection| {
                let at = (tenant.code(), hash.0, generation.to_bytes());
                connection
                    .prepare_cached(KEEP)?
                    .execute(params![at.0, at.1, at.2, status, body])?;
                Ok(())
            })
            .await
    }

    pub(crate) async fn abandon_request(
        &self,
        (tenant, hash, generation): (Tenant, KeyHash, Ulid),
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.writer
            .run(move |connection| {
                let at = (tenant.code(), hash.0, generation.to_bytes());
                connection.prepare_cached(ABANDON)?.execute(params![at.0, at.1, at.2, now.0])?;
                Ok(())
            })
            .await
    }

    pub(crate) async fn forget_answers(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<usize, StoreError> {
        self.writer
            .run(move |connection| {
                Ok(connection.prepare_cached(FORGET)?.execute(params![now.0, limit])?)
            })
            .await
    }
}

fn begin(
    connection: &Connection,
    new: &NewRequest,
    now: Timestamp,
) -> Result<IdempotentRequest, StoreError> {
    let key = (new.tenant.code(), new.hash.0);
    let select = format!("{} AND expires_at > ?3", STORED_RESPONSES.texts().select);
    let found = one(connection, &select, (key.0, key.1, now.0), |c| read_stored_response(c))?;
    let Some(found) = found else {
        RowWriter::new(connection, &STORED_RESPONSES).replace(new)?;
        return Ok(IdempotentRequest::Process(new.generation));
    };
    let begun = found.begin(new, now);
    if let IdempotentRequest::Process(_) = begun {
        let mut take_over = connection.prepare_cached(TAKE_OVER)?;
        take_over.execute(params![key.0, key.1, new.lease_until.0])?;
    }
    Ok(begun)
}
