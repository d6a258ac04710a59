//! Requests under an idempotency key and their stored responses.

use super::SqliteStore;
use super::codec::one;
use super::rows::RowWriter;
use super::trust::commit;
use crate::StoreError;
use crate::queries::Query;
use crate::stored_responses::{IdempotentRequest, NewRequest, StoredResponse};
use crate::tables::STORED_RESPONSES;
use domain::time::Timestamp;
use rusqlite::{Connection, TransactionBehavior, params};

const TAKE_OVER: &str = "UPDATE answers SET lease_until = ?3 WHERE scope = ?1 AND hash = ?2";

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
                commit(transaction)?;
                Ok(begun)
            })
            .await
    }
}

fn begin(
    connection: &Connection,
    new: &NewRequest,
    now: Timestamp,
) -> Result<IdempotentRequest, StoreError> {
    let select = format!("{} AND expires_at > $3", STORED_RESPONSES.texts().find);
    let select = Query::<StoredResponse>::new(select).with(new.tenant).with(new.hash.0).with(now);
    let Some(found) = one(connection, &select)? else {
        RowWriter::new(connection, &STORED_RESPONSES).replace(new)?;
        return Ok(IdempotentRequest::Process(new.generation));
    };
    let begun = found.begin(new, now);
    if let IdempotentRequest::Process(_) = begun {
        let mut take_over = connection.prepare_cached(TAKE_OVER)?;
        take_over.execute(params![new.tenant.code(), new.hash.0, new.lease_until.0])?;
    }
    Ok(begun)
}
