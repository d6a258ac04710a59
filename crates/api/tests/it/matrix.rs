//! Every operation that takes a key x {no key, a wrong key, another tenant, the other mode, every
//! scope but its own}, from the route table itself.

use crate::unmatched::told;
use crate::world::{Ask, Key, Reply, World};
use domain::outcome::ProviderOutcome;
use domain::tenant::Mode;
use engine::access::{ErrorProfile, KeyScope};
use http::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// An amount that appears nowhere by chance.
const AMOUNT: i64 = 7_654_321;

/// Operations that name no existing resource: they list, sum up, or create. This list may only
/// shrink.
const OF_NOBODY: &[&str] = &[
    "GET /api/v1/api-keys",
    "GET /api/v1/checkout-sessions",
    "GET /api/v1/events",
    "GET /api/v1/events/types",
    "GET /api/v1/invoices",
    "GET /api/v1/ledger",
    "GET /api/v1/ledger/balances",
    "GET /api/v1/payment_intents",
    "GET /api/v1/payments",
    "GET /api/v1/provider-accounts",
    "GET /api/v1/refunds",
    "GET /api/v1/reports/cash-flow",
    "GET /api/v1/reports/ledger.csv",
    "GET /api/v1/reports/pnl",
    "GET /api/v1/sending",
    "GET /api/v1/unmatched-notices",
    "GET /api/v1/webhooks",
    "GET /api/v1/webhooks/deliveries",
    "POST /api/v1/api-keys",
    "POST /api/v1/checkout-sessions",
    "POST /api/v1/invoices",
    "POST /api/v1/payment_intents",
    "POST /api/v1/payments",
    "POST /api/v1/provider-accounts",
    "POST /api/v1/sending/start",
    "POST /api/v1/sending/stop",
    "POST /api/v1/webhooks",
];

/// A merchant with one of every resource.
struct Shop {
    world: World,
    own: Key,
    /// The ids of the merchant's resources by the folder in their path.
    things: BTreeMap<&'static str, String>,
}

async fn make(world: &World, key: &Key, path: &str, body: &Value) -> String {
    let reply = world.send(Ask::post(path, body.to_string()).bearer(key)).await;
    reply.data(201)["id"].as_str().expect("an id").to_owned()
}

async fn first(world: &World, key: &Key, path: &str) -> String {
    let reply = world.send(Ask::get(path).bearer(key)).await;
    reply.data(200)[0]["id"].as_str().expect("an id").to_owned()
}

fn session(amount: i64) -> Value {
    json!({"amount": amount, "currency": "USD", "methods": ["card"],
        "successUrl": "https://shop.example/ok", "cancelUrl": "https://shop.example/no"})
}

fn invoice(amount: i64) -> Value {
    let lines = json!([{"description": "Tea", "quantity": 1, "unitAmount": amount}]);
    json!({"customerId": "c", "currency": "USD", "lines": lines})
}

fn intent(amount: i64) -> Value {
    json!({"amount": amount, "currency": "USD"})
}

fn payment(charge: &str, amount: i64) -> Value {
    json!({"amount": amount, "currency": "USD", "provider": "simulator", "providerPaymentId": charge})
}

fn secrets() -> Value {
    json!({"api_key": "k3y", "webhook_secret": "h00k"})
}

fn provider_account(merchant: &str) -> Value {
    json!({"provider": "test_psp", "name": "Shop", "config": {"merchant_account": merchant},
        "secrets": secrets()})
}

impl Shop {
    async fn open() -> Self {
        let world = World::new().await;
        let own = world.key(Some(Mode::Test), "*").await;
        let hook = json!({"url": "https://shop.example/hooks"});
        let mut things = BTreeMap::new();
        for (folder, body) in [
            ("webhooks", hook),
            ("payments", payment("ch_own", AMOUNT)),
            ("refunds", json!({"chargeId": "ch_own", "amount": 5})),
            ("checkout-sessions", session(AMOUNT)),
            ("invoices", invoice(AMOUNT)),
            ("api-keys", json!({"name": "till"})),
            ("provider-accounts", provider_account(&AMOUNT.to_string())),
        ] {
            things.insert(folder, make(&world, &own, &format!("/api/v1/{folder}"), &body).await);
        }
        let holds = format!("/api/v1/payments/{}/holds", things["payments"]);
        let body = json!({"amount": 5, "reason": "chargeback"});
        things.insert("holds", make(&world, &own, &holds, &body).await);
        let ask = Ask::post("/api/v1/payment_intents", intent(AMOUNT).to_string());
        let intent = world.send(ask.bearer(&own)).await.body["id"].as_str().map(str::to_owned);
        things.insert("payment_intents", intent.expect("an id"));
        world.hear(told("re_early", ProviderOutcome::Completed, 300)).await;
        for folder in ["events", "webhooks/deliveries", "unmatched-notices"] {
            things.insert(folder, first(&world, &own, &format!("/api/v1/{folder}")).await);
        }
        Self { world, own, things }
    }

    /// The operation on the merchant's own resource, with a valid body.
    fn ask(&self, method: &Method, path: &str, charge: &str) -> Ask {
        let mut target = path.to_owned();
        if let Some((before, _)) = path.split_once("/{id}") {
            let folder = before.strip_prefix("/api/v1/").expect("a path of this door");
            target = target.replace("{id}", &self.things[folder]);
            target = target.replace("{holdId}", &self.things["holds"]);
        }
        let body = match (method.as_str(), path) {
            ("POST", "/api/v1/payments") => payment(charge, 50),
            ("POST", "/api/v1/refunds") => json!({"chargeId": "ch_own", "amount": 5}),
            ("POST", "/api/v1/payments/{id}/holds") => json!({"amount": 5, "reason": "chargeback"}),
            ("POST", "/api/v1/refunds/{id}/resolve") => {
                json!({"outcome": "failed", "proof": {"text": "it is not there"}})
            }
            ("POST", "/api/v1/checkout-sessions") => session(50),
            ("POST", "/api/v1/invoices") => invoice(50),
            ("POST", "/api/v1/payment_intents") => intent(50),
            ("POST", "/api/v1/payment_intents/{id}/confirm") => {
                json!({"payment_method": "pm_card"})
            }
            ("POST", "/api/v1/webhooks") => json!({"url": "https://other.example/hooks"}),
            ("POST", "/api/v1/api-keys") => json!({"name": "mine"}),
            ("POST", "/api/v1/provider-accounts") => provider_account("Mine"),
            ("POST", "/api/v1/provider-accounts/{id}/rotate") => json!({"secrets": secrets()}),
            ("PATCH", "/api/v1/provider-accounts/{id}") => {
                json!({"name": "Mine", "config": {"merchant_account": "Mine"}})
            }
            ("POST", "/api/v1/events/replay") => json!({"eventIds": [self.things["events"]]}),
            ("POST", "/api/v1/events/trigger") => {
                json!({"type": "refund.failed", "aggregateId": self.things["refunds"]})
            }
            _ => json!({}),
        };
        let reads = method == Method::GET;
        let mut ask = if reads { Ask::get(&target) } else { Ask::post(&target, body.to_string()) };
        ask.method = method.clone();
        ask
    }

    /// The state of all the merchant's resources.
    async fn state(&self) -> Vec<Value> {
        let mut all = vec![self.world.books(&self.own).await];
        let lists = ["checkout-sessions", "invoices", "webhooks", "webhooks/deliveries"];
        for folder in lists.into_iter().chain(["provider-accounts", "sending", "unmatched-notices"])
        {
            let ask = Ask::get(&format!("/api/v1/{folder}")).bearer(&self.own);
            all.push(self.world.send(ask).await.data(200).clone());
        }
        all
    }

    /// Fails when an answer shows anything of the merchant's.
    fn assert_shows_nothing(&self, what: &str, reply: &Reply) {
        let text = reply.body.to_string();
        let shown = self.things.values().find(|id| text.contains(id.as_str()));
        assert_eq!(shown, None, "{what}: {text}");
        assert!(!text.contains(&AMOUNT.to_string()), "{what}: {text}");
    }
}

fn operations() -> impl Iterator<Item = (Method, &'static str, KeyScope)> {
    api::operations()
        .into_iter()
        .filter_map(|(method, path, permission)| Some((method, path, permission?)))
        .filter(|(_, path, _)| path.starts_with("/api/v1/"))
}

#[tokio::test]
async fn without_a_key_with_a_wrong_one_or_without_the_scope_nothing_is_done() {
    let shop = Shop::open().await;
    let before = shop.state().await;
    let scopes = || KeyScope::ALL.iter().map(ToString::to_string);
    for (method, path, permission) in operations() {
        let what = format!("{method} {path}");
        let ask = shop.ask(&method, path, "ch_none");
        let reply = shop.world.send(ask.clone()).await;
        assert_eq!(reply.problem(), "401 unauthorized", "{what}");
        let mut wrong = ask.clone();
        wrong.headers.push(("Authorization".into(), "Bearer pk_test_wrong".into()));
        let reply = shop.world.send(wrong).await;
        assert_eq!(reply.status, 401, "{what}");
        shop.assert_shows_nothing(&what, &reply);
        let others: Vec<_> = scopes().filter(|scope| *scope != permission.to_string()).collect();
        assert_eq!(others.len() + 1, scopes().count(), "{permission} is a scope");
        let key = shop.world.key(Some(Mode::Test), &others.join(" ")).await;
        let reply = shop.world.send(ask.bearer(&key)).await;
        assert_eq!(reply.problem(), "403 insufficient_scope", "{what}");
        shop.assert_shows_nothing(&what, &reply);
    }
    assert_eq!(shop.state().await, before);
}

#[tokio::test]
async fn another_tenant_and_the_other_mode_get_at_nothing() {
    let shop = Shop::open().await;
    let world = &shop.world;
    let before = shop.state().await;
    let other = world.engine.create_account("Other").await.expect("an account").id;
    let other = world.key_of(other, Some(Mode::Test), "*", ErrorProfile::Node).await;
    let live = world.key(Some(Mode::Live), "*").await;
    let mut of_nobody = Vec::new();
    for (method, path, _) in operations() {
        let what = format!("{method} {path}");
        for (who, key) in [("another tenant", &other), ("the other mode", &live)] {
            let charge = format!("ch_{}", who.len());
            let reply = world.send(shop.ask(&method, path, &charge).bearer(key)).await;
            if OF_NOBODY.contains(&what.as_str()) {
                assert!(matches!(reply.status.as_u16(), 200..500), "{what}: {}", reply.body);
                if method == Method::GET {
                    shop.assert_shows_nothing(&what, &reply);
                }
            } else if what == "POST /api/v1/events/trigger" && who == "the other mode" {
                assert_eq!(reply.problem(), "403 test_mode_only");
            } else {
                assert_eq!(reply.status, 404, "{who}: {what}: {}", reply.body);
                let named = reply.body["error"]["code"].as_str();
                assert_eq!(named, Some("not_found"), "{who}: {what}");
            }
        }
        let names_a_thing = path.contains("/{id}")
            || ["/refunds", "/replay", "/trigger"].iter().any(|end| path.ends_with(end))
                && method == Method::POST;
        if !names_a_thing {
            of_nobody.push(what);
        }
    }
    of_nobody.sort_unstable();
    assert_eq!(of_nobody, OF_NOBODY);
    assert_eq!(shop.state().await, before);
}

/// The requests above are valid: the owner is refused none of them.
#[tokio::test]
async fn the_owner_gets_at_everything() {
    let shop = Shop::open().await;
    let (removals, others): (Vec<_>, Vec<_>) =
        operations().partition(|(method, ..)| method == Method::DELETE);
    for (method, path, _) in others.into_iter().chain(removals) {
        let reply = shop.world.send(shop.ask(&method, path, "ch_more").bearer(&shop.own)).await;
        let status = reply.status.as_u16();
        assert!(matches!(status, 200..300 | 409), "{method} {path}: {status} {}", reply.body);
    }
}
