//! Authentication and permissions: signatures, Bearer keys, scopes, other tenants and the two
//! modes.

use crate::harness::{Demo, Reply};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::time::{SystemTime, UNIX_EPOCH};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Signs as the documentation describes, without using the server's code.
fn sign(
    secret: &str,
    method: &str,
    target: &str,
    time: &str,
    body: &[u8],
    key: Option<&str>,
) -> String {
    let mut text = format!("{method}\n{target}\n{time}\n{}", hex(&Sha256::digest(body)));
    if let Some(key) = key {
        text.push('\n');
        text.push_str(key);
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    hex(&mac.finalize().into_bytes())
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// True for the operations of the Yoco door.
fn is_yoco(path: &str) -> bool {
    path.starts_with("/api/") && !path.starts_with("/api/v1/")
}

struct Signed<'a> {
    system: &'a str,
    time: String,
    sign_target: Option<&'a str>,
    sign_body: Option<&'a [u8]>,
    key: Option<&'a str>,
    secret: Option<&'a str>,
}

impl Default for Signed<'_> {
    fn default() -> Self {
        Self {
            system: "Plugipay",
            time: now().to_string(),
            sign_target: None,
            sign_body: None,
            key: None,
            secret: None,
        }
    }
}

async fn send(demo: &Demo, method: &str, target: &str, body: &[u8], how: &Signed<'_>) -> Reply {
    let kit = &demo.ready_file["test"];
    let secret = how.secret.unwrap_or(kit["secret"].as_str().unwrap());
    let signature = sign(
        secret,
        method,
        how.sign_target.unwrap_or(target),
        &how.time,
        how.sign_body.unwrap_or(body),
        how.key,
    );
    let system = how.system;
    let auth = format!(
        "{system}-HMAC-SHA256 keyId={}, scope=*, signature={signature}",
        kit["keyId"].as_str().unwrap()
    );
    let header = format!("x-{}-timestamp", system.to_lowercase());
    let mut headers = vec![("authorization", auth.as_str()), (header.as_str(), how.time.as_str())];
    if !body.is_empty() {
        headers.push(("content-type", "application/json"));
    }
    headers.extend(how.key.map(|key| ("idempotency-key", key)));
    demo.try_send(method, target, &headers, body.to_vec()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_requests_are_accepted_and_altered_ones_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path(), &[]).await;
    let payment = demo.pay("ch_signed", 10_000).await;
    let body = json!({"chargeId": payment, "amount": 5}).to_string().into_bytes();
    let target = "/api/v1/refunds";
    for system in ["Plugipay", "Refundry"] {
        let key = format!("signed-{system}");
        let how = Signed { system, key: Some(&key), ..Signed::default() };
        assert_eq!(send(&demo, "POST", target, &body, &how).await.status, 201, "{system}");
    }
    let odd = "/api/v1/refunds?sourceId=a%20b+c&limit=5";
    assert_eq!(send(&demo, "GET", odd, b"", &Signed::default()).await.status, 200);

    let late = |by: i64| (i64::try_from(now()).unwrap() + by).to_string();
    for (how, code) in [
        (Signed { secret: Some("sk_test_wrong"), ..Signed::default() }, "invalid_signature"),
        (
            Signed { sign_target: Some("/api/v1/payments"), ..Signed::default() },
            "invalid_signature",
        ),
        (Signed { sign_body: Some(b"{}"), ..Signed::default() }, "invalid_signature"),
        (Signed { time: late(-301), ..Signed::default() }, "timestamp_skew"),
        (Signed { time: late(302), ..Signed::default() }, "timestamp_skew"),
        (Signed { time: "soon".into(), ..Signed::default() }, "invalid_timestamp"),
        (Signed { time: String::new(), ..Signed::default() }, "invalid_timestamp"),
    ] {
        let reply = send(&demo, "POST", target, &body, &how).await;
        assert_eq!(reply.status, 401, "{code} {}", reply.json);
        assert_eq!(reply.json["error"]["code"], code);
    }
    assert_eq!(demo.list(target).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_refuses_a_missing_or_wrong_key() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path(), &[]).await;
    let mut open = Vec::new();
    for (method, path, permission) in api::operations() {
        let target = path.replace(['{', '}'], "");
        if permission.is_none() {
            open.push(format!("{method} {path}"));
            continue;
        }
        for auth in
            ["", "Bearer pk_test_wrong", "Bearer", "Basic eDp5", "Plugipay-HMAC-SHA256 keyId=x"]
        {
            let headers = [("authorization", auth)];
            let headers = if auth.is_empty() { &headers[..0] } else { &headers[..] };
            let reply = demo.try_send(method.as_str(), &target, headers, Vec::new()).await.unwrap();
            // The Yoco door answers with the status of its documentation.
            let expected = if is_yoco(path) { 403 } else { 401 };
            assert_eq!(reply.status, expected, "{method} {path} {auth:?}: {}", reply.json);
            if is_yoco(path) {
                let text = "A key is required, but has not been specified.";
                assert_eq!(reply.json["description"], text, "{method} {path} {auth:?}");
            }
        }
    }
    // The list of operations without authentication may only shrink.
    open.sort();
    assert_eq!(
        open,
        [
            "GET /api/v1/public/checkout/invoices/{id}",
            "GET /api/v1/public/checkout/sessions/{id}",
            "GET /assets/hosted.css",
            "GET /assets/hosted.js",
            "GET /c/{id}",
            "GET /docs",
            "GET /docs/{document}",
            "GET /health",
            "GET /healthz",
            "GET /i/{id}",
            "GET /metrics",
            "GET /openapi.json",
            "GET /openapi/{document}",
            "GET /readyz",
            "POST /api/v1/inbound-webhooks/{provider}/{account}/{mode}",
            "POST /api/v1/inbound-webhooks/{provider}/{id}",
            "POST /api/v1/public/checkout/sessions/{id}/buyer-claim",
            "POST /api/v1/public/checkout/sessions/{id}/charge",
            "POST /c/{id}",
            "POST /i/{id}",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_refuses_a_key_without_its_scope() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path(), &[]).await;
    // A key with a scope that no operation here needs.
    let (code, text) = demo.run(&["keys", "create", "--scopes", "report:read"]);
    assert_eq!(code, 0, "{text}");
    let bearer = text.lines().find_map(|line| line.strip_prefix("bearer")).unwrap().trim();
    let auth = format!("Bearer {bearer}");
    let mut checked = 0;
    for (method, path, permission) in api::operations() {
        let Some(permission) = permission else { continue };
        if permission.resource() == "report" {
            continue;
        }
        let target = path.replace(['{', '}'], "");
        let headers = [("authorization", auth.as_str()), ("content-type", "application/json")];
        let reply =
            demo.try_send(method.as_str(), &target, &headers, b"{}".to_vec()).await.unwrap();
        assert_eq!(reply.status, 403, "{method} {path}: {}", reply.json);
        let (code, text) = if is_yoco(path) {
            (&reply.json["errorCode"], &reply.json["description"])
        } else {
            (&reply.json["error"]["code"], &reply.json["error"]["message"])
        };
        assert_eq!(code, "insufficient_scope");
        assert!(text.as_str().unwrap().contains(&permission.to_string()), "{text}");
        checked += 1;
    }
    assert!(checked >= 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenant_and_the_other_mode_see_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path(), &[]).await;
    let payment = demo.pay("ch_mine", 10_000).await;
    let refund = demo.post("/api/v1/refunds", &json!({"chargeId": payment, "amount": 5})).await;
    let refund = refund.data()["id"].as_str().unwrap().to_owned();
    let event = demo.list("/api/v1/events").await[0]["id"].as_str().unwrap().to_owned();
    let (code, text) = demo.run(&["keys", "create", "--new-account", "Other shop"]);
    assert_eq!(code, 0, "{text}");
    let other =
        text.lines().find_map(|line| line.strip_prefix("bearer")).unwrap().trim().to_owned();
    let live = demo.ready_file["live"]["bearer"].as_str().unwrap().to_owned();
    for bearer in [other, live] {
        let auth = format!("Bearer {bearer}");
        let headers = [("authorization", auth.as_str()), ("content-type", "application/json")];
        for path in [
            format!("/api/v1/payments/{payment}"),
            format!("/api/v1/refunds/{refund}"),
            format!("/api/v1/refunds/{refund}/timeline"),
            format!("/api/v1/events/{event}"),
        ] {
            let reply = demo.try_send("GET", &path, &headers, Vec::new()).await.unwrap();
            assert_eq!(reply.status, 404, "{path}: {}", reply.json);
        }
        let path = format!("/api/v1/refunds/{refund}/cancel");
        let reply = demo.try_send("POST", &path, &headers, b"{}".to_vec()).await.unwrap();
        assert_eq!(reply.status, 404);
        for name in [payment.as_str(), "ch_mine"] {
            let body = json!({"chargeId": name, "amount": 5}).to_string().into_bytes();
            let reply = demo.try_send("POST", "/api/v1/refunds", &headers, body).await.unwrap();
            assert_eq!(reply.status, 404, "{name}");
        }
        let reply = demo.try_send("GET", "/api/v1/refunds", &headers, Vec::new()).await.unwrap();
        assert_eq!(reply.data(), &json!([]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_platform_key_acts_for_other_accounts() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path(), &[]).await;
    let payment = demo.pay("ch_platform", 10_000).await;
    let account = demo.ready_file["accountId"].as_str().unwrap();
    let platform = format!("Bearer {}", demo.ready_file["platform"]["bearer"].as_str().unwrap());
    let path = format!("/api/v1/payments/{payment}");
    let read = async |auth: &str, extra: &[(&str, &str)]| {
        let mut headers = vec![("authorization", auth)];
        headers.extend(extra);
        demo.try_send("GET", &path, &headers, Vec::new()).await.unwrap()
    };
    for name in ["x-plugipay-on-behalf-of", "x-refundry-on-behalf-of"] {
        assert_eq!(read(&platform, &[(name, account)]).await.status, 200, "{name}");
    }
    let live = [("x-plugipay-on-behalf-of", account), ("x-plugipay-mode", "live")];
    assert_eq!(read(&platform, &live).await.status, 404);
    let unknown = [("x-plugipay-on-behalf-of", "acc_01HX0000000000000000000000")];
    assert_eq!(read(&platform, &unknown).await.status, 404);
    let merchant = format!("Bearer {}", demo.bearer());
    let reply = read(&merchant, &[("x-plugipay-on-behalf-of", account)]).await;
    assert_eq!(
        (reply.status.as_u16(), &reply.json["error"]["code"]),
        (403, &json!("insufficient_scope"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_stored_in_the_clear() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Demo::start(folder.path(), &[]).await;
    let kit = demo.ready_file.clone();
    assert!(demo.stop().await);
    let mut stored = Vec::new();
    for file in ["refundry.db", "refundry.db-wal", "simulator.db"] {
        stored.extend(std::fs::read(folder.path().join(file)).unwrap_or_default());
    }
    for key in ["test", "live", "platform"] {
        for field in ["secret", "bearer"] {
            let Value::String(secret) = &kit[key][field] else { panic!("{key}.{field}") };
            let found = stored.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{key}.{field} is in the database");
        }
    }
}
