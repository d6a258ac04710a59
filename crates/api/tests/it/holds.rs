//! Holds from request to answer.

use crate::world::{Ask, Key, Reply, World};
use domain::tenant::Mode;
use serde_json::{Value, json};

struct Shop {
    world: World,
    key: Key,
    /// The path of a payment of 100.00 USD.
    payment: String,
}

impl Shop {
    async fn open() -> Self {
        let world = World::new().await;
        let key = world.key(Some(Mode::Test), "*").await;
        let payment = format!("/api/v1/payments/{}", world.payment(&key, "ch_1").await);
        Self { world, key, payment }
    }

    async fn get(&self, path: &str) -> Value {
        self.world.send(Ask::get(path).bearer(&self.key)).await.data(200).clone()
    }

    async fn post(&self, path: &str, body: &Value) -> Reply {
        self.world.send(Ask::post(path, body.to_string()).bearer(&self.key)).await
    }

    /// Posts under an idempotency key.
    async fn once(&self, path: &str, body: &Value, name: &str) -> Reply {
        let ask = Ask::post(path, body.to_string()).bearer(&self.key);
        self.world.send(ask.header("Idempotency-Key", name)).await
    }

    async fn hold(&self, body: &Value) -> Reply {
        self.post(&format!("{}/holds", self.payment), body).await
    }

    /// Refunded, reserved, held, cannot be held, refundable, and beyond what was captured.
    async fn balance(&self) -> [i64; 6] {
        let payment = self.get(&self.payment).await;
        ["Refunded", "Reserved", "Held", "HeldExcess", "Refundable", "Excess"]
            .map(|name| payment[format!("amount{name}")].as_i64().expect("an amount"))
    }
}

fn path_of(payment: &str, hold: &Value, end: &str) -> String {
    format!("{payment}/holds/{}/{end}", hold["id"].as_str().expect("an id"))
}

#[tokio::test]
async fn money_is_held_and_released() {
    let shop = Shop::open().await;
    let body = json!({"amount": 4000, "reason": "chargeback", "reference": "dp_1"});
    let holds = format!("{}/holds", shop.payment);
    let reply = shop.once(&holds, &body, "h 1").await;
    let hold = reply.data(201).clone();
    assert_eq!(
        hold,
        json!({
            "id": hold["id"],
            "paymentId": shop.payment.replace("/api/v1/payments/", ""),
            "amount": 4000,
            "currency": "USD",
            "status": "open",
            "reason": "chargeback",
            "reference": "dp_1",
            "source": "operator",
            "refundId": null,
            "createdAt": "2026-05-12T10:42:00.000Z",
            "updatedAt": "2026-05-12T10:42:00.000Z",
        })
    );
    let again = shop.once(&holds, &body, "h 1").await;
    assert_eq!((again.data(201), again.header("idempotent-replayed")), (&hold, Some("true")));
    // The same dispute under another key, and with other facts.
    assert_eq!(shop.hold(&body).await.data(201)["id"], hold["id"]);
    let other = json!({"amount": 4001, "reason": "chargeback", "reference": "dp_1"});
    let refused = shop.hold(&other).await;
    assert_eq!(refused.problem(), "409 conflict reference");
    assert_eq!(refused.body["error"]["details"]["holdId"], hold["id"]);
    assert_eq!(shop.once(&holds, &other, "h 1").await.problem(), "409 conflict");
    assert_eq!(shop.balance().await, [0, 0, 4000, 0, 6000, 0]);

    let refund = |amount: i64| json!({"chargeId": "ch_1", "amount": amount});
    let refused = shop.post("/api/v1/refunds", &refund(6001)).await;
    assert_eq!(refused.problem(), "422 over_refund amount");
    let all = json!({"chargeId": "ch_1"});
    assert_eq!(shop.post("/api/v1/refunds", &all).await.data(201)["amount"], 6000);
    assert_eq!(shop.post("/api/v1/refunds", &all).await.problem(), "409 state_conflict");

    let release = path_of(&shop.payment, &hold, "release");
    let released = shop.once(&release, &json!({}), "h 2").await;
    assert_eq!(released.data(200)["status"], "released");
    let again = shop.once(&release, &json!({}), "h 2").await;
    assert_eq!(again.data(200), released.data(200));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(shop.post(&release, &json!({})).await.problem(), "409 state_conflict");
    let book = path_of(&shop.payment, &hold, "book");
    assert_eq!(shop.once(&book, &json!({}), "h 2").await.problem(), "409 conflict");
    assert_eq!(shop.post("/api/v1/refunds", &refund(4000)).await.status, 201);
    let types: Vec<_> = shop
        .get("/api/v1/events?order=asc")
        .await
        .as_array()
        .expect("a list")
        .iter()
        .filter(|event| event["data"]["hold"].is_object())
        .map(|event| (event["type"].clone(), event["data"]["hold"].clone()))
        .collect();
    let told = json!({"id": hold["id"], "amount": 4000, "reason": "chargeback"});
    let of = |name: &str| (json!(name), told.clone());
    assert_eq!(types, [of("payment.hold_placed"), of("payment.hold_released")]);
    let placed = shop.get("/api/v1/events?type=payment.hold_placed").await;
    assert_eq!(placed[0]["data"]["object"]["amountHeld"], 4000);
}

#[tokio::test]
async fn a_lost_dispute_is_booked_as_an_external_refund() {
    let shop = Shop::open().await;
    let made = Ask::post("/api/v1/refunds", r#"{"chargeId":"ch_1","amount":3000}"#);
    let made = made.bearer(&shop.key).header("Prefer", "wait=10");
    assert_eq!(shop.world.send(made).await.data(201)["status"], "succeeded");
    let reply = shop.hold(&json!({"amount": 10000, "reason": "chargeback"})).await;
    let hold = reply.data(201).clone();
    assert_eq!(shop.balance().await, [3000, 0, 7000, 3000, 0, 0]);
    let book = path_of(&shop.payment, &hold, "book");
    let booked = shop.once(&book, &json!({"amount": 9000}), "b 1").await;
    let booked = booked.data(200).clone();
    assert_eq!(booked["status"], "booked");
    assert_eq!(shop.balance().await, [12000, 0, 0, 0, 0, 2000]);
    assert_eq!(shop.once(&book, &json!({}), "b 1").await.problem(), "409 conflict");
    let refund = booked["refundId"].as_str().expect("an id");
    let refund = shop.get(&format!("/api/v1/refunds/{refund}")).await;
    assert_eq!(
        [&refund["origin"], &refund["reason"], &refund["status"], &refund["amount"]],
        [&json!("external"), &json!("dispute"), &json!("succeeded"), &json!(9000)]
    );
    let list = format!("{}/holds", shop.payment);
    assert_eq!(shop.get(&list).await, json!([booked]));
    let entries = format!(
        "/api/v1/ledger?sourceType=refund&sourceId={}",
        booked["refundId"].as_str().expect("an id")
    );
    assert_eq!(shop.get(&entries).await.as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn a_hold_with_a_wrong_field_is_refused_and_changes_nothing() {
    let shop = Shop::open().await;
    let reply = shop.hold(&json!({"amount": 5, "reason": "chargeback"})).await;
    let hold = reply.data(201).clone();
    let before = shop.world.books(&shop.key).await;
    let reason = "chargeback";
    for (body, field) in [
        (json!({"reason": reason}), "amount"),
        (json!({"amount": 0, "reason": reason}), "amount"),
        (json!({"amount": "5", "reason": reason}), "amount"),
        (json!({"amount": 5}), "reason"),
        (json!({"amount": 5, "reason": ""}), "reason"),
        (json!({"amount": 5, "reason": "x".repeat(501)}), "reason"),
        (json!({"amount": 5, "reason": reason, "reference": ""}), "reference"),
        (json!({"amount": 5, "reason": reason, "refrence": "dp_1"}), "refrence"),
    ] {
        let reply = shop.hold(&body).await;
        assert_eq!(reply.problem(), format!("400 validation_error {field}"), "{body}");
    }
    let release = path_of(&shop.payment, &hold, "release");
    for (path, body, field) in [
        (&release, json!({"amount": 5}), "amount"),
        (&path_of(&shop.payment, &hold, "book"), json!({"amuont": 5}), "amuont"),
        (&path_of(&shop.payment, &hold, "book"), json!({"amount": 0}), "amount"),
    ] {
        let reply = shop.post(path, &body).await;
        assert_eq!(reply.problem(), format!("400 validation_error {field}"), "{body}");
    }
    let other = shop.world.payment(&shop.key, "ch_2").await;
    for path in [
        release.replace("hld_", "pay_"),
        path_of(&format!("/api/v1/payments/{other}"), &hold, "release"),
        release.replace("/payments/pay_", "/payments/pay_x"),
    ] {
        assert_eq!(shop.post(&path, &json!({})).await.problem(), "404 not_found", "{path}");
    }
    let body = json!({"amount": 5, "reason": reason});
    let nobody = "/api/v1/payments/pay_00000000000000000000000000/holds";
    assert_eq!(shop.post(nobody, &body).await.problem(), "404 not_found");
    let list = shop.world.send(Ask::get(nobody).bearer(&shop.key)).await;
    assert_eq!(list.problem(), "404 not_found");
    let reply = shop
        .world
        .send(Ask::get(&format!("{}/holds?limit=0", shop.payment)).bearer(&shop.key))
        .await;
    assert_eq!(reply.problem(), "400 validation_error limit");
    let after = shop.world.books(&shop.key).await;
    assert_eq!(after[1], before[1], "no refund was made");
    assert_eq!(shop.balance().await, [0, 0, 5, 0, 9995, 0]);
}

#[tokio::test]
async fn holds_of_a_payment_are_paged() {
    let shop = Shop::open().await;
    let mut placed = Vec::new();
    for amount in 1..=3 {
        let reply = shop.hold(&json!({"amount": amount, "reason": "chargeback"})).await;
        placed.push(reply.data(201)["amount"].clone());
        shop.world.clock.advance(1);
    }
    let mut seen = Vec::new();
    let mut path = format!("{}/holds?limit=1&order=asc", shop.payment);
    loop {
        let page = shop.world.send(Ask::get(&path).bearer(&shop.key)).await;
        seen.extend(
            page.data(200).as_array().expect("a list").iter().map(|hold| hold["amount"].clone()),
        );
        let Some(cursor) = page.body["meta"]["cursor"].as_str() else { break };
        path = format!("{}/holds?limit=1&cursor={cursor}", shop.payment);
    }
    assert_eq!(seen, placed);
}
