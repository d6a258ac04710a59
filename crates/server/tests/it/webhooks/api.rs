//! Endpoints and the delivery log over the native API.

use super::receiver::{Answer, Receiver};
use super::world::{verify_plugipay, verify_standard};
use crate::harness::{Demo, Reply, eventually};
use serde_json::{Value, json};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

pub async fn send(demo: &Demo, key: &str, method: &str, path: &str, body: Option<&Value>) -> Reply {
    let bearer = demo.ready_file[key]["bearer"].as_str().expect("a bearer");
    let auth = format!("Bearer {bearer}");
    let mut headers = vec![("authorization", auth.as_str())];
    if body.is_some() {
        headers.push(("content-type", "application/json"));
    }
    let bytes = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
    demo.try_send(method, path, &headers, bytes).await.expect("an answer")
}

async fn test(demo: &Demo, method: &str, path: &str, body: Option<&Value>) -> Reply {
    send(demo, "test", method, path, body).await
}

fn id(reply: &Reply) -> String {
    reply.data()["id"].as_str().expect("an id").to_owned()
}

pub async fn refund(demo: &Demo, charge: &str) -> Value {
    demo.pay(charge, 10_000).await;
    demo.post("/api/v1/refunds", &json!({"chargeId": charge, "amount": 100})).await.data().clone()
}

#[expect(clippy::disallowed_methods, reason = "receivers compare signatures with real time")]
fn now_s() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.expect("a time after 1970").as_secs()).expect("a few billion")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_is_created_read_changed_rotated_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path(), &[]).await;
    let url = "https://shop.example/hooks";
    let made = test(&demo, "POST", "/api/v1/webhooks", Some(&json!({"url": url}))).await;
    assert_eq!(made.status, 201);
    let data = made.data();
    assert!(id(&made).starts_with("whep_"));
    let secret = data["secret"].as_str().expect("a secret");
    assert!(secret.starts_with("whsec_"));
    for (field, value) in [
        ("accountId", demo.ready_file["accountId"].clone()),
        ("mode", json!("test")),
        ("url", json!(url)),
        ("events", json!(["*"])),
        ("format", json!("plugipay")),
        ("description", Value::Null),
        ("active", json!(true)),
        ("status", json!("active")),
        ("signingSecret", json!(secret)),
        ("consecutiveFailures", json!(0)),
        ("failingSince", Value::Null),
        ("disabledAt", Value::Null),
        ("disabledReason", Value::Null),
    ] {
        assert_eq!(data[field], value, "{field}");
    }
    let path = format!("/api/v1/webhooks/{}", id(&made));

    let shown = test(&demo, "GET", &path, None).await;
    assert_eq!(shown.data()["url"], url);
    for field in ["secret", "signingSecret"] {
        assert!(shown.data().get(field).is_none(), "{field} is shown once");
    }
    let listed = test(&demo, "GET", "/api/v1/webhooks", None).await;
    assert_eq!(listed.data().as_array().map(Vec::len), Some(1));
    assert!(listed.json["meta"].get("cursor").is_none(), "a bare array");

    let change = json!({
        "url": "https://shop.example/other", "events": ["refund.failed"], "description": "till",
        "active": false, "format": "refundry",
    });
    let changed = test(&demo, "PATCH", &path, Some(&change)).await;
    let data = changed.data();
    assert_eq!(data["url"], "https://shop.example/other");
    assert_eq!(data["events"], json!(["refund.failed"]));
    assert_eq!((&data["active"], &data["status"]), (&json!(false), &json!("disabled")));
    assert_eq!(data["description"], "till");
    assert_eq!(data["format"], "plugipay", "the format cannot be changed");
    let same = test(&demo, "PATCH", &path, Some(&json!({}))).await;
    assert_eq!(same.data()["events"], json!(["refund.failed"]), "absent fields stay as they are");

    let rotated = test(&demo, "POST", &format!("{path}/rotate-secret"), None).await;
    assert_eq!(rotated.status, 200);
    assert_ne!(rotated.data()["secret"], json!(secret));
    assert!(rotated.data()["previousSecretExpiresAt"].is_string());

    // Keys of the other mode and of another account do not find the endpoint.
    for method in ["GET", "DELETE"] {
        assert_eq!(send(&demo, "live", method, &path, None).await.status, 404, "{method}");
    }
    let list = send(&demo, "live", "GET", "/api/v1/webhooks", None).await;
    assert_eq!(list.data(), &json!([]));
    assert_eq!(send(&demo, "live", "PATCH", &path, Some(&change)).await.status, 404);
    let rotate = format!("{path}/rotate-secret");
    assert_eq!(send(&demo, "live", "POST", &rotate, None).await.status, 404);

    let deleted = test(&demo, "DELETE", &path, None).await;
    assert_eq!((deleted.status.as_u16(), deleted.json), (204, Value::Null));
    assert_eq!(test(&demo, "DELETE", &path, None).await.status, 404);
    assert_eq!(test(&demo, "GET", &path, None).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_endpoints_are_refused_and_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path(), &[]).await;
    let url = "https://shop.example/";
    for (body, field) in [
        (json!({}), "url"),
        (json!({"url": ""}), "url"),
        (json!({"url": "shop.example"}), "url"),
        (json!({"url": "http://10.0.0.1/"}), "url"),
        (json!({"url": "http://2130706433/"}), "url"),
        (json!({"url": "http://0x7f.1/"}), "url"),
        (json!({"url": format!("https://shop.example/{}", "x".repeat(2_000))}), "url"),
        (json!({"url": url, "events": ["refund.exploded"]}), "events"),
        (json!({"url": url, "events": "refund.created"}), "events"),
        (json!({"url": url, "events": ["refund.created refund.failed"]}), "events"),
        (json!({"url": url, "events": [""]}), "events"),
        (json!({"url": url, "events": [1]}), "events"),
        (json!({"url": url, "format": "stripe"}), "format"),
        (json!({"url": url, "active": "yes"}), "active"),
        (json!({"url": url, "description": "x".repeat(501)}), "description"),
    ] {
        let reply = test(&demo, "POST", "/api/v1/webhooks", Some(&body)).await;
        assert_eq!(reply.status, 400, "{body}");
        assert_eq!(reply.json["error"]["code"], "validation_error", "{body}");
        assert_eq!(reply.json["error"]["field"], field, "{body}");
    }
    assert_eq!(test(&demo, "GET", "/api/v1/webhooks", None).await.data(), &json!([]));
    for _ in 0..50 {
        let body = json!({"url": url, "events": ["*"]});
        assert_eq!(test(&demo, "POST", "/api/v1/webhooks", Some(&body)).await.status, 201);
    }
    let one_more = test(&demo, "POST", "/api/v1/webhooks", Some(&json!({"url": url}))).await;
    assert_eq!(one_more.status, 409);
    for path in ["/api/v1/webhooks/whep_nothing", "/api/v1/webhooks/deliveries/dlv_nothing"] {
        assert_eq!(test(&demo, "GET", path, None).await.status, 404, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refunds_of_both_modes_are_sent_and_logged() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path(), &[]).await;
    let receiver = Receiver::start().await;
    let make = async |key: &str, format: &str| {
        let body = json!({"url": receiver.url(&format!("/{key}/{format}")), "format": format});
        let made = send(&demo, key, "POST", "/api/v1/webhooks", Some(&body)).await;
        (id(&made), made.data()["secret"].as_str().expect("a secret").to_owned())
    };
    let (standard, standard_secret) = make("test", "refundry").await;
    let (_, plugipay_secret) = make("test", "plugipay").await;
    make("live", "plugipay").await;
    let refund = refund(&demo, "ch_told").await;
    eventually("both webhooks", LIMIT, async || {
        let counts = [receiver.count("/test/refundry"), receiver.count("/test/plugipay")];
        (counts == [3, 2]).then_some(())
    })
    .await;
    let now_s = now_s();
    for one in receiver.all() {
        match one.path.as_str() {
            "/test/refundry" => assert!(verify_standard(&one, &standard_secret, now_s).is_some()),
            "/test/plugipay" => assert!(verify_plugipay(&one, &plugipay_secret, now_s).is_some()),
            path => panic!("no test refund is sent to live endpoints: {path}"),
        }
    }

    let of = format!("/api/v1/webhooks/deliveries?endpointId={standard}&limit=100");
    let listed = eventually("the log", LIMIT, async || {
        let listed = test(&demo, "GET", &of, None).await;
        let all = listed.data().as_array().expect("a list").clone();
        all.iter().all(|one| one["status"] == "succeeded").then_some(all)
    })
    .await;
    let kinds: Vec<_> = listed.iter().map(|one| one["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["payment.partially_refunded", "refund.succeeded", "refund.created"]);
    let created = &listed[2];
    let path = format!("/api/v1/webhooks/deliveries/{}", created["id"].as_str().unwrap());
    let shown = test(&demo, "GET", &path, None).await;
    let data = shown.data();
    let body: Value = serde_json::from_str(data["body"].as_str().unwrap()).unwrap();
    assert_eq!(body["data"]["object"]["id"], refund["id"]);
    let mut arrived = receiver.all().into_iter().filter(|one| one.path == "/test/refundry");
    let sent = arrived.find(|one| one.json()["id"] == created["eventId"]);
    assert_eq!(data["body"].as_str(), sent.as_ref().map(super::receiver::Received::text));
    assert_eq!(data["attempts"], 1);
    assert_eq!(data["responseCode"], 200);
    assert_eq!(data["nextRetryAt"], Value::Null);
    let log = data["attemptLog"].as_array().expect("a log");
    assert_eq!(log.len(), 1);
    assert_eq!((&log[0]["attemptNumber"], &log[0]["status"]), (&json!(1), &json!("succeeded")));

    // Pages and filters, and which keys may read the log.
    let page = test(&demo, "GET", "/api/v1/webhooks/deliveries?limit=2", None).await;
    assert_eq!(page.json["meta"]["hasMore"], true);
    let cursor = page.json["meta"]["cursor"].as_str().unwrap();
    let next = format!("/api/v1/webhooks/deliveries?limit=2&cursor={cursor}");
    let next = test(&demo, "GET", &next, None).await;
    assert_eq!(next.data().as_array().map(Vec::len), Some(2));
    let count = async |query: &str| {
        let path = format!("/api/v1/webhooks/deliveries?{query}");
        test(&demo, "GET", &path, None).await.data().as_array().map_or(0, Vec::len)
    };
    assert_eq!(count("type=plugipay.refund.issued.v1").await, 1);
    assert_eq!(count("type=refund.created").await, 1);
    assert_eq!(count("status=failed").await, 0);
    assert_eq!(count("endpointId=whep_nothing").await, 0);
    for query in ["status=lost", "type=refund.exploded", "limit=0"] {
        let path = format!("/api/v1/webhooks/deliveries?{query}");
        assert_eq!(test(&demo, "GET", &path, None).await.status, 400, "{query}");
    }
    assert_eq!(send(&demo, "live", "GET", &path, None).await.status, 404);
    let live = send(&demo, "live", "GET", "/api/v1/webhooks/deliveries", None).await;
    assert_eq!(live.data(), &json!([]));
    assert_eq!(send(&demo, "live", "POST", &format!("{path}/retry"), None).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_retried_on_request_and_a_needless_retry_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path(), &[]).await;
    let receiver = Receiver::start().await;
    receiver.answers(|_| Answer::status(503));
    let body = json!({"url": receiver.url("/"), "events": ["refund.created"]});
    let made = test(&demo, "POST", "/api/v1/webhooks", Some(&body)).await;
    let endpoint = format!("/api/v1/webhooks/{}", id(&made));
    refund(&demo, "ch_retried").await;
    let delivery = eventually("an attempt", LIMIT, async || {
        let listed = test(&demo, "GET", "/api/v1/webhooks/deliveries", None).await;
        listed.data().get(0).filter(|one| one["attempts"] == 1).cloned()
    })
    .await;
    assert_eq!(delivery["lastError"], "HTTP 503");
    assert_eq!(delivery["status"], "pending");
    assert!(delivery["nextRetryAt"].is_string());
    let path = format!("/api/v1/webhooks/deliveries/{}", delivery["id"].as_str().unwrap());
    let retry = format!("{path}/retry");
    let refused = test(&demo, "POST", &retry, None).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.json["error"]["code"]),
        (409, &json!("already_queued"))
    );
    test(&demo, "PATCH", &endpoint, Some(&json!({"active": false}))).await;
    assert_eq!(test(&demo, "GET", &path, None).await.data()["status"], "failed");
    let refused = test(&demo, "POST", &retry, None).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.json["error"]["code"]),
        (409, &json!("endpoint_disabled"))
    );
    test(&demo, "PATCH", &endpoint, Some(&json!({"active": true}))).await;
    receiver.answers(|_| Answer::status(200));
    assert_eq!(test(&demo, "POST", &retry, None).await.status, 200);
    eventually("the retry", LIMIT, async || {
        let shown = test(&demo, "GET", &path, None).await;
        (shown.data()["status"] == "succeeded").then_some(())
    })
    .await;
    assert_eq!(receiver.all().len(), 2);
}
