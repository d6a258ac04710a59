//! The simulator's pages, which the server mounts beside the doors.

use crate::harness::{Demo, Reply};
use serde_json::{Value, json};

async fn demo() -> (tempfile::TempDir, Demo) {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path(), &[]).await;
    (folder, demo)
}

/// Sends a request without a key.
async fn send(demo: &Demo, method: &str, path: &str, body: &str) -> Reply {
    let headers = [("content-type", "application/json")];
    demo.try_send(method, path, &headers, body.as_bytes().to_vec()).await.expect("an answer")
}

fn names(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_simulators_book_shows_what_it_paid_out() {
    let (_folder, demo) = demo().await;
    demo.pay("ch 1", 10_000).await;
    let body = json!({"chargeId": "ch 1", "amount": 100});
    let auth = format!("Bearer {}", demo.bearer());
    let headers =
        [("authorization", &*auth), ("content-type", "application/json"), ("prefer", "wait=10")];
    let made = demo.try_send("POST", "/api/v1/refunds", &headers, body.to_string().into_bytes());
    let made = made.await.expect("an answer");
    let id = made.data()["id"].as_str().expect("an id").to_owned();
    let book = send(&demo, "GET", "/simulator/payments/ch%201", "").await;
    assert_eq!(book.status, 200, "{}", book.json);
    assert_eq!(book.header("content-type"), "application/json");
    assert_eq!(names(&book.json), ["providerPaymentId", "refunds", "payouts", "truncated"]);
    assert_eq!(book.json["providerPaymentId"], "ch 1");
    assert_eq!(book.json["truncated"], false);
    let payout = &book.json["payouts"][0];
    assert_eq!(names(payout), ["key", "amount", "currency", "at", "returnedAt"]);
    assert_eq!(payout["key"], id);
    assert_eq!(payout["amount"], 100);
    assert_eq!(payout["currency"], "USD");
    assert_eq!(payout["returnedAt"], json!(null));
    let refund = &book.json["refunds"][0];
    assert_eq!(names(refund), ["id", "key", "amount", "currency", "status", "at", "calls"]);
    assert_eq!(refund["at"], payout["at"]);
    assert!(refund["at"].as_str().is_some_and(|at| at.len() == 24 && at.ends_with('Z')));
    assert_eq!((&refund["status"], &refund["calls"]), (&json!("succeeded"), &json!(1)));

    let body = r#"{"amount":40}"#;
    let hand = send(&demo, "POST", "/simulator/payments/ch%201/refunds", body).await;
    assert_eq!((hand.status.as_u16(), &hand.json["key"]), (201, &json!(null)), "{}", hand.json);
    let book = send(&demo, "GET", "/simulator/payments/ch%201?mode=test", "").await;
    assert_eq!(book.json["payouts"].as_array().map(Vec::len), Some(2));
    let failed = send(&demo, "POST", &format!("/simulator/refunds/{id}/fail"), "").await;
    assert_eq!((failed.status.as_u16(), &failed.json["status"]), (200, &json!("failed")));
    let again = send(&demo, "POST", &format!("/simulator/refunds/{id}/complete"), "").await;
    assert_eq!(again.status, 409, "{}", again.json);
    assert_eq!(names(&again.json), ["error"]);
    for target in ["/simulator/payments/nothing", "/simulator/payments/ch%201?mode=live"] {
        assert_eq!(send(&demo, "GET", target, "").await.status, 404, "{target}");
    }
    let nothing = send(&demo, "POST", "/simulator/refunds/nothing/fail", "").await;
    assert_eq!(nothing.status, 404);
    for body in ["", "{}", r#"{"amount":0}"#, r#"{"amount":1,"currency":"EUR"}"#] {
        let reply = send(&demo, "POST", "/simulator/payments/ch%201/refunds", body).await;
        assert_eq!(reply.status, 400, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_in_two_places_must_be_told_apart() {
    let (_folder, demo) = demo().await;
    for mode in ["test", "live"] {
        let auth =
            format!("Bearer {}", demo.ready_file[mode]["bearer"].as_str().expect("a bearer"));
        let headers = [("authorization", &*auth), ("content-type", "application/json")];
        let body = json!({"amount": 10_000, "currency": "USD", "provider": "simulator",
            "providerPaymentId": "ch_1"});
        let body = body.to_string().into_bytes();
        let reply = demo.try_send("POST", "/api/v1/payments", &headers, body).await;
        assert_eq!(reply.expect("an answer").status, 201);
    }
    let target = "/simulator/payments/ch_1/refunds";
    assert_eq!(send(&demo, "POST", target, r#"{"amount":5}"#).await.status, 409);
    let account = demo.ready_file["accountId"].as_str().expect("an account");
    let body = format!(r#"{{"amount":5,"mode":"live","accountId":"{account}"}}"#);
    assert_eq!(send(&demo, "POST", target, &body).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn mounted_pages_are_counted_and_other_methods_are_refused_as_everywhere() {
    let (_folder, demo) = demo().await;
    assert_eq!(send(&demo, "GET", "/simulator/payments/nothing", "").await.status, 404);
    let refused = send(&demo, "DELETE", "/simulator/payments/nothing", "").await;
    assert_eq!(refused.status, 405);
    assert_eq!(refused.json["error"]["code"], "method_not_allowed");
    let unknown = send(&demo, "GET", "/simulator/nothing", "").await;
    assert_eq!(unknown.json["error"]["code"], "not_found");
    let metrics = send(&demo, "GET", "/metrics", "").await.text;
    let line = r#"refundry_http_requests_total{method="GET",route="/simulator/payments/{charge}",status="4xx"} 1"#;
    assert!(metrics.lines().any(|found| found == line), "{metrics}");
}
