//! The Yoco door when time passes: keys expire, leases expire.

use crate::world::{Ask, Key, Reply, World};
use domain::tenant::{Mode, Tenant};
use engine::{IdempotencyKey, IdempotentRequest};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

struct Shop {
    world: World,
    key: Key,
    checkout: String,
}

impl Shop {
    /// A checkout of 100.00 that was paid.
    async fn open() -> Self {
        let world = World::new().await;
        let key = world.key(Some(Mode::Live), "*").await;
        let ask = Ask::post("/api/checkouts", r#"{"amount":10000,"currency":"ZAR"}"#);
        let reply = world.send(ask.bearer(&key)).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        let checkout = reply.body["id"].as_str().expect("an id").to_owned();
        let charge = format!("/api/v1/public/checkout/sessions/{checkout}/charge");
        world.send(Ask::post(&charge, r#"{"method":"card"}"#)).await.data(200);
        Self { world, key, checkout }
    }

    fn path(&self) -> String {
        format!("/api/checkouts/{}/refund", self.checkout)
    }

    async fn refund(&self, key: &str, body: &str) -> Reply {
        let ask = Ask::post(&self.path(), body).bearer(&self.key).header("Idempotency-Key", key);
        self.world.send(ask).await
    }

    async fn refunds(&self) -> usize {
        let payment = self.checkout.replacen("ch_", "p_", 1);
        let ask = Ask::get(&format!("/api/payments/{payment}/refunds")).bearer(&self.key);
        let reply = self.world.send(ask).await;
        reply.body["refunds"].as_array().expect("a list").len()
    }
}

fn replayed(reply: &Reply) -> bool {
    reply.header("idempotent-replayed") == Some("true")
}

#[tokio::test]
async fn a_key_is_new_again_after_a_day_and_not_before() {
    let shop = Shop::open().await;
    let (good, bad) = (r#"{"amount":100}"#, r#"{"amount":99999}"#);
    let first = shop.refund("k", good).await;
    assert_eq!((first.status.as_u16(), replayed(&first)), (202, false), "{}", first.body);
    let refused = shop.refund("r", bad).await;
    assert_eq!((refused.status.as_u16(), replayed(&refused)), (400, false));

    shop.world.clock.advance(DAY_MS - 1);
    shop.world.engine.step_expire(100).await.expect("a sweep");
    let again = shop.refund("k", good).await;
    assert_eq!((again.status.as_u16(), replayed(&again)), (202, true));
    assert_eq!(again.body, first.body);
    assert!(replayed(&shop.refund("r", bad).await));
    assert_eq!(shop.refund("k", bad).await.status, 422);
    assert_eq!(shop.refunds().await, 1);

    // Whether or not expired keys were swept.
    shop.world.clock.advance(1);
    let new = shop.refund("k", good).await;
    assert_eq!((new.status.as_u16(), replayed(&new)), (202, false));
    assert_ne!(new.body["refundId"], first.body["refundId"]);
    assert_eq!(shop.refunds().await, 2);
    let swept = shop.world.engine.step_expire(100).await.expect("a sweep");
    assert_eq!(swept, 1, "the other one");
    assert!(!replayed(&shop.refund("r", good).await), "another request under a forgotten key");
    assert!(replayed(&shop.refund("k", good).await));
}

#[tokio::test]
async fn a_request_that_a_node_left_is_held_until_its_lease_ends_and_then_done_once() {
    let shop = Shop::open().await;
    let accounts = shop.world.engine.list_accounts().await.expect("accounts");
    let tenant = Tenant::new(accounts[0].number, Mode::Live);
    let key = IdempotencyKey { door: "yoco", value: "left".into() };
    let (path, body) = (shop.path(), r#"{"amount":100}"#);
    let request = [b"POST".as_slice(), path.as_bytes(), body.as_bytes()];
    // Another node began the request, made the refund and died.
    let begun = shop.world.engine.begin_request(tenant, &key, &request).await.expect("begun");
    let IdempotentRequest::Process(keyed) = begun else { panic!("{begun:?}") };
    let new = engine::NewRefund {
        tenant,
        payment: domain::ids::PaymentId::parse(&shop.checkout.replacen("ch_", "pay_", 1)).unwrap(),
        kind: Some(domain::payment::Kind::Checkout),
        amount: Some(100),
        currency: None,
        expected_refundable: None,
        reason: None,
        reference: None,
        metadata: None,
    };
    // Another method, path or body makes another request.
    for (at, part) in [b"PUT".as_slice(), b"/api/checkouts", b"{}"].into_iter().enumerate() {
        let mut other = request;
        other[at] = part;
        let begun = shop.world.engine.begin_request(tenant, &key, &other).await.expect("a read");
        assert!(matches!(begun, IdempotentRequest::Other), "{begun:?}");
    }
    let made = shop.world.engine.create_refund(new, Some(&keyed.key())).await.expect("a refund");

    let reply = shop.refund("left", body).await;
    assert_eq!((reply.status.as_u16(), &reply.body["description"]), (409, &"Conflict".into()));
    assert_eq!(shop.refund("left", "{}").await.status, 422, "another request");
    shop.world.clock.advance(30_000 - 1);
    assert_eq!(shop.refund("left", body).await.status, 409);
    shop.world.clock.advance(1);
    let reply = shop.refund("left", body).await;
    assert_eq!((reply.status.as_u16(), replayed(&reply)), (202, false), "{}", reply.body);
    assert_eq!(reply.body["refundId"], made.value.refund.id.to_string());
    assert_eq!(shop.refunds().await, 1);
    assert!(replayed(&shop.refund("left", body).await));
}

#[tokio::test]
async fn an_answer_that_was_not_kept_comes_out_the_same() {
    let shop = Shop::open().await;
    let first = shop.refund("k", r#"{"amount":100}"#).await;
    // The answer is lost, as if the node had died between the refund and its answer.
    let file = shop.world.folder().path().join("refundry.db");
    let database = rusqlite::Connection::open(file).expect("the database");
    let lost =
        database.execute("UPDATE answers SET status = NULL, body = NULL, lease_until = 0", []);
    assert_eq!(lost.expect("an update"), 1);
    let again = shop.refund("k", r#"{"amount":100}"#).await;
    assert_eq!(again.body, first.body);
    assert_eq!(shop.refunds().await, 1);
    // A stored answer that was tampered with is refused, and nothing is done.
    database.execute("UPDATE answers SET body = x'00'", []).expect("an update");
    assert_eq!(shop.refund("k", r#"{"amount":100}"#).await.status, 503);
    assert_eq!(shop.refunds().await, 1);
}
