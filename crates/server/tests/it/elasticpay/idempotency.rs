//! A request that is repeated under its key is carried out once.

use super::{INTENTS, demo, get, open, paid, problem, text};
use crate::harness::{Demo, Reply, eventually};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

async fn post(demo: &Demo, path: &str, key: &str, body: &Value) -> Reply {
    demo.try_post(&format!("{INTENTS}{path}"), Some(key), body).await.expect("an answer")
}

fn replayed(reply: &Reply) -> bool {
    reply.header("idempotent-replayed") == "true"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_gets_the_same_answer_and_a_different_one_is_refused() {
    let (_folder, demo) = demo(&[]).await;
    let body = json!({"amount": 5_000, "currency": "AUD"});
    let first = post(&demo, "", "make", &body).await;
    let again = post(&demo, "", "make", &body).await;
    assert!(!replayed(&first) && replayed(&again));
    assert_eq!(first.json, again.json);
    let conflict = "409 conflict idempotency_conflict Idempotency-Key";
    let other = json!({"amount": 5_001, "currency": "AUD"});
    assert_eq!(problem(&post(&demo, "", "make", &other).await), conflict);

    let intent = text(&first.json, "id").to_owned();
    let confirm = format!("/{intent}/confirm");
    let declined = json!({"payment_method": "pm_card_declined"});
    for round in 0..2 {
        let reply = post(&demo, &confirm, "confirm", &declined).await;
        assert_eq!((&reply.json["status"], replayed(&reply)), (&json!("failed"), round == 1));
    }
    let card = json!({"payment_method": "pm_card"});
    assert_eq!(problem(&post(&demo, &confirm, "confirm", &card).await), conflict);
    assert_eq!(post(&demo, &confirm, "confirm 2", &card).await.json["status"], "succeeded");
    assert_eq!(problem(&post(&demo, &confirm, "make", &card).await), conflict);

    let refunds = format!("/{intent}/refunds");
    let part = json!({"amount_cents": 2_000, "reason": "duplicate"});
    let first = post(&demo, &refunds, "refund", &part).await;
    let again = post(&demo, &refunds, "refund", &part).await;
    assert!(!replayed(&first) && replayed(&again));
    assert_eq!((&first.json["status"], &first.json), (&json!("succeeded"), &again.json));
    for other in
        [json!({"amount_cents": 2_001, "reason": "duplicate"}), json!({"amount_cents": 2_000})]
    {
        assert_eq!(problem(&post(&demo, &refunds, "refund", &other).await), conflict);
    }
    assert_eq!(problem(&post(&demo, &refunds, "make", &part).await), conflict);
    assert_eq!(get(&demo, &intent).await["amount_refunded"], 2_000);

    let open = open(&demo, 100, Value::Null).await;
    for round in 0..2 {
        let reply = post(&demo, &format!("/{open}/cancel"), "cancel", &json!({})).await;
        assert_eq!((&reply.json["status"], replayed(&reply)), (&json!("canceled"), round == 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_sent_concurrently_makes_one_refund() {
    let (_folder, demo) = demo(&[]).await;
    let intent = paid(&demo, 5_000, "succeed_after:300").await;
    let demo = Arc::new(demo);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (demo, path) = (demo.clone(), format!("/{intent}/refunds"));
        tasks.spawn(
            async move { post(&demo, &path, "one", &json!({"amount_cents": 700})).await.json },
        );
    }
    let answers = tasks.join_all().await;
    assert!(answers.iter().all(|answer| answer["status"] == "succeeded"), "{answers:?}");
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    assert_eq!(get(&demo, &intent).await["amount_refunded"], 700);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_under_way_is_not_carried_out_twice() {
    let (_folder, demo) = demo(&[("REFUNDRY_COMMIT_TIMEOUT_SECONDS", "1")]).await;
    let intent = paid(&demo, 5_000, "succeed").await;
    let path = format!("/{intent}/refunds");
    let body = json!({"amount_cents": 600});
    let held = demo.hold_payments();
    let late = post(&demo, &path, "slow", &body).await;
    assert_eq!(problem(&late), "503 server service_unavailable");
    let busy = post(&demo, &path, "slow", &body).await;
    assert_eq!(problem(&busy), "409 conflict idempotency_in_progress");
    assert_eq!(busy.header("retry-after"), "1");
    drop(held);
    let done = eventually("the answer", Duration::from_secs(10), async || {
        let reply = post(&demo, &path, "slow", &body).await;
        (reply.status == 200).then_some(reply)
    })
    .await;
    assert!(replayed(&done));
    assert_eq!(get(&demo, &intent).await["amount_refunded"], 600);
}
