//! Payments.

use crate::world::{Ask, World};
use domain::tenant::Mode;
use serde_json::json;

#[tokio::test]
async fn a_payment_is_registered_and_read_back() {
    let world = World::new().await;
    let key = world.key(Some(Mode::Test), "*").await;
    let account = json!({"provider": "test_psp", "name": "Shop",
        "config": {"merchant_account": "Shop"}, "secrets": {"api_key": "k", "webhook_secret": "w"}});
    let made =
        world.send(Ask::post("/api/v1/provider-accounts", account.to_string()).bearer(&key)).await;
    let account = made.data(201)["id"].as_str().expect("an id").to_owned();
    let body = r#"{"amount":199000,"currency":"IDR","provider":"test_psp","providerPaymentId":"ch_é/1",
        "capturedAt":"2026-05-01T12:00:00+07:00","settledAt":"2026-05-03T00:00:00Z",
        "providerAccount":"pa_1","providerData":{"b":[1.50,{}],"a":null},
        "reference":"order 7","metadata":{"b":"2","a":"1"},"unknown":[1]}"#;
    let body = &body.replace("pa_1", &account);
    let reply = world.send(Ask::post("/api/v1/payments", body.clone()).bearer(&key)).await;
    let payment = reply.data(201).clone();
    let id = payment["id"].as_str().expect("an id");
    assert_eq!(reply.header("location"), Some(format!("/api/v1/payments/{id}").as_str()));
    assert_eq!(
        payment,
        json!({
            "id": id,
            "arn": format!("arn:refundry:payment:{}:{id}", world.account),
            "accountId": world.account.to_string(),
            "mode": "test",
            "kind": "payment",
            "sourceId": id,
            "amount": 199_000,
            "currency": "IDR",
            "status": "succeeded",
            "amountRefunded": 0,
            "amountReserved": 0,
            "amountHeld": 0,
            "amountHeldExcess": 0,
            "amountRefundable": 199_000,
            "amountExcess": 0,
            "provider": "test_psp",
            "providerPaymentId": "ch_é/1",
            "providerAccount": account,
            "providerData": {"a": null, "b": [1.5, {}]},
            "capturedAt": "2026-05-01T05:00:00.000Z",
            "settledAt": "2026-05-03T00:00:00.000Z",
            "reference": "order 7",
            "metadata": {"a": "1", "b": "2"},
            "createdAt": "2026-05-12T10:42:00.000Z",
            "updatedAt": "2026-05-12T10:42:00.000Z",
        })
    );
    let read = world.send(Ask::get(&format!("/api/v1/payments/{id}")).bearer(&key)).await;
    assert_eq!(read.data(200), &payment);
    let list = world.send(Ask::get("/api/v1/payments").bearer(&key)).await;
    assert_eq!(list.data(200), &json!([payment]));

    let again = world.send(Ask::post("/api/v1/payments", body.clone()).bearer(&key)).await;
    assert_eq!(again.data(201), &payment);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let spaced = body.replace(r#"{"b":[1.50,{}],"a":null}"#, r#"{"a": null, "b": [1.50, {}]}"#);
    assert_ne!(&spaced, body);
    let again = world.send(Ask::post("/api/v1/payments", spaced).bearer(&key)).await;
    assert_eq!(again.data(201), &payment);
    let other = body.replace("199000", "199001");
    let reply = world.send(Ask::post("/api/v1/payments", other).bearer(&key)).await;
    assert_eq!(reply.problem(), "409 conflict providerPaymentId");
    assert_eq!(reply.body["error"]["details"], json!({"paymentId": id}));
}

#[tokio::test]
async fn a_payment_that_cannot_be_is_refused_by_field() {
    let world = World::new().await;
    let key = world.key(Some(Mode::Test), "*").await;
    let good =
        json!({"amount": 5, "currency": "USD", "provider": "simulator", "providerPaymentId": "c"});
    for (field, value) in [
        ("amount", json!(null)),
        ("amount", json!(0)),
        ("currency", json!("usd")),
        ("currency", json!(null)),
        ("provider", json!(null)),
        ("provider", json!("acme")),
        ("provider", json!("x".repeat(65))),
        ("providerPaymentId", json!(null)),
        ("providerPaymentId", json!("")),
        ("providerPaymentId", json!("x".repeat(201))),
        ("providerPaymentId", json!("a\u{0}b")),
        ("capturedAt", json!("yesterday")),
        ("capturedAt", json!(1_778_582_520)),
        ("settledAt", json!("2026-05-12")),
        ("reference", json!("x".repeat(201))),
        ("metadata", json!([])),
        ("providerAccount", json!("")),
        ("providerAccount", json!("acct_1")),
        ("providerAccount", json!(format!("pa_{}", "x".repeat(62)))),
        ("providerAccount", json!("pa_01HF7YAT00C8XH478G3EFR2SH8")),
        ("providerData", json!([])),
        ("providerData", json!("{}")),
        ("providerData", json!({"a": "x".repeat(8 * 1024)})),
        ("kind", json!("subscription")),
    ] {
        let mut body = good.clone();
        body[field] = value.clone();
        let ask = Ask::post("/api/v1/payments", body.to_string()).bearer(&key);
        let reply = world.send(ask).await;
        assert_eq!(reply.problem(), format!("400 validation_error {field}"), "{value}");
    }
    let list = world.send(Ask::get("/api/v1/payments").bearer(&key)).await;
    assert_eq!(list.data(200), &json!([]));
}
