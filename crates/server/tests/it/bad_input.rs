//! Bad input gets a 4xx that names the field and says how to correct it, and nothing changes.

use crate::harness::{Demo, Reply};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// Everything that a caller can read, to be compared before and after a bad request.
async fn state(demo: &Demo) -> Vec<Value> {
    let mut all = Vec::new();
    for path in ["payments", "refunds", "events", "ledger"] {
        all.extend(demo.list(&format!("/api/v1/{path}")).await);
    }
    all
}

async fn send(demo: &Demo, path: &str, content_type: &str, body: Vec<u8>) -> Reply {
    let auth = format!("Bearer {}", demo.bearer());
    let headers = [("authorization", auth.as_str()), ("content-type", content_type)];
    demo.try_send("POST", path, &headers, body).await.expect("an answer")
}

#[track_caller]
fn assert_refused(reply: &Reply, status: u16, field: &str, what: &str) {
    assert_eq!(reply.status.as_u16(), status, "{what}: {}", reply.json);
    assert_eq!(reply.json["data"], Value::Null, "{what}");
    let error = &reply.json["error"];
    assert!(!error["code"].as_str().unwrap().is_empty(), "{what}");
    assert!(error["message"].as_str().unwrap().len() > 10, "{what}: {error}");
    assert!(reply.json["meta"]["requestId"].is_string(), "{what}");
    if !field.is_empty() {
        assert!(error["field"].as_str().unwrap_or_default().contains(field), "{what}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_refunds_are_refused_and_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path(), &[]).await;
    let payment = demo.pay("ch_bad", 10_000).await;
    let other = demo.pay("ch_bad_2", 10_000).await;
    let before = state(&demo).await;
    let of =
        |rest: &str| format!("{{\"sourceType\":\"payment\",\"sourceId\":\"{payment}\"{rest}}}");
    let many: Vec<String> = (0..10_000).map(|n| format!("\"k{n}\":\"v\"")).collect();
    let many = format!(",\"metadata\":{{{}}}", many.join(","));
    let unknown = "pay_01HX0000000000000000000000";
    let cases: Vec<(String, u16, &str)> = vec![
        (of(",\"amount\":0"), 400, "amount"),
        (of(",\"amount\":-1"), 400, "amount"),
        (of(",\"amount\":1.5"), 400, "amount"),
        (of(",\"amount\":1e2"), 400, "amount"),
        (of(",\"amount\":\"100\""), 400, "amount"),
        (of(",\"amount\":true"), 400, "amount"),
        (of(",\"amount\":[1]"), 400, "amount"),
        (of(",\"amount\":9223372036854775808"), 400, "amount"),
        (of(",\"amount\":99999999999999999999999999"), 400, "amount"),
        (of(",\"amount\":10001"), 422, ""),
        (of(",\"currency\":\"XYZ\""), 400, "currency"),
        (of(",\"currency\":\"usd\""), 400, "currency"),
        (of(",\"currency\":\"EUR\""), 400, "currency"),
        (of(",\"currency\":5"), 400, "currency"),
        (of(",\"expectedRefundable\":-1"), 400, "expectedRefundable"),
        (of(",\"expectedRefundable\":5"), 409, ""),
        (of(",\"reason\":5"), 400, "reason"),
        (of(&format!(",\"reason\":\"{}\"", "x".repeat(501))), 400, "reason"),
        (of(&format!(",\"reference\":\"{}\"", "x".repeat(201))), 400, "reference"),
        (of(",\"metadata\":5"), 400, "metadata"),
        (of(",\"metadata\":{\"a\":5}"), 400, "metadata"),
        (of(",\"metadata\":{\"a\":\"1\",\"a\":\"2\"}"), 400, "metadata"),
        (of(&format!(",\"metadata\":{{\"a\":\"{}\"}}", "x".repeat(501))), 400, "metadata"),
        (of(",\"amount\":1,\"amount\":1"), 400, "amount"),
        (of(",\"unknown\":1,\"unknown\":2"), 400, ""),
        ("{}".into(), 400, "sourceId"),
        ("{\"amount\":5}".into(), 400, "sourceId"),
        ("{\"sourceType\":\"payment\"}".into(), 400, "sourceId"),
        (format!("{{\"sourceType\":\"banana\",\"sourceId\":\"{payment}\"}}"), 400, "sourceType"),
        (format!("{{\"sourceType\":\"invoice\",\"sourceId\":\"{payment}\"}}"), 400, "sourceId"),
        (of(&format!(",\"chargeId\":\"{other}\"")), 400, "chargeId"),
        (of(",\"chargeId\":\"ch_bad_2\""), 400, "chargeId"),
        (format!("{{\"sourceType\":\"payment\",\"sourceId\":\"{unknown}\"}}"), 404, ""),
        ("{\"chargeId\":\"nobody\"}".into(), 404, ""),
        ("{\"chargeId\":\"\"}".into(), 400, "chargeId"),
        ("[]".into(), 400, ""),
        ("null".into(), 400, ""),
        ("5".into(), 400, ""),
        (String::new(), 400, ""),
        ("{".into(), 400, ""),
        (of("") + "x", 400, ""),
        (format!("{}1{}", "[".repeat(20_000), "]".repeat(20_000)), 400, ""),
    ];
    for (body, status, field) in cases {
        let reply = send(&demo, "/api/v1/refunds", "application/json", body.clone().into()).await;
        assert_refused(&reply, status, field, &body.chars().take(120).collect::<String>());
    }
    // 10,000 keys exceed the limit of the body or of the number of keys.
    let reply = send(&demo, "/api/v1/refunds", "application/json", of(&many).into()).await;
    assert!([400, 413].contains(&reply.status.as_u16()), "{}", reply.json);
    assert_refused(&reply, reply.status.as_u16(), "", "10,000 keys");
    let mut invalid = of(",\"reason\":\"").into_bytes();
    invalid.truncate(invalid.len() - 1);
    invalid.extend([0xff, b'"', b'}']);
    let reply = send(&demo, "/api/v1/refunds", "application/json", invalid).await;
    assert_refused(&reply, 400, "", "invalid UTF-8");
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "application/xml"] {
        let reply = send(&demo, "/api/v1/refunds", content_type, of("").into()).await;
        assert_refused(&reply, 415, "", content_type);
    }
    assert_eq!(state(&demo).await, before);
    let (code, text) = demo.run(&["verify"]);
    assert_eq!(code, 0, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_fields_and_nulls_are_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path(), &[]).await;
    let payment = demo.pay("ch_lenient", 10_000).await;
    let body = json!({
        "sourceType": "payment", "sourceId": payment, "amount": null, "reason": null,
        "metadata": null, "chargeId": null, "colour": {"deep": [1, 2, {"x": null}]},
    });
    assert_eq!(demo.post("/api/v1/refunds", &body).await.data()["amount"], 10_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_payments_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path(), &[]).await;
    let good =
        json!({"amount": 5, "currency": "USD", "provider": "simulator", "providerPaymentId": "p"});
    let before = state(&demo).await;
    for (field, value) in [
        ("amount", json!(0)),
        ("amount", json!(-5)),
        ("amount", json!("5")),
        ("amount", Value::Null),
        ("amount", json!(9_007_199_254_740_992_i64)),
        ("currency", json!("XAU")),
        ("currency", json!("Dollar")),
        ("currency", Value::Null),
        ("provider", json!("nobody")),
        ("provider", json!("")),
        ("providerPaymentId", json!("")),
        ("providerPaymentId", json!(5)),
        ("providerPaymentId", json!("x".repeat(201))),
        ("capturedAt", json!("yesterday")),
        ("settledAt", json!(true)),
        ("metadata", json!([1])),
    ] {
        let mut body = good.clone();
        body[field] = value.clone();
        let reply = demo.post("/api/v1/payments", &body).await;
        assert_refused(&reply, 400, field, &format!("{field} {value}"));
    }
    assert_eq!(state(&demo).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_queries_and_headers_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path(), &[]).await;
    let payment = demo.pay("ch_query", 10_000).await;
    for n in 1..4 {
        let body = json!({"chargeId": payment, "amount": n});
        demo.post("/api/v1/refunds", &body).await;
    }
    let cursor = demo.get("/api/v1/refunds?limit=1").await.json["meta"]["cursor"].clone();
    let cursor = cursor.as_str().unwrap();
    for (query, field) in [
        ("limit=0".to_owned(), "limit"),
        ("limit=-1".into(), "limit"),
        ("limit=1000".into(), "limit"),
        ("limit=ten".into(), "limit"),
        ("limit=".into(), "limit"),
        ("limit=5&limit=6".into(), "limit"),
        ("cursor=nonsense".into(), "cursor"),
        ("cursor=%00%ff".into(), "cursor"),
        (format!("cursor={cursor}x"), "cursor"),
        (format!("cursor={cursor}&status=failed"), "cursor"),
        ("status=paid".into(), "status"),
        ("order=up".into(), "order"),
        ("createdAfter=soon".into(), "createdAfter"),
    ] {
        let reply = demo.get(&format!("/api/v1/refunds?{query}")).await;
        assert_refused(&reply, 400, field, &query);
    }
    let body = json!({"chargeId": payment, "amount": 1});
    for key in [" ".to_owned(), "x".repeat(256), "\u{e9}".into()] {
        if let Some(reply) = demo.try_post("/api/v1/refunds", Some(&key), &body).await {
            assert_refused(&reply, 400, "Idempotency-Key", &key);
        }
    }
    let refunds = demo.list("/api/v1/refunds").await;
    assert_eq!(refunds.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn path_tricks_find_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path(), &[]).await;
    let long = format!("/api/v1/refunds/{}", "x".repeat(5_000));
    for path in [
        "/api/v1/refunds/../payments",
        "/api/v1/refunds/..%2fpayments",
        "/api/v1/refunds/%00",
        "/api/v1/refunds/%ff",
        "/api/v1/refunds/rfd_",
        "/api/v1/refunds/pay_01HX0000000000000000000000",
        "/api/v1/refunds/rfd_01hx0000000000000000000000",
        "/api/v1/refunds/rfd_01HX0000000000000000000000",
        "/api/v1//refunds",
        "/api/v2/refunds",
        "/",
        long.as_str(),
    ] {
        let reply = demo.get(path).await;
        assert!([400, 404, 414].contains(&reply.status.as_u16()), "{path}: {}", reply.status);
        assert_refused(&reply, reply.status.as_u16(), "", path);
    }
    let auth = format!("Bearer {}", demo.bearer());
    let headers = [("authorization", auth.as_str())];
    let reply = demo.try_send("PUT", "/api/v1/refunds", &headers, Vec::new()).await.unwrap();
    assert_refused(&reply, 405, "", "PUT");
    assert!(reply.header("allow").contains("POST"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_ten_megabytes_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path(), &[]).await;
    let auth = format!("Bearer {}", demo.bearer());
    let headers = [("authorization", auth.as_str()), ("content-type", "application/json")];
    let body = format!("{{\"reason\":\"{}\"}}", "x".repeat(10_000_000)).into_bytes();
    // The server may close the connection before the whole body is sent, but any answer must be
    // 413.
    if let Some(reply) = demo.try_send("POST", "/api/v1/refunds", &headers, body).await {
        assert_refused(&reply, 413, "", "10 MB");
    }
    assert!(demo.list("/api/v1/refunds").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_http_is_answered_or_closed_and_the_server_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path(), &[]).await;
    let requests: &[&[u8]] = &[
        b"GARBAGE\r\n\r\n",
        b"POST /api/v1/refunds HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /api/v1/refunds HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /api/v1/refunds HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"GET /api/v1/refunds\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ];
    for request in requests {
        let mut stream = TcpStream::connect(("127.0.0.1", demo.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.write_all(request).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || text.starts_with("HTTP/1.1 4"), "{text}");
    }
    assert_eq!(demo.get("/api/v1/refunds").await.status, 200);
}
