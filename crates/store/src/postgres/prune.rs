//! Deletes old events and deliveries, on any number of nodes at once.
//!
//! Rows that another transaction has locked are skipped. A replay locks its events until it
//! commits. Pruning waits for that lock first, so that it sees the deliveries of the replay.

use super::PostgresStore;
use super::error_class::{RetryBudget, TxFailure, classify};
use super::session::Step;
use crate::StoreError;
use crate::queries::{OTHER, Passed, Query, THINGS, is_told, of_kind, others};
use domain::tenant::Tenant;
use domain::time::Timestamp;

const FORGET_DELIVERIES: &str = "WITH old AS (SELECT id, body FROM deliveries WHERE scope = $1 \
     AND id = ANY ($2) AND status <> 1 AND updated_at < $3 ORDER BY id FOR UPDATE SKIP LOCKED), \
     texts AS (DELETE FROM delivery_bodies b USING old WHERE b.no = old.body), \
     log AS (DELETE FROM delivery_attempts a USING old WHERE a.scope = $1 AND a.delivery = old.id) \
     DELETE FROM deliveries d USING old WHERE d.scope = $1 AND d.id = old.id RETURNING 1";

/// Waits until no other transaction has locked these events.
fn wait_for(tenant: Tenant, column: &str, ids: Vec<[u8; 16]>) -> Step<'static> {
    let sql = format!(
        "SELECT 1 FROM events WHERE scope = $1 AND {column} = ANY ($2) ORDER BY id FOR UPDATE"
    );
    Step::Run(Query::<()>::new(sql).with(tenant).with(ids).into())
}

pub(super) fn forget_deliveries(tenant: Tenant, passed: &[Passed], before: Timestamp) -> Query<()> {
    let old: Vec<_> = passed.iter().map(|(id, _)| id.to_bytes()).collect();
    Query::new(FORGET_DELIVERIES).with(tenant).with(old).with(before)
}

/// A wait and a deletion for each kind of subject, in one transaction.
pub(super) fn forget_events(
    tenant: Tenant,
    passed: &[Passed],
    before: Timestamp,
) -> Vec<Step<'static>> {
    let mut steps = vec![Step::Begin];
    for (kind, (table, column, is_finished)) in THINGS.iter().enumerate() {
        let things = of_kind(passed, kind);
        if things.is_empty() {
            continue;
        }
        let sql = format!(
            "WITH old AS (SELECT t.id FROM {table} t WHERE t.scope = $1 AND t.id = ANY ($2) \
             AND t.updated_at < $3 AND {is_finished} AND {} \
             ORDER BY t.id FOR UPDATE OF t SKIP LOCKED), \
             noted AS (UPDATE {table} t SET pruned = t.last_seq FROM old \
             WHERE t.scope = $1 AND t.id = old.id) \
             DELETE FROM events e USING old WHERE e.scope = $1 AND e.{column} = old.id RETURNING 1",
            is_told("t.id")
        );
        steps.push(wait_for(tenant, column, things.clone()));
        let delete = Query::<()>::new(sql).with(tenant).with(things).with(before);
        steps.push(Step::Run(delete.into()));
    }
    let rest: Vec<_> = others(passed).map(|id| id.to_bytes()).collect();
    if !rest.is_empty() {
        let sql = format!(
            "DELETE FROM events t WHERE t.scope = $1 AND t.id = ANY ($2) AND {} RETURNING 1",
            is_told(OTHER)
        );
        steps.push(wait_for(tenant, "id", rest.clone()));
        steps.push(Step::Run(Query::<()>::new(sql).with(tenant).with(rest).into()));
    }
    steps.push(Step::Commit);
    steps
}

impl PostgresStore {
    pub(crate) async fn forget_events(
        &self,
        tenant: Tenant,
        passed: Vec<Passed>,
        before: Timestamp,
    ) -> Result<usize, StoreError> {
        let steps = forget_events(tenant, &passed, before);
        let mut budget = RetryBudget::new();
        loop {
            match self.try_forget(&steps).await {
                Ok(removed) => return Ok(removed),
                Err(failure) => budget.again(failure, self.draw()).await?,
            }
        }
    }

    pub(crate) async fn forget_deliveries(
        &self,
        tenant: Tenant,
        passed: Vec<Passed>,
        before: Timestamp,
    ) -> Result<usize, StoreError> {
        Ok(self.write(forget_deliveries(tenant, &passed, before)).await?.len())
    }

    /// The number of deleted rows. A repeated deletion does no harm, so a lost answer is not looked
    /// into.
    async fn try_forget(&self, steps: &[Step<'_>]) -> Result<usize, TxFailure> {
        let mut session = self.session(&self.writes).await?;
        let mut removed = 0;
        for (at, reply) in session.run(steps).await?.into_iter().enumerate() {
            let rows = reply.map_err(classify)?.len();
            // Behind `BEGIN`, waits and deletions alternate.
            removed += if at > 0 && at % 2 == 0 { rows } else { 0 };
        }
        Ok(removed)
    }
}
