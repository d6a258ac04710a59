//! Requests under an idempotency key and their stored responses.

use super::PostgresStore;
use super::batch::commit;
use super::error_class::{RetryBudget, TxFailure};
use super::session::Step;
use super::statement::{Rows, Statement};
use super::value::{PostgresCells, Value, number};
use crate::StoreError;
use crate::stored_responses::{IdempotentRequest, NewRequest, StoredResponse};
use crate::tables::{Cells as _, FromRow as _, STORED_RESPONSES, inconsistent};
use domain::time::Timestamp;

const TAKE_OVER: &str = "UPDATE answers SET lease_until = $4 WHERE scope = $1 AND hash = $2 \
     AND request = $3 AND lease_until <= $5 AND status IS NULL RETURNING generation";

/// Takes a key that is new or expired. The statement locks the row in either case, so that the
/// statements behind it see the row as it stays until the commit.
fn take(new: &NewRequest, now: Timestamp) -> Result<Option<Statement<'_>>, StoreError> {
    let rows = Rows::inserted(&STORED_RESPONSES, [new].into_iter())?;
    let is_free = |number| format!("WHERE answers.expires_at <= ${number} RETURNING generation");
    Ok(rows.map(|rows| rows.insert_or_replace(is_free, number(now.0))))
}

impl PostgresStore {
    pub(crate) async fn begin_request(
        &self,
        new: NewRequest,
        now: Timestamp,
    ) -> Result<IdempotentRequest, StoreError> {
        let mut budget = RetryBudget::new();
        loop {
            match self.try_begin(&new, now).await {
                Ok(begun) => return Ok(begun),
                Err(failure) => budget.again(failure, self.draw()).await?,
            }
        }
    }

    async fn try_begin(
        &self,
        new: &NewRequest,
        now: Timestamp,
    ) -> Result<IdempotentRequest, TxFailure> {
        let key = vec![number(new.tenant.code()), Value::Id(new.hash.0)];
        let take_over = vec![
            number(new.tenant.code()),
            Value::Id(new.hash.0),
            Value::Id(new.request),
            number(new.lease_until.0),
            number(now.0),
        ];
        let take = take(new, now).map_err(TxFailure::Final)?;
        let steps: Vec<_> = [Step::Begin]
            .into_iter()
            .chain(take.map(Step::Run))
            .chain([
                Step::Run(Statement::new(TAKE_OVER, take_over)),
                Step::Run(Statement::new(&*STORED_RESPONSES.texts().find, key)),
                Step::Commit,
            ])
            .collect();
        let session = self.session(&self.writes).await?;
        // Beginning the same request again is safe, so a lost commit is tried again.
        let lost = TxFailure::Away(StoreError::OutcomeUnknown);
        let replies = commit(session, &steps).await.map_err(|failure| failure.unwrap_or(lost))?;
        let broken = || TxFailure::Final(inconsistent("answers"));
        let [_, fresh, taken, row, _] = &replies[..] else { return Err(broken()) };
        if let Some(row) = fresh.first().or_else(|| taken.first()) {
            let generation = PostgresCells::new(row).ulid().map_err(TxFailure::Final)?;
            return Ok(IdempotentRequest::Process(generation));
        }
        let row = row.first().ok_or_else(broken)?;
        let found =
            StoredResponse::from_row(&mut PostgresCells::new(row)).map_err(TxFailure::Final)?;
        Ok(found.begin(new, now))
    }
}
