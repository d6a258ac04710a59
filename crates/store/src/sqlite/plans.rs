//! No list is read off anything but its index.

use super::SqliteStore;
use super::reads::{Query, refunds_query};
use crate::lists::{
    checkouts_query, deliveries_query, events_query, invoices_query, payments_query, postings_query,
};
use crate::plans::{Case, KEY, List, cases, pages, scope};
use crate::query::{Order, PageQuery};

fn query(list: &List, page: PageQuery) -> Query {
    match list {
        List::Payments => payments_query(scope(), page),
        List::Refunds(filter) => refunds_query(scope(), *filter, page),
        List::Events(filter) => events_query(scope(), *filter, page),
        List::Postings(filter) => postings_query(scope(), *filter, page),
        List::Deliveries(filter) => deliveries_query(scope(), filter, page),
        List::Checkouts(filter) => checkouts_query(scope(), filter, page),
        List::Invoices(filter) => invoices_query(scope(), filter, page),
    }
}

fn check(case: &Case, page: PageQuery, plan: &str) {
    let about = || format!("{:?} {page:?}: {plan}", case.list);
    if case.index == "refunds_by_payment" {
        // A chain, walked from its newest refund on. Oldest first, it is turned around.
        let turned = page.order == Order::Ascending;
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
            for page in pages(!matches!(case.list, List::Invoices(_))) {
                let plan = query(&case.list, page).plan(connection).expect("a plan");
                check(&case, page, &plan);
                checked += 1;
            }
        }
        Ok(checked)
    });
    assert!(checked.await.expect("plans") > 300);
}

#[tokio::test]
async fn what_waits_is_counted_along_indexes() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = SqliteStore::open(&folder.path().join("refundry.db")).expect("a database");
    let plan = store.read(|connection| {
        let mut explain =
            connection.prepare(&format!("EXPLAIN QUERY PLAN {}", crate::backlog::COUNT))?;
        let lines = explain.query_map([1, 1], |row| row.get::<_, String>(3))?;
        Ok(lines.collect::<Result<Vec<_>, _>>()?.join("\n"))
    });
    let plan = plan.await.expect("a plan");
    let rows = |line: &&str| line.contains("refunds") || line.contains("deliveries");
    let lines: Vec<&str> = plan.lines().filter(rows).collect();
    assert_eq!(lines.len(), 4, "{plan}");
    for (line, index) in
        lines.iter().zip(["refunds_due", "refunds_in_doubt", "refunds_in_doubt", "deliveries_due"])
    {
        assert!(line.contains(&format!("COVERING INDEX {index}")), "{plan}");
    }
}
