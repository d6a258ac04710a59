//! Deletes old events and deliveries, on any number of nodes at once.
//!
//! Rows that another transaction has locked are skipped. A replay locks its events until it
//! commits. Pruning waits for that lock first, so that it sees the deliveries of the replay.

use super::PostgresStore;
use super::error_class::{RetryBudget, TxFailure, classify};
use super::reads::number;
use super::session::Step;
use super::statement::{Statement, ulid};
use super::value::{Id, Value};
use crate::StoreError;
use crate::queries::{
    Mark, OTHER, Passed, Pruned, THINGS, first_at, is_told, next_scope, of_kind, others,
    read_passed, walk_page,
};
use crate::tables::Cells as _;
use domain::account::Tenant;
use domain::time::Timestamp;
use ulid::Ulid;

const FORGET_DELIVERIES: &str = "WITH old AS (SELECT id, body FROM deliveries WHERE scope = $1 \
     AND id = ANY ($2) AND status <> 1 AND updated_at < $3 ORDER BY id FOR UPDATE SKIP LOCKED), \
     texts AS (DELETE FROM delivery_bodies b USING old WHERE b.no = old.body), \
     log AS (DELETE FROM delivery_attempts a USING old WHERE a.scope = $1 AND a.delivery = old.id) \
     DELETE FROM deliveries d USING old WHERE d.scope = $1 AND d.id = old.id RETURNING 1";

fn ids(ids: impl IntoIterator<Item = [u8; 16]>) -> Value<'static> {
    Value::Ids(ids.into_iter().map(|id| Some(Id(id))).collect())
}

/// Waits until no other transaction has locked these events.
fn wait_for(tenant: Tenant, column: &str, ids: Value<'static>) -> Step<'static> {
    let sql = format!(
        "SELECT 1 FROM events WHERE scope = $1 AND {column} = ANY ($2) ORDER BY id FOR UPDATE"
    );
    Step::Run(Statement::new(sql, vec![number(tenant.code()), ids]))
}

pub(super) fn forget_deliveries(
    tenant: Tenant,
    passed: &[Passed],
    before: Timestamp,
) -> Statement<'static> {
    let old = ids(passed.iter().map(|(id, _)| id.to_bytes()));
    Statement::new(FORGET_DELIVERIES, vec![number(tenant.code()), old, number(before.0)])
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
        let values = vec![number(tenant.code()), ids(things.clone()), number(before.0)];
        steps.push(wait_for(tenant, column, ids(things)));
        steps.push(Step::Run(Statement::new(sql, values)));
    }
    let rest: Vec<_> = others(passed).map(|id| id.to_bytes()).collect();
    if !rest.is_empty() {
        let sql = format!(
            "DELETE FROM events t WHERE t.scope = $1 AND t.id = ANY ($2) AND {} RETURNING 1",
            is_told(OTHER)
        );
        steps.push(wait_for(tenant, "id", ids(rest.clone())));
        let values = vec![number(tenant.code()), ids(rest)];
        steps.push(Step::Run(Statement::new(sql, values)));
    }
    steps.push(Step::Commit);
    steps
}

impl PostgresStore {
    pub(crate) async fn prune_events(
        &self,
        before: Timestamp,
        after: Mark,
        limit: u32,
    ) -> Result<Pruned, StoreError> {
        let walked = self.walk("events", "refund, checkout, invoice", (before, after, limit));
        let Some((tenant, passed, after)) = walked.await? else {
            return Ok(Pruned { removed: 0, after: None });
        };
        let steps = forget_events(tenant, &passed, before);
        let mut budget = RetryBudget::new();
        let removed = loop {
            match self.try_forget(&steps).await {
                Ok(removed) => break removed,
                Err(failure) => budget.again(failure, self.draw()).await?,
            }
        };
        Ok(Pruned { removed, after })
    }

    pub(crate) async fn prune_deliveries(
        &self,
        before: Timestamp,
        after: Mark,
        limit: u32,
    ) -> Result<Pruned, StoreError> {
        let walked =
            self.walk("deliveries", "NULL::uuid, NULL::uuid, NULL::uuid", (before, after, limit));
        let Some((tenant, passed, after)) = walked.await? else {
            return Ok(Pruned { removed: 0, after: None });
        };
        let removed = self.write(forget_deliveries(tenant, &passed, before)).await?.len();
        Ok(Pruned { removed, after })
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

    async fn tenant_behind(&self, table: &str, code: i64) -> Result<Option<Tenant>, StoreError> {
        self.one(next_scope(table), vec![number(code)], |c| c.tenant()).await
    }

    /// The next rows of one tenant that were made before a time, and where the walk continues.
    async fn walk(
        &self,
        table: &str,
        of: &str,
        (before, after, limit): (Timestamp, Mark, u32),
    ) -> Result<Option<(Tenant, Vec<Passed>, Mark)>, StoreError> {
        let start = match after {
            Some(place) => Some(place),
            None => self.tenant_behind(table, -1).await?.map(|tenant| (tenant, Ulid::nil())),
        };
        let Some((tenant, behind)) = start else { return Ok(None) };
        let values =
            vec![number(tenant.code()), ulid(behind), ulid(first_at(before)), number(limit.into())];
        let page = Statement::new(walk_page(table, of), values);
        let passed = self.list(page, |c| read_passed(c)).await?;
        let full = u32::try_from(passed.len()) == Ok(limit);
        let after = match passed.last() {
            Some((id, _)) if full => Some((tenant, *id)),
            Some(_) | None => {
                let next = self.tenant_behind(table, tenant.code()).await?;
                next.map(|tenant| (tenant, Ulid::nil()))
            }
        };
        Ok(Some((tenant, passed, after)))
    }
}
