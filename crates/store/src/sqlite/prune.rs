//! Deletes old events and deliveries, one page of rows at a time. Each page is one transaction.

use super::SqliteStore;
use super::trust::commit;
use crate::StoreError;
use crate::queries::{OTHER, Passed, THINGS, is_told, of_kind, others};
use domain::tenant::Tenant;
use domain::time::Timestamp;
use rusqlite::{Connection, TransactionBehavior, params};

const FORGET_DELIVERY: &str = "DELETE FROM deliveries WHERE scope = ?1 AND id = ?2 AND status <> 1 \
     AND updated_at < ?3 RETURNING body";

const FORGET_ATTEMPTS: &str = "DELETE FROM delivery_attempts WHERE scope = ?1 AND delivery = ?2";

const FORGET_BODY: &str = "DELETE FROM delivery_bodies WHERE no = ?1";

impl SqliteStore {
    pub(crate) async fn forget_events(
        &self,
        tenant: Tenant,
        passed: Vec<Passed>,
        before: Timestamp,
    ) -> Result<usize, StoreError> {
        self.writer.run(move |connection| forget_events(connection, tenant, &passed, before)).await
    }

    pub(crate) async fn forget_deliveries(
        &self,
        tenant: Tenant,
        passed: Vec<Passed>,
        before: Timestamp,
    ) -> Result<usize, StoreError> {
        let forget = move |connection: &mut Connection| {
            forget_deliveries(connection, tenant, &passed, before)
        };
        self.writer.run(forget).await
    }
}

/// Marks a finished subject as pruned; its events are deleted only if this changes its row.
fn note((table, _, is_finished): (&str, &str, &str)) -> String {
    format!(
        "UPDATE {table} AS t SET pruned = last_seq WHERE t.scope = ?1 AND t.id = ?2 \
         AND t.updated_at < ?3 AND {is_finished} AND {}",
        is_told("t.id")
    )
}

fn forget_of((_, column, _): (&str, &str, &str)) -> String {
    format!("DELETE FROM events WHERE scope = ?1 AND {column} = ?2")
}

fn forget_other() -> String {
    format!("DELETE FROM events AS t WHERE t.scope = ?1 AND t.id = ?2 AND {}", is_told(OTHER))
}

fn forget_events(
    connection: &mut Connection,
    tenant: Tenant,
    passed: &[Passed],
    before: Timestamp,
) -> Result<usize, StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut removed = 0;
    for (kind, thing) in THINGS.into_iter().enumerate() {
        let mut note = transaction.prepare_cached(&note(thing))?;
        let mut forget = transaction.prepare_cached(&forget_of(thing))?;
        for id in of_kind(passed, kind) {
            if note.execute(params![tenant.code(), id, before.0])? > 0 {
                removed += forget.execute(params![tenant.code(), id])?;
            }
        }
    }
    let mut forget = transaction.prepare_cached(&forget_other())?;
    for id in others(passed) {
        removed += forget.execute(params![tenant.code(), id.to_bytes()])?;
    }
    drop(forget);
    commit(transaction)?;
    Ok(removed)
}

fn forget_deliveries(
    connection: &mut Connection,
    tenant: Tenant,
    passed: &[Passed],
    before: Timestamp,
) -> Result<usize, StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut removed = 0;
    for (id, _) in passed {
        let id = id.to_bytes();
        let mut forget = transaction.prepare_cached(FORGET_DELIVERY)?;
        let mut rows = forget.query(params![tenant.code(), id, before.0])?;
        let Some(row) = rows.next()? else { continue };
        let body: Option<i64> = row.get(0)?;
        drop(rows);
        transaction.prepare_cached(FORGET_ATTEMPTS)?.execute(params![tenant.code(), id])?;
        transaction.prepare_cached(FORGET_BODY)?.execute([body])?;
        removed += 1;
    }
    commit(transaction)?;
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queries::{next_scope, walk_page};

    #[tokio::test]
    async fn what_is_forgotten_is_found_by_index() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(&folder.path().join("refundry.db")).expect("a database");
        let mut statements = vec![
            walk_page("events", "refund, checkout, invoice"),
            walk_page("deliveries", "NULL"),
            next_scope("events"),
            next_scope("deliveries"),
            forget_other(),
        ];
        statements.extend([FORGET_DELIVERY, FORGET_ATTEMPTS, FORGET_BODY].map(str::to_owned));
        statements.extend(THINGS.into_iter().flat_map(|thing| [note(thing), forget_of(thing)]));
        let checked = store.read(move |connection| {
            for sql in &statements {
                let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
                let values = vec![rusqlite::types::Null; explain.parameter_count()];
                let lines =
                    explain.query_map(rusqlite::params_from_iter(values), |row| row.get(3))?;
                let plan = lines.collect::<Result<Vec<String>, _>>()?.join("; ");
                assert!(plan.contains("SEARCH"), "{sql}: {plan}");
                assert!(!plan.contains("SCAN ") && !plan.contains("TEMP"), "{sql}: {plan}");
                assert!(!sql.contains(" d ") || plan.contains("deliveries_pending"), "{plan}");
            }
            Ok(statements.len())
        });
        assert_eq!(checked.await.expect("plans"), 14);
    }
}
