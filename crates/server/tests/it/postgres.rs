//! The server on PostgreSQL: stateless nodes that share one database.

use crate::harness::{Demo, ON_POSTGRES, eventually, run};
use serde_json::json;
use std::time::Duration;
use testkit::postgres::{BlockingSession, cluster, database_of};

/// Leaks a text, so that it lives as long as the test process.
pub fn keep(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

const LIMIT: Duration = Duration::from_mins(1);
const MASTER_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// The settings with which a node uses the database.
pub fn envs_for(url: String) -> Vec<(&'static str, &'static str)> {
    vec![("REFUNDRY_DATABASE_URL", keep(url)), ("REFUNDRY_MASTER_KEY", MASTER_KEY)]
}

pub async fn envs() -> (String, Vec<(&'static str, &'static str)>) {
    let url = cluster().database().await;
    (url.clone(), envs_for(url))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_serve_one_database() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_, mut envs) = envs().await;
    envs.push(("REFUNDRY_SIMULATOR__BOOK", keep(folder.path().join("b.db").display().to_string())));
    let mut one = Demo::start(folder.path(), &envs).await;
    let two = one.join(other.path(), &[("REFUNDRY_DISPATCH", "off")]).await;
    let payment = one.pay("ch_1", 10_000).await;

    // A node that sends nothing accepts the refund, the other node sends it, and the first one sees
    // the outcome.
    let auth = format!("Bearer {}", two.bearer());
    let headers = [
        ("authorization", auth.as_str()),
        ("content-type", "application/json"),
        ("idempotency-key", "k1"),
        ("prefer", "wait=15"),
    ];
    let body = json!({"sourceType": "payment", "sourceId": payment, "amount": 2_500});
    let send = || two.try_send("POST", "/api/v1/refunds", &headers, body.to_string().into_bytes());
    let refund = send().await.expect("an answer");
    assert_eq!(refund.data()["status"], "succeeded", "{}", refund.json);
    let id = refund.data()["id"].as_str().expect("an id");
    assert_eq!(send().await.expect("an answer").data()["id"], id, "the idempotency key is known");

    let path = format!("/api/v1/refunds/{id}");
    assert_eq!(one.get(&path).await.data(), two.get(&path).await.data());
    let too_much = json!({"sourceType": "payment", "sourceId": payment, "amount": 7_501});
    assert!(one.post("/api/v1/refunds", &too_much).await.status.is_client_error());

    // The sending node is killed. The other node still accepts refunds and finishes those that the
    // provider has; new ones are sent when the first node is back.
    let late =
        json!({"chargeId": "ch_1", "amount": 700, "metadata": {"simulate": "succeed_after:900"}});
    one.post("/api/v1/refunds", &late).await.data();
    let book = "/simulator/payments/ch_1";
    eventually("the call", LIMIT, async || {
        (one.get(book).await.json["refunds"].as_array()?.len() == 2).then_some(())
    })
    .await;
    one.kill();
    two.wait_until_decided(LIMIT).await;
    let kept = json!({"sourceType": "payment", "sourceId": payment, "amount": 500});
    let waiting = two.post("/api/v1/refunds", &kept).await;
    assert_eq!(waiting.data()["status"], "pending");
    one.restart().await;
    two.wait_until_decided(LIMIT).await;
    let path = format!("/api/v1/refunds/{}", waiting.data()["id"].as_str().expect("an id"));
    assert_eq!(two.get(&path).await.data()["status"], "succeeded");

    let (code, text) = one.run(&["verify"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("3 refunds"), "{text}");
    let (code, text) = one.run(&["backup", "/tmp/never-made.db"]);
    assert_ne!(code, 0);
    assert!(text.contains("pg_dump"), "{text}");
    let (code, text) = one.run(&["doctor"]);
    assert_eq!(code, 0, "{text}");
    let (_, text) = one.run(&["keys", "list"]);
    assert!(text.contains("ak_test_"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_away_nothing_is_acknowledged_and_afterwards_requests_succeed() {
    let folder = tempfile::tempdir().unwrap();
    let (url, envs) = envs().await;
    let demo = Demo::start(folder.path(), &envs).await;
    let payment = demo.pay("ch_1", 10_000).await;
    let body = json!({"sourceType": "payment", "sourceId": payment, "amount": 100});

    let name = database_of(&url);
    let session = BlockingSession::connect(&cluster().url("postgres"));
    session.run(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"));
    let cut =
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    session.run(&cut);
    let away = demo.try_post("/api/v1/refunds", Some("k1"), &body).await.expect("an answer");
    assert_eq!(away.status, 503, "{}", away.json);
    assert!(!away.header("retry-after").is_empty());

    session.run(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true"));
    let back = demo.try_post("/api/v1/refunds", Some("k1"), &body).await.expect("an answer");
    assert!(back.status.is_success(), "{}", back.json);
    demo.wait_until_decided(LIMIT).await;
    assert_eq!(demo.list("/api/v1/refunds").await.len(), 1);
    let (code, text) = demo.run(&["verify"]);
    assert_eq!(code, 0, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn migrate_store_completes_after_it_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Demo::start(folder.path(), &[("REFUNDRY_MASTER_KEY", MASTER_KEY)]).await;
    let payment = demo.pay("ch_1", 10_000).await;
    let body = json!({"sourceType": "payment", "sourceId": payment, "amount": 100});
    let created = demo.try_post("/api/v1/refunds", Some("k1"), &body).await.expect("an answer");
    demo.wait_until_decided(LIMIT).await;
    assert!(demo.stop().await, "the server stops with exit code 0");

    let url = cluster().empty_database().await;
    let from = format!("sqlite:{}", folder.path().join("refundry.db").display());
    let arguments = ["migrate-store", "--from", &from, "--to", &url];
    let command = || {
        let mut command = std::process::Command::new(crate::harness::REFUNDRY);
        command.args(arguments);
        command
    };
    let finish = || {
        let done = command().output().unwrap();
        let text = [done.stdout, done.stderr].concat();
        (done.status.success(), String::from_utf8(text).unwrap())
    };
    for ms in [5, 30, 60, 90] {
        let mut copy = command().spawn().unwrap();
        tokio::time::sleep(Duration::from_millis(ms)).await;
        copy.kill().unwrap();
        copy.wait().unwrap();
    }
    let (done, text) = finish();
    let whole = done && text.contains("everything fits");
    // The last copy may have been complete before it was killed.
    assert!(whole || text.contains("not empty"), "{text}");
    let (done, text) = finish();
    assert!(!done && text.contains("not empty"), "{text}");

    let moved = tempfile::tempdir().unwrap();
    for file in ["demo.json", "simulator.db"] {
        std::fs::copy(folder.path().join(file), moved.path().join(file)).unwrap();
    }
    let demo = Demo::start(moved.path(), &envs_for(url)).await;
    let again = demo.try_post("/api/v1/refunds", Some("k1"), &body).await.expect("an answer");
    assert_eq!(again.data()["id"], created.data()["id"], "the idempotency key is known");
    assert_eq!(demo.list("/api/v1/refunds").await.len(), 1);
    let (code, text) = demo.run(&["verify"]);
    assert_eq!(code, 0, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_the_common_master_key_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let url = cluster().database().await;
    let config = folder.path().join("refundry.toml");
    std::fs::write(&config, format!("database_url = \"{url}\"\n")).unwrap();
    let config = config.display().to_string();
    let (code, text) = run(&["keys", "list", "--config", &config], folder.path());
    assert_ne!(code, 0);
    assert!(text.contains("REFUNDRY_MASTER_KEY"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_keeps_running_under_a_newer_schema_and_does_not_start_on_one() {
    let folder = tempfile::tempdir().unwrap();
    let (url, envs) = envs().await;
    let demo = Demo::start(folder.path(), &envs).await;
    let payment = demo.pay("ch_1", 10_000).await;
    let refund = async |amount: i64| {
        let body = json!({"sourceType": "payment", "sourceId": payment, "amount": amount});
        let created = demo.post("/api/v1/refunds", &body).await.data()["id"].clone();
        demo.wait_until_decided(LIMIT).await;
        let found = demo.get(&format!("/api/v1/refunds/{}", created.as_str().unwrap())).await;
        assert_eq!(found.data()["status"], "succeeded", "{}", found.json);
    };
    // Every statement is prepared on the node's connections before the schema changes.
    refund(100).await;
    let session = BlockingSession::connect(&url);
    for table in ["accounts", "api_keys", "payments", "refunds", "keys", "events", "postings"] {
        session.run(&format!("ALTER TABLE {table} ADD COLUMN later TEXT"));
    }
    session.run(
        "INSERT INTO refinery_schema_history \
         SELECT 99, 'later', applied_on, '1' FROM refinery_schema_history WHERE version = 1",
    );
    refund(200).await;
    assert_eq!(demo.list("/api/v1/refunds").await.len(), 2);
    let (code, text) = demo.run(&["doctor"]);
    assert_eq!(code, 1);
    assert!(text.contains("V99__later"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tests_of_the_elasticpay_and_yoco_doors_pass_on_postgresql() {
    let own = std::env::current_exe().unwrap();
    let tests = tokio::process::Command::new(own)
        .args(["elasticpay::", "yoco::", "--test-threads=4"])
        .env(ON_POSTGRES, "1")
        .kill_on_drop(true)
        .output();
    let done =
        tokio::time::timeout(Duration::from_mins(5), tests).await.expect("they end").unwrap();
    let text = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{text}");
    assert!(text.contains("test elasticpay::refunds::") && text.contains("test yoco::refunds::"));
}

#[tokio::test]
async fn the_sql_of_the_operations_page_runs() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operations.md");
    let page = std::fs::read_to_string(page).unwrap();
    let session = BlockingSession::connect(&cluster().database().await);
    let blocks: Vec<_> = page.split("```sql\n").skip(1).collect();
    assert!(blocks.len() > 1, "the page has {} blocks of SQL", blocks.len());
    for block in blocks {
        let block = block.split("```").next().unwrap();
        session.run(&format!("BEGIN; {block} ROLLBACK"));
    }
}
