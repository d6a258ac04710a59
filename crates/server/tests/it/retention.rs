//! A running server deletes old events and deliveries, and the timeline says so.

use crate::harness::{Demo, eventually, run};
use serde_json::{Value, json};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

const SETTINGS: &[(&str, &str)] =
    &[("REFUNDRY_RETENTION__EVENTS_DAYS", "30"), ("REFUNDRY_RETENTION__DELIVERIES_DAYS", "10")];

/// Moves everything in the database to September 2020. The random part of each id stays.
const AGE: &str = "
    UPDATE events SET id = CAST(x'0174af800000' || substr(id, 7) AS BLOB);
    UPDATE deliveries SET id = CAST(x'0174af800000' || substr(id, 7) AS BLOB),
        event = CAST(x'0174af800000' || substr(event, 7) AS BLOB), updated_at = 1600000000000;
    UPDATE delivery_attempts SET delivery = CAST(x'0174af800000' || substr(delivery, 7) AS BLOB);
    UPDATE refunds SET updated_at = 1600000000000;";

async fn timeline(demo: &Demo, refund: &Value) -> Value {
    let path = format!("/api/v1/refunds/{}/timeline", refund["id"].as_str().unwrap());
    let reply = demo.get(&path).await;
    assert_eq!(reply.status, 200, "{}", reply.json);
    reply.json
}

#[tokio::test(flavor = "multi_thread")]
async fn old_events_and_deliveries_are_deleted_and_the_timeline_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Demo::start(folder.path(), SETTINGS).await;
    // No receiver listens at this URL, so the delivery stays pending until the test ends it below.
    let hook = json!({"url": "http://127.0.0.1:1/hook", "events": ["refund.created"]});
    assert_eq!(demo.post("/api/v1/webhooks", &hook).await.status, 201);
    demo.pay("ch_old", 10_000).await;
    let body = json!({"chargeId": "ch_old", "amount": 700});
    let old = demo.post("/api/v1/refunds", &body).await.data().clone();
    demo.wait_until_decided(LIMIT).await;
    let shown = timeline(&demo, &old).await;
    assert_eq!(shown["meta"]["pruned"], Value::Null);
    let events = shown["data"].as_array().unwrap().len();
    assert!(demo.stop().await);
    let db = rusqlite::Connection::open(folder.path().join("refundry.db")).unwrap();
    db.execute_batch(AGE).unwrap();
    drop(db);

    demo.restart().await;
    // The events of payments are deleted. Those of the refund stay, since one has a pending
    // delivery.
    eventually("events to be deleted", LIMIT, async || {
        demo.list("/api/v1/events?type=payment.created").await.is_empty().then_some(())
    })
    .await;
    let young = demo.post("/api/v1/refunds", &body).await.data().clone();
    demo.wait_until_decided(LIMIT).await;
    assert_eq!(timeline(&demo, &old).await["data"].as_array().unwrap().len(), events);
    assert!(demo.stop().await);
    let db = rusqlite::Connection::open(folder.path().join("refundry.db")).unwrap();
    let give_up = "UPDATE deliveries SET status = 3, next_at = NULL, updated_at = 1600000000000
                   WHERE substr(id, 1, 6) = x'0174af800000'";
    assert_eq!(db.execute(give_up, []).unwrap(), 1);
    drop(db);

    demo.restart().await;
    let gone = eventually("the events of the refund to be deleted", LIMIT, async || {
        let now = timeline(&demo, &old).await;
        now["data"].as_array().unwrap().is_empty().then_some(now)
    })
    .await;
    let pruned = &gone["meta"]["pruned"];
    assert_eq!((&pruned["events"], &pruned["status"]), (&json!(events), &json!("succeeded")));
    assert_eq!(pruned["createdAt"], old["createdAt"]);
    assert_eq!(timeline(&demo, &young).await["meta"]["pruned"], Value::Null);
    let deliveries = demo.list("/api/v1/webhooks/deliveries").await;
    assert_eq!(deliveries.len(), 1, "the delivery of the new refund: {deliveries:?}");
    // The refund, its money and its idempotency key stay.
    let path = format!("/api/v1/refunds/{}", old["id"].as_str().unwrap());
    assert_eq!(demo.get(&path).await.data()["status"], "succeeded");

    let known = timeline(&demo, &young).await["data"][0]["eventId"].clone();
    let id = shown["data"][0]["eventId"].as_str().unwrap();
    assert_eq!(demo.get(&format!("/api/v1/events/{id}")).await.status, 404);
    let again = json!({"eventIds": [known, id]});
    let refused = demo.post("/api/v1/events/replay", &again).await;
    assert_eq!(refused.status, 404);
    let message = refused.json["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("1 of 2 events") && message.contains(id), "{message}");

    assert!(demo.stop().await);
    let (code, text) = demo.run(&["verify"]);
    assert_eq!(code, 0, "{text}");
    let db = rusqlite::Connection::open(folder.path().join("refundry.db")).unwrap();
    db.execute("DELETE FROM events WHERE refund IS NOT NULL AND seq = 1", []).unwrap();
    drop(db);
    let (code, text) = demo.run(&["verify"]);
    assert!(code == 1 && text.contains("last event"), "{text}");
}

#[test]
fn contradictory_settings_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("refundry.toml");
    for (settings, said) in [
        (
            "events_days = 30",
            "deliveries_days must be from 1 to retention.events_days, which is 30",
        ),
        ("events_days = 30\ndeliveries_days = 0", "from 1 to retention.events_days"),
        ("deliveries_days = 36501", "deliveries_days must be at most 36500, or 0 for ever"),
        ("events_days = -1", "retention.events_days"),
        ("weeks = 2", "weeks"),
    ] {
        std::fs::write(&file, format!("[retention]\n{settings}\n")).unwrap();
        let (code, text) = run(&["serve", "--config", file.to_str().unwrap()], folder.path());
        assert!(code == 2 && text.contains(said), "{settings}: {code} {text}");
    }
}
