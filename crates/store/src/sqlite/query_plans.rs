//! Every list is read off the index that is meant for it, and its statement is prepared once.

use super::SqliteStore;
use super::codec::all;
use crate::queries::backlog::COUNT_BACKLOG;
use crate::queries::query_plans::tenant;
use crate::queries::query_plans::{Case, KEY, cases};
use crate::queries::{Dialect, PageQuery, Query, SortOrder, deliveries, events};
use rusqlite::{Connection, StatementStatus, params_from_iter};

/// The plan that the database makes for a page.
fn plan(case: &Case, page: PageQuery, connection: &Connection) -> rusqlite::Result<String> {
    let query = case.explained(Dialect::Sqlite, page, "EXPLAIN QUERY PLAN");
    let mut explain = connection.prepare(&query.sql)?;
    let lines = explain.query_map(params_from_iter(&query.args), |row| row.get(3))?;
    Ok(lines.collect::<Result<Vec<String>, _>>()?.join("; "))
}

fn check(case: &Case, page: PageQuery, plan: &str) {
    let about = || format!("{} {page:?}: {plan}", case.list);
    if case.index == "refunds_by_payment" {
        // A chain is walked from its newest refund on. Oldest first, the database sorts it.
        let turned = page.order == SortOrder::Ascending;
        assert_eq!(plan.contains("TEMP B-TREE"), turned, "{}", about());
        assert!(!plan.replace("SCAN c", "").contains("SCAN "), "{}", about());
        return;
    }
    let index = if case.index == KEY { "PRIMARY KEY" } else { case.index };
    assert!(plan.contains(&format!("{index} (scope=?")), "{} instead of {index}", about());
    assert!(!plan.contains("SCAN "), "{}", about());
    assert!(case.sorts || !plan.contains("TEMP B-TREE"), "{}", about());
}

#[tokio::test]
async fn every_list_is_read_off_its_index() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(&folder.path().join("refundry.db")).expect("a database");
    let checked = store.read(|connection| {
        let mut checked = 0;
        for case in cases() {
            for page in case.pages() {
                let plan = plan(&case, page, connection).expect("a plan");
                check(&case, page, &plan);
                checked += 1;
            }
        }
        Ok(checked)
    });
    assert!(checked.await.expect("plans") > 300);
}

#[tokio::test]
async fn every_list_is_prepared_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(&folder.path().join("refundry.db")).expect("a database");
    let checked = store.read(|connection| {
        let mut checked = 0;
        for case in cases() {
            for page in case.pages() {
                let queries = [page, PageQuery { limit: page.limit + 1, ..page }]
                    .map(|page| case.explained(Dialect::Sqlite, page, ""));
                for query in &queries {
                    all(connection, query)?;
                }
                let select = connection.prepare_cached(&queries[0].sql)?;
                let status = [StatementStatus::Run, StatementStatus::RePrepare]
                    .map(|status| select.reset_status(status));
                assert_eq!(status, [2, 0], "{} {page:?}: runs, preparations anew", case.list);
                checked += 1;
            }
        }
        Ok(checked)
    });
    assert!(checked.await.expect("lists") > 300);
}

#[tokio::test]
async fn events_and_bodies_of_due_deliveries_are_found_by_their_keys() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(&folder.path().join("refundry.db")).expect("a database");
    let explain = "EXPLAIN QUERY PLAN";
    let among = events::among(Dialect::Sqlite, tenant(), vec![[1; 16]]).explained(explain);
    let bodies = deliveries::bodies(Dialect::Sqlite, vec![1]).explained(explain);
    let plans = store.read(move |connection| {
        let plan = |query: &Query<()>| -> rusqlite::Result<String> {
            let mut explain = connection.prepare(&query.sql)?;
            let lines = explain.query_map(params_from_iter(&query.args), |row| row.get(3))?;
            Ok(lines.collect::<Result<Vec<String>, _>>()?.join("; "))
        };
        Ok((plan(&among)?, plan(&bodies)?))
    });
    let (events, bodies) = plans.await.expect("plans");
    assert!(events.contains("SEARCH e USING PRIMARY KEY (scope=? AND id=?)"), "{events}");
    assert!(bodies.contains("SEARCH delivery_bodies USING INTEGER PRIMARY KEY"), "{bodies}");
}

#[tokio::test]
async fn what_waits_is_counted_along_indexes() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(&folder.path().join("refundry.db")).expect("a database");
    let plan = store.read(|connection| {
        let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {COUNT_BACKLOG}"))?;
        let lines = explain.query_map([1, 1], |row| row.get::<_, String>(3))?;
        Ok(lines.collect::<Result<Vec<_>, _>>()?.join("\n"))
    });
    let plan = plan.await.expect("a plan");
    let reads = |line: &&str| line.starts_with("SCAN ") || line.starts_with("SEARCH ");
    let lines: Vec<&str> = plan.lines().filter(reads).collect();
    for index in ["refunds_due", "refunds_in_doubt", "refunds_for_attention", "deliveries_due"] {
        assert!(lines.iter().any(|line| line.contains(index)), "{plan}");
    }
    let mut tables = lines.iter().filter(|line| !line.contains("ROW") && !line.contains("lanes"));
    let is_temporary =
        |line: &str| [" a", " b", " c", " d", " e"].iter().any(|name| line.ends_with(name));
    let along_an_index =
        |line: &&str| line.contains("COVERING INDEX") || is_temporary(line) || line.ends_with(" l");
    assert!(tables.all(along_an_index), "{plan}");
}
