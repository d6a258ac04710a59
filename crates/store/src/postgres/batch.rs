//! Batches: load, decide, save, in one transaction.

use super::PostgresStore;
use super::error_class::{RetryBudget, TxFailure, classify, may_have_committed};
use super::load::{Locks, further, load_all, put};
use super::save::save;
use super::session::{Session, Step};
use crate::queries::Query;
use crate::{Patience, StoreError};
use domain::ids::EventId;
use domain::tenant::Tenant;
use domain::view::{RowKeys, View};
use std::panic::{AssertUnwindSafe, catch_unwind};
use tokio_postgres::{Error, Row};

/// How long a batch waits for a row, milliseconds. Transactions of other nodes hold a row for as long
/// as a commit takes; one that holds it longer stands still.
const ROW_WAIT_MS: u32 = 500;

/// How long a batch that leaves out locked rows waits for what it could not leave out: a key that
/// another transaction is inserting, deliveries, a part of a total. Milliseconds.
const SAVE_WAIT_MS: u32 = 50;

/// Parts of a total. The schema bounds each part so that the sum of all parts fits.
const PARTS: u64 = 16;

impl PostgresStore {
    /// Runs a batch, see [`Store::run_batch`](crate::Store::run_batch).
    pub async fn run_batch<T: Send + 'static>(
        &self,
        wanted: RowKeys,
        decide: impl FnMut(&mut View) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run_with(wanted, Locks::Wait, decide).await
    }

    /// Runs a batch, see [`Store::run_batch_around`](crate::Store::run_batch_around).
    pub async fn run_batch_around<T: Send + 'static>(
        &self,
        patience: Patience,
        wanted: RowKeys,
        decide: impl FnMut(&mut View) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let locks = match patience {
            Patience::AMoment => Locks::WaitAMoment,
            Patience::None => Locks::Skip,
        };
        self.run_with(wanted, locks, decide).await
    }

    async fn run_with<T>(
        &self,
        wanted: RowKeys,
        mut locks: Locks,
        mut decide: impl FnMut(&mut View) -> T + Send,
    ) -> Result<T, StoreError> {
        let mut budget = RetryBudget::new();
        loop {
            match self.try_batch(&wanted, locks, &mut decide).await {
                Ok(answer) => {
                    self.note_batch();
                    return Ok(answer);
                }
                Err(TxFailure::Locked(_)) if locks == Locks::WaitAMoment => {
                    metrics::counter!("refundry_store_locked_batches_total").increment(1);
                    locks = Locks::Skip;
                }
                Err(failure) => budget.again(failure, self.draw()).await?,
            }
        }
    }

    async fn try_batch<T>(
        &self,
        wanted: &RowKeys,
        locks: Locks,
        decide: &mut (impl FnMut(&mut View) -> T + Send),
    ) -> Result<T, TxFailure> {
        let mut session = self.session(&self.writes).await?;
        let mut view = load(&mut session, wanted, locks).await?;
        // A failed assertion ends this transaction and nothing else.
        let answer = match catch_unwind(AssertUnwindSafe(|| decide(&mut view))) {
            Ok(answer) => answer,
            Err(panic) => {
                session.rollback().await;
                return Err(TxFailure::Final(StoreError::Inconsistent(crate::said(&*panic))));
            }
        };
        let part = i64::try_from(self.draw() % PARTS).unwrap_or_default();
        let mut steps = Vec::new();
        if locks == Locks::Skip {
            steps.push(Step::LockWait(SAVE_WAIT_MS));
        }
        steps.extend(save(&view, part).map_err(TxFailure::Final)?);
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
async fn load(
    session: &mut Session<'_>,
    wanted: &RowKeys,
    locks: Locks,
) -> Result<View, TxFailure> {
    let mut view = View::default();
    let mut wants = load_all(wanted, locks);
    let mut begin = match locks {
        Locks::WaitAMoment => vec![Step::Begin, Step::LockWait(ROW_WAIT_MS)],
        // A batch that leaves out locked rows can still wait for a locked table.
        Locks::Wait | Locks::Skip => vec![Step::Begin],
    };
    let mut is_first = true;
    while is_first || !wants.is_empty() {
        let (what, statements): (Vec<_>, Vec<_>) = wants.into_iter().unzip();
        let skip = begin.len();
        let steps: Vec<_> = begin.drain(..).chain(statements.into_iter().map(Step::Run)).collect();
        let replies = session.run(&steps).await?;
        let mut found = Vec::with_capacity(replies.len());
        for reply in replies {
            found.push(reply.map_err(|error| classify_load(error, locks))?);
        }
        for (what, rows) in what.into_iter().zip(found.into_iter().skip(skip)) {
            put(&mut view, what, &rows).map_err(TxFailure::Final)?;
        }
        wants = if is_first { further(wanted, &view, locks) } else { Vec::new() };
        is_first = false;
    }
    Ok(view)
}

/// Sorts an error of a load. Without locked rows it is a whole table that is locked, which stops every
/// batch.
fn classify_load(error: Error, locks: Locks) -> TxFailure {
    match classify(error) {
        TxFailure::Locked(error) if locks == Locks::Skip => {
            TxFailure::Final(StoreError::Away(format!("a table is locked: {error}")))
        }
        other => other,
    }
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
