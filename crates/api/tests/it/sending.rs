//! Stopping and starting the sending of refunds over the native door.

use crate::world::{Ask, Key, Reply, World};
use domain::tenant::{Mode, Tenant};
use engine::access::ErrorProfile;
use serde_json::{Value, json};

struct Shop {
    world: World,
    test: Key,
    live: Key,
    platform: Key,
}

impl Shop {
    async fn open() -> Self {
        let world = World::new().await;
        let test = world.key(Some(Mode::Test), "*").await;
        let live = world.key(Some(Mode::Live), "*").await;
        let platform = world.key(None, "*").await;
        Self { world, test, live, platform }
    }

    async fn throw(&self, act: &str, key: &Key, body: &Value) -> Reply {
        let ask = Ask::post(&format!("/api/v1/sending/{act}"), body.to_string());
        self.world.send(ask.bearer(key)).await
    }

    async fn status(&self, key: &Key) -> Value {
        self.world.send(Ask::get("/api/v1/sending").bearer(key)).await.data(200).clone()
    }

    /// Whether the engine would send refunds of account 1 in test and in live mode, and of account 2.
    async fn stopped(&self) -> [bool; 3] {
        let stopped = async |account, mode| {
            self.world.engine.is_sending_stopped(Tenant::new(account, mode)).await
        };
        [stopped(1, Mode::Test).await, stopped(1, Mode::Live).await, stopped(2, Mode::Test).await]
    }
}

#[tokio::test]
async fn a_merchants_key_stops_its_own_account_in_its_own_mode() {
    let shop = Shop::open().await;
    let untouched = json!({"mode": "test", "stopped": false, "account": null, "everyone": null});
    assert_eq!(shop.status(&shop.test).await, untouched);
    let stopped = shop.throw("stop", &shop.test, &json!({"reason": "we look at it"})).await;
    let stopped = stopped.data(200).clone();
    assert_eq!((&stopped["stopped"], &stopped["everyone"]), (&json!(true), &Value::Null));
    assert_eq!(stopped["account"]["reason"], "we look at it");
    assert!(stopped["account"]["thrownAt"].is_string());
    assert_eq!(shop.stopped().await, [true, false, false]);
    assert_eq!(shop.status(&shop.test).await, stopped);
    assert_eq!(shop.status(&shop.live).await["stopped"], false);

    // Intake goes on.
    let payment = shop.world.payment(&shop.test, "ch_1").await;
    let refund = json!({"chargeId": payment, "amount": 5}).to_string();
    let refund = shop.world.send(Ask::post("/api/v1/refunds", refund).bearer(&shop.test)).await;
    assert_eq!(refund.status, 201);

    let again = shop.throw("stop", &shop.test, &json!({"mode": "test", "reason": "other"})).await;
    assert_eq!(again.data(200), &stopped, "it is stopped already");
    let other = shop.throw("stop", &shop.test, &json!({"mode": "live"})).await;
    assert_eq!(other.problem(), "403 wrong_environment mode");
    let everyone = shop.throw("stop", &shop.test, &json!({"reach": "everyone"})).await;
    assert_eq!(everyone.problem(), "403 insufficient_scope reach");
    let started = shop.throw("start", &shop.test, &Value::Null).await;
    assert_eq!(started.problem(), "400 validation_error", "null is no object");
    let ask = Ask::new(http::Method::POST, "/api/v1/sending/start").bearer(&shop.test);
    assert_eq!(shop.world.send(ask).await.data(200)["stopped"], false);
    assert_eq!(shop.stopped().await, [false; 3]);
    let events = shop.world.send(Ask::get("/api/v1/events?order=asc").bearer(&shop.test)).await;
    let about = |event: &&Value| event["data"]["aggregateType"] == "sending";
    let told: Vec<_> = events.data(200).as_array().expect("a list").iter().filter(about).collect();
    let types: Vec<_> = told.iter().map(|event| &event["type"]).collect();
    assert_eq!(types, ["sending.stopped", "sending.started"]);
    let object =
        json!({"mode": "test", "stopped": true, "reach": "account", "reason": "we look at it"});
    assert_eq!(told[0]["data"]["object"], object);
    assert_eq!(told[0]["data"]["aggregateId"], shop.world.account.to_string());
    assert_eq!((&told[0]["seq"], &told[1]["seq"]), (&json!(1), &json!(2)));
}

#[tokio::test]
async fn a_platform_key_stops_everyone_in_the_mode_that_it_names() {
    let shop = Shop::open().await;
    let unnamed = shop.throw("stop", &shop.platform, &json!({})).await;
    assert_eq!(unnamed.problem(), "400 validation_error mode");
    assert_eq!(shop.stopped().await, [false; 3]);
    let live = shop.throw("stop", &shop.platform, &json!({"mode": "live"})).await;
    assert_eq!(
        (&live.data(200)["mode"], &live.data(200)["stopped"]),
        (&json!("live"), &json!(true))
    );
    assert_eq!(shop.stopped().await, [false, true, false]);
    let ask = Ask::post("/api/v1/sending/stop", "{}").header("X-Refundry-Mode", "test");
    shop.world.send(ask.bearer(&shop.platform)).await.data(200);
    assert_eq!(shop.stopped().await, [true; 3]);
    let seen = shop.status(&shop.test).await;
    assert_eq!((&seen["stopped"], &seen["account"]), (&json!(true), &Value::Null));
    assert_eq!(seen["everyone"]["stopped"], true);

    // A merchant does not undo it.
    let merchant = shop.throw("start", &shop.test, &json!({})).await;
    assert_eq!(merchant.data(200)["stopped"], true);
    for mode in ["test", "live"] {
        shop.throw("start", &shop.platform, &json!({"mode": mode})).await.data(200);
    }
    assert_eq!(shop.stopped().await, [false; 3]);
    let wrong = shop.throw("stop", &shop.platform, &json!({"mode": "prod"})).await;
    assert_eq!(wrong.problem(), "400 validation_error mode");
    let wrong = shop.throw("stop", &shop.platform, &json!({"mode": "test", "reach": "us"})).await;
    assert_eq!(wrong.problem(), "400 validation_error reach");
}

#[tokio::test]
async fn a_platform_key_on_behalf_of_an_account_stops_that_account() {
    let shop = Shop::open().await;
    let other = shop.world.engine.create_account("Other").await.expect("an account").id;
    let key = shop.world.key_of(other, Some(Mode::Test), "*", ErrorProfile::Node).await;
    let ask = Ask::post("/api/v1/sending/stop", r#"{"mode": "test"}"#).bearer(&shop.platform);
    let ask = ask.header("X-Refundry-On-Behalf-Of", &other.to_string());
    assert_eq!(shop.world.send(ask).await.data(200)["stopped"], true);
    assert_eq!(shop.stopped().await, [false, false, true]);
    assert_eq!(shop.status(&key).await["account"]["stopped"], true);
}
