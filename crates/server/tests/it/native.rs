//! The native API over real HTTP: the response formats that existing clients of this kind of API
//! rely on.

use crate::harness::{Demo, eventually};
use serde_json::{Value, json};
use std::time::Duration;

async fn demo() -> (tempfile::TempDir, Demo) {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path(), &[]).await;
    (folder, demo)
}

fn refund_of(payment: &str, amount: i64) -> Value {
    json!({"sourceType": "payment", "sourceId": payment, "amount": amount})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_carries_old_and_new_field_names_and_the_envelope() {
    let (_folder, demo) = demo().await;
    let payment = demo.pay("ch_shapes", 10_000).await;
    let body = json!({
        "sourceType": "payment", "sourceId": payment, "amount": 400, "reason": "customer_request",
        "metadata": {"order": "7"}, "reference": "ref-1",
    });
    let reply = demo.post("/api/v1/refunds", &body).await;
    assert_eq!(reply.status, 201);
    assert_eq!(reply.json["error"], Value::Null);
    assert!(reply.json["meta"]["requestId"].as_str().unwrap().starts_with("req_"));
    assert!(reply.json["meta"]["timestamp"].as_str().unwrap().ends_with('Z'));
    let refund = reply.data();
    assert!(refund["id"].as_str().unwrap().starts_with("rfd_"));
    for (field, value) in [
        ("accountId", demo.ready_file["accountId"].clone()),
        ("amount", json!(400)),
        ("currency", json!("USD")),
        ("status", json!("pending")),
        ("reason", json!("customer_request")),
        ("sourceType", json!("payment")),
        ("sourceId", json!(payment)),
        ("chargeId", json!("ch_shapes")),
        ("invoiceId", Value::Null),
        ("failureReason", Value::Null),
        ("failureCode", Value::Null),
        ("failureMessage", Value::Null),
        ("metadata", json!({"order": "7"})),
        ("reference", json!("ref-1")),
    ] {
        assert_eq!(refund[field], value, "{field}");
    }
    let location = reply.header("location");
    demo.wait_until_decided(Duration::from_secs(10)).await;
    assert_eq!(demo.get(location).await.data()["status"], "succeeded");
    // The other prefixes name the same refund.
    for prefix in ["rf_", "re_"] {
        let path = location.replace("rfd_", prefix);
        assert_eq!(demo.get(&path).await.data()["id"], refund["id"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_refund_takes_the_remainder_and_the_next_one_is_refused_in_each_profile() {
    let (_folder, demo) = demo().await;
    let payment = demo.pay("ch_full", 10_000).await;
    assert_eq!(demo.post("/api/v1/refunds", &refund_of(&payment, 2_500)).await.status, 201);
    let full = json!({"sourceType": "payment", "sourceId": payment});
    assert_eq!(demo.post("/api/v1/refunds", &full).await.data()["amount"], 7_500);
    demo.wait_until_decided(Duration::from_secs(10)).await;
    assert_eq!(demo.get(&format!("/api/v1/payments/{payment}")).await.data()["status"], "refunded");

    let again = async |profile: &str, body: &Value| {
        let auth = format!("Bearer {}", demo.bearer());
        let headers = [
            ("authorization", auth.as_str()),
            ("content-type", "application/json"),
            ("refundry-error-profile", profile),
        ];
        demo.try_send("POST", "/api/v1/refunds", &headers, body.to_string().into_bytes())
            .await
            .unwrap()
    };
    let over = refund_of(&payment, 1);
    for (profile, body, status, code) in [
        ("node", &full, 409, "state_conflict"),
        ("node", &over, 422, "over_refund"),
        ("go", &full, 400, "validation_error"),
        ("go", &over, 400, "validation_error"),
    ] {
        let reply = again(profile, body).await;
        assert_eq!(reply.status, status, "{profile} {}", reply.json);
        assert_eq!(reply.json["error"]["code"], code);
        assert!(reply.json["error"]["message"].as_str().unwrap().contains("refundable"));
        assert_eq!(reply.json["data"], Value::Null);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_replays_and_another_body_is_a_conflict() {
    let (_folder, demo) = demo().await;
    let payment = demo.pay("ch_keys", 10_000).await;
    let body = refund_of(&payment, 100);
    let first = demo.try_post("/api/v1/refunds", Some("ticket-1"), &body).await.unwrap();
    assert_eq!(first.header("idempotent-replayed"), "");
    let again = demo.try_post("/api/v1/refunds", Some("ticket-1"), &body).await.unwrap();
    assert_eq!(again.status, first.status);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.data()["id"], first.data()["id"]);
    let other = demo.try_post("/api/v1/refunds", Some("ticket-1"), &refund_of(&payment, 101)).await;
    let other = other.unwrap();
    assert_eq!((other.status.as_u16(), &other.json["error"]["code"]), (409, &json!("conflict")));

    // The same reference under another key, and without a key.
    let with_reference = json!({"chargeId": payment, "amount": 5, "reference": "order-9"});
    let one = demo.try_post("/api/v1/refunds", Some("k1"), &with_reference).await.unwrap();
    let two = demo.try_post("/api/v1/refunds", Some("k2"), &with_reference).await.unwrap();
    let three = demo.post("/api/v1/refunds", &with_reference).await;
    assert_eq!(one.data()["id"], two.data()["id"]);
    assert_eq!(one.data()["id"], three.data()["id"]);
    let taken = json!({"chargeId": payment, "amount": 6, "reference": "order-9"});
    let reply = demo.post("/api/v1/refunds", &taken).await;
    assert_eq!(reply.status, 409);
    assert_eq!(reply.json["error"]["field"], "reference");
    // A payment is registered once per provider payment id, too.
    let pay = json!({"amount": 5, "currency": "USD", "provider": "simulator", "providerPaymentId": "once"});
    let first = demo.post("/api/v1/payments", &pay).await;
    assert_eq!(demo.post("/api/v1/payments", &pay).await.data()["id"], first.data()["id"]);
    let other = json!({"amount": 6, "currency": "USD", "provider": "simulator", "providerPaymentId": "once"});
    assert_eq!(demo.post("/api/v1/payments", &other).await.status, 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_page_both_ways_and_filter() {
    let (_folder, demo) = demo().await;
    let payment = demo.pay("ch_pages", 10_000).await;
    let other = demo.pay("ch_other", 10_000).await;
    for n in 1..=7 {
        demo.post("/api/v1/refunds", &refund_of(&payment, n)).await;
    }
    let body = json!({"chargeId": "ch_other", "amount": 3, "metadata": {"simulate": "refuse"}});
    demo.post("/api/v1/refunds", &body).await;
    demo.wait_until_decided(Duration::from_secs(10)).await;
    let amounts = |items: &[Value]| -> Vec<i64> {
        items.iter().map(|refund| refund["amount"].as_i64().unwrap()).collect()
    };
    for order in ["asc", "desc"] {
        let mut seen = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("/api/v1/refunds?sourceId={payment}&limit=3&order={order}{cursor}");
            let page = demo.get(&path).await;
            seen.extend(amounts(page.data().as_array().unwrap()));
            assert_eq!(
                page.json["meta"]["hasMore"],
                json!(page.json["meta"]["cursor"].is_string())
            );
            assert_eq!(page.json["meta"]["page"]["nextCursor"], page.json["meta"]["cursor"]);
            let Some(next) = page.json["meta"]["cursor"].as_str() else { break };
            assert!(next.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'));
            cursor = format!("&cursor={next}");
        }
        let mut expected: Vec<i64> = (1..=7).collect();
        if order == "desc" {
            expected.reverse();
        }
        assert_eq!(seen, expected, "{order}");
    }
    let by = async |query: &str| demo.list(&format!("/api/v1/refunds?{query}")).await;
    assert_eq!(amounts(&by("status=failed").await), [3]);
    assert_eq!(amounts(&by("chargeId=ch_other").await), [3]);
    assert_eq!(amounts(&by(&format!("chargeId={other}&status=failed")).await), [3]);
    assert_eq!(by("sourceId=cs_01HX0000000000000000000000").await.len(), 0);
    assert_eq!(by("sourceId=nobody").await.len(), 0);
    assert_eq!(by("createdBefore=2020-01-01T00:00:00Z").await.len(), 0);
    assert_eq!(by("createdAfter=2020-01-01T00:00:00Z").await.len(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_posts_a_debit_and_a_credit_and_a_refused_one_posts_nothing() {
    let (_folder, demo) = demo().await;
    let payment = demo.pay("ch_ledger", 10_000).await;
    let refund = demo.post("/api/v1/refunds", &refund_of(&payment, 700)).await.data().clone();
    let body = json!({"chargeId": "ch_ledger", "amount": 5, "metadata": {"simulate": "refuse"}});
    let refused = demo.post("/api/v1/refunds", &body).await.data().clone();
    demo.wait_until_decided(Duration::from_secs(10)).await;
    let entries = async |id: &Value| {
        demo.list(&format!("/api/v1/ledger?sourceType=refund&sourceId={}", id.as_str().unwrap()))
            .await
    };
    let legs: Vec<(String, String, i64)> = entries(&refund["id"])
        .await
        .iter()
        .map(|e| {
            let text = |field: &str| e[field].as_str().unwrap().to_owned();
            (text("code"), text("direction"), e["amount"].as_i64().unwrap())
        })
        .collect();
    let leg = |code: &str, direction: &str| (code.to_owned(), direction.to_owned(), 700);
    assert_eq!(legs, [leg("cash", "credit"), leg("revenue_refund", "debit")]);
    assert!(entries(&refused["id"]).await.is_empty());
    let balances = demo.get("/api/v1/ledger/balances").await;
    let usd = |code: &str| {
        let of = |b: &&Value| b["code"] == code && b["currency"] == "USD";
        balances.data().as_array().unwrap().iter().find(of).unwrap()["balance"].as_i64().unwrap()
    };
    assert_eq!(usd("revenue_refund"), 700);
    assert_eq!(usd("cash") + usd("revenue") + usd("revenue_refund"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_timeline_and_the_events_are_complete_and_in_order() {
    let (_folder, demo) = demo().await;
    let payment = demo.pay("ch_events", 10_000).await;
    let body = json!({"chargeId": payment, "metadata": {"simulate": "late_failure:50"}});
    let refund = demo.post("/api/v1/refunds", &body).await.data().clone();
    let id = refund["id"].as_str().unwrap();
    let timeline = eventually("the late failure", Duration::from_secs(10), async || {
        let events = demo.list(&format!("/api/v1/refunds/{id}/timeline")).await;
        events.iter().any(|e| e["type"] == "refund.failed").then_some(events)
    })
    .await;
    let mut recorded: Vec<(i64, &str)> = timeline
        .iter()
        .map(|e| (e["seq"].as_i64().unwrap(), e["type"].as_str().unwrap()))
        .collect();
    recorded.sort_unstable();
    assert_eq!(recorded, [(1, "refund.created"), (2, "refund.succeeded"), (3, "refund.failed")]);
    let event = async |name: &str| {
        let line = timeline.iter().find(|e| e["type"] == name).unwrap();
        let path = format!("/api/v1/events/{}", line["eventId"].as_str().unwrap());
        demo.get(&path).await.data().clone()
    };
    assert_eq!(event("refund.failed").await["data"]["object"]["late"], true);
    assert_eq!(event("refund.created").await["data"]["object"]["status"], "pending");
    let now = demo.get(&format!("/api/v1/payments/{payment}")).await;
    assert_eq!(
        (&now.data()["status"], &now.data()["amountRefunded"]),
        (&json!("succeeded"), &json!(0))
    );
    let refunded = demo.list("/api/v1/events?type=payment.refunded").await;
    assert_eq!(refunded[0]["data"]["object"]["amountRefunded"], 10_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_made_at_the_provider_is_adopted_and_beyond_the_captured_amount_flagged() {
    let (_folder, demo) = demo().await;
    let payment = demo.pay("ch_outside", 1_000).await;
    for amount in [300, 900] {
        let body = json!({"amount": amount});
        let reply = demo.post("/simulator/payments/ch_outside/refunds", &body).await;
        assert!(reply.status.is_success(), "{}", reply.json);
    }
    let path = format!("/api/v1/refunds?sourceId={payment}&status=succeeded");
    eventually("both refunds", Duration::from_secs(10), async || {
        (demo.list(&path).await.len() == 2).then_some(())
    })
    .await;
    let refunds = demo.list(&path).await;
    assert!(refunds.iter().all(|refund| refund["origin"] == "external"));
    let now = demo.get(&format!("/api/v1/payments/{payment}")).await;
    assert_eq!(now.data()["amountRefunded"], 1_200);
    assert_eq!(now.data()["amountExcess"], 200);
    assert_eq!(now.data()["amountRefundable"], 0);
    let (code, text) = demo.run(&["verify"]);
    assert_eq!(code, 0, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_refund_can_be_canceled_and_a_sent_one_cannot() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path(), &[("REFUNDRY_DISPATCH", "off")]).await;
    let payment = demo.pay("ch_cancel", 1_000).await;
    let refund = demo.post("/api/v1/refunds", &refund_of(&payment, 400)).await.data().clone();
    assert_eq!(refund["statusDetail"], "queued");
    let path = format!("/api/v1/refunds/{}/cancel", refund["id"].as_str().unwrap());
    assert_eq!(demo.post(&path, &json!({})).await.data()["status"], "canceled");
    let now = demo.get(&format!("/api/v1/payments/{payment}")).await;
    assert_eq!(now.data()["amountRefundable"], 1_000);
    drop(demo);

    let demo = Demo::start(folder.path(), &[]).await;
    let refund = demo.post("/api/v1/refunds", &refund_of(&payment, 400)).await.data().clone();
    demo.wait_until_decided(Duration::from_secs(10)).await;
    let path = format!("/api/v1/refunds/{}/cancel", refund["id"].as_str().unwrap());
    let reply = demo.post(&path, &json!({})).await;
    assert_eq!(
        (reply.status.as_u16(), &reply.json["error"]["code"]),
        (409, &json!("state_conflict"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_metrics_answer_without_a_key() {
    let (_folder, demo) = demo().await;
    for path in ["/health", "/healthz", "/readyz", "/metrics"] {
        let reply = demo.try_send("GET", path, &[], Vec::new()).await.unwrap();
        assert_eq!(reply.status, 200, "{path}");
    }
    // The metrics are set when the server starts, and then every half minute.
    eventually("the metrics of the backlog", Duration::from_mins(2), async || {
        let metrics = demo.get("/metrics").await.text;
        let counts =
            ["refunds_overdue", "refunds_unknown", "refunds_in_review", "webhooks_overdue"];
        let is_zero = |name: &&str| metrics.contains(&format!("\nrefundry_{name} 0\n"));
        counts.iter().all(is_zero).then_some(())
    })
    .await;
}
