//! A disk that fails, and one that is full.

use crate::harness::{Demo, eventually};
use serde_json::json;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

/// The command line of the server that the test in another process becomes.
const BECOME: &str = "REFUNDRY_TEST_BECOME";

const TEST: &str = "disk::a_server_whose_disk_fails_ends_and_the_next_one_goes_on";

/// Becomes the server, with a disk on which no flush succeeds.
fn become_with_a_failing_disk(line: &str) {
    let mut words = line.split('\n');
    testkit::fail_every_flush();
    let error = Command::new(words.next().expect("a program")).args(words).exec();
    panic!("{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_disk_fails_ends_and_the_next_one_goes_on() {
    if let Ok(line) = std::env::var(BECOME) {
        return become_with_a_failing_disk(&line);
    }
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Demo::start(folder.path(), &[]).await;
    let this = std::env::current_exe().unwrap();
    let script = format!(
        "export {BECOME}=\"$(printf '%s\\n' \"$@\")\"; \
         exec '{}' --exact {TEST} --nocapture >/dev/null",
        this.display()
    );
    assert!(demo.stop().await);
    // A start that recovers something flushes it, and would fail at once.
    let file = rusqlite::Connection::open(folder.path().join("refundry.db")).unwrap();
    file.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(file);
    // The simulator has a file of its own, which it writes to when it starts.
    demo.command = "serve";
    demo.launcher = ["sh", "-c", &script, "sh"].map(str::to_owned).to_vec();
    demo.restart().await;
    let receiver = json!({"url": "https://example.com/hook", "format": "refundry"});
    let answer = demo.try_post("/api/v1/webhooks", Some("k"), &receiver).await;
    assert!(answer.is_none_or(|answer| answer.status == 503), "nothing is acknowledged");
    assert_eq!(demo.exit_code().await, Some(74));
    demo.command = "demo";
    demo.launcher.clear();
    demo.restart().await;
    let again = demo.try_post("/api/v1/webhooks", Some("k"), &receiver).await.unwrap();
    assert_eq!(again.status, 201);
    assert_eq!(demo.list("/api/v1/webhooks").await.len(), 1);
    assert!(demo.stop().await);
    let (code, text) = demo.run(&["verify"]);
    assert_eq!(code, 0, "{text}");
}

/// Largest file on the full disk, in the shell's blocks of 512 bytes.
const FULL: u32 = 4_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_disk_is_full_is_not_ready_and_loses_nothing_and_goes_on_with_more_space() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Demo::start(folder.path(), &[("REFUNDRY_DISPATCH", "off")]).await;
    let payment = demo.pay("ch_full", 1_000_000).await;
    assert!(demo.stop().await);
    // A write beyond the limit is an error instead of a signal.
    let limited = format!("trap '' XFSZ; ulimit -f {FULL}; exec \"$@\"");
    demo.launcher = ["sh", "-c", &limited, "sh"].map(str::to_owned).to_vec();
    demo.restart().await;
    let status = async |demo: &Demo, path| demo.get(path).await.status.as_u16();
    assert_eq!(status(&demo, "/readyz").await, 200);
    let refund = json!({"sourceType": "payment", "sourceId": payment, "amount": 1});
    let mut acknowledged = Vec::new();
    let refused = loop {
        let answer = demo.post("/api/v1/refunds", &refund).await;
        match answer.status.as_u16() {
            201 => acknowledged.push(answer.data()["id"].clone()),
            _ => break answer,
        }
        assert!(acknowledged.len() < 20_000, "the disk is not full");
    };
    assert_eq!(refused.status, 503, "{}", refused.json);
    assert_eq!(status(&demo, "/readyz").await, 503);
    // That counts for a second. A commit that is smaller than a refund may still fit, until they have
    // used up the rest.
    let not_ready = async || {
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        (status(&demo, "/readyz").await == 503).then_some(())
    };
    eventually("no commit to fit", Duration::from_secs(30), not_ready).await;
    assert_eq!(status(&demo, "/healthz").await, 200);
    let found = demo.list("/api/v1/refunds").await;
    let kept: Vec<_> = found.iter().map(|refund| refund["id"].clone()).collect();
    let by_time = |mut ids: Vec<serde_json::Value>| {
        ids.sort_by_key(ToString::to_string);
        ids
    };
    assert_eq!(by_time(kept), by_time(acknowledged.clone()), "stored and acknowledged");

    assert!(demo.stop().await, "it runs all the while");
    demo.launcher.clear();
    demo.restart_with(&[("REFUNDRY_DISPATCH", "on")]).await;
    assert_eq!(status(&demo, "/readyz").await, 200);
    demo.wait_until_decided(Duration::from_mins(1)).await;
    let found = demo.get(&format!("/api/v1/payments/{payment}")).await;
    assert_eq!(found.data()["amountRefunded"], acknowledged.len(), "{}", found.json);
    assert!(demo.stop().await);
    let (code, text) = demo.run(&["verify"]);
    assert_eq!(code, 0, "{text}");
}
