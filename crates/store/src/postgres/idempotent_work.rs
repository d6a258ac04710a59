//! Work that is done once per unique key. Its answer is stored with the key, in the transaction of the
//! work itself. Two nodes with the same key meet at its row; the second finds it taken.

use super::PostgresStore;
use super::batch::commit;
use super::error_class::{RetryBudget, TxFailure, classify};
use super::session::Step;
use super::statement::{Rows, Statement};
use super::value::{PostgresCells, Value, number};
use crate::StoreError;
use crate::idempotent_work::Once;
use crate::queries::keys::{self, Holder};
use crate::tables::{FromRow as _, KEYS, inconsistent};
use domain::time::Timestamp;
use domain::unique_keys::UniqueKey;

/// Takes the key, also from a holder that expired and is not yet deleted.
fn take<'a>(
    key: &'a UniqueKey,
    answer: &'a str,
    now: Timestamp,
) -> Result<Option<Statement<'a>>, StoreError> {
    let rows = Rows::inserted(&KEYS, [key].into_iter())?;
    let answer = Value::Texts(vec![Some(answer.into())]);
    let is_free = |number| format!("WHERE keys.expires_at <= ${number} RETURNING 1");
    Ok(rows.map(|rows| rows.replace("answer", answer).insert_or_replace(is_free, number(now.0))))
}

impl PostgresStore {
    /// The result of earlier work under the key.
    pub(super) async fn find_once<T>(
        &self,
        name: &UniqueKey,
        now: Timestamp,
    ) -> Result<Option<Once<T>>, StoreError> {
        let found = self.all(keys::holder(name, now)).await?.pop();
        found.map(|holder| Once::before(name, holder)).transpose()
    }

    /// Runs `steps`, which end with a commit, unless another request did the work under the same
    /// key. The transaction also takes the key and stores the answer.
    pub(super) async fn save_once(
        &self,
        name: Option<(&UniqueKey, &str)>,
        now: Timestamp,
        steps: &[Step<'_>],
    ) -> Result<Once<()>, StoreError> {
        let mut budget = RetryBudget::new();
        loop {
            match self.try_once(name, now, steps).await {
                Ok(once) => return Ok(once),
                Err(failure) => budget.again(failure, self.draw()).await?,
            }
        }
    }

    async fn try_once(
        &self,
        name: Option<(&UniqueKey, &str)>,
        now: Timestamp,
        steps: &[Step<'_>],
    ) -> Result<Once<()>, TxFailure> {
        let mut session = self.session(&self.writes).await?;
        let mut first = vec![Step::Begin];
        if let Some((name, answer)) = name {
            first.extend(take(name, answer, now).map_err(TxFailure::Final)?.map(Step::Run));
            first.push(Step::Run(keys::holder(name, now).into()));
        }
        let mut found = Vec::with_capacity(first.len());
        for reply in session.run(&first).await? {
            found.push(reply.map_err(classify)?);
        }
        if let (Some((name, _)), [_, took, row]) = (name, &found[..])
            && took.is_empty()
        {
            session.rollback().await;
            let row = row.first().ok_or_else(|| TxFailure::Final(inconsistent("keys")))?;
            let holder =
                Holder::from_row(&mut PostgresCells::new(row)).map_err(TxFailure::Final)?;
            // The holder is this request: the reply to an earlier commit was lost.
            if holder.key.id == name.id {
                return Ok(Once::Done(()));
            }
            return Once::before(name, holder).map_err(TxFailure::Final);
        }
        match commit(session, steps).await {
            Ok(_) => Ok(Once::Done(())),
            Err(Some(failure)) => Err(failure),
            // With a key the work can be tried again, whether or not it was saved.
            Err(None) if name.is_some() => Err(TxFailure::Away(StoreError::OutcomeUnknown)),
            Err(None) => Err(TxFailure::Final(StoreError::OutcomeUnknown)),
        }
    }
}
