//! A database that was empty when a node started, and grows faster than its statistics.

use crate::world::{NOW, World};
use domain::decide::{Command, Done, RefundRef};
use domain::ids::PaymentId;
use store::{EventFilter, PageQuery, RefundFilter, SortOrder};
use testkit::postgres::BlockingSession;

/// Payments that are inserted at once.
const MANY: u128 = 3_000;

/// Refunds of a batch, and batches.
const BATCH: u128 = 50;
const BATCHES: usize = 10;

async fn look(world: &World, payment: PaymentId) {
    let page =
        PageQuery { limit: 20, after: None, order: SortOrder::Descending, from: None, until: None };
    for payment in [None, Some(payment)] {
        let filter = RefundFilter { payment, ..RefundFilter::default() };
        world.store.list_refunds(world.tenant, filter, page).await.expect("refunds");
    }
    world.store.list_events(world.tenant, EventFilter::default(), page).await.expect("events");
}

/// Creates a refund of each payment and cancels it.
async fn come_and_go(world: &World, payments: &[PaymentId]) {
    let create = payments.iter().map(|payment| world.refund(*payment, 1, None)).collect();
    let created = world.try_run(NOW, create).await.expect("a batch");
    let cancel = created.into_iter().map(|done| match done.expect("it is not refused") {
        Done::Refund { refund, .. } => {
            let of =
                RefundRef { tenant: refund.tenant, refund: refund.id, payment: refund.payment };
            Command::Cancel { of, key: None }
        }
        other => panic!("{other:?}"),
    });
    for done in world.try_run(NOW, cancel.collect()).await.expect("a batch") {
        done.expect("it is not refused");
    }
}

/// Copies of the only payment and of one of its refunds, with ids that follow from their numbers.
fn grow(session: &BlockingSession) -> Vec<PaymentId> {
    for table in ["payments", "refunds"] {
        let copied = session.run(&format!(
            "INSERT INTO {table} SELECT (jsonb_populate_record(t, jsonb_build_object('id', \
             lpad(to_hex(n), 32, '0')))).* FROM {table} AS t, generate_series(1, {MANY}) AS n \
             WHERE t.ctid = (SELECT ctid FROM {table} LIMIT 1)"
        ));
        assert_eq!(u128::from(copied), MANY);
    }
    (1..=MANY).map(|n| PaymentId::from_bytes(n.to_be_bytes())).collect()
}

/// Every statement is prepared and planned while there is one payment with a few refunds. The
/// tables are not analyzed afterwards, so the plans stay: they must suit a large database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_made_on_an_empty_database_serves_a_full_one() {
    // One connection that reads and one that writes.
    let url = testkit::postgres::cluster().database().await;
    let world = World::at(format!("{url}&pool_size=2")).await;
    let session = BlockingSession::connect(&url);
    for table in ["payments", "refunds", "events"] {
        session.run(&format!("ALTER TABLE {table} SET (autovacuum_enabled = off)"));
    }
    let payment = world.pay(1, 1_000_000).await;
    let live = async || {
        come_and_go(&world, &[payment.capture.id]).await;
        look(&world, payment.capture.id).await;
    };
    for _ in 0..16 {
        live().await;
    }
    testkit::eventually("the rows to be counted", async || {
        live().await;
        let counted = "SELECT 1 FROM pg_class WHERE relname = 'refunds' AND reltuples > 0";
        (session.run(counted) == 1).then_some(())
    })
    .await;
    for _ in 0..10 {
        live().await;
    }
    let payments = grow(&session);
    for batch in payments.chunks(usize::try_from(BATCH).expect("a size")).take(BATCHES) {
        come_and_go(&world, batch).await;
        look(&world, batch[0]).await;
    }
    // A server process reports its statistics when it ends.
    drop(world);
    let of_payments =
        "SELECT 1 FROM pg_stat_user_tables WHERE relname = 'payments' AND idx_tup_fetch";
    let by_payment = "SELECT 1 FROM pg_stat_user_indexes WHERE \
         indexrelname = 'refunds_by_payment' AND idx_tup_read";
    let read = |what: &str, more_than: u128| session.run(&format!("{what} > {more_than}")) == 1;
    // Each payment is loaded and changed twice.
    let least = BATCH * u128::try_from(BATCHES).expect("a number") * 4;
    let told = async || read(of_payments, least).then_some(());
    testkit::eventually("the counts of rows", told).await;
    // Each list reads some dozens of rows.
    assert!(!read(of_payments, least + MANY), "payments are read that nobody named");
    assert!(!read(by_payment, MANY), "refunds are looked for by their payment");
}
