//! Copying a file into a server, killed again and again.

use crate::behaviour::{deliveries, make_endpoint, record};
use crate::requests::{api_key, name, request};
use crate::retention::{LATER, cancel, prune_events};
use crate::world::{NOW, World};
use domain::administer::provider_account::Act;
use domain::decide::webhook::WebhookCommand;
use domain::decide::{Command, RecordOutcome, RefundRef};
use domain::ids::{NoticeId, PaymentId};
use domain::outcome::{Observation, ProviderOutcome, Said, Source};
use domain::provider::{AttentionAfter, Rules, Traits};
use domain::unique_keys::KeyHash;
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use store::{Copied, PostgresStore, ReconcileCursor, Report, Store, StoreError, UnmatchedNotice};
use testkit::postgres::{BlockingSession, cluster};
use tokio_postgres::NoTls;

/// Every row of every table as text, columns in the order of their names.
type Content = BTreeMap<String, Vec<String>>;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("text");
        text
    })
}

fn columns_of(connection: &Connection) -> BTreeMap<String, Vec<String>> {
    let sql = "SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c \
               WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' \
               AND t.name <> 'refinery_schema_history' ORDER BY t.name, c.name";
    let mut select = connection.prepare(sql).expect("a query");
    let mut rows = select.query([]).expect("rows");
    let mut columns = BTreeMap::<String, Vec<String>>::new();
    while let Some(row) = rows.next().expect("a row") {
        let table: String = row.get(0).expect("a name");
        columns.entry(table).or_default().push(row.get(1).expect("a name"));
    }
    // Only a file has the chains of refunds.
    for (table, column) in [("payments", "last_refund"), ("refunds", "previous")] {
        columns.get_mut(table).expect("a table").retain(|name| name != column);
    }
    columns
}

fn of_sqlite(file: &Path) -> Content {
    let connection = Connection::open(file).expect("it opens");
    let mut content = Content::new();
    for (table, columns) in columns_of(&connection) {
        let sql = format!("SELECT {} FROM {table}", columns.join(", "));
        let mut select = connection.prepare(&sql).expect("a query");
        let mut rows = select.query([]).expect("rows");
        let mut found = Vec::new();
        while let Some(row) = rows.next().expect("a row") {
            let cells = (0..columns.len()).map(|at| match row.get_ref(at).expect("a cell") {
                ValueRef::Null => "-".to_owned(),
                ValueRef::Integer(number) => number.to_string(),
                ValueRef::Text(text) => String::from_utf8(text.to_vec()).expect("text"),
                ValueRef::Blob(bytes) => hex(bytes),
                ValueRef::Real(_) => panic!("{table} has a fraction"),
            });
            found.push(cells.collect::<Vec<_>>().join("|"));
        }
        found.sort();
        content.insert(table, found);
    }
    content
}

async fn of_postgres(url: &str, columns: &BTreeMap<String, Vec<String>>) -> Content {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a connection");
    tokio::spawn(connection);
    let types = "SELECT column_name::text, udt_name::text FROM information_schema.columns \
                 WHERE table_schema = 'public' AND table_name = $1";
    let mut content = Content::new();
    for (table, columns) in columns {
        let known: BTreeMap<String, String> = client
            .query(types, &[table])
            .await
            .expect("columns")
            .iter()
            .map(|row| (row.get(0), row.get(1)))
            .collect();
        let cells = columns.iter().map(|column| match known[column].as_str() {
            "uuid" => format!("coalesce(replace({column}::text, '-', ''), '-')"),
            "bytea" => format!("coalesce(encode({column}, 'hex'), '-')"),
            _ => format!("coalesce({column}::text, '-')"),
        });
        let sql = format!("SELECT {} FROM {table}", cells.collect::<Vec<_>>().join(" || '|' || "));
        let rows = client.query(&sql, &[]).await.expect("rows");
        let mut found: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        found.sort();
        content.insert(table.clone(), found);
    }
    content
}

/// A file with rows in every table.
async fn full() -> World {
    let world = World::sqlite();
    world.account().await;
    // Prunes events, which a refund stores as a number.
    let payment = world.pay(99, 10_000).await.capture.id;
    let refund = world.create(NOW, payment, 1).await;
    cancel(&world, NOW, &refund).await;
    assert_eq!(prune_events(&world, LATER).await, 3);
    for number in 1..=5 {
        let name = Some(name(&world, number + 100, 1, NOW));
        world.store.create_api_key(api_key(number), [number + 100; 32], name).await.expect("a key");
        let new = request(&world, number, NOW);
        world.store.begin_request(new, NOW).await.expect("a request");
        let at = (world.tenant, new.hash, new.generation);
        world.store.keep_answer(at, 200, vec![number, 0]).await.expect("an answer");
    }
    send_twice(&world, payment).await;
    world.store.keep_notice(notice(&world)).await.expect("kept");
    world.store.begin_reconcile_cursor(cursor(&world)).await.expect("kept");
    world.run(NOW, crate::holds::place(&world, payment, 70, 200)).await;
    let endpoint = make_endpoint(&world).await;
    world.make_provider_account("one_psp").await;
    let deleted = world.make_provider_account("two_psp").await.id;
    world.act(NOW, deleted, Act::Delete).await.expect("it is not refused");
    world.throw(NOW, world.tenant, true).await;
    for number in 1..=9 {
        let payment = world.pay(number, 10_000).await.capture.id;
        world.run(NOW, world.checkout()).await;
        world.run(NOW, world.invoice()).await;
        for amount in 1..=3 {
            world.create(NOW.plus_ms(amount), payment, amount).await;
        }
    }
    for delivery in deliveries(&world).await.into_iter().filter(|d| d.next_at.is_some()).take(7) {
        let claim = WebhookCommand::Lease {
            delivery: delivery.id,
            seen_at: delivery.next_at.expect("it is due"),
            lease_until: NOW.plus_ms(30_000),
            body: Some("{\"text\":\"é\"}".into()),
        };
        world.run(NOW, Command::Webhook(world.tenant, Box::new(claim))).await;
        world.run(NOW, record(&world, delivery.id, endpoint)).await;
    }
    world.verify_clean().await;
    world
}

/// Sends a refund whose first call did not leave.
async fn send_twice(world: &World, payment: PaymentId) {
    let refund = world.create(NOW, payment, 1).await;
    let rules = Rules {
        traits: Traits::UNKNOWN,
        give_up_after_ms: 1_000,
        attention_after: AttentionAfter::default(),
    };
    for (lease, at) in [(1, NOW), (2, LATER)] {
        let until = at.plus_ms(1_000);
        let claimed = world.store.claim_refunds(refund.lane, at, until, 9).await.expect("a claim");
        assert_eq!(claimed.len(), 1);
        let of = RefundRef::from(&refund);
        world.run(at, Command::Lease { of, lease, lease_ms: 1_000, behind: None, rules }).await;
        let record = RecordOutcome {
            of,
            observation: Observation {
                source: Source::Submit,
                said: Said::new(ProviderOutcome::NeverSent),
            },
            name: None,
            recheck_at: LATER,
            lease: Some(lease),
            rules,
        };
        world.run(at, Command::Record(Box::new(record))).await;
    }
    let attempts = world.store.refund_attempts(world.tenant, refund.id).await.expect("a read");
    let [first] = &attempts[..] else { panic!("{attempts:?}") };
    assert_eq!((first.number, first.sent_at, first.answered_at), (1, NOW, Some(NOW)));
    assert_eq!(first.answer.as_deref(), Some("never_sent"));
}

fn cursor(world: &World) -> ReconcileCursor {
    ReconcileCursor {
        tenant: world.tenant,
        provider: "simulator".into(),
        provider_account: "".into(),
        since: NOW,
        page: Some("7.sre_1".into()),
        began_at: NOW,
        failures: 0,
        due_at: LATER,
    }
}

fn notice(world: &World) -> UnmatchedNotice {
    UnmatchedNotice {
        tenant: world.tenant,
        id: NoticeId::from_bytes([7; 16]),
        hash: KeyHash([8; 16]),
        provider: "simulator".into(),
        provider_account: "".into(),
        provider_payment_id: "ch_1".into(),
        reason: "payment_not_registered".into(),
        notice: "{}".into(),
        tries: 0,
        due_at: Some(NOW),
    }
}

/// Copies a few rows at a time and dies after some statements.
async fn copy(url: &str, file: &Path, dies_after: usize) -> Option<Result<Report, StoreError>> {
    let (dead, died) = tokio::sync::oneshot::channel();
    let mut dead = Some(dead);
    let steps = Arc::new(AtomicUsize::new(0));
    let progress = move |copied: Copied<'_>| {
        assert!(copied.rows <= copied.of, "{copied:?}");
        if steps.fetch_add(1, Ordering::SeqCst) == dies_after {
            let _ = dead.take().map(|dead| dead.send(()));
        }
    };
    tokio::select! {
        biased;
        Ok(()) = died => None,
        done = PostgresStore::copy_from(url, file, Some(4), progress) => Some(done),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_killed_again_and_again_is_whole_in_the_end() {
    let world = full().await;
    let file = world.file();
    let url = cluster().empty_database().await;
    let (mut kills, mut refused) = (0, 0);
    let report = loop {
        match copy(&url, &file, 17 + kills % 7).await {
            Some(done) => break done.expect("a copy"),
            None => kills += 1,
        }
        assert!(kills < 50, "it gets nowhere");
        // An incomplete copy cannot be used.
        let opened = PostgresStore::open(&url).await;
        refused += usize::from(matches!(opened, Err(StoreError::Address(_))));
    };
    assert!(kills >= 3 && refused == kills, "{kills} kills, refused {refused} times");
    assert_eq!((report.differences, report.refunds), (Vec::new(), 29));
    let (source, columns) =
        (of_sqlite(&file), columns_of(&Connection::open(&file).expect("it opens")));
    for (table, rows) in &source {
        assert!(!rows.is_empty(), "{table} is empty: it would prove nothing");
    }
    assert_eq!(of_postgres(&url, &columns).await, source);
    // The complete copy can be used: stored answers are known, and new rows get new numbers.
    let mut copied = world;
    copied.store = opened(&url).await;
    let twin = request(&copied, 1, NOW);
    let begun = copied.store.begin_request(twin, NOW).await.expect("a request");
    assert!(matches!(begun, store::IdempotentRequest::Answered { status: 200, .. }), "{begun:?}");
    let waiting = deliveries(&copied).await.into_iter().find(|d| d.next_at.is_some());
    let waiting = waiting.expect("one is due");
    let claim = WebhookCommand::Lease {
        delivery: waiting.id,
        seen_at: waiting.next_at.expect("it is due"),
        lease_until: NOW.plus_ms(30_000),
        body: Some("new".into()),
    };
    copied.run(NOW, Command::Webhook(copied.tenant, Box::new(claim))).await;
    copied.verify_clean().await;
    // A second copy does not overwrite it.
    let again = copy(&url, &file, usize::MAX).await.expect("it ends");
    let Err(StoreError::Address(why)) = again else { panic!("{again:?}") };
    assert!(why.contains("not empty"), "{why}");
}

async fn opened(url: &str) -> Store {
    PostgresStore::open(url).await.expect("it is whole").into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_is_not_mixed_from_two_states_of_the_file() {
    let world = full().await;
    let url = cluster().empty_database().await;
    assert!(copy(&url, &world.file(), 30).await.is_none(), "it dies");
    world.pay(77, 5).await;
    let again = copy(&url, &world.file(), usize::MAX).await.expect("it ends");
    let Err(StoreError::Address(why)) = again else { panic!("{again:?}") };
    assert!(why.contains("the file changed"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_is_missing_in_a_copy_is_noticed() {
    let world = full().await;
    let url = cluster().empty_database().await;
    assert!(copy(&url, &world.file(), 60).await.is_none(), "it dies");
    assert_eq!(
        BlockingSession::connect(&url).run("DELETE FROM payments WHERE captured = 10000"),
        10
    );
    let again = copy(&url, &world.file(), usize::MAX).await.expect("it ends");
    assert!(again.is_ok(), "an empty table is filled again: {again:?}");
    let url = cluster().empty_database().await;
    assert!(copy(&url, &world.file(), 60).await.is_none(), "it dies");
    let first = "DELETE FROM payments WHERE id = (SELECT id FROM payments ORDER BY id LIMIT 1)";
    assert_eq!(BlockingSession::connect(&url).run(first), 1);
    let again = copy(&url, &world.file(), usize::MAX).await.expect("it ends");
    let Err(StoreError::Inconsistent(why)) = again else { panic!("{again:?}") };
    assert!(why.contains("payments has 10 rows in the file and 9"), "{why}");
}
