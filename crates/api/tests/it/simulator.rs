//! The simulator's door, and webhooks of providers.

use crate::world::{Ask, World};
use domain::account::Mode;
use serde_json::json;

#[tokio::test]
async fn the_simulators_book_shows_what_it_paid_out() {
    let world = World::new().await;
    let key = world.key(Some(Mode::Test), "*").await;
    world.payment(&key, "ch 1").await;
    let ask = Ask::post("/api/v1/refunds", r#"{"chargeId":"ch 1","amount":100}"#).bearer(&key);
    let made = world.send(ask.header("Prefer", "wait=10")).await;
    let id = made.data(201)["id"].as_str().expect("an id").to_owned();
    let book = world.send(Ask::get("/simulator/payments/ch%201")).await;
    assert_eq!(book.status, 200, "{}", book.body);
    assert_eq!(book.body["providerPaymentId"], "ch 1");
    assert_eq!(book.body["payouts"][0]["key"], id);
    assert_eq!(book.body["payouts"][0]["amount"], 100);
    assert_eq!(book.body["payouts"][0]["currency"], "USD");

    let body = r#"{"amount":40}"#;
    let hand = world.send(Ask::post("/simulator/payments/ch%201/refunds", body)).await;
    assert_eq!((hand.status.as_u16(), &hand.body["key"]), (201, &json!(null)), "{}", hand.body);
    let book = world.send(Ask::get("/simulator/payments/ch%201?mode=test")).await;
    assert_eq!(book.body["payouts"].as_array().map(Vec::len), Some(2));
    let failed = world.send(Ask::post(&format!("/simulator/refunds/{id}/fail"), "")).await;
    assert_eq!((failed.status.as_u16(), &failed.body["status"]), (200, &json!("failed")));
    let again = world.send(Ask::post(&format!("/simulator/refunds/{id}/complete"), "")).await;
    assert_eq!(again.status, 409, "{}", again.body);
    for target in ["/simulator/payments/nothing", "/simulator/payments/ch%201?mode=live"] {
        assert_eq!(world.send(Ask::get(target)).await.status, 404, "{target}");
    }
    let nothing = world.send(Ask::post("/simulator/refunds/nothing/fail", "")).await;
    assert_eq!(nothing.status, 404);
    for body in ["", "{}", r#"{"amount":0}"#, r#"{"amount":1,"currency":"EUR"}"#] {
        let reply = world.send(Ask::post("/simulator/payments/ch%201/refunds", body)).await;
        assert_eq!(reply.status, 400, "{body}");
    }
}

#[tokio::test]
async fn a_charge_in_two_places_must_be_told_apart() {
    let world = World::new().await;
    for mode in [Mode::Test, Mode::Live] {
        let key = world.key(Some(mode), "*").await;
        world.payment(&key, "ch_1").await;
    }
    let target = "/simulator/payments/ch_1/refunds";
    assert_eq!(world.send(Ask::post(target, r#"{"amount":5}"#)).await.status, 409);
    let body = format!(r#"{{"amount":5,"mode":"live","accountId":"{}"}}"#, world.account);
    assert_eq!(world.send(Ask::post(target, body)).await.status, 201);
}

#[tokio::test]
async fn forged_and_unreadable_webhooks_change_nothing() {
    let world = World::new().await;
    let key = world.key(Some(Mode::Test), "*").await;
    let before = world.books(&key).await;
    let path = format!("/api/v1/inbound-webhooks/simulator/{}/test", world.account);
    assert_eq!(world.send(Ask::post(&path, "{}")).await.problem(), "401 invalid_signature");
    for path in [
        format!("/api/v1/inbound-webhooks/acme/{}/test", world.account),
        format!("/api/v1/inbound-webhooks/simulator/{}/other", world.account),
        "/api/v1/inbound-webhooks/simulator/acc_00000000000000000000000000/test".to_owned(),
        "/api/v1/inbound-webhooks/simulator/x/test".to_owned(),
    ] {
        assert_eq!(world.send(Ask::post(&path, "{}")).await.problem(), "404 not_found", "{path}");
    }
    let large = vec![b' '; 2 * 1024 * 1024];
    assert_eq!(world.send(Ask::post(&path, large)).await.problem(), "413 payload_too_large");
    assert_eq!(world.books(&key).await, before);
}
