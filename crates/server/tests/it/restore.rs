//! The database is restored from before some refunds, while the provider has them. The steps are those of
//! `docs/operations.md`: nothing is sent until the books know what the provider has.

use crate::harness::Demo;
use crate::postgres::{envs_for, keep};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, SystemTime};
use testkit::postgres::cluster;

const LIMIT: Duration = Duration::from_secs(30);

/// Where the database is.
enum Place {
    Sqlite,
    Postgres { url: String },
}

/// A copy of the database.
enum Copy {
    File(std::path::PathBuf),
    Url(String),
}

impl Place {
    async fn back_up(&self, demo: &mut Demo) -> Copy {
        match self {
            Self::Sqlite => {
                let file = demo.data.join("backup.db");
                let (code, text) = demo.run(&["backup", file.to_str().unwrap()]);
                assert_eq!(code, 0, "{text}");
                Copy::File(file)
            }
            Self::Postgres { url } => {
                // Instead of `pg_dump`. The server lets nobody else use a database that it copies.
                assert!(demo.stop().await);
                let copy = cluster().copy_of(url).await;
                demo.restart().await;
                Copy::Url(copy)
            }
        }
    }
}

/// Puts the copy in the place of the database.
async fn restore(demo: &mut Demo, copy: Copy) {
    let mut envs = vec![
        ("REFUNDRY_SIMULATOR__ENABLED", "true"),
        ("REFUNDRY_SENDING", "stopped"),
        ("REFUNDRY_RECONCILE__EVERY", "0"),
    ];
    match copy {
        Copy::File(file) => {
            std::fs::rename(file, demo.data.join("refundry.db")).unwrap();
            for file in ["refundry.db-wal", "refundry.db-shm"] {
                let _ = std::fs::remove_file(demo.data.join(file));
            }
        }
        Copy::Url(url) => envs.extend(envs_for(url)),
    }
    demo.command = "serve";
    demo.restart_with(&envs).await;
}

async fn ask(demo: &Demo, payment: &str, amount: i64) -> crate::harness::Reply {
    let body = json!({"sourceType": "payment", "sourceId": payment, "amount": amount});
    demo.post("/api/v1/refunds", &body).await
}

/// The amounts that the provider paid out, smallest first.
async fn paid(demo: &Demo, charge: &str) -> Vec<i64> {
    let book = demo.get(&format!("/simulator/payments/{charge}")).await.json;
    let payouts = book["payouts"].as_array().cloned().unwrap_or_default();
    let mut paid: Vec<_> =
        payouts.iter().map(|payout: &Value| payout["amount"].as_i64().unwrap()).collect();
    paid.sort_unstable();
    paid
}

async fn nothing_is_paid_twice(folder: &Path, place: Place) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let since = (now.as_secs() - 60).to_string();
    let mut envs = match &place {
        Place::Sqlite => Vec::new(),
        Place::Postgres { url } => envs_for(url.clone()),
    };
    envs.push(("REFUNDRY_SIMULATOR__BOOK", keep(folder.join("book.db").display().to_string())));
    let mut demo = Demo::start(folder, &envs).await;
    let (whole, part) = (demo.pay("ch_whole", 10_000).await, demo.pay("ch_part", 10_000).await);
    let copy = place.back_up(&mut demo).await;
    for (payment, amount) in [(&whole, 10_000), (&part, 2_500)] {
        ask(&demo, payment, amount).await.data();
    }
    demo.wait_until_decided(LIMIT).await;
    demo.kill();
    restore(&mut demo, copy).await;

    // Intake goes on and nothing is sent, however much the books believe to be left.
    let (_, text) = demo.run(&["sending", "status"]);
    assert!(text.contains("stopped"), "{text}");
    let waits = ask(&demo, &part, 100).await.data()["id"].clone();

    let (code, text) = demo.run(&["reconcile", "--since", &since, "--provider", "simulator"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("2 booked") && text.contains("0 refunds in doubt"), "{text}");
    let (code, text) = demo.run(&["reconcile", "--since", &since]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("0 booked, 2 known already"), "{text}");

    assert!(ask(&demo, &whole, 1).await.status.is_client_error());
    assert!(ask(&demo, &part, 7_401).await.status.is_client_error());
    ask(&demo, &part, 7_400).await.data();
    let path = format!("/api/v1/refunds/{}", waits.as_str().unwrap());
    assert_eq!(demo.get(&path).await.data()["statusDetail"], "queued");
    assert_eq!(paid(&demo, "ch_part").await, [2_500]);

    let (code, text) = demo.run(&["sending", "start"]);
    assert_eq!(code, 0, "{text}");
    demo.wait_until_decided(LIMIT).await;
    assert_eq!(paid(&demo, "ch_whole").await, [10_000]);
    assert_eq!(paid(&demo, "ch_part").await, [100, 2_500, 7_400]);
    let (code, text) = demo.run(&["verify"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("4 refunds"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn refunds_since_the_backup_are_found_before_sending_starts() {
    let folder = tempfile::tempdir().unwrap();
    nothing_is_paid_twice(folder.path(), Place::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refunds_since_the_backup_are_found_before_sending_starts_on_postgres() {
    let folder = tempfile::tempdir().unwrap();
    let url = cluster().database().await;
    nothing_is_paid_twice(folder.path(), Place::Postgres { url }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_in_doubt_is_named_and_the_exit_code_is_1() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Demo::start(folder.path(), &[]).await;
    let payment = demo.pay("ch_doubt", 10_000).await;
    let body = json!({
        "sourceType": "payment", "sourceId": payment, "amount": 100,
        "metadata": {"simulate": "wrong_amount"},
    });
    let id = demo.post("/api/v1/refunds", &body).await.data()["id"].clone();
    let path = format!("/api/v1/refunds/{}", id.as_str().unwrap());
    crate::harness::eventually("a person is needed", LIMIT, async || {
        (demo.get(&path).await.data()["statusDetail"] == "needs_review").then_some(())
    })
    .await;
    assert!(demo.stop().await);
    let reconcile = |more: &[&str]| {
        let enabled = [("REFUNDRY_SIMULATOR__ENABLED", "true")];
        demo.run_with(&[&["reconcile", "--since", "2026-01-01"], more].concat(), &enabled)
    };
    let (code, text) = reconcile(&[]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains(&format!("in doubt: {}", id.as_str().unwrap())), "{text}");
    for (more, word) in [
        (["--provider", "simulatr"], "simulatr"),
        (["--until", "2025-12-31"], "--until is before --since"),
        (["--until", "soon"], "--until \"soon\" is no time"),
    ] {
        let (code, text) = reconcile(&more);
        assert_eq!(code, 2, "{text}");
        assert!(text.contains(word), "{text}");
    }
}
