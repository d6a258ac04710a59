//! Webhooks of a real server that is killed.

use super::api::{refund, send};
use super::receiver::{Answer, Received, Receiver};
use crate::harness::{Demo, eventually};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_between_the_call_and_its_record_the_same_webhook_is_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    // A lease lasts three times the timeout.
    let mut demo = Demo::start(folder.path(), &[("REFUNDRY_WEBHOOKS__TIMEOUT_SECONDS", "1")]).await;
    let receiver = Receiver::start().await;
    let first = Arc::new(AtomicBool::new(true));
    receiver.answers(move |_| {
        let hold = first.swap(false, Ordering::SeqCst);
        Answer::status(200).after(Duration::from_millis(if hold { 600 } else { 0 }))
    });
    let body =
        json!({"url": receiver.url("/"), "format": "refundry", "events": ["refund.created"]});
    send(&demo, "test", "POST", "/api/v1/webhooks", Some(&body)).await;
    refund(&demo, "ch_killed").await;
    eventually("the first call", LIMIT, async || (receiver.all().len() == 1).then_some(())).await;
    demo.kill();
    demo.restart().await;
    eventually("the second call", LIMIT, async || (receiver.all().len() == 2).then_some(())).await;
    let all = receiver.all();
    assert_eq!(all[0].body, all[1].body);
    assert_eq!(all[0].header("webhook-id"), all[1].header("webhook-id"));
    let listed = eventually("its record", LIMIT, async || {
        let listed = send(&demo, "test", "GET", "/api/v1/webhooks/deliveries", None).await;
        Some(listed.data()[0].clone()).filter(|one| one["status"] == "succeeded")
    })
    .await;
    assert_eq!(listed["attempts"], 1, "an attempt without a record does not count");
    assert_eq!(listed["body"].as_str(), Some(all[0].text()));
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_queued_while_sending_is_off_are_sent_later_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start().await;
    let off = [("REFUNDRY_WEBHOOKS__SEND", "off")];
    let mut demo = Demo::start(folder.path(), &off).await;
    let body = json!({"url": receiver.url("/"), "format": "refundry"});
    send(&demo, "test", "POST", "/api/v1/webhooks", Some(&body)).await;
    for n in 0..30 {
        refund(&demo, &format!("ch_{n}")).await;
    }
    demo.wait_until_decided(LIMIT).await;
    assert!(receiver.all().is_empty());
    assert!(demo.stop().await);
    drop(demo);
    let demo = Demo::start(folder.path(), &[]).await;
    eventually("the backlog", LIMIT, async || (receiver.all().len() >= 90).then_some(())).await;
    let all = receiver.all();
    assert_eq!(all.len(), 90);
    for refund in demo.list("/api/v1/refunds").await {
        let of = all.iter().filter(|one| one.subject() == refund["id"]).map(Received::kind);
        assert_eq!(of.collect::<Vec<_>>(), ["refund.created", "refund.succeeded"]);
    }
}
