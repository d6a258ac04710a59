//! One payment used through every door: all doors share one balance.

use crate::harness::{Demo, Reply};
use serde_json::{Value, json};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

const LIMIT: Duration = Duration::from_mins(1);
const INTENTS: &str = "/api/v1/payment_intents";

type Asked = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// How to create a refund through a door, and the door's error when too little is refundable.
struct Door {
    name: &'static str,
    refund: fn(Arc<Demo>, String, i64) -> Asked,
    refused: &'static str,
}

/// Every door. Each names the payment by the same ULID under a prefix of its own.
const DOORS: &[Door] = &[
    Door { name: "native", refund: native, refused: "422 over_refund" },
    Door { name: "elasticpay", refund: elasticpay, refused: "422 amount_too_large" },
    Door { name: "yoco", refund: yoco, refused: "400 amount_too_large" },
];

fn native(demo: Arc<Demo>, ulid: String, amount: i64) -> Asked {
    Box::pin(async move {
        let body = json!({"paymentId": format!("pay_{ulid}"), "amount": amount});
        demo.post("/api/v1/refunds", &body).await
    })
}

fn elasticpay(demo: Arc<Demo>, ulid: String, amount: i64) -> Asked {
    Box::pin(async move {
        let body = json!({"amount_cents": amount});
        demo.post(&format!("{INTENTS}/pi_{ulid}/refunds"), &body).await
    })
}

fn yoco(demo: Arc<Demo>, ulid: String, amount: i64) -> Asked {
    Box::pin(async move {
        let body = json!({"amount": amount});
        demo.post(&format!("/api/checkouts/ch_{ulid}/refund"), &body).await
    })
}

async fn demo() -> (tempfile::TempDir, Demo) {
    let folder = tempfile::tempdir().expect("a folder");
    let demo = Demo::start(folder.path(), &[]).await;
    (folder, demo)
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("{field} in {value}"))
}

async fn paid_intent(demo: &Demo, amount: i64) -> String {
    let made = demo.post(INTENTS, &json!({"amount": amount, "currency": "AUD"})).await;
    let id = text(&made.json, "id").to_owned();
    let body = json!({"payment_method": "pm_card"});
    let paid = demo.post(&format!("{INTENTS}/{id}/confirm"), &body).await;
    assert_eq!(paid.json["status"], "succeeded", "{}", paid.json);
    id
}

/// Pays a checkout and returns its ULID.
async fn paid_checkout(demo: &Demo, amount: i64) -> String {
    let made = demo.post("/api/checkouts", &json!({"amount": amount, "currency": "ZAR"})).await;
    let id = text(&made.json, "id").to_owned();
    let charge = format!("/api/v1/public/checkout/sessions/{id}/charge");
    let paid = demo.post(&charge, &json!({"method": "card"})).await;
    assert_eq!(paid.status, 200, "{}", paid.json);
    id.strip_prefix("ch_").expect("a checkout").to_owned()
}

async fn intent(demo: &Demo, id: &str) -> Value {
    let reply = demo.get(&format!("{INTENTS}/{id}")).await;
    assert_eq!(reply.status, 200, "{}", reply.json);
    reply.json
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_refunds_through_all_doors_never_exceed_the_captured_amount() {
    const EACH: i64 = 70;
    let folder = tempfile::tempdir().expect("a folder");
    let demo = Demo::start(folder.path(), &[("REFUNDRY_YOCO_ALLOW_TEST_REFUNDS", "1")]).await;
    let ulid = paid_checkout(&demo, 10_000).await;
    let id = format!("pi_{ulid}");
    let demo = Arc::new(demo);
    let mut tasks = tokio::task::JoinSet::new();
    for (_, door) in (0..300).zip(DOORS.iter().cycle()) {
        let created = (door.refund)(demo.clone(), ulid.clone(), EACH);
        tasks.spawn(async move { (door, created.await) });
    }
    let mut won = 0;
    let mut won_by = vec![0; DOORS.len()];
    while let Some(done) = tasks.join_next().await {
        let (door, reply) = done.expect("an answer");
        if reply.status.is_success() {
            won += 1;
            let at = DOORS.iter().position(|known| known.name == door.name).expect("a door");
            won_by[at] += 1;
        } else {
            let code = reply.json["error"]["code"].as_str().or(reply.json["errorCode"].as_str());
            let code = code.unwrap_or_default();
            assert_eq!(format!("{} {code}", reply.status.as_u16()), door.refused, "{}", door.name);
        }
    }
    assert_eq!(won, 10_000 / EACH, "exactly as many refunds as the amount allows");
    assert!(won_by.iter().all(|won| *won > 0), "each door created some: {won_by:?}");
    demo.wait_until_decided(LIMIT).await;
    let now = intent(&demo, &id).await;
    assert_eq!(
        (&now["status"], &now["amount_refunded"]),
        (&json!("succeeded"), &json!(won * EACH))
    );
    let payment = demo.get(&format!("/api/v1/payments/pay_{ulid}")).await;
    assert_eq!(payment.data()["amountRefunded"], won * EACH);
    let charge = text(payment.data(), "providerPaymentId").to_owned();
    let book = demo.get(&format!("/simulator/payments/{charge}")).await;
    assert_eq!(book.json["payouts"].as_array().map(Vec::len), usize::try_from(won).ok());
    let rest = (DOORS[1].refund)(demo.clone(), ulid, 60).await;
    assert_eq!(rest.status, 200);
    assert_eq!(intent(&demo, &id).await["status"], "refunded");
    let mut demo = Arc::into_inner(demo).expect("all clients have ended");
    assert!(demo.stop().await);
    let (code, out) = demo.run(&["verify"]);
    assert_eq!(code, 0, "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intent_is_refunded_natively_under_each_of_its_names() {
    let (_folder, demo) = demo().await;
    let id = paid_intent(&demo, 5_000).await;
    let payment = demo.get(&format!("/api/v1/payments/{}", id.replace("pi_", "pay_"))).await;
    assert_eq!(
        (&payment.data()["kind"], &payment.data()["sourceId"]),
        (&json!("payment_intent"), &json!(id))
    );
    let charge = text(payment.data(), "providerPaymentId").to_owned();
    for body in [
        json!({"sourceType": "payment_intent", "sourceId": id, "amount": 1_000}),
        json!({"chargeId": charge, "amount": 1_000}),
        json!({"chargeId": id, "amount": 1_000}),
        json!({"paymentId": id.replace("pi_", "pay_"), "amount": 1_000}),
    ] {
        let reply = demo.post("/api/v1/refunds", &body).await;
        assert_eq!(reply.status, 201, "{}", reply.json);
        assert_eq!(reply.data()["sourceId"], json!(id));
    }
    let last = demo.post(&format!("{INTENTS}/{id}/refunds"), &json!({"reason": "all"})).await.json;
    assert_eq!((&last["amount_cents"], &last["status"]), (&json!(1_000), &json!("succeeded")));
    demo.wait_until_decided(LIMIT).await;
    assert_eq!(intent(&demo, &id).await["status"], "refunded");
    let here = demo.get(&format!("{INTENTS}/{id}/refunds")).await.json;
    let there = demo.list(&format!("/api/v1/refunds?sourceId={id}")).await;
    let here: Vec<_> =
        here["data"].as_array().expect("a list").iter().map(|one| text(one, "id")).collect();
    let there: Vec<_> = there.iter().map(|one| text(one, "id").replace("rfd_", "re_")).collect();
    assert_eq!((here.len(), &here[0]), (5, &text(&last, "refund_id")));
    assert_eq!(here, there);
    let same = demo.get(&format!("/api/v1/refunds/{}", text(&last, "refund_id"))).await;
    assert_eq!(same.data()["reason"], "all");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_made_through_the_native_door_can_be_read_as_an_intent() {
    let (_folder, demo) = demo().await;
    let payment = demo.pay("ch_elsewhere", 1_000).await;
    let name = payment.replace("pay_", "pi_");
    for id in [&*name, &*payment, "ch_elsewhere"] {
        let shown = intent(&demo, id).await;
        assert_eq!((&shown["id"], &shown["status"]), (&json!(name), &json!("succeeded")), "{id}");
    }
    let refund = demo.post(&format!("{INTENTS}/ch_elsewhere/refunds"), &json!({})).await.json;
    assert_eq!(refund["transaction_id"], json!(name));
    assert_eq!(demo.get(&format!("/api/v1/payments/{payment}")).await.data()["status"], "refunded");

    let session = json!({
        "amount": 1_000, "currency": "USD", "methods": ["card", "qris"],
        "successUrl": "https://shop.example/a", "cancelUrl": "https://shop.example/b",
    });
    let session = demo.post("/api/v1/checkout-sessions", &session).await;
    let session = text(session.data(), "id").to_owned();
    let name = session.replace("cs_", "pi_");
    assert_eq!(intent(&demo, &session).await["status"], "requires_payment_method");
    let listed = demo.get(INTENTS).await.json;
    assert_eq!(listed["data"], json!([]), "the list holds only intents created through this door");
    let confirm = format!("{INTENTS}/{name}/confirm");
    let reply = demo.post(&confirm, &json!({"payment_method": "pm_paypal"})).await;
    assert_eq!(
        (reply.status.as_u16(), &reply.json["error"]["field"]),
        (400, &json!("payment_method"))
    );
    let reply = demo.post(&confirm, &json!({"payment_method": "pm_qris"})).await;
    assert_eq!(reply.json["status"], "succeeded", "{}", reply.json);
    let shown = demo.get(&format!("/api/v1/checkout-sessions/{session}")).await;
    assert_eq!(shown.data()["status"], "completed");
    let refund =
        demo.post(&format!("{INTENTS}/{name}/refunds"), &json!({"amount_cents": 400})).await;
    assert_eq!(refund.json["status"], "succeeded");
    let refunds = demo.list(&format!("/api/v1/refunds?sourceId={session}")).await;
    assert_eq!((refunds.len(), &refunds[0]["amount"]), (1, &json!(400)));
}
