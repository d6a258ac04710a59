//! Batches: load, decide, save, in one transaction.

use super::PostgresStore;
use super::error_class::{RetryBudget, TxFailure, classify, may_have_committed};
use super::load::{further, load_all, put};
use super::save::save;
use super::session::{Session, Step};
use crate::StoreError;
use crate::queries::Query;
use domain::ids::EventId;
use domain::tenant::Tenant;
use domain::view::{RowKeys, View};
use std::panic::{AssertUnwindSafe, catch_unwind};
use tokio_postgres::Row;

/// Parts of a total. The schema bounds each part so that the sum of all parts fits.
const PARTS: u64 = 16;

impl PostgresStore {
    /// Loads the rows of a batch, lets `decide` change them and saves the changes, all in one
    /// transaction that is durable when this returns.
    pub async fn run_batch<T: Send + 'static>(
        &self,
        wanted: RowKeys,
        mut decide: impl FnMut(&mut View) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let mut budget = RetryBudget::new();
        loop {
            match self.try_batch(&wanted, &mut decide).await {
                Ok(answer) => {
                    self.note_batch();
                    return Ok(answer);
                }
                Err(failure) => budget.again(failure, self.draw()).await?,
            }
        }
    }

    async fn try_batch<T>(
        &self,
        wanted: &RowKeys,
        decide: &mut (impl FnMut(&mut View) -> T + Send),
    ) -> Result<T, TxFailure> {
        let mut session = self.session(&self.writes).await?;
        let mut view = load(&mut session, wanted).await?;
        // A failed assertion ends this transaction and nothing else.
        let answer = match catch_unwind(AssertUnwindSafe(|| decide(&mut view))) {
            Ok(answer) => answer,
            Err(panic) => {
                session.rollback().await;
                return Err(TxFailure::Final(StoreError::Inconsistent(crate::said(&*panic))));
            }
        };
        let part = i64::try_from(self.draw() % PARTS).unwrap_or_default();
        let mut steps = save(&view, part).map_err(TxFailure::Final)?;
        steps.push(Step::Commit);
        let marker = view.new_rows.events.first().map(|event| (event.tenant, event.id));
        match commit(session, &steps).await {
            Ok(_) => Ok(answer),
            Err(Some(failure)) => Err(failure),
            Err(None) => self.find_out(marker).await.map(|()| answer),
        }
    }

    /// Finds out whether a batch was saved when the commit had no reply. Only a row of the batch
    /// proves it; without one the commit may still be running.
    async fn find_out(&self, marker: Option<(Tenant, EventId)>) -> Result<(), TxFailure> {
        metrics::counter!("refundry_store_lost_commits_total").increment(1);
        let unknown = TxFailure::Final(StoreError::OutcomeUnknown);
        let Some((tenant, id)) = marker else { return Err(unknown) };
        let select = Query::<()>::new("SELECT 1 FROM events WHERE scope = $1 AND id = $2");
        match self.all(select.with(tenant).with(id.bytes())).await {
            Ok(rows) if !rows.is_empty() => Ok(()),
            Ok(_) | Err(_) => Err(unknown),
        }
    }
}

/// Begins the transaction and loads the rows that the batch names; a second round loads the rows
/// that those refer to.
pub(super) async fn load(session: &mut Session<'_>, wanted: &RowKeys) -> Result<View, TxFailure> {
    let mut view = View::default();
    let mut wants = load_all(wanted);
    let mut begin = true;
    while begin || !wants.is_empty() {
        let (what, statements): (Vec<_>, Vec<_>) = wants.into_iter().unzip();
        let first = begin.then_some(Step::Begin);
        let skip = usize::from(begin);
        let steps: Vec<_> =
            first.into_iter().chain(statements.into_iter().map(Step::Run)).collect();
        let replies = session.run(&steps).await?;
        let mut found = Vec::with_capacity(replies.len());
        for reply in replies {
            found.push(reply.map_err(classify)?);
        }
        for (what, rows) in what.into_iter().zip(found.into_iter().skip(skip)) {
            put(&mut view, what, &rows).map_err(TxFailure::Final)?;
        }
        wants = if begin { further(wanted, &view) } else { Vec::new() };
        begin = false;
    }
    Ok(view)
}

/// Runs the last steps of a transaction and returns the rows of each. `Err(None)` means that the
/// transaction may have been committed.
pub(super) async fn commit(
    mut session: Session<'_>,
    steps: &[Step<'_>],
) -> Result<Vec<Vec<Row>>, Option<TxFailure>> {
    if session.is_closed() {
        // The server closed the connection before anything was sent.
        let gone = StoreError::Away("the connection was closed within a transaction".into());
        return Err(Some(TxFailure::Away(gone)));
    }
    let Ok(replies) = session.run(steps).await else { return Err(None) };
    let mut rows = Vec::with_capacity(replies.len());
    for reply in replies {
        match reply {
            Ok(found) => rows.push(found),
            Err(error) if may_have_committed(&error) => return Err(None),
            Err(error) => return Err(Some(classify(error))),
        }
    }
    Ok(rows)
}
