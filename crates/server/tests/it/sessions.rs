//! Checkout sessions over real HTTP: opening, paying and refunding them.

use crate::harness::{Demo, Reply, eventually};
use serde_json::{Value, json};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(15);

async fn demo() -> (tempfile::TempDir, Demo) {
    let folder = tempfile::tempdir().expect("a folder");
    let demo = Demo::start(folder.path(), &[]).await;
    (folder, demo)
}

fn request(amount: i64) -> Value {
    json!({
        "amount": amount, "currency": "USD", "methods": ["card", "qris", "manual"],
        "successUrl": "https://shop.example/thanks", "cancelUrl": "https://shop.example/cart",
        "lineItems": [{"name": "Tea <green>", "quantity": 2, "unitAmount": 500}],
        "customerId": "cus_1", "metadata": {"order": "7"},
    })
}

fn id(reply: &Reply) -> String {
    reply.data()["id"].as_str().expect("an id").to_owned()
}

async fn open(demo: &Demo, amount: i64) -> String {
    id(&demo.post("/api/v1/checkout-sessions", &request(amount)).await)
}

async fn get(demo: &Demo, session: &str) -> Value {
    demo.get(&format!("/api/v1/checkout-sessions/{session}")).await.data().clone()
}

/// Sends a request as a buyer, without a key.
async fn public(demo: &Demo, method: &str, path: &str, body: &Value) -> Reply {
    let path = format!("/api/v1/public/checkout/sessions/{path}");
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let headers = [("content-type", "application/json")];
    demo.try_send(method, &path, &headers, body).await.expect("an answer")
}

async fn charge(demo: &Demo, session: &str, method: &str) -> Reply {
    public(demo, "POST", &format!("{session}/charge"), &json!({"method": method})).await
}

async fn until(demo: &Demo, session: &str, status: &str) -> Value {
    eventually(status, LIMIT, async || {
        let now = get(demo, session).await;
        (now["status"] == status).then_some(now)
    })
    .await
}

/// Submits a form of the hosted page as a browser without scripts does.
async fn submit(demo: &Demo, path: &str, form: &str) -> Reply {
    let headers =
        [("content-type", "application/x-www-form-urlencoded"), ("sec-fetch-site", "same-origin")];
    demo.try_send("POST", path, &headers, form.into()).await.expect("an answer")
}

async fn page(demo: &Demo, path: &str) -> Reply {
    demo.try_send("GET", path, &[], Vec::new()).await.expect("an answer")
}

async fn assert_clean(mut demo: Demo) {
    assert!(demo.stop().await);
    let (code, text) = demo.run(&["verify"]);
    assert_eq!(code, 0, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_opened_read_and_listed_with_the_documented_fields() {
    let (_folder, demo) = demo().await;
    let reply = demo.post("/api/v1/checkout-sessions", &request(1_000)).await;
    assert_eq!(reply.status, 201);
    let session = reply.data();
    let id = session["id"].as_str().unwrap();
    assert!(id.starts_with("cs_"));
    assert_eq!(reply.header("location"), format!("/api/v1/checkout-sessions/{id}"));
    for (field, value) in [
        ("accountId", demo.ready_file["accountId"].clone()),
        ("status", json!("open")),
        ("mode", json!("test")),
        ("amount", json!(1_000)),
        ("currency", json!("USD")),
        ("methods", json!(["card", "qris", "manual"])),
        ("paymentMethod", Value::Null),
        ("customerId", json!("cus_1")),
        ("customer", Value::Null),
        ("lineItems", json!([{"name": "Tea <green>", "quantity": 2, "unitAmount": 500}])),
        ("successUrl", json!("https://shop.example/thanks")),
        ("cancelUrl", json!("https://shop.example/cart")),
        ("hostedUrl", json!(format!("http://127.0.0.1:{}/c/{id}", demo.port))),
        ("paymentId", Value::Null),
        ("completedAt", Value::Null),
        ("metadata", json!({"order": "7"})),
    ] {
        assert_eq!(session[field], value, "{field}");
    }
    assert_eq!(get(&demo, id).await, *session);
    let filters = ["", "?status=open", "?customerId=cus_1", "?order=asc"];
    for filter in filters {
        assert_eq!(demo.list(&format!("/api/v1/checkout-sessions{filter}")).await.len(), 1);
    }
    for filter in ["?status=completed", "?customerId=cus_2", "?createdBefore=2020-01-01"] {
        assert!(demo.list(&format!("/api/v1/checkout-sessions{filter}")).await.is_empty());
    }
    assert_eq!(demo.get("/api/v1/checkout-sessions?status=paid").await.status, 400);
    let shown = public(&demo, "GET", id, &Value::Null).await;
    assert_eq!(shown.data()["session"]["amount"], 1_000);
    assert_eq!(shown.data()["methods"], json!(["card", "qris", "manual"]));
    assert_eq!(shown.data()["catalog"][1]["group"], "qr");
    assert_eq!(shown.data()["branding"]["brandName"], "Demo shop");
    for private in ["metadata", "accountId", "customerId"] {
        assert!(!shown.json.to_string().contains(private), "{private}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paid_session_is_a_payment_and_is_refunded_by_both_ids() {
    let (_folder, demo) = demo().await;
    let session = open(&demo, 1_000).await;
    let reply = charge(&demo, &session, "card").await;
    assert_eq!(reply.data()["kind"], "redirect");
    assert_eq!(reply.data()["redirectUrl"], "https://shop.example/thanks");
    let paid = get(&demo, &session).await;
    assert_eq!(paid["status"], "completed");
    assert_eq!(paid["paymentMethod"], "card");
    assert_eq!(paid["adapter"], "simulator");
    assert!(paid["completedAt"].is_string());
    let charge_id = paid["paymentId"].as_str().unwrap().to_owned();
    let payment = session.replace("cs_", "pay_");
    let payment = demo.get(&format!("/api/v1/payments/{payment}")).await;
    assert_eq!(payment.data()["kind"], "checkout_session");
    assert_eq!(payment.data()["sourceId"], json!(session));
    assert_eq!(payment.data()["providerPaymentId"], json!(charge_id));
    for (body, amount) in [
        (json!({"sourceType": "checkout_session", "sourceId": session, "amount": 300}), 300),
        (json!({"chargeId": charge_id, "amount": 200}), 200),
        (json!({"chargeId": session}), 500),
    ] {
        let refund = demo.post("/api/v1/refunds", &body).await;
        assert_eq!(refund.data()["amount"], amount, "{}", refund.json);
        assert_eq!(refund.data()["sourceId"], json!(session));
        assert_eq!(refund.data()["chargeId"], json!(charge_id));
    }
    demo.wait_until_decided(LIMIT).await;
    let listed = demo.list(&format!("/api/v1/refunds?chargeId={charge_id}")).await;
    assert_eq!(listed.len(), 3);
    assert!(listed.iter().all(|refund| refund["status"] == "succeeded"), "{listed:?}");
    let events: Vec<_> = demo
        .list("/api/v1/events?order=asc")
        .await
        .into_iter()
        .filter(|event| event["data"]["aggregateId"] == json!(session))
        .collect();
    let types: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let expected =
        ["created", "pending", "completed"].map(|word| format!("checkout_session.{word}"));
    assert_eq!(types, expected);
    let states: Vec<_> = events.iter().map(|event| &event["data"]["object"]["status"]).collect();
    assert_eq!(states, ["open", "pending", "completed"]);
    assert_eq!(
        events[0]["data"]["object"]["paymentId"],
        Value::Null,
        "the event shows the session as it was then"
    );
    let html = page(&demo, &format!("/c/{session}")).await;
    assert!(html.text.contains("Refunded"), "{}", html.text);
    assert_clean(demo).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_test_payment_method_has_its_documented_outcome() {
    let (_folder, demo) = demo().await;
    let declined = open(&demo, 1_000).await;
    let reply = charge(&demo, &declined, "card_declined").await;
    assert_eq!(reply.data()["status"], "failed");
    assert_eq!(reply.data()["failureCode"], "payment_declined");
    assert_eq!(get(&demo, &declined).await["paymentId"], Value::Null);
    // The buyer can try again with another method.
    assert_eq!(charge(&demo, &declined, "qris").await.data()["status"], "completed");

    let action = open(&demo, 1_000).await;
    let reply = charge(&demo, &action, "card_action").await;
    assert_eq!(reply.data()["actionRequired"], true);
    assert_eq!(reply.data()["redirectUrl"], get(&demo, &action).await["hostedUrl"]);
    let path = format!("/c/{action}");
    assert!(page(&demo, &path).await.text.contains("Approve"));
    assert_eq!(submit(&demo, &path, "do=refuse").await.status, 303);
    assert_eq!(get(&demo, &action).await["status"], "failed");
    assert_eq!(charge(&demo, &action, "card_action").await.data()["status"], "pending");
    assert_eq!(submit(&demo, &path, "do=approve").await.status, 303);
    assert_eq!(get(&demo, &action).await["status"], "completed");

    let processing = open(&demo, 1_000).await;
    assert_eq!(charge(&demo, &processing, "card_processing").await.data()["status"], "pending");
    until(&demo, &processing, "completed").await;

    let lost = open(&demo, 1_000).await;
    assert_eq!(charge(&demo, &lost, "card_timeout").await.data()["status"], "pending");
    until(&demo, &lost, "completed").await;

    let reply = charge(&demo, &open(&demo, 5).await, "paypal").await;
    assert_eq!((reply.status.as_u16(), &reply.json["error"]["field"]), (400, &json!("method")));
    assert_clean(demo).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manual_transfer_is_reported_by_the_buyer_and_confirmed_by_the_merchant() {
    let (_folder, demo) = demo().await;
    let session = open(&demo, 1_000).await;
    let reply = charge(&demo, &session, "manual").await;
    assert_eq!(reply.data()["kind"], "instructions");
    assert_eq!(reply.data()["instructions"]["amount"], 1_000);
    assert_eq!(get(&demo, &session).await["status"], "open");
    let confirm = format!("/api/v1/checkout-sessions/{session}/confirm");
    assert_eq!(
        demo.post(&confirm, &json!({})).await.status,
        409,
        "the buyer has not reported the transfer"
    );
    let proof = json!({"proofUrl": "https://img.example/slip.png"});
    let claimed = public(&demo, "POST", &format!("{session}/buyer-claim"), &proof).await;
    assert_eq!(claimed.data()["session"]["status"], "pending_review");
    assert_eq!(charge(&demo, &session, "card").await.status, 409, "the merchant must confirm");
    let confirmed = demo.post(&confirm, &json!({})).await;
    assert_eq!(confirmed.data()["status"], "completed");
    assert_eq!(confirmed.data()["paymentId"], json!(session), "the payment has the session's id");
    let again = demo.post(&confirm, &json!({})).await;
    assert_eq!((again.status.as_u16(), &again.json["error"]["code"]), (409, &json!("conflict")));
    let refund = demo.post("/api/v1/refunds", &json!({"chargeId": session, "amount": 10})).await;
    assert_eq!(refund.status, 201, "{}", refund.json);
    assert_eq!(refund.data()["statusDetail"], "needs_review", "it is paid by hand");
    assert_eq!(refund.data()["failureCode"], "paid_by_hand");
    let resolve = format!("/api/v1/refunds/{}/resolve", id(&refund));
    let again = json!({"outcome": "send_again", "proof": {"text": "there is nobody to ask"}});
    let refused = demo.post(&resolve, &again).await;
    assert!(refused.status.is_client_error(), "{}", refused.json);
    assert!(refused.text.contains("outcome"), "{}", refused.text);
    let paid = json!({"outcome": "succeeded", "proof": {"text": "transfer 4711"}});
    assert_eq!(demo.post(&resolve, &paid).await.data()["status"], "succeeded");
    assert_clean(demo).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_concurrent_submissions_pay_once() {
    let (_folder, demo) = demo().await;
    let demo = std::sync::Arc::new(demo);
    for method in ["card", "card_processing", "card_timeout"] {
        let session = open(&demo, 1_000).await;
        let clicks: Vec<_> = (0..20)
            .map(|_| {
                let (demo, session) = (demo.clone(), session.clone());
                tokio::spawn(async move { charge(&demo, &session, method).await.status })
            })
            .collect();
        for click in clicks {
            assert_eq!(click.await.unwrap(), 200);
        }
        until(&demo, &session, "completed").await;
    }
    let cash = demo.get("/api/v1/ledger?sourceType=checkout_session&code=cash").await;
    assert_eq!(cash.data().as_array().unwrap().len(), 3);
    assert_clean(std::sync::Arc::into_inner(demo).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_expires_and_can_then_neither_be_paid_nor_refunded() {
    let (_folder, demo) = demo().await;
    let mut body = request(1_000);
    body["expiresInSec"] = json!(1);
    let session = id(&demo.post("/api/v1/checkout-sessions", &body).await);
    let waits = id(&demo.post("/api/v1/checkout-sessions", &body).await);
    assert_eq!(charge(&demo, &waits, "card_action").await.data()["status"], "pending");
    until(&demo, &session, "expired").await;
    let reply = charge(&demo, &session, "card").await;
    assert_eq!((reply.status.as_u16(), &reply.json["error"]["code"]), (409, &json!("conflict")));
    assert!(page(&demo, &format!("/c/{session}")).await.text.contains("Expired"));
    for act in ["cancel", "confirm"] {
        let path = format!("/api/v1/checkout-sessions/{session}/{act}");
        assert_eq!(demo.post(&path, &json!({})).await.status, 409, "{act}");
    }
    assert_refund_refused(&demo, "checkout_session", &session).await;
    assert_eq!(get(&demo, &waits).await["status"], "pending", "the buyer may still agree");
    assert_clean(demo).await;
}

/// Asserts that an unpaid session cannot be refunded, with the error of each profile.
async fn assert_refund_refused(demo: &Demo, kind: &str, source: &str) {
    for (profile, status, code) in [("node", 409, "state_conflict"), ("go", 404, "not_found")] {
        let auth = format!("Bearer {}", demo.bearer());
        let headers = [
            ("authorization", auth.as_str()),
            ("content-type", "application/json"),
            ("refundry-error-profile", profile),
        ];
        for body in [json!({"sourceType": kind, "sourceId": source}), json!({"chargeId": source})] {
            let body = body.to_string().into_bytes();
            let reply =
                demo.try_send("POST", "/api/v1/refunds", &headers, body).await.expect("an answer");
            assert_eq!(reply.status, status, "{profile} {}", reply.json);
            assert_eq!(reply.json["error"]["code"], code);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn canceling_and_deleting_depend_on_the_state() {
    let (_folder, demo) = demo().await;
    let path = |session: &str, act: &str| format!("/api/v1/checkout-sessions/{session}{act}");
    let delete = async |session: &str| {
        let auth = format!("Bearer {}", demo.bearer());
        let headers = [("authorization", auth.as_str())];
        demo.try_send("DELETE", &path(session, ""), &headers, Vec::new()).await.unwrap()
    };
    let canceled = open(&demo, 1_000).await;
    assert_refund_refused(&demo, "checkout_session", &canceled).await;
    let key = Some("cancel-1");
    let first = demo.try_post(&path(&canceled, "/cancel"), key, &json!({})).await.unwrap();
    assert_eq!(first.data()["status"], "canceled");
    let again = demo.try_post(&path(&canceled, "/cancel"), key, &json!({})).await.unwrap();
    assert_eq!(again.header("idempotent-replayed"), "true");
    let reply = demo.post(&path(&canceled, "/cancel"), &json!({})).await;
    assert_eq!((reply.status.as_u16(), &reply.json["error"]["code"]), (409, &json!("conflict")));
    assert_eq!(charge(&demo, &canceled, "card").await.status, 409);
    assert_refund_refused(&demo, "checkout_session", &canceled).await;

    // Deleting cancels the payment attempt at the provider; after that, nothing holds the session.
    let stopped = open(&demo, 1_000).await;
    charge(&demo, &stopped, "card_action").await;
    assert_eq!(delete(&stopped).await.status, 409, "an attempt is in flight");
    assert_eq!(demo.post(&path(&stopped, "/cancel"), &json!({})).await.status, 200);
    eventually("the attempt to stop", LIMIT, async || {
        (delete(&stopped).await.status == 204).then_some(())
    })
    .await;

    for session in [&canceled, &open(&demo, 5).await] {
        assert_eq!(delete(session).await.status, 204);
        assert_eq!(demo.get(&path(session, "")).await.status, 404);
        assert_eq!(delete(session).await.status, 404);
        assert_eq!(charge(&demo, session, "card").await.status, 404);
        assert_eq!(page(&demo, &format!("/c/{session}")).await.status, 404);
        let events = demo.list("/api/v1/events?type=checkout_session.deleted").await;
        assert!(events.iter().any(|e| e["data"]["object"]["id"] == json!(session)));
    }
    let paid = open(&demo, 1_000).await;
    charge(&demo, &paid, "card").await;
    assert_eq!(delete(&paid).await.status, 409);
    assert_eq!(demo.list("/api/v1/checkout-sessions").await.len(), 1);
    assert_clean(demo).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_opens_one_session() {
    let (_folder, demo) = demo().await;
    let path = "/api/v1/checkout-sessions";
    let first = demo.try_post(path, Some("k"), &request(1_000)).await.unwrap();
    charge(&demo, &id(&first), "card").await;
    let again = demo.try_post(path, Some("k"), &request(1_000)).await.unwrap();
    assert_eq!((again.status.as_u16(), again.header("idempotent-replayed")), (201, "true"));
    assert_eq!(again.data(), first.data(), "the answer is the first one");
    let other = demo.try_post(path, Some("k"), &request(1_001)).await.unwrap();
    assert_eq!((other.status.as_u16(), &other.json["error"]["code"]), (409, &json!("conflict")));
    let cancel = format!("{path}/{}/cancel", id(&first));
    assert_eq!(demo.try_post(&cancel, Some("k"), &json!({})).await.unwrap().status, 409);
    assert_eq!(demo.list(path).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_sessions_are_refused_and_change_nothing() {
    let (_folder, demo) = demo().await;
    let line = |quantity: Value, unit: Value| json!([{"name": "Tea", "quantity": quantity, "unitAmount": unit}]);
    for (field, value, named) in [
        ("amount", json!(0), "amount"),
        ("amount", json!(-1), "amount"),
        ("amount", json!(1.5), "amount"),
        ("amount", json!("5"), "amount"),
        ("amount", Value::Null, "amount"),
        ("amount", json!(9_007_199_254_740_992_i64), "amount"),
        ("currency", json!("usd"), "currency"),
        ("currency", Value::Null, "currency"),
        ("methods", json!([]), "methods"),
        ("methods", json!("card"), "methods"),
        ("methods", json!(["card", "cash"]), "methods[1]"),
        ("methods", json!([5]), "methods"),
        ("methods", Value::Null, "methods"),
        ("successUrl", Value::Null, "successUrl"),
        ("successUrl", json!("javascript:alert(1)"), "successUrl"),
        ("successUrl", json!("https://"), "successUrl"),
        ("cancelUrl", json!("//shop.example"), "cancelUrl"),
        ("cancelUrl", json!("https://a\"b"), "cancelUrl"),
        ("lineItems", json!({}), "lineItems"),
        ("lineItems", json!([5]), "lineItems[0]"),
        ("lineItems", line(json!(0), json!(5)), "lineItems[0].quantity"),
        ("lineItems", line(json!(1.5), json!(5)), "lineItems[0].quantity"),
        ("lineItems", line(json!(1), json!(-5)), "lineItems[0].unitAmount"),
        ("lineItems", line(json!(2), json!(9_007_199_254_740_991_i64)), "lineItems[0].unitAmount"),
        ("lineItems", json!([{"quantity": 1, "unitAmount": 5}]), "lineItems[0].name"),
        ("lineItems", Value::Array(vec![json!({}); 101]), "lineItems"),
        ("expiresInSec", json!(0), "expiresInSec"),
        ("expiresInSec", json!(99_999_999), "expiresInSec"),
        ("expiresInSec", json!("60"), "expiresInSec"),
        ("customerId", json!(""), "customerId"),
        ("metadata", json!({"a": 5}), "metadata.a"),
    ] {
        let mut body = request(1_000);
        body[field] = value.clone();
        let reply = demo.post("/api/v1/checkout-sessions", &body).await;
        assert_eq!(reply.status, 400, "{field} {value}: {}", reply.json);
        assert_eq!(reply.json["error"]["field"], named, "{field} {value}: {}", reply.json);
    }
    assert!(demo.list("/api/v1/checkout-sessions").await.is_empty());
    let session = open(&demo, 5).await;
    for body in [json!({}), json!({"method": 5}), json!({"method": ""}), json!([])] {
        let reply = public(&demo, "POST", &format!("{session}/charge"), &body).await;
        assert_eq!(reply.status, 400, "{body}: {}", reply.json);
    }
    let bad = json!({"proofUrl": "javascript:x"});
    assert_eq!(public(&demo, "POST", &format!("{session}/buyer-claim"), &bad).await.status, 400);
    let lower = session.to_lowercase();
    for unknown in ["cs_01HX0000000000000000000000", "nothing", lower.as_str(), "pay_x"] {
        assert_eq!(public(&demo, "GET", unknown, &Value::Null).await.status, 404, "{unknown}");
        assert_eq!(page(&demo, &format!("/c/{unknown}")).await.status, 404, "{unknown}");
        let path = format!("/api/v1/checkout-sessions/{unknown}");
        assert_eq!(demo.get(&path).await.status, 404, "{unknown}");
    }
    assert_eq!(get(&demo, &session).await["status"], "open");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_works_without_scripts_and_escapes_its_input() {
    let (_folder, demo) = demo().await;
    let session = open(&demo, 123_456).await;
    let path = format!("/c/{session}");
    let shown = page(&demo, &path).await;
    assert_eq!(shown.status, 200);
    assert_eq!(shown.header("content-type"), "text/html; charset=utf-8");
    let policy = shown.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(shown.header("cache-control"), "no-store");
    for text in ["USD 1,234.56", "Demo shop", "Tea &lt;green&gt;", "name=\"method\"", "<main"] {
        assert!(shown.text.contains(text), "{text}: {}", shown.text);
    }
    for inline in ["<script>", "style=", "onclick", "<green>"] {
        assert!(!shown.text.contains(inline), "{inline}");
    }
    let wrong = submit(&demo, &path, "do=pay").await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.text.contains("Choose how to pay"));
    let elsewhere = [("sec-fetch-site", "cross-site")];
    let form = b"do=pay&method=card".to_vec();
    let reply = demo.try_send("POST", &path, &elsewhere, form.clone()).await.unwrap();
    assert_eq!(reply.status, 403);
    let origin = [("origin", "https://evil.example")];
    assert_eq!(demo.try_send("POST", &path, &origin, form).await.unwrap().status, 403);
    assert_eq!(get(&demo, &session).await["status"], "open", "nothing was done");
    let reply = submit(&demo, &path, "do=pay&method=card&outcome=declined").await;
    assert_eq!((reply.status.as_u16(), reply.header("location")), (303, path.as_str()));
    assert!(page(&demo, &path).await.text.contains("declined"));
    assert_eq!(submit(&demo, &path, "do=pay&method=card&outcome=").await.status, 303);
    let done = page(&demo, &path).await;
    assert!(done.text.contains("href=\"https://shop.example/thanks\""), "{}", done.text);
    let by_hand = open(&demo, 1_000).await;
    let path = format!("/c/{by_hand}");
    submit(&demo, &path, "do=pay&method=manual").await;
    assert!(page(&demo, &path).await.text.contains("I have sent the money"));
    assert!(page(&demo, &format!("{path}?choose=1")).await.text.contains("name=\"method\""));
    submit(&demo, &path, "do=claim").await;
    assert_eq!(get(&demo, &by_hand).await["status"], "pending_review");
    for asset in ["/assets/hosted.css", "/assets/hosted.js"] {
        assert_eq!(page(&demo, asset).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenant_finds_no_session() {
    let (_folder, demo) = demo().await;
    let session = open(&demo, 1_000).await;
    let (code, text) = demo.run(&["keys", "create", "--new-account", "Other shop"]);
    assert_eq!(code, 0, "{text}");
    let other = text.lines().find_map(|line| line.strip_prefix("bearer")).unwrap().trim();
    for bearer in [other, demo.ready_file["live"]["bearer"].as_str().unwrap()] {
        let auth = format!("Bearer {bearer}");
        let headers = [("authorization", auth.as_str()), ("content-type", "application/json")];
        for (method, act) in
            [("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("POST", "/confirm")]
        {
            let path = format!("/api/v1/checkout-sessions/{session}{act}");
            let reply = demo.try_send(method, &path, &headers, b"{}".to_vec()).await.unwrap();
            assert_eq!(reply.status, 404, "{method} {act}");
        }
        let body = json!({"chargeId": session}).to_string().into_bytes();
        let reply = demo.try_send("POST", "/api/v1/refunds", &headers, body).await.unwrap();
        assert_eq!(reply.status, 404, "{}", reply.json);
        let reply =
            demo.try_send("GET", "/api/v1/checkout-sessions", &headers, Vec::new()).await.unwrap();
        assert_eq!(reply.data(), &json!([]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_each_buyer_is_charged_once_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let envs = [("REFUNDRY_LEASE_SECONDS", "2"), ("REFUNDRY_PROVIDER_TIMEOUT_SECONDS", "1")];
    let mut demo = Demo::start(folder.path(), &envs).await;
    let mut sessions = Vec::new();
    for round in 0..6_u64 {
        let methods = ["card", "card_timeout", "card_processing", "card_declined"];
        let mut opened = Vec::new();
        for method in methods.iter().cycle().take(8) {
            opened.push((open(&demo, 1_000).await, *method));
        }
        let clicks = opened.iter().map(|(session, method)| {
            let path = format!("/api/v1/public/checkout/sessions/{session}/charge");
            let body = json!({"method": method}).to_string().into_bytes();
            let headers = [("content-type", "application/json")];
            let demo = &demo;
            async move { demo.try_send("POST", &path, &headers, body).await.map(|r| r.status) }
        });
        let pid = demo.pid().to_string();
        let kill = async {
            tokio::time::sleep(Duration::from_millis(round * 4)).await;
            std::process::Command::new("kill").args(["-9", &pid]).status().unwrap();
        };
        let ((), _) = tokio::join!(kill, futures(clicks));
        sessions.extend(opened);
        demo.kill();
        demo.restart().await;
    }
    let ended = |session: &Value| session["status"] != "pending";
    eventually("every attempt to end", Duration::from_mins(1), async || {
        demo.list("/api/v1/checkout-sessions").await.iter().all(ended).then_some(())
    })
    .await;
    let mut completed = 0;
    for (session, method) in &sessions {
        let now = get(&demo, session).await;
        let status = now["status"].as_str().unwrap();
        let fits = match *method {
            "card_declined" => ["open", "failed"].contains(&status),
            _ => ["open", "completed"].contains(&status),
        };
        assert!(fits, "{session} {method} is {status}");
        completed += i64::from(status == "completed");
    }
    let balances = demo.get("/api/v1/ledger/balances").await;
    let cash = balances.data().as_array().unwrap().clone();
    let usd = cash.iter().find(|b| b["code"] == "cash" && b["currency"] == "USD").unwrap();
    // The demo's own payment is 100.00.
    assert_eq!(usd["balance"], json!(10_000 + completed * 1_000));
    assert!(completed > 0);
    assert_clean(demo).await;
}

/// Awaits all futures.
async fn futures<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut pending: Vec<_> = all.map(Box::pin).collect();
    let mut done = Vec::new();
    std::future::poll_fn(|context| {
        pending.retain_mut(|one| match one.as_mut().poll(context) {
            std::task::Poll::Ready(value) => {
                done.push(value);
                false
            }
            std::task::Poll::Pending => true,
        });
        if pending.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done
}
