//! Replayed events and triggered test events at a real receiver.

use crate::harness::{Demo, eventually};
use http_body_util::BodyExt as _;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

/// Received webhooks: the header `webhook-id` and the body.
type Inbox = Arc<Mutex<Vec<(String, Value)>>>;

/// Starts a receiver that accepts everything. Returns its URL and the received webhooks.
async fn receiver() -> (String, Inbox) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let inbox = Inbox::default();
    let seen = inbox.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let seen = seen.clone();
            let take = service_fn(move |request: Request<Incoming>| {
                let seen = seen.clone();
                async move {
                    let id = request.headers()["webhook-id"].to_str().unwrap().to_owned();
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    seen.lock().unwrap().push((id, serde_json::from_slice(&body).unwrap()));
                    Ok::<_, Infallible>(Response::new(http_body_util::Empty::<Bytes>::new()))
                }
            });
            let serve = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), take);
            tokio::spawn(async move {
                let _ = serve.await;
            });
        }
    });
    (url, inbox)
}

struct Shop {
    _folder: tempfile::TempDir,
    demo: Demo,
    inbox: Inbox,
    refund: String,
    payment: String,
}

/// A demo and a receiver that has received all events of one refund.
async fn shop() -> Shop {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path(), &[]).await;
    let (url, inbox) = receiver().await;
    let made = demo.post("/api/v1/webhooks", &json!({"url": url, "format": "refundry"})).await;
    assert_eq!(made.status, 201, "{}", made.json);
    let payment = demo.pay("ch_replay", 10_000).await;
    let body = json!({"chargeId": payment, "amount": 700});
    let refund = demo.post("/api/v1/refunds", &body).await.data()["id"].clone();
    let refund = refund.as_str().unwrap().to_owned();
    demo.wait_until_decided(LIMIT).await;
    let shop = Shop { _folder: folder, demo, inbox, refund, payment };
    shop.sent("refund.succeeded", 1).await;
    shop.sent("payment.partially_refunded", 1).await;
    shop
}

impl Shop {
    /// Waits until `count` events of a type were received, and returns them.
    async fn sent(&self, event_type: &str, count: usize) -> Vec<(String, Value)> {
        eventually(event_type, LIMIT, async || {
            let all = self.inbox.lock().unwrap().clone();
            let found: Vec<_> = all.into_iter().filter(|(_, b)| b["type"] == event_type).collect();
            (found.len() >= count).then_some(found)
        })
        .await
    }

    async fn event_ids(&self) -> Vec<String> {
        let path = format!("/api/v1/refunds/{}/timeline", self.refund);
        let events = self.demo.list(&path).await;
        events.iter().map(|event| event["eventId"].as_str().unwrap().to_owned()).collect()
    }

    /// Everything that neither a replay nor a trigger may change.
    async fn books(&self) -> Value {
        let mut all = Vec::new();
        for list in ["payments", "refunds", "ledger", "events"] {
            all.extend(self.demo.list(&format!("/api/v1/{list}")).await);
        }
        all.into()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replayed_events_are_sent_again_in_order_and_change_nothing() {
    let shop = shop().await;
    let before = shop.books().await;
    let mut ids = shop.event_ids().await;
    ids.reverse();
    let reply = shop.demo.post("/api/v1/events/replay", &json!({"eventIds": ids})).await;
    let counts = reply.data().as_array().unwrap().clone();
    let named: Vec<_> = counts.iter().map(|c| c["eventId"].as_str().unwrap()).collect();
    assert_eq!(named, ids);
    assert!(counts.iter().all(|count| count["deliveries"] == 1), "{counts:?}");
    let again = shop.sent("refund.succeeded", 2).await;
    assert_eq!(again[0], again[1], "the same id and the same text");
    let all = shop.inbox.lock().unwrap().clone();
    let sequence: Vec<_> = all
        .iter()
        .filter(|(_, body)| body["data"]["aggregateType"] == "refund")
        .map(|(_, body)| body["seq"].as_i64().unwrap())
        .collect();
    assert_eq!(sequence, [1, 2, 1, 2], "each delivery waits for the one before it");
    assert_eq!(shop.books().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_is_all_or_nothing_and_finds_no_events_of_other_tenants() {
    let shop = shop().await;
    let known = shop.event_ids().await[0].clone();
    let before = shop.demo.list("/api/v1/webhooks/deliveries").await.len();
    let unknown = "evt_01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let many = vec![known.clone(); 101];
    for (ids, status) in [
        (json!([known, unknown]), 404),
        (json!([unknown]), 404),
        (json!(["nonsense"]), 404),
        (json!([known, known]), 400),
        (json!([]), 400),
        (json!(many), 400),
        (json!(known), 400),
        (json!([5]), 400),
        (Value::Null, 400),
    ] {
        let reply = shop.demo.post("/api/v1/events/replay", &json!({"eventIds": ids})).await;
        assert_eq!(reply.status, status, "{ids}: {}", reply.json);
        assert_eq!(reply.json["error"]["field"], "eventIds");
    }
    let live = format!("Bearer {}", shop.demo.ready_file["live"]["bearer"].as_str().unwrap());
    let headers = [("authorization", live.as_str()), ("content-type", "application/json")];
    let body = json!({"eventIds": [known]}).to_string().into_bytes();
    let reply = shop.demo.try_send("POST", "/api/v1/events/replay", &headers, body).await.unwrap();
    assert_eq!(reply.status, 404);
    assert_eq!(shop.demo.list("/api/v1/webhooks/deliveries").await.len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_triggered_event_is_sent_and_marked_and_changes_nothing() {
    let shop = shop().await;
    let before = shop.books().await;
    let body = json!({
        "type": "refund.failed", "aggregateId": shop.refund,
        "data": {"note": "a drill", "object": "is not replaced"},
    });
    let reply = shop.demo.post("/api/v1/events/trigger", &body).await;
    assert_eq!(reply.status, 201, "{}", reply.json);
    let event = reply.data().clone();
    assert_eq!((&event["deliveries"], &event["seq"]), (&json!(1), &json!(0)));
    assert_eq!(event["metadata"]["source"], "trigger");
    assert_eq!(event["data"]["object"]["status"], "failed");
    let (id, webhook) = shop.sent("refund.failed", 1).await.remove(0);
    assert_eq!(json!(id), event["id"]);
    assert_eq!((&webhook["id"], &webhook["seq"]), (&event["id"], &json!(0)));
    assert_eq!(webhook["metadata"], json!({"source": "trigger"}));
    assert_eq!(webhook["data"]["note"], "a drill");
    assert_eq!(webhook["data"]["object"]["id"], json!(shop.refund));
    assert_eq!(webhook["data"]["object"]["failureCode"], "triggered");
    assert_eq!(shop.books().await, before);
    let path = format!("/api/v1/events/{id}");
    assert_eq!(shop.demo.get(&path).await.status, 404, "the triggered event changed nothing");
    let deliveries = shop.demo.list("/api/v1/webhooks/deliveries").await;
    assert!(deliveries.iter().any(|d| d["eventId"] == json!(id)), "the delivery log has it");

    let body = json!({"type": "payment.refunded", "aggregateId": shop.payment});
    let event = shop.demo.post("/api/v1/events/trigger", &body).await.data().clone();
    assert_eq!(event["data"]["object"]["amountRefunded"], 10_000);
    shop.sent("payment.refunded", 1).await;
    let (code, text) = shop.demo.run(&["verify"]);
    assert_eq!(code, 0, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn triggering_needs_a_test_key_a_known_type_and_an_object_of_the_account() {
    let shop = shop().await;
    let before = shop.demo.list("/api/v1/webhooks/deliveries").await.len();
    for (body, status, field) in [
        (json!({"aggregateId": shop.refund}), 400, "type"),
        (json!({"type": "refund.failed"}), 400, "aggregateId"),
        (json!({"type": "refund.exploded", "aggregateId": shop.refund}), 400, "type"),
        (json!({"type": "invoice.paid", "aggregateId": shop.refund}), 400, "type"),
        (json!({"type": "refund.failed", "aggregateId": shop.payment}), 404, "aggregateId"),
        (
            json!({"type": "refund.failed", "aggregateId": "rfd_01ARZ3NDEKTSV4RRFFQ69G5FAV"}),
            404,
            "aggregateId",
        ),
        (json!({"type": "refund.failed", "aggregateId": shop.refund, "data": 5}), 400, "data"),
    ] {
        let reply = shop.demo.post("/api/v1/events/trigger", &body).await;
        assert_eq!(reply.status, status, "{body}: {}", reply.json);
        assert_eq!(reply.json["error"]["field"], field, "{body}");
    }
    let live = format!("Bearer {}", shop.demo.ready_file["live"]["bearer"].as_str().unwrap());
    let headers = [("authorization", live.as_str()), ("content-type", "application/json")];
    let body = json!({"type": "plugipay.refund.failed.v1", "aggregateId": shop.refund});
    let bytes = body.to_string().into_bytes();
    let reply =
        shop.demo.try_send("POST", "/api/v1/events/trigger", &headers, bytes).await.unwrap();
    assert_eq!(
        (reply.status.as_u16(), &reply.json["error"]["code"]),
        (403, &json!("test_mode_only"))
    );
    assert_eq!(shop.demo.list("/api/v1/webhooks/deliveries").await.len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn managing_endpoints_and_triggering_events_happens_once_per_idempotency_key() {
    let shop = shop().await;
    let auth = format!("Bearer {}", shop.demo.bearer());
    let send = async |method: &str, path: &str, key: &str, body: Value| {
        let headers = [
            ("authorization", auth.as_str()),
            ("content-type", "application/json"),
            ("idempotency-key", key),
        ];
        let body = body.to_string().into_bytes();
        shop.demo.try_send(method, path, &headers, body).await.unwrap()
    };
    // The same request gets the same answer again; another request under its key is refused.
    let twice = async |method: &str, path: &str, key: &str, body: Value| {
        let first = send(method, path, key, body.clone()).await;
        assert!(first.status.is_success(), "{}", first.json);
        let again = send(method, path, key, body).await;
        assert_eq!((first.status, &first.json), (again.status, &again.json), "{path}");
        assert_eq!(again.header("idempotent-replayed"), "true");
        let other = send(method, path, key, json!({"url": "https://other.example"})).await;
        assert_eq!(
            (other.status.as_u16(), &other.json["error"]["code"]),
            (409, &json!("conflict"))
        );
        first.json["data"].clone()
    };
    let hook = json!({"url": "https://shop.example/hooks"});
    let made = twice("POST", "/api/v1/webhooks", "make", hook).await;
    assert!(made["secret"].as_str().unwrap().starts_with("whsec_"));
    assert_eq!(shop.demo.list("/api/v1/webhooks").await.len(), 2);
    let one = format!("/api/v1/webhooks/{}", made["id"].as_str().unwrap());
    twice("PATCH", &one, "change", json!({"description": "the shop"})).await;
    let rotated = twice("POST", &format!("{one}/rotate-secret"), "rotate", json!({})).await;
    assert_ne!(rotated["secret"], made["secret"]);
    twice("DELETE", &one, "remove", json!({})).await;
    assert_eq!(shop.demo.list("/api/v1/webhooks").await.len(), 1);

    let event = json!({"type": "refund.failed", "aggregateId": shop.refund});
    twice("POST", "/api/v1/events/trigger", "trigger", event).await;
    shop.sent("refund.failed", 1).await;
    let deliveries = shop.demo.list("/api/v1/webhooks/deliveries?type=refund.failed").await;
    assert_eq!(deliveries.len(), 1);
    let retry =
        format!("/api/v1/webhooks/deliveries/{}/retry", deliveries[0]["id"].as_str().unwrap());
    eventually("the first attempt's record", LIMIT, async || {
        let listed = shop.demo.list("/api/v1/webhooks/deliveries?type=refund.failed").await;
        (listed[0]["status"] == "succeeded").then_some(())
    })
    .await;
    twice("POST", &retry, "retry", json!({})).await;
    shop.sent("refund.failed", 2).await;

    // A refused request is decided anew when repeated: after fifty endpoints the limit refuses it,
    // and after a deletion it succeeds.
    for n in 1..50 {
        let hook = json!({"url": format!("https://shop.example/{n}")});
        assert_eq!(shop.demo.post("/api/v1/webhooks", &hook).await.status, 201);
    }
    let hook = json!({"url": "https://shop.example/last"});
    let refused = send("POST", "/api/v1/webhooks", "last", hook.clone()).await;
    assert_eq!(refused.status, 409, "{}", refused.json);
    let newest = shop.demo.list("/api/v1/webhooks").await[0]["id"].clone();
    let newest = format!("/api/v1/webhooks/{}", newest.as_str().unwrap());
    assert_eq!(send("DELETE", &newest, "room", json!({})).await.status, 204);
    twice("POST", "/api/v1/webhooks", "last", hook).await;
}
