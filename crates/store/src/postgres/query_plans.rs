//! Every list is read off its index, with enough rows that the planner has a choice.

use super::PostgresStore;
use super::prune::{forget_deliveries, forget_events};
use super::session::Step;
use super::statement::Statement;
use super::value::number;
use crate::queries::backlog::COUNT_BACKLOG;
use crate::queries::query_plans::{Case, KEY, ROWS, cases, nth, tenant};
use crate::queries::{Dialect, PageQuery, Query};
use crate::tables::Cells as _;
use domain::payment::Kind;
use domain::time::Timestamp;

/// Rows of every table. They alternate between two accounts: the `n`th row of a table is the `i`th
/// row of its account. Rare values are old, so that a walk in search of them would be long.
const FILL: &[&str] = &[
    "INSERT INTO payments (scope, id, kind, captured, currency, refunded, reserved, held, excess, \
     reversed, last_seq, updated_at, captured_at, provider, provider_payment_id) \
     SELECT {tenant}, {id}, 5, 100, 'USD', 0, 0, 0, 0, 0, 1, i, i, 'p', 'p' FROM {rows}",
    "INSERT INTO refunds (scope, id, payment, amount, currency, state, status, origin, late, \
     before_settlement, checks, last_seq, updated_at) SELECT {tenant}, {id}, {other}, 1, 'USD', \
     10, CASE WHEN i < 4000 THEN 1 + i % 4 ELSE 2 END, 1, 0, 0, 0, 1, i FROM {rows}",
    "INSERT INTO events (scope, id, type, payment, refund, state, seq) SELECT {tenant}, {id}, \
     CASE WHEN i < 4000 THEN 1 + i % 40 ELSE (ARRAY[1, 2, 3, 10, 11, 12, 16])[1 + i % 7] END, NULL, {id}, 10, 1 \
     FROM {rows}",
    "INSERT INTO postings (scope, id, reason, source_type, source, payment, amount, currency) \
     SELECT {tenant}, {id}, 1 + i % 3, 5 + i % 2, {other}, {other}, 1, 'USD' FROM {rows}",
    "INSERT INTO deliveries (scope, id, endpoint, event, subject, type, format, seq, status, \
     attempts, once, updated_at, body) SELECT {tenant}, {id}, (lpad(to_hex(1 + i % 3), 12, '0') || \
     repeat('0', 20))::uuid, {id}, {id}, 10 + i % 4, 1 + i % 4, 1, \
     CASE WHEN i < 4000 THEN 1 + i % 3 ELSE 2 END, 1, 0, i, n FROM {rows}",
    "INSERT INTO delivery_bodies (no, body) SELECT n, 'text' FROM {rows}",
    "INSERT INTO delivery_attempts (scope, delivery, number, attempted_at, duration_ms) \
     SELECT {tenant}, {id}, 1, i, 1 FROM {rows}",
    "INSERT INTO checkouts (scope, id, kind, amount, currency, state, flight, attempts, checks, \
     deleted, last_seq, updated_at, methods, lines, customer) SELECT {tenant}, {id}, \
     CASE WHEN i < 4000 THEN {kind} ELSE {kind} + 1 END, 1, 'USD', 1 + i % 2 * 3, 0, 0, 0, 0, 1, i, \
     '[]', '[]', (i % 1000)::text FROM {rows}",
    "INSERT INTO invoices (scope, id, number, currency, subtotal, discount, tax, total, state, \
     charged, attempts, last_seq, updated_at, issued_at, customer, lines, subscription) \
     SELECT {tenant}, {id}, n, 'USD', 1, 0, 0, 1, CASE WHEN i < 4000 THEN 1 + i % 6 ELSE 4 END, 0, 0, \
     1, i, i, (i % 1000)::text, '[]', (i % 1000)::text FROM {rows}",
    "INSERT INTO provider_accounts (scope, id, created_at, updated_at, version, last_seq, state, \
     provider, name, config, secrets_sealed) SELECT {tenant}, {id}, i, i, 1, 1, 1 + i % 2, 'p', 'n', \
     '{}', '' FROM {rows}",
    "ANALYZE",
];

const EXPLAIN: &str = "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF)";

async fn filled() -> PostgresStore {
    let url = testkit::postgres::cluster().database().await;
    let store = PostgresStore::attach(&url).expect("an address");
    for sql in FILL {
        let sql = sql
            .replace(
                "{rows}",
                &format!("(SELECT n, n / 2 AS i FROM generate_series(1, {ROWS}) AS s (n)) AS r"),
            )
            .replace("{id}", "(lpad(to_hex(n), 12, '0') || repeat('0', 20))::uuid")
            .replace("{other}", "(lpad(to_hex(2 + n % 3000), 12, '0') || repeat('0', 20))::uuid")
            .replace("{tenant}", &format!("{} + n % 2 * 8", tenant().code()))
            .replace("{kind}", &Kind::CheckoutSession.code().to_string());
        store.write(Query::<()>::new(sql)).await.expect("rows");
    }
    store
}

/// Rows that the busiest node of a plan read, including those that its filter removed. The planner
/// may sort a few matching rows instead of reading them in order.
fn touched(plan: &str) -> u64 {
    let after = |line: &str, what: &str| {
        let (_, text) = line.split_once(what)?;
        let digits = text.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse::<u64>().ok()
    };
    let line = |line: &str| {
        let rows = after(line, "actual rows=").unwrap_or(0) * after(line, "loops=").unwrap_or(1);
        rows + after(line, "Rows Removed by Filter: ").unwrap_or(0)
    };
    plan.lines().map(line).max().unwrap_or(0)
}

fn check(case: &Case, page: PageQuery, plan: &str) {
    let about = || format!("{} {page:?}:\n{plan}", case.list);
    assert!(!plan.contains("Seq Scan"), "{}", about());
    if case.seeks {
        let index = if case.index == KEY { "_pkey" } else { case.index };
        assert!(plan.contains(index), "{} instead of {index}", about());
        assert!(touched(plan) < ROWS / 20, "{}", about());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_list_is_read_off_its_index_and_so_is_what_is_forgotten() {
    let store = filled().await;
    let mut checked = 0;
    for case in cases() {
        for page in case.pages() {
            let explain = case.explained(Dialect::Postgres, page, EXPLAIN).into();
            let lines = store.list(explain, |c| c.required_text()).await.expect("a plan");
            check(&case, page, &lines.join("\n"));
            checked += 1;
        }
    }
    assert!(checked > 300, "{checked}");

    // A page of refunds, of checkouts, of invoices and of events of payments.
    let passed = |of: usize| {
        (1..=20).map(move |n| {
            let mut of_things = [None; 3];
            if let Some(thing) = of_things.get_mut(of) {
                *thing = Some(nth(n * 2).to_bytes());
            }
            (nth(n * 2), of_things)
        })
    };
    let passed: Vec<_> = (0..4).flat_map(passed).collect();
    let before = Timestamp(200);
    let mut statements = forget_events(tenant(), &passed, before);
    statements.push(Step::Run(forget_deliveries(tenant(), &passed[..20], before).into()));
    let mut explained = 0;
    for step in statements {
        let Step::Run(statement) = step else { continue };
        let explain = format!("EXPLAIN {}", statement.sql);
        let explain = Statement::new(explain, statement.values);
        let plan = store.list(explain, |c| c.required_text()).await.expect("a plan").join("\n");
        // There are no endpoints here, so reading them all is cheap.
        let plan = plan.replace("Seq Scan on webhook_endpoints", "");
        assert!(!plan.contains("Seq Scan"), "{plan}");
        explained += 1;
    }
    assert_eq!(explained, 9);

    let values = vec![number(1), number(1)];
    let explain = Statement::new(format!("EXPLAIN {COUNT_BACKLOG}"), values);
    let plan = store.list(explain, |c| c.required_text()).await.expect("a plan").join("\n");
    for index in ["refunds_due", "refunds_in_doubt", "refunds_for_attention", "deliveries_due"] {
        assert!(plan.contains(index) && !plan.contains("Seq Scan"), "{plan}");
    }
}

/// On an empty database the planner takes any plan for as good as any other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_list_joins_is_looked_up_row_by_row_whatever_the_planner_believes() {
    let url = testkit::postgres::cluster().database().await;
    let store = PostgresStore::attach(&url).expect("an address");
    let mut joins = 0;
    for case in cases() {
        for page in case.pages() {
            let explain = case.explained(Dialect::Postgres, page, EXPLAIN).into();
            let lines = store.list(explain, |c| c.required_text()).await.expect("a plan");
            let plan = lines.join("\n");
            assert!(!plan.contains("Join Filter"), "{} {page:?}:\n{plan}", case.list);
            joins += usize::from(plan.contains("Nested Loop"));
        }
    }
    assert!(joins > 100, "{joins}");
}
