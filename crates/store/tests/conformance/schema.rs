//! Both databases have the same schema and reach it by the same versions.

use crate::world::{NOW, World, usd};
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};
use store::{PostgresStore, SqliteStore, Store, StoreError};
use testkit::postgres::{BlockingSession, cluster};
use tokio_postgres::NoTls;

/// Tables, their columns, and whether a column is a number, a text or bytes.
type Schema = BTreeMap<String, BTreeSet<(String, &'static str)>>;

fn of_sqlite(connection: &Connection) -> Schema {
    let mut schema = Schema::new();
    let sql = "SELECT t.name, c.name, c.type FROM sqlite_schema t, pragma_table_info(t.name) c \
               WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' AND t.name <> ?1";
    let mut select = connection.prepare(sql).expect("a query");
    let mut rows = select.query([HISTORY]).expect("rows");
    while let Some(row) = rows.next().expect("a row") {
        let (table, column, kind): (String, String, String) =
            (row.get(0).expect("text"), row.get(1).expect("text"), row.get(2).expect("text"));
        let kind = match kind.as_str() {
            "INTEGER" => "number",
            "TEXT" => "text",
            "BLOB" => "bytes",
            other => panic!("{table}.{column} is of type {other}"),
        };
        schema.entry(table).or_default().insert((column, kind));
    }
    schema
}

async fn of_postgres(url: &str) -> Schema {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a connection");
    tokio::spawn(connection);
    let sql = "SELECT table_name::text, column_name::text, data_type::text \
               FROM information_schema.columns \
               WHERE table_schema = 'public' AND table_name <> $1";
    let mut schema = Schema::new();
    for row in client.query(sql, &[&HISTORY]).await.expect("rows") {
        let (table, column, kind): (String, String, String) = (row.get(0), row.get(1), row.get(2));
        let kind = match kind.as_str() {
            "bigint" | "integer" | "smallint" => "number",
            "text" => "text",
            "bytea" | "uuid" => "bytes",
            other => panic!("{table}.{column} is of type {other}"),
        };
        schema.entry(table).or_default().insert((column, kind));
    }
    schema
}

/// The table in which the migrations store their history.
const HISTORY: &str = "refinery_schema_history";

#[tokio::test]
async fn both_databases_have_the_same_tables_and_columns() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("refundry.db");
    drop(SqliteStore::open(&file).expect("a database"));
    let mut sqlite = of_sqlite(&Connection::open(&file).expect("it opens"));
    let mut postgres = of_postgres(&cluster().database().await).await;
    // Two differences: a total has parts where several nodes add to it, and the refunds of a
    // payment are a chain where an index by payment would be slow.
    let only = |schema: &mut Schema, table: &str, column: &str, kind| {
        assert!(schema.get_mut(table).expect("a table").remove(&(column.to_owned(), kind)));
    };
    only(&mut postgres, "totals", "part", "number");
    only(&mut sqlite, "payments", "last_refund", "bytes");
    only(&mut sqlite, "refunds", "previous", "bytes");
    assert_eq!(sqlite, postgres);
}

#[tokio::test]
async fn every_earlier_version_is_brought_up_to_date() {
    let whole = of_postgres(&cluster().database().await).await;
    let newest = newest_version();
    for version in 1..=newest {
        let url = cluster().empty_database().await;
        let early = PostgresStore::attach(&url).expect("an address");
        early.migrate(Some(version)).await.expect("an early version");
        let session = BlockingSession::connect(&url);
        let rows = EARLY_ROWS.replace("x'0189", "'0189").replace("x'", "'\\x");
        session.run(&rows);
        let store = PostgresStore::open(&url).await.expect("the version of today");
        assert!(store.verify().await.expect("a verification").differences.is_empty());
        assert_eq!(of_postgres(&url).await, whole, "from version {version}");
        check_early_rows(&store.into()).await;
    }
}

#[tokio::test]
async fn every_earlier_version_of_a_file_is_brought_up_to_date() {
    let folder = tempfile::tempdir().expect("a folder");
    let newest = folder.path().join("newest.db");
    drop(SqliteStore::open(&newest).expect("a database"));
    let whole = of_sqlite(&Connection::open(&newest).expect("it opens"));
    for version in 1..=newest_version() {
        let file = folder.path().join(format!("from-{version}.db"));
        let early = SqliteStore::migrate(&file, Some(version)).expect("an early version");
        early.execute_batch(EARLY_ROWS).expect("rows");
        drop(early);
        let store = SqliteStore::open(&file).expect("the version of today");
        assert!(store.verify().await.expect("a verification").differences.is_empty());
        let schema = of_sqlite(&Connection::open(&file).expect("it opens"));
        assert_eq!(schema, whole, "from version {version}");
        check_early_rows(&store.into()).await;
    }
}

/// Rows of the first version, as SQL of `SQLite`.
const EARLY_ROWS: &str = "\
    INSERT INTO accounts (no, id, name, created_at) \
    VALUES (1, x'01890a5d000000000000000000000001', 'Early', 5); \
    INSERT INTO api_keys (id, account, mode, platform, scopes, error_profile, name, bearer_hash, \
    secret_sealed, created_at) VALUES ('ak_test_1', 1, 1, 0, '*', 'node', 'mine', \
    x'0202020202020202020202020202020202020202020202020202020202020202', x'07', 5);";

async fn check_early_rows(store: &Store) {
    let found = store.find_api_key_by_bearer([2; 32]).await.expect("a read");
    let found = found.expect("it is still there");
    assert_eq!(
        (&*found.key.id, found.key.bearer_prefix, found.last_used_at),
        ("ak_test_1", None, None)
    );
    assert_eq!(&*store.list_accounts().await.expect("a read")[0].name, "Early");
}

fn newest_version() -> i32 {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/postgres");
    let files = std::fs::read_dir(folder).expect("migrations").count();
    i32::try_from(files).expect("a few")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_at_once_migrate_once() {
    let url = cluster().empty_database().await;
    let mut nodes = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let url = url.clone();
        nodes.spawn(async move { PostgresStore::open(&url).await.map(|_| ()) });
    }
    for opened in nodes.join_all().await {
        opened.expect("it opens");
    }
}

#[tokio::test]
async fn a_database_that_may_lose_what_it_acknowledged_is_refused() {
    let url = cluster().database().await;
    let session = BlockingSession::connect(&url);
    let name = url.split('/').next_back().and_then(|rest| rest.split('?').next());
    let name = name.expect("a name");
    session.run(&format!("ALTER DATABASE {name} SET synchronous_commit = off"));
    let Err(StoreError::Address(why)) = PostgresStore::open(&url).await else {
        panic!("it is worked with")
    };
    assert!(why.contains("synchronous_commit"), "{why}");
}

#[tokio::test]
async fn a_database_that_is_not_there_is_away() {
    let url = "postgres://nobody@127.0.0.1:1/nothing?sslmode=disable";
    let store = PostgresStore::attach(url).expect("an address");
    let away = store.next_due().await;
    assert!(matches!(away, Err(StoreError::Away(_))), "{away:?}");
    let opened = PostgresStore::open(url).await;
    assert!(matches!(opened, Err(StoreError::Away(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_die_are_replaced_and_nothing_is_lost() {
    let world = World::postgres().await;
    let payment = world.pay(1, 100_000).await.capture.id;
    let session = BlockingSession::connect(&world.url);
    let mut made = 0;
    for _ in 0..20 {
        session.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        );
        world.create(NOW, payment, 10).await;
        made += 10;
        let found = world.store.find_payment(world.tenant, payment).await.expect("a read");
        assert_eq!(found.expect("it exists").reserved, made);
    }
    assert_eq!(usd().as_str(), "USD");
    world.verify_clean().await;
}
