//! Requests that are repeated under their idempotency key.

use crate::world::{Ask, Key, Reply, World};
use domain::tenant::Mode;
use http::Method;
use serde_json::{Value, json};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

async fn post(world: &World, key: &Key, path: &str, name: &str, body: &Value) -> Reply {
    let ask = Ask::post(path, body.to_string()).bearer(key).header("Idempotency-Key", name);
    world.send(ask).await
}

fn is_replay(reply: &Reply) -> bool {
    reply.header("idempotent-replayed") == Some("true")
}

async fn session(world: &World, key: &Key) -> String {
    let body = json!({"amount": 900, "currency": "USD", "methods": ["card"],
        "successUrl": "https://shop.example/ok", "cancelUrl": "https://shop.example/no"});
    let reply =
        post(world, key, "/api/v1/checkout-sessions", &format!("s{}", world.now_s()), &body).await;
    format!("/api/v1/checkout-sessions/{}", reply.data(201)["id"].as_str().expect("an id"))
}

#[tokio::test]
async fn deleting_a_session_again_is_answered_as_before() {
    let world = World::new().await;
    let key = world.key(Some(Mode::Test), "*").await;
    let path = session(&world, &key).await;
    let delete = |path: &str, name: Option<&str>| {
        let mut ask = Ask::new(Method::DELETE, path).bearer(&key);
        if let Some(name) = name {
            ask = ask.header("Idempotency-Key", name);
        }
        world.send(ask)
    };
    let first = delete(&path, Some("gone")).await;
    assert_eq!((first.status.as_u16(), is_replay(&first)), (204, false));
    let events = world.books(&key).await;
    for _ in 0..2 {
        let again = delete(&path, Some("gone")).await;
        assert_eq!((again.status.as_u16(), is_replay(&again)), (204, true));
    }
    assert_eq!(world.books(&key).await, events, "it happened once");
    for name in [None, Some("another")] {
        assert_eq!(delete(&path, name).await.problem(), "404 not_found");
    }
    assert_eq!(world.send(Ask::get(&path).bearer(&key)).await.status, 404);
    world.clock.advance(1_000);
    let other = session(&world, &key).await;
    assert_eq!(delete(&other, Some("gone")).await.problem(), "409 conflict");
    world.send(Ask::get(&other).bearer(&key)).await.data(200);
    world.clock.advance(DAY_MS);
    assert_eq!(delete(&path, Some("gone")).await.problem(), "404 not_found", "a day later");
}

#[tokio::test]
async fn an_api_key_is_made_once_and_its_secrets_are_shown_once() {
    let world = World::new().await;
    let key = world.key(Some(Mode::Test), "*").await;
    let (path, body) = ("/api/v1/api-keys", json!({"name": "till", "scopes": ["refund:read"]}));
    let made = post(&world, &key, path, "k1", &body).await;
    assert!(!is_replay(&made));
    let made = made.data(201).clone();
    assert!(made["key"].is_string() && made["secret"].is_string());
    let count = async || {
        let listed = world.send(Ask::get(path).bearer(&key)).await;
        listed.data(200).as_array().expect("a list").len()
    };
    let keys = count().await;
    let again = post(&world, &key, path, "k1", &body).await;
    assert!(is_replay(&again));
    let again = again.data(201);
    assert_eq!(again["id"], made["id"]);
    assert_eq!(again["name"], "till");
    assert_eq!((again.get("key"), again.get("secret")), (None, None), "{again}");
    for other in [
        json!({"name": "bar", "scopes": ["refund:read"]}),
        json!({"name": "till", "scopes": ["refund:write"]}),
        json!({"name": "till", "scopes": ["refund:read"], "errorProfile": "go"}),
    ] {
        let reply = post(&world, &key, path, "k1", &other).await;
        assert_eq!(reply.problem(), "409 conflict", "{other}");
    }
    assert_eq!(count().await, keys, "one key was made");
    // A name stays taken, whichever operation used it first.
    let charge =
        json!({"amount": 5, "currency": "USD", "provider": "simulator", "providerPaymentId": "c"});
    let reply = post(&world, &key, "/api/v1/payments", "k1", &charge).await;
    assert_eq!(reply.problem(), "409 conflict");
    post(&world, &key, "/api/v1/payments", "p1", &charge).await.data(201);
    assert_eq!(post(&world, &key, path, "p1", &body).await.problem(), "409 conflict");
    world.clock.advance(DAY_MS);
    let later = post(&world, &key, path, "k1", &body).await;
    assert!(!is_replay(&later));
    assert_ne!(later.data(201)["id"], made["id"], "a day later the name is free");
}

#[tokio::test]
async fn events_are_told_again_once() {
    let world = World::new().await;
    let key = world.key(Some(Mode::Test), "*").await;
    let hook = json!({"url": "https://shop.example/hooks"});
    post(&world, &key, "/api/v1/webhooks", "w", &hook).await.data(201);
    world.payment(&key, "ch").await;
    let body = json!({"chargeId": "ch", "amount": 5});
    let ask = Ask::post("/api/v1/refunds", body.to_string()).bearer(&key);
    let refund = world.send(ask.header("Prefer", "wait=10")).await;
    let refund = refund.data(201)["id"].as_str().expect("an id").to_owned();
    let path = format!("/api/v1/refunds/{refund}/timeline");
    let events = world.send(Ask::get(&path).bearer(&key)).await;
    let event = events.data(200)[0]["eventId"].clone();
    let payment = world.send(Ask::get("/api/v1/events?type=payment.created").bearer(&key)).await;
    // A registration has no event for subscribers, so it counts 0.
    let ids = json!({"eventIds": [payment.data(200)[0]["id"], event]});
    let deliveries = async || {
        let listed = world.send(Ask::get("/api/v1/webhooks/deliveries").bearer(&key)).await;
        listed.data(200).as_array().expect("a list").len()
    };
    let before = deliveries().await;
    let first = post(&world, &key, "/api/v1/events/replay", "e", &ids).await;
    assert!(!is_replay(&first));
    let counts: Vec<_> = first
        .data(200)
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["deliveries"].clone())
        .collect();
    assert_eq!(counts, [json!(0), json!(1)]);
    let again = post(&world, &key, "/api/v1/events/replay", "e", &ids).await;
    assert!(is_replay(&again));
    assert_eq!(again.data(200), first.data(200));
    assert_eq!(deliveries().await, before + 1, "told once");
    let other = json!({"eventIds": [event]});
    let reply = post(&world, &key, "/api/v1/events/replay", "e", &other).await;
    assert_eq!(reply.problem(), "409 conflict");
    // A refused request leaves its name free.
    let unknown = json!({"eventIds": ["evt_01ARZ3NDEKTSV4RRFFQ69G5FAV"]});
    let reply = post(&world, &key, "/api/v1/events/replay", "f", &unknown).await;
    assert_eq!(reply.problem(), "404 not_found eventIds");
    assert!(!is_replay(&post(&world, &key, "/api/v1/events/replay", "f", &other).await));
    world.clock.advance(DAY_MS);
    assert!(!is_replay(&post(&world, &key, "/api/v1/events/replay", "e", &ids).await));
    assert_eq!(deliveries().await, before + 3);
}
