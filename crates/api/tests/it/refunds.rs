//! Refunds from request to answer.

use crate::world::{Ask, Key, Reply, World};
use domain::tenant::Mode;
use engine::EngineConfig;
use engine::access::ErrorProfile;
use serde_json::{Value, json};

async fn refund(world: &World, key: &Key, body: &Value) -> Reply {
    world.send(Ask::post("/api/v1/refunds", body.to_string()).bearer(key)).await
}

#[tokio::test]
async fn a_refund_answers_at_once_under_every_field_name() {
    let world = World::new().await;
    let key = world.key(Some(Mode::Test), "*").await;
    let payment = world.payment(&key, "ch_1").await;
    let body = json!({
        "sourceType": "payment", "sourceId": payment, "amount": 2500, "currency": "USD",
        "reason": "requested_by_customer", "reference": "ticket 1", "metadata": {"a": "é"},
        "expectedRefundable": 10000,
    });
    let reply = refund(&world, &key, &body).await;
    let made = reply.data(201);
    let id = made["id"].as_str().expect("an id");
    assert_eq!(reply.header("location"), Some(format!("/api/v1/refunds/{id}").as_str()));
    assert_eq!(reply.header("idempotent-replayed"), None);
    assert_eq!(
        made,
        &json!({
            "id": id,
            "arn": format!("arn:refundry:refund:{}:{id}", world.account),
            "accountId": world.account.to_string(),
            "mode": "test",
            "amount": 2500,
            "currency": "USD",
            "status": "pending",
            "statusDetail": "sending",
            "reason": "requested_by_customer",
            "sourceType": "payment",
            "sourceId": payment,
            "paymentId": payment,
            "chargeId": "ch_1",
            "invoiceId": null,
            "failureReason": null,
            "failureCode": null,
            "failureMessage": null,
            "late": false,
            "origin": "api",
            "providerRefundId": null,
            "needsAttention": false,
            "sends": 1,
            "firstSentAt": "2026-05-12T10:42:00.000Z",
            "reference": "ticket 1",
            "metadata": {"a": "é"},
            "createdAt": "2026-05-12T10:42:00.000Z",
            "updatedAt": "2026-05-12T10:42:00.000Z",
        })
    );
}

#[tokio::test]
async fn a_caller_that_waits_gets_the_outcome() {
    let world = World::new().await;
    let key = world.key(Some(Mode::Test), "*").await;
    world.payment(&key, "ch_1").await;
    let ask = |body: Value, wait: &str| {
        Ask::post("/api/v1/refunds", body.to_string())
            .bearer(&key)
            .header("Prefer", wait)
            .header("Idempotency-Key", &body.to_string())
    };
    let body = json!({"chargeId": "ch_1", "amount": 100});
    let reply = world.send(ask(body.clone(), "wait=999")).await;
    let made = reply.data(201).clone();
    assert_eq!(
        (&made["status"], &made["statusDetail"]),
        (&json!("succeeded"), &json!("succeeded"))
    );
    assert!(made["providerRefundId"].is_string());
    assert_eq!(reply.header("preference-applied"), Some("wait=60"));
    let again = world.send(ask(body, "wait=5")).await;
    assert_eq!(again.data(201), &made);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));

    let body =
        json!({"chargeId": "ch_1", "amount": 100, "metadata": {"simulate": "refuse:card_closed"}});
    let reply = world.send(ask(body, "wait=10")).await;
    let made = reply.data(201);
    assert_eq!((&made["status"], &made["failureCode"]), (&json!("failed"), &json!("card_closed")));
    assert_eq!(made["failureReason"], made["failureMessage"]);
    let body = json!({"chargeId": "ch_1", "amount": 100, "metadata": {"simulate": "stay_pending"}});
    let reply = world.send(ask(body, "wait=0")).await;
    assert_eq!(reply.data(201)["status"], "pending");
    assert_eq!(reply.header("preference-applied"), Some("wait=0"));
}

#[tokio::test]
async fn each_name_of_a_payment_refunds_it() {
    let world = World::new().await;
    let key = world.key(Some(Mode::Test), "*").await;
    let body = r#"{"amount":10000,"currency":"USD","provider":"simulator","providerPaymentId":"ch_inv","kind":"invoice"}"#;
    let reply = world.send(Ask::post("/api/v1/payments", body).bearer(&key)).await;
    let payment = reply.data(201)["id"].as_str().expect("an id").to_owned();
    let invoice = payment.replace("pay_", "inv_");
    assert_eq!(reply.data(201)["sourceId"], invoice);
    for body in [
        json!({"sourceType": "invoice", "sourceId": invoice}),
        json!({"sourceType": "invoice", "sourceId": payment.replace("pay_", "in_")}),
        json!({"sourceId": invoice}),
        json!({"sourceType": "payment", "sourceId": payment}),
        json!({"sourceType": "payment", "sourceId": "ch_inv"}),
        json!({"chargeId": "ch_inv"}),
        json!({"chargeId": payment}),
        json!({"chargeId": invoice}),
        json!({"paymentId": payment}),
        json!({"sourceType": "invoice", "sourceId": invoice, "chargeId": "ch_inv", "paymentId": payment}),
    ] {
        let mut body = body;
        body["amount"] = json!(1);
        let reply = refund(&world, &key, &body).await;
        let made = reply.data(201);
        assert_eq!(made["sourceType"], "invoice", "{body}");
        assert_eq!((&made["sourceId"], &made["invoiceId"]), (&json!(invoice), &json!(invoice)));
        assert_eq!(made["chargeId"], "ch_inv");
    }
    let seen = |prefix: &str| {
        Ask::get(&format!("/api/v1/refunds?sourceId={}", payment.replace("pay_", prefix)))
    };
    for (prefix, count) in [("pay_", 10), ("inv_", 10), ("in_", 10), ("cs_", 0)] {
        let list = world.send(seen(prefix).bearer(&key)).await;
        assert_eq!(list.data(200).as_array().map(Vec::len), Some(count), "{prefix}");
    }
    world.payment(&key, "ch_other").await;
    for (body, expected) in [
        (json!({"sourceId": payment, "chargeId": "ch_other"}), "400 validation_error chargeId"),
        (
            json!({"chargeId": "ch_inv", "paymentId": payment.replace('0', "1")}),
            "400 validation_error paymentId",
        ),
        (
            json!({"sourceType": "checkout_session", "chargeId": invoice}),
            "400 validation_error chargeId",
        ),
        (json!({"sourceId": payment.replace("pay_", "cs_")}), "404 not_found sourceId"),
        (json!({"chargeId": "nothing"}), "404 not_found chargeId"),
        (json!({"paymentId": "pay_01ARZ3NDEKTSV4RRFFQ69G5FAV"}), "404 not_found paymentId"),
    ] {
        assert_eq!(refund(&world, &key, &body).await.problem(), expected, "{body}");
    }
}

#[tokio::test]
async fn each_profile_serves_its_own_error_table() {
    let world = World::new().await;
    let node = world.key(Some(Mode::Test), "*").await;
    let go = world.key_of(world.account, Some(Mode::Test), "*", ErrorProfile::Go).await;
    world.payment(&node, "ch_1").await;
    let over = json!({"chargeId": "ch_1", "amount": 10001});
    let reply = refund(&world, &node, &over).await;
    assert_eq!(reply.problem(), "422 over_refund amount");
    assert_eq!(
        reply.body["error"]["details"],
        json!({"requested": 10001, "refundable": 10000, "currency": "USD"})
    );
    let reply = refund(&world, &go, &over).await;
    assert_eq!(reply.problem(), "400 validation_error amount");
    let message = reply.body["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("amount exceeds refundable balance"), "{message}");
    for name in ["Refundry-Error-Profile", "X-Refundry-Error-Profile"] {
        let ask = Ask::post("/api/v1/refunds", over.to_string()).bearer(&node).header(name, "go");
        assert_eq!(world.send(ask).await.problem(), "400 validation_error amount");
    }
    let ask = Ask::post("/api/v1/refunds", over.to_string())
        .bearer(&node)
        .header("Refundry-Error-Profile", "rust");
    assert_eq!(world.send(ask).await.problem(), "400 validation_error Refundry-Error-Profile");

    let expected = json!({"chargeId": "ch_1", "expectedRefundable": 5});
    let reply = refund(&world, &node, &expected).await;
    assert_eq!(reply.problem(), "409 state_conflict expectedRefundable");
    assert_eq!(reply.body["error"]["details"], json!({"expected": 5, "refundable": 10000}));
    let euro = json!({"chargeId": "ch_1", "currency": "EUR"});
    assert_eq!(refund(&world, &node, &euro).await.problem(), "400 validation_error currency");
    let all = json!({"chargeId": "ch_1"});
    assert_eq!(refund(&world, &node, &all).await.data(201)["amount"], 10000);
    assert_eq!(refund(&world, &node, &all).await.problem(), "409 state_conflict");
    assert_eq!(refund(&world, &go, &all).await.problem(), "400 validation_error");
}

#[tokio::test]
async fn a_repeated_key_replays_and_another_request_under_it_conflicts() {
    let world = World::new().await;
    let key = world.key(Some(Mode::Test), "*").await;
    world.payment(&key, "ch_1").await;
    let ask = |body: &str, name: &str| {
        Ask::post("/api/v1/refunds", body).bearer(&key).header("Idempotency-Key", name)
    };
    let first = world.send(ask(r#"{"chargeId":"ch_1","amount":5}"#, "k 1")).await;
    let spaced = world.send(ask(r#"{ "amount": 5, "chargeId": "ch_1" }"#, "k 1")).await;
    assert_eq!(spaced.data(201), first.data(201));
    assert_eq!(spaced.header("idempotent-replayed"), Some("true"));
    assert_eq!(spaced.header("location"), first.header("location"));
    let other = world.send(ask(r#"{"chargeId":"ch_1","amount":6}"#, "k 1")).await;
    assert_eq!(other.problem(), "409 conflict");
    let long = "k".repeat(256);
    for bad in ["", long.as_str()] {
        let reply = world.send(ask(r#"{"chargeId":"ch_1","amount":5}"#, bad)).await;
        assert_eq!(reply.problem(), "400 validation_error Idempotency-Key");
    }
    let reference = r#"{"chargeId":"ch_1","amount":5,"reference":"r"}"#;
    let first = world.send(ask(reference, "k 2")).await;
    let again = world.send(ask(reference, "k 3")).await;
    assert_eq!(again.data(201)["id"], first.data(201)["id"]);
    let other = world.send(ask(r#"{"chargeId":"ch_1","amount":6,"reference":"r"}"#, "k 4")).await;
    assert_eq!(other.problem(), "409 conflict reference");
    assert_eq!(other.body["error"]["details"]["refundId"], first.data(201)["id"]);
    let list = world.send(Ask::get("/api/v1/refunds").bearer(&key)).await;
    assert_eq!(list.data(200).as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn a_refund_that_was_sent_cannot_be_canceled() {
    let world = World::new().await;
    let key = world.key(Some(Mode::Test), "*").await;
    world.payment(&key, "ch_1").await;
    let ask = Ask::post("/api/v1/refunds", r#"{"chargeId":"ch_1"}"#).bearer(&key);
    let made = world.send(ask.header("Prefer", "wait=10")).await;
    let id = made.data(201)["id"].as_str().expect("an id").to_owned();
    for prefix in ["rfd_", "rf_", "re_"] {
        let target = format!("/api/v1/refunds/{}/cancel", id.replace("rfd_", prefix));
        for body in ["", "{}"] {
            let reply = world.send(Ask::post(&target, body).bearer(&key)).await;
            assert_eq!(reply.problem(), "409 state_conflict");
        }
        assert_eq!(world.send(Ask::post(&target, "[").bearer(&key)).await.status, 400);
    }
    let timeline =
        world.send(Ask::get(&format!("/api/v1/refunds/{id}/timeline")).bearer(&key)).await;
    let steps: Vec<_> = timeline
        .data(200)
        .as_array()
        .expect("a list")
        .iter()
        .map(|step| (step["seq"].as_u64(), step["statusDetail"].as_str().map(str::to_owned)))
        .collect();
    assert_eq!(steps.first(), Some(&(Some(1), Some("sending".to_owned()))));
    assert_eq!(steps.last().and_then(|step| step.1.as_deref()), Some("succeeded"));
}

#[tokio::test]
async fn a_refund_that_was_not_sent_is_canceled_once() {
    let config = EngineConfig { dispatch_at_once: false, ..EngineConfig::default() };
    let world = World::with(config).await;
    let key = world.key(Some(Mode::Test), "*").await;
    let payment = world.payment(&key, "ch_1").await;
    let made = refund(&world, &key, &json!({"chargeId": "ch_1"})).await;
    assert_eq!(made.data(201)["statusDetail"], "queued");
    let id = made.data(201)["id"].as_str().expect("an id");
    let target = format!("/api/v1/refunds/{id}/cancel");
    let cancel = || Ask::post(&target, "{}").bearer(&key).header("Idempotency-Key", "c");
    let first = world.send(cancel()).await;
    assert_eq!(
        (&first.data(200)["status"], &first.data(200)["id"]),
        (&json!("canceled"), &json!(id))
    );
    assert_eq!(first.header("idempotent-replayed"), None);
    let again = world.send(cancel()).await;
    assert_eq!(again.data(200), first.data(200));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let create = Ask::post("/api/v1/refunds", r#"{"chargeId":"ch_1"}"#).bearer(&key);
    let other = world.send(create.header("Idempotency-Key", "c")).await;
    assert_eq!(other.problem(), "409 conflict");
    let reply = world.send(Ask::get(&format!("/api/v1/payments/{payment}")).bearer(&key)).await;
    assert_eq!(reply.data(200)["amountRefundable"], 10000);
}
