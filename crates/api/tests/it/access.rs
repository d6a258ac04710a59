//! Authentication and permissions of every operation.

use crate::world::{Ask, Key, World};
use domain::tenant::Mode;
use engine::access::ErrorProfile;
use http::Method;

/// Every operation and what it takes. The part without a permission may only shrink.
const OPERATIONS: &[&str] = &[
    "POST /api/v1/payments payment:write",
    "GET /api/v1/payments payment:read",
    "GET /api/v1/payments/{id} payment:read",
    "POST /api/v1/payments/{id}/settle payment:write",
    "POST /api/v1/payments/{id}/holds payment:write",
    "GET /api/v1/payments/{id}/holds payment:read",
    "POST /api/v1/payments/{id}/holds/{holdId}/release payment:write",
    "POST /api/v1/payments/{id}/holds/{holdId}/book payment:write",
    "POST /api/v1/refunds refund:write",
    "GET /api/v1/refunds refund:read",
    "GET /api/v1/refunds/{id} refund:read",
    "POST /api/v1/refunds/{id}/cancel refund:write",
    "POST /api/v1/refunds/{id}/resolve refund:resolve",
    "GET /api/v1/refunds/{id}/attempts refund:read",
    "GET /api/v1/refunds/{id}/timeline refund:read",
    "GET /api/v1/unmatched-notices refund:read",
    "DELETE /api/v1/unmatched-notices/{id} refund:resolve",
    "GET /api/v1/ledger ledger:read",
    "GET /api/v1/ledger/balances ledger:read",
    "GET /api/v1/events event:read",
    "GET /api/v1/events/types event:read",
    "GET /api/v1/events/{id} event:read",
    "POST /api/v1/events/replay event:write",
    "POST /api/v1/events/trigger event:trigger",
    "GET /api/v1/api-keys apikey:read",
    "POST /api/v1/api-keys apikey:write",
    "DELETE /api/v1/api-keys/{id} apikey:write",
    "GET /api/v1/provider-accounts provider:read",
    "POST /api/v1/provider-accounts provider:write",
    "GET /api/v1/provider-accounts/{id} provider:read",
    "PATCH /api/v1/provider-accounts/{id} provider:write",
    "DELETE /api/v1/provider-accounts/{id} provider:write",
    "POST /api/v1/provider-accounts/{id}/pause provider:write",
    "POST /api/v1/provider-accounts/{id}/resume provider:write",
    "POST /api/v1/provider-accounts/{id}/rotate provider:write",
    "GET /api/v1/sending provider:read",
    "POST /api/v1/sending/stop provider:write",
    "POST /api/v1/sending/start provider:write",
    "GET /api/v1/reports/pnl report:read",
    "GET /api/v1/reports/cash-flow report:read",
    "GET /api/v1/reports/ledger.csv report:read",
    "POST /api/v1/inbound-webhooks/{provider}/{id} -",
    "POST /api/v1/inbound-webhooks/{provider}/{account}/{mode} -",
    "POST /api/v1/checkout-sessions checkout:write",
    "GET /api/v1/checkout-sessions checkout:read",
    "GET /api/v1/checkout-sessions/{id} checkout:read",
    "DELETE /api/v1/checkout-sessions/{id} checkout:write",
    "POST /api/v1/checkout-sessions/{id}/cancel checkout:write",
    "POST /api/v1/checkout-sessions/{id}/confirm checkout:write",
    "POST /api/v1/invoices invoice:write",
    "GET /api/v1/invoices invoice:read",
    "GET /api/v1/invoices/{id} invoice:read",
    "POST /api/v1/invoices/{id}/finalize invoice:write",
    "POST /api/v1/invoices/{id}/pay invoice:write",
    "POST /api/v1/invoices/{id}/void invoice:write",
    "POST /api/v1/invoices/{id}/send invoice:write",
    "POST /api/v1/invoices/{id}/send-email invoice:write",
    "GET /api/v1/webhooks webhook:read",
    "POST /api/v1/webhooks webhook:write",
    "GET /api/v1/webhooks/deliveries webhook:read",
    "GET /api/v1/webhooks/deliveries/{id} webhook:read",
    "POST /api/v1/webhooks/deliveries/{id}/retry webhook:write",
    "GET /api/v1/webhooks/{id} webhook:read",
    "PATCH /api/v1/webhooks/{id} webhook:write",
    "DELETE /api/v1/webhooks/{id} webhook:write",
    "POST /api/v1/webhooks/{id}/rotate-secret webhook:write",
    "GET /api/v1/public/checkout/sessions/{id} -",
    "POST /api/v1/public/checkout/sessions/{id}/charge -",
    "POST /api/v1/public/checkout/sessions/{id}/buyer-claim -",
    "GET /api/v1/public/checkout/invoices/{id} -",
    "POST /api/v1/payment_intents payment:write",
    "GET /api/v1/payment_intents payment:read",
    "GET /api/v1/payment_intents/{id} payment:read",
    "POST /api/v1/payment_intents/{id}/confirm payment:write",
    "POST /api/v1/payment_intents/{id}/cancel payment:write",
    "POST /api/v1/payment_intents/{id}/refunds refund:write",
    "GET /api/v1/payment_intents/{id}/refunds refund:read",
    "POST /api/checkouts checkout:write",
    "GET /api/checkouts/{id} checkout:read",
    "POST /api/checkouts/{id}/refund refund:write",
    "GET /api/payments/{id}/refunds refund:read",
    "POST /api/webhooks webhook:write",
    "GET /api/webhooks webhook:read",
    "DELETE /api/webhooks/{id} webhook:write",
    "GET /c/{id} -",
    "POST /c/{id} -",
    "GET /i/{id} -",
    "POST /i/{id} -",
    "GET /assets/hosted.css -",
    "GET /assets/hosted.js -",
    "GET /health -",
    "GET /healthz -",
    "GET /readyz -",
    "GET /metrics -",
    "GET /openapi.json -",
    "GET /openapi/{document} -",
    "GET /docs -",
    "GET /docs/{document} -",
];

#[test]
fn every_operation_takes_the_permission_it_should() {
    let permission = |permission: Option<engine::access::KeyScope>| {
        permission.map_or("-".to_owned(), |permission| permission.to_string())
    };
    let operations: Vec<_> = api::operations()
        .into_iter()
        .map(|(method, path, needed)| format!("{method} {path} {}", permission(needed)))
        .collect();
    assert_eq!(operations, OPERATIONS);
}

fn example(path: &str) -> String {
    path.split('/')
        .map(|segment| if segment.starts_with('{') { "x" } else { segment })
        .collect::<Vec<_>>()
        .join("/")
}

#[tokio::test]
async fn every_operation_asks_for_a_key_and_for_its_permission() {
    let world = World::new().await;
    for (method, path, permission) in api::operations() {
        let Some(permission) = permission else { continue };
        let ask = Ask::new(method.clone(), &example(path));
        let reply = world.send(ask.clone()).await;
        // The Yoco door answers in its own words.
        let yoco = path.starts_with("/api/") && !path.starts_with("/api/v1/");
        if yoco {
            assert_eq!(reply.status, 403, "{method} {path}");
            assert_eq!(reply.body["description"], "A key is required, but has not been specified.");
        } else {
            assert_eq!(reply.problem(), "401 unauthorized", "{method} {path}");
            assert!(reply.header("www-authenticate").is_some());
        }
        let others: Vec<String> = ["refund", "payment", "ledger", "event"]
            .into_iter()
            .flat_map(|resource| ["read", "write"].map(|action| format!("{resource}:{action}")))
            .filter(|scope| *scope != permission.to_string())
            .collect();
        let key = world.key(Some(Mode::Test), &others.join(" ")).await;
        let reply = world.send(ask.clone().bearer(&key)).await;
        if yoco {
            assert_eq!(reply.status, 403, "{method} {path}");
            assert_eq!(reply.body["errorCode"], "insufficient_scope");
            let text = reply.body["description"].as_str().expect("a description");
            assert!(text.contains(&permission.to_string()), "{text}");
        } else {
            assert_eq!(reply.problem(), "403 insufficient_scope", "{method} {path}");
            let message = reply.body["error"]["message"].as_str().expect("a message");
            assert!(message.contains(&permission.to_string()), "{message}");
        }
        if reply.body.get("meta").is_some() {
            assert_eq!(reply.body["error"]["details"]["scope"], permission.to_string());
        }
        let key = world.key(Some(Mode::Test), &format!("plugipay:{permission}")).await;
        let reply = world.send(ask.bearer(&key)).await;
        assert!(!matches!(reply.status.as_u16(), 401 | 403 | 500..), "{method} {path}");
    }
}

#[tokio::test]
async fn a_signed_request_gets_in_and_a_changed_one_does_not() {
    let world = World::new().await;
    let key = world.key(Some(Mode::Test), "*").await;
    let now = world.now_s();
    let ask = Ask::get("/api/v1/refunds?status=pending&x=a%20b+c");
    world.send(ask.clone().signed(&key, now)).await.data(200);
    world.send(ask.clone().signed(&key, now - 300)).await.data(200);
    let ours = ask.clone().signed(&key, now);
    let value = ours.headers[0].1.replace("Plugipay-", "Refundry-");
    let ours = ask
        .clone()
        .header("Authorization", &value)
        .header("X-Refundry-Timestamp", &now.to_string());
    world.send(ours).await.data(200);

    let mut other_query = ask.clone().signed(&key, now);
    other_query.target = "/api/v1/refunds?status=failed&x=a%20b+c".into();
    let mut other_method = ask.clone().signed(&key, now);
    other_method.method = Method::HEAD;
    let late_key = ask.clone().signed(&key, now).header("Idempotency-Key", "k");
    let mut other_body = ask.clone().signed(&key, now);
    other_body.body = b"{}".to_vec();
    for changed in [other_query, late_key, other_body] {
        assert_eq!(world.send(changed).await.problem(), "401 invalid_signature");
    }
    assert_eq!(world.send(other_method).await.status, 401);
}

#[tokio::test]
async fn bad_credentials_are_told_apart() {
    let world = World::new().await;
    let key = world.key(Some(Mode::Test), "*").await;
    let gone = world.key(Some(Mode::Test), "*").await;
    assert!(world.engine.revoke_key(&gone.id).await.expect("it is revoked"));
    let now = world.now_s();
    let ask = || Ask::get("/api/v1/refunds");
    let unknown = |bearer: &str| ask().header("Authorization", &format!("Bearer {bearer}"));
    let mut nobody = key.clone();
    nobody.id.push('x');
    let forger = Key { id: gone.id.clone(), ..key.clone() };
    let hmac = |rest: &str| ask().header("Authorization", &format!("Plugipay-HMAC-SHA256 {rest}"));
    let zeros = "0".repeat(64);
    for (ask, expected) in [
        (ask(), "401 unauthorized"),
        (ask().header("Authorization", "Basic YTpi"), "401 unauthorized"),
        (ask().header("Authorization", "Bearer"), "401 unauthorized"),
        (unknown("nothing"), "401 invalid_key"),
        (unknown(&"x".repeat(5_000)), "401 invalid_key"),
        (ask().bearer(&gone), "401 invalid_key"),
        (ask().signed(&gone, now), "401 invalid_key"),
        (ask().signed(&forger, now), "401 invalid_key"),
        (ask().signed(&nobody, now), "401 invalid_key"),
        (ask().signed(&key, now + 301), "401 timestamp_skew"),
        (ask().signed(&key, now - 301), "401 timestamp_skew"),
        (hmac(&format!("keyId={}, signature={zeros}", key.id)), "401 invalid_timestamp"),
        (hmac(&format!("keyId={}, signature=ff", key.id)), "401 invalid_signature"),
        (hmac("nonsense"), "401 unauthorized"),
    ] {
        assert_eq!(world.send(ask).await.problem(), expected);
    }
    let wrong = hmac(&format!("keyId={}, signature={zeros}", key.id))
        .header("X-Plugipay-Timestamp", &now.to_string());
    assert_eq!(world.send(wrong).await.problem(), "401 invalid_signature");
    let twice = ask().bearer(&key).bearer(&key);
    assert_eq!(world.send(twice).await.status, 400);
}

#[tokio::test]
async fn accounts_and_modes_do_not_see_each_other() {
    let world = World::new().await;
    let test = world.key(Some(Mode::Test), "*").await;
    let live = world.key(Some(Mode::Live), "*").await;
    let account = world.engine.create_account("Other").await.expect("an account").id;
    let other = world.key_of(account, Some(Mode::Test), "*", ErrorProfile::Node).await;
    let payment = world.payment(&test, "ch_1").await;
    let body = format!(r#"{{"chargeId":"{payment}"}}"#);
    let refund = world.send(Ask::post("/api/v1/refunds", &body).bearer(&test)).await;
    let refund = refund.data(201)["id"].as_str().expect("an id").to_owned();
    for stranger in [&live, &other] {
        for path in [format!("payments/{payment}"), format!("refunds/{refund}")] {
            let reply = world.send(Ask::get(&format!("/api/v1/{path}")).bearer(stranger)).await;
            assert_eq!(reply.problem(), "404 not_found");
        }
        let reply = world.send(Ask::post("/api/v1/refunds", &body).bearer(stranger)).await;
        assert_eq!(reply.problem(), "404 not_found chargeId");
        let target = format!("/api/v1/refunds/{refund}/cancel");
        let reply = world.send(Ask::post(&target, "").bearer(stranger)).await;
        assert_eq!(reply.problem(), "404 not_found");
        let reply = world.send(Ask::get("/api/v1/refunds").bearer(stranger)).await;
        assert_eq!(reply.data(200), &serde_json::json!([]));
    }
}

#[tokio::test]
async fn only_a_platform_key_acts_for_others_and_chooses_the_mode() {
    let world = World::new().await;
    let platform = world.key(None, "*").await;
    let merchant = world.engine.create_account("Merchant").await.expect("an account").id;
    let ask = || Ask::get("/api/v1/payments");
    let key = world.key_of(merchant, Some(Mode::Live), "*", ErrorProfile::Node).await;
    world.payment(&key, "ch_live").await;

    let seen = |reply: crate::world::Reply| reply.data(200).as_array().map_or(0, Vec::len);
    for prefix in ["X-Plugipay", "X-Refundry"] {
        let of = ask()
            .bearer(&platform)
            .header(&format!("{prefix}-On-Behalf-Of"), &merchant.to_string());
        assert_eq!(seen(world.send(of.clone()).await), 0, "test is the default");
        assert_eq!(seen(world.send(of.header(&format!("{prefix}-Mode"), "live")).await), 1);
    }
    assert_eq!(seen(world.send(ask().bearer(&platform)).await), 0, "its own account");

    for (value, expected) in
        [("acc_00000000000000000000000000", "404 not_found"), ("nonsense", "404 not_found")]
    {
        let of = ask().bearer(&platform).header("X-Plugipay-On-Behalf-Of", value);
        assert_eq!(world.send(of).await.problem(), expected);
    }
    let of = ask().bearer(&key).header("X-Plugipay-On-Behalf-Of", &merchant.to_string());
    let reply = world.send(of).await;
    assert_eq!(reply.problem(), "403 insufficient_scope");
    assert_eq!(reply.body["error"]["details"]["scope"], "platform:admin");
    let mixed = ask().bearer(&key).header("X-Plugipay-Mode", "test");
    assert_eq!(world.send(mixed).await.problem(), "400 validation_error X-Refundry-Mode");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_answered_in_the_envelope() {
    let world = World::new().await;
    for target in [
        "/",
        "/api/v1",
        "/api/v1/",
        "/api/v1/refunds/",
        "/api/v1/refunds/a/b/c",
        "/api/v1/refunds/../payments",
        "//api/v1/refunds",
        "/API/v1/refunds",
        "/api/v1/nothing?x=%00",
        "/%00",
        "/%",
    ] {
        assert_eq!(world.send(Ask::get(target)).await.problem(), "404 not_found", "{target}");
    }
    let reply = world.send(Ask::new(Method::DELETE, "/api/v1/refunds")).await;
    assert_eq!(reply.problem(), "405 method_not_allowed");
    let allow = reply.header("allow").expect("it says what is allowed");
    assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");
    let reply = world.send(Ask::new(Method::OPTIONS, "/api/v1/refunds")).await;
    assert_eq!(reply.problem(), "405 method_not_allowed");
    assert!(reply.headers.keys().all(|name| !name.as_str().starts_with("access-control")));
}

#[tokio::test]
async fn ids_that_cannot_be_are_not_found() {
    let world = World::new().await;
    let key = world.key(Some(Mode::Test), "*").await;
    let long = "x".repeat(20_000);
    for id in [
        "..",
        "%2e%2e",
        "..%2f..%2fetc",
        "%00",
        "rfd_%00",
        "%ff",
        "rfd_1",
        &long,
        "rfd_01ARZ3NDEKTSV4RRFFQ69G5FAV",
    ] {
        for target in [
            format!("/api/v1/refunds/{id}"),
            format!("/api/v1/refunds/{id}/timeline"),
            format!("/api/v1/payments/{id}"),
            format!("/api/v1/events/{id}"),
        ] {
            let reply = world.send(Ask::get(&target).bearer(&key)).await;
            assert_eq!(reply.problem(), "404 not_found", "{target}");
        }
    }
}

#[tokio::test]
async fn health_and_metrics_need_no_key() {
    let world = World::new().await;
    for path in ["/health", "/healthz", "/readyz"] {
        let reply = world.send(Ask::get(path)).await;
        assert_eq!((reply.status.as_u16(), &reply.body["status"]), (200, &"ok".into()), "{path}");
    }
    let reply = world.send(Ask::get("/metrics")).await;
    assert_eq!(reply.status, 200);
    assert!(reply.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")));
    assert!(world.folder().path().exists());
}
