//! The commands of the binary.

use crate::harness::{Demo, run};
use serde_json::json;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_resumes_a_used_folder_with_the_same_keys() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Demo::start(folder.path(), &[]).await;
    let first = demo.ready_file.clone();
    let payment = first["payments"][0]["id"].as_str().unwrap();
    let body = json!({"sourceType": "payment", "sourceId": payment, "amount": 100});
    let refund = demo.post("/api/v1/refunds", &body).await.data()["id"].clone();
    demo.wait_until_decided(Duration::from_secs(20)).await;
    assert!(demo.stop().await);
    demo.restart().await;
    assert_eq!(demo.ready_file, first);
    let path = format!("/api/v1/refunds/{}", refund.as_str().unwrap());
    assert_eq!(demo.get(&path).await.data()["status"], "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_made_listed_and_revoked_and_a_revoked_key_stops_working() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path(), &[]).await;
    let (code, text) = demo.run(&["keys", "create", "--scopes", "refund:read", "--name", "reader"]);
    assert_eq!(code, 0, "{text}");
    let field = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).expect("the field");
        line.split_whitespace().last().expect("a value").to_owned()
    };
    let (key_id, bearer) = (field("key id"), field("bearer"));
    let auth = format!("Bearer {bearer}");
    let read = async |path: &str| {
        demo.try_send("GET", path, &[("authorization", &auth)], Vec::new()).await.unwrap().status
    };
    assert_eq!(read("/api/v1/refunds").await, 200);
    assert_eq!(read("/api/v1/payments").await, 403);

    let (code, listed) = demo.run(&["keys", "list"]);
    assert_eq!(code, 0);
    assert!(listed.contains(&key_id) && !listed.contains(&bearer), "{listed}");
    let (code, text) = demo.run(&["keys", "revoke", &key_id]);
    assert_eq!(code, 0, "{text}");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(read("/api/v1/refunds").await, 401);
    let (code, text) = demo.run(&["keys", "revoke", &key_id]);
    assert_eq!(code, 2, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_taken_while_the_server_runs_verifies() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path(), &[]).await;
    let payment = demo.pay("backup", 1_000_000).await;
    for _ in 0..50 {
        let body = json!({"sourceType": "payment", "sourceId": payment, "amount": 10});
        assert_eq!(demo.post("/api/v1/refunds", &body).await.status, 201);
    }
    let copy = folder.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    let file = copy.join("refundry.db");
    let (code, text) = demo.run(&["backup", file.to_str().unwrap()]);
    assert_eq!(code, 0, "{text}");
    let (code, text) = run(&["verify"], &copy);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("50 refunds"), "{text}");
    let (code, text) = demo.run(&["backup", file.to_str().unwrap()]);
    assert_eq!(code, 2, "an existing file is not overwritten: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_queued_in_a_backup_and_paid_since_is_not_paid_again_after_a_restore() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Demo::start(folder.path(), &[("REFUNDRY_DISPATCH", "off")]).await;
    let payment = demo.pay("ch_restored", 5_000).await;
    let body = json!({"sourceType": "payment", "sourceId": payment, "amount": 100});
    let queued = demo.post("/api/v1/refunds", &body).await.data()["id"].clone();
    let copy = folder.path().join("copy.db");
    let (code, text) = demo.run(&["backup", copy.to_str().unwrap()]);
    assert_eq!(code, 0, "{text}");
    assert!(demo.stop().await);
    demo.restart_with(&[("REFUNDRY_DISPATCH", "on")]).await;
    let limit = Duration::from_secs(20);
    demo.wait_until_decided(limit).await;
    let book = async |demo: &Demo| demo.get("/simulator/payments/ch_restored").await.json;
    assert_eq!(book(&demo).await["refunds"][0]["calls"], 1);

    // The steps of docs/operations.md.
    assert!(demo.stop().await);
    std::fs::rename(&copy, folder.path().join("refundry.db")).unwrap();
    for file in ["refundry.db-wal", "refundry.db-shm"] {
        let _ = std::fs::remove_file(folder.path().join(file));
    }
    let (code, text) = demo.run(&["verify"]);
    assert_eq!(code, 0, "{text}");
    demo.restart().await;
    demo.wait_until_decided(limit).await;
    let found = demo.get(&format!("/api/v1/refunds/{}", queued.as_str().unwrap())).await;
    assert_eq!(found.data()["status"], "succeeded", "{}", found.json);
    let book = book(&demo).await;
    assert_eq!(book["refunds"][0]["calls"], 2, "{book}");
    assert_eq!(book["payouts"].as_array().map(Vec::len), Some(1), "{book}");
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_says_what_differs_and_exits_1() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Demo::start(folder.path(), &[]).await;
    let payment = demo.pay("tampered", 5_000).await;
    assert!(demo.stop().await);
    let db = rusqlite::Connection::open(folder.path().join("refundry.db")).unwrap();
    db.execute("UPDATE payments SET refunded = 7 WHERE provider_payment_id = 'tampered'", [])
        .unwrap();
    drop(db);
    let (code, text) = demo.run(&["verify"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains(payment.trim_start_matches("pay_")) && text.contains("7/0/0"), "{text}");
}

#[test]
fn doctor_tells_the_rules_of_the_providers_that_the_server_calls_and_opens_none() {
    let folder = tempfile::tempdir().unwrap();
    let (code, text) = run(&["doctor"], folder.path());
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("warning  providers      none is configured"), "{text}");
    let file = folder.path().join("refundry.toml");
    std::fs::write(&file, "[simulator]\nenabled = true\n").unwrap();
    let (code, text) = run(&["doctor", "--config", file.to_str().unwrap()], folder.path());
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("ok       providers      simulator;"), "{text}");
    let block = text.split("\nsimulator\n").nth(1).expect("a block");
    for line in
        ["  sent again     a second call under a key", "  look-up        a refund is found by"]
    {
        assert!(block.contains(line), "{text}");
    }
    assert!(!text.contains("\nmanual\n"), "{text}");
    assert!(!folder.path().join("simulator.db").exists());
}

#[test]
fn doctor_finds_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let (code, text) = run(&["doctor"], folder.path());
    assert_eq!(code, 0, "{text}");
    std::fs::write(folder.path().join("master.key"), "not a key").unwrap();
    std::fs::write(folder.path().join("refundry.db"), "not a database").unwrap();
    let (code, text) = run(&["doctor"], folder.path());
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("wrong    master key") && text.contains("wrong    database"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_key_that_is_missing_beside_a_database_is_asked_for_and_never_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Demo::start(folder.path(), &[]).await;
    let (key, elsewhere) = (folder.path().join("master.key"), folder.path().join("key.saved"));
    assert!(demo.stop().await);
    std::fs::rename(&key, &elsewhere).unwrap();
    for args in [&["keys", "list"][..], &["serve", "--listen", "127.0.0.1:0"], &["demo"]] {
        let (code, text) = demo.run(args);
        assert_eq!(code, 2, "{args:?}: {text}");
        let named = key.display().to_string();
        assert!(text.contains(&named) && text.contains("is missing"), "{args:?}: {text}");
        assert!(text.contains("REFUNDRY_MASTER_KEY"), "{args:?}: {text}");
        assert!(!key.exists(), "{args:?}");
    }
    let (code, text) = demo.run(&["doctor"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("wrong    master key"), "{text}");
    // Commands that unseal nothing do without it.
    let (code, text) = demo.run(&["verify"]);
    assert_eq!(code, 0, "{text}");
    std::fs::rename(&elsewhere, &key).unwrap();
    demo.restart().await;
    assert_eq!(demo.get("/api/v1/refunds").await.status, 200);
}

#[test]
fn the_first_start_makes_the_master_key_before_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let (key, database) = (folder.path().join("master.key"), folder.path().join("refundry.db"));
    // A start that ended before anything was written into the database.
    std::fs::write(&database, "").unwrap();
    let (code, text) = run(&["keys", "list"], folder.path());
    assert_eq!(code, 0, "{text}");
    let made = std::fs::read_to_string(&key).unwrap();
    std::fs::remove_file(&database).unwrap();
    let (code, text) = run(&["keys", "list"], folder.path());
    assert_eq!(code, 0, "{text}");
    assert_eq!(std::fs::read_to_string(&key).unwrap(), made, "a key that is there stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_exits_0_only_when_the_server_answers() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Demo::start(folder.path(), &[]).await;
    for address in ["127.0.0.1", "0.0.0.0"] {
        let (code, text) = demo.run(&["health", "--listen", &format!("{address}:{}", demo.port)]);
        assert_eq!(code, 0, "{text}");
    }
    // A stopped process still accepts connections and does not answer.
    let pid = demo.pid().to_string();
    let stopped = std::process::Command::new("kill").args(["-STOP", &pid]).status().unwrap();
    assert!(stopped.success());
    let (code, text) = demo.run(&["health", "--listen", &format!("127.0.0.1:{}", demo.port)]);
    assert_eq!(code, 1, "{text}");
    demo.kill();
    let (code, text) = demo.run(&["health", "--listen", &format!("127.0.0.1:{}", demo.port)]);
    assert_eq!(code, 1, "{text}");
}

#[test]
fn a_wrong_setting_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("refundry.toml");
    std::fs::write(&file, "listen = \"127.0.0.1:0\"\nlease = 5\n").unwrap();
    let (code, text) = run(&["serve", "--config", file.to_str().unwrap()], folder.path());
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("lease"), "{text}");
}
