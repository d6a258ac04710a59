//! Checks the bodies of webhooks against the `webhooks` of the OpenAPI document.

use super::receiver::{Answer, Receiver};
use crate::harness::{CONTRACTS, Demo, eventually};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

/// Types that the test must have received. All other bodies are checked against the document as
/// well.
const EXPECTED: &[&str] = &[
    "checkout_session.canceled",
    "checkout_session.completed",
    "checkout_session.created",
    "checkout_session.deleted",
    "invoice.created",
    "invoice.finalized",
    "invoice.paid",
    "invoice.sent",
    "invoice.voided",
    "payment.hold_booked",
    "payment.hold_placed",
    "payment.hold_released",
    "payment.partially_refunded",
    "payment.refunded",
    "plugipay.checkout_session.completed.v1",
    "plugipay.invoice.created.v1",
    "plugipay.invoice.finalized.v1",
    "plugipay.invoice.paid.v1",
    "plugipay.invoice.sent.v1",
    "plugipay.invoice.voided.v1",
    "plugipay.refund.failed.v1",
    "plugipay.refund.issued.v1",
    "plugipay.refund.succeeded.v1",
    "plugipay.webhook_endpoint.disabled.v1",
    "refund.created",
    "refund.failed",
    "refund.submitted",
    "refund.succeeded",
    "webhook_endpoint.disabled",
];

async fn made(demo: &Demo, path: &str, body: &Value) -> String {
    let reply = demo.post(path, body).await;
    reply.data()["id"].as_str().expect("an id").to_owned()
}

async fn invoice(demo: &Demo) -> String {
    let lines = json!([{"description": "Socks", "quantity": 2, "unitAmount": 500}]);
    made(demo, "/api/v1/invoices", &json!({"customerId": "c", "currency": "USD", "lines": lines}))
        .await
}

async fn session(demo: &Demo) -> String {
    let body = json!({"amount": 900, "currency": "USD", "methods": ["card"],
        "successUrl": "https://shop.example/ok", "cancelUrl": "https://shop.example/no"});
    made(demo, "/api/v1/checkout-sessions", &body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_webhook_matches_the_document() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path(), &[]).await;
    let receiver = Receiver::start().await;
    receiver.answers(|one| Answer::status(if one.path == "/gone" { 410 } else { 204 }));
    for (path, format) in [("/r", "refundry"), ("/p", "plugipay"), ("/gone", "refundry")] {
        let body = json!({"url": receiver.url(path), "format": format});
        demo.post("/api/v1/webhooks", &body).await.data();
    }
    let (part, whole) = (demo.pay("ch_part", 10_000).await, demo.pay("ch_whole", 10_000).await);
    for body in [
        json!({"chargeId": part, "amount": 100}),
        json!({"chargeId": part, "amount": 50, "metadata": {"simulate": "refuse"}}),
        json!({"chargeId": part, "amount": 60, "metadata": {"simulate": "succeed_after:50"}}),
        json!({"chargeId": whole}),
    ] {
        demo.post("/api/v1/refunds", &body).await.data();
    }
    let holds = format!("/api/v1/payments/{}/holds", demo.pay("ch_disputed", 10_000).await);
    for end in ["release", "book"] {
        let hold = made(&demo, &holds, &json!({"amount": 70, "reason": "chargeback"})).await;
        demo.post(&format!("{holds}/{hold}/{end}"), &json!({})).await.data();
    }
    let paid = session(&demo).await;
    let charge = format!("/api/v1/public/checkout/sessions/{paid}/charge");
    demo.post(&charge, &json!({"method": "card"})).await.data();
    let gone = session(&demo).await;
    demo.post(&format!("/api/v1/checkout-sessions/{gone}/cancel"), &json!({})).await.data();
    let removed = session(&demo).await;
    let auth = format!("Bearer {}", demo.bearer());
    let path = format!("/api/v1/checkout-sessions/{removed}");
    let reply = demo.try_send("DELETE", &path, &[("authorization", &auth)], Vec::new()).await;
    assert_eq!(reply.expect("an answer").status, 204);
    for acts in [vec!["finalize", "send", "pay"], vec!["void"]] {
        let id = invoice(&demo).await;
        for act in acts {
            demo.post(&format!("/api/v1/invoices/{id}/{act}"), &json!({})).await.data();
        }
    }
    let refund = demo.list("/api/v1/refunds").await[0]["id"].clone();
    let trigger = json!({"type": "refund.canceled", "aggregateId": refund, "data": {"why": "try"}});
    demo.post("/api/v1/events/trigger", &trigger).await.data();

    let arrived =
        || receiver.all().iter().map(super::receiver::Received::kind).collect::<BTreeSet<_>>();
    let missing = || EXPECTED.iter().filter(|name| !arrived().contains(**name)).collect::<Vec<_>>();
    let start = std::time::Instant::now();
    eventually("every event", LIMIT, async || {
        let missing = missing();
        assert!(start.elapsed() < LIMIT / 2, "not received: {missing:?}");
        missing.is_empty().then_some(())
    })
    .await;
    for one in receiver.all() {
        // The first document describes the webhooks of the native door.
        CONTRACTS[0].check_webhook(one.text().as_bytes());
    }
    assert!(arrived().contains("refund.canceled"), "the triggered one");
}
