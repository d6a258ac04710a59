//! API keys over the API: a merchant's own keys, with at most the permissions of the calling key.

use crate::harness::{Demo, Reply};
use serde_json::{Value, json};

const KEYS: &str = "/api/v1/api-keys";

async fn demo() -> (tempfile::TempDir, Demo) {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path(), &[]).await;
    (folder, demo)
}

pub async fn send(
    demo: &Demo,
    bearer: &str,
    method: &str,
    path: &str,
    body: Option<Value>,
) -> Reply {
    let auth = format!("Bearer {bearer}");
    let mut headers = vec![("authorization", auth.as_str())];
    if body.is_some() {
        headers.push(("content-type", "application/json"));
    }
    let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
    demo.try_send(method, path, &headers, body).await.expect("an answer")
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("{field} in {value}"))
}

fn problem(reply: &Reply) -> (u16, &str) {
    (reply.status.as_u16(), reply.json["error"]["code"].as_str().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_created_used_and_listed_and_revoking_it_works_at_once() {
    let (_folder, demo) = demo().await;
    let body = json!({"name": "till 3", "scopes": ["plugipay:refund:read", "payment:read"]});
    let made = demo.post(KEYS, &body).await;
    assert_eq!(made.status, 201);
    let made = made.data().clone();
    let (id, bearer) = (text(&made, "id").to_owned(), text(&made, "key").to_owned());
    assert_eq!((text(&made, "keyId"), text(&made, "name")), (id.as_str(), "till 3"));
    assert_eq!(text(&made, "environment"), "test");
    assert_eq!(made["scopes"], json!(["plugipay:refund:read", "payment:read"]));
    assert_eq!(text(&made, "keyPrefix"), &bearer[..12]);
    assert!(bearer.starts_with("pk_test_") && text(&made, "secret").starts_with("sk_test_"));
    assert_eq!((&made["lastUsedAt"], &made["revokedAt"]), (&Value::Null, &Value::Null));

    assert_eq!(send(&demo, &bearer, "GET", "/api/v1/refunds", None).await.status, 200);
    let reply = send(&demo, &bearer, "GET", "/api/v1/events", None).await;
    assert_eq!(problem(&reply), (403, "insufficient_scope"));
    let used =
        crate::harness::eventually("the use", std::time::Duration::from_secs(5), async || {
            let listed = demo.get(KEYS).await.data().clone();
            let key = listed.as_array().unwrap().iter().find(|key| key["id"] == id).cloned();
            key.filter(|key| key["lastUsedAt"].is_string())
        })
        .await;
    assert!(used.get("key").is_none() && used.get("secret").is_none(), "{used}");
    assert_eq!(used["keyPrefix"], made["keyPrefix"]);
    assert!(text(&used, "lastUsedAt") >= text(&used, "createdAt"));

    for _ in 0..2 {
        let gone = send(&demo, demo.bearer(), "DELETE", &format!("{KEYS}/{id}"), None).await;
        assert_eq!((gone.status.as_u16(), &gone.json), (204, &Value::Null));
        let reply = send(&demo, &bearer, "GET", "/api/v1/refunds", None).await;
        assert_eq!(problem(&reply), (401, "invalid_key"));
    }
    let listed = demo.get(KEYS).await.data().clone();
    let listed = listed.as_array().unwrap();
    let last = listed.last().unwrap();
    assert_eq!((text(last, "id"), last["revokedAt"].is_string()), (id.as_str(), true));
    assert!(listed.len() >= 2, "the demo's own key comes first");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_without_scopes_may_do_everything_and_can_have_another_error_profile() {
    let (_folder, demo) = demo().await;
    let made = demo.post(KEYS, &json!({"name": "all", "errorProfile": "go"})).await.data().clone();
    assert_eq!(made["scopes"], json!(["*"]));
    let bearer = text(&made, "key");
    let payment = demo.pay("ch_profile", 100).await;
    let body = json!({"chargeId": payment, "amount": 101});
    let reply = send(&demo, bearer, "POST", "/api/v1/refunds", Some(body)).await;
    assert_eq!(problem(&reply), (400, "validation_error"), "the error table of the go profile");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_creates_a_key_with_more_permissions() {
    let (_folder, demo) = demo().await;
    let scopes = json!(["apikey:*", "refund:read", "event:*"]);
    let made = demo.post(KEYS, &json!({"name": "desk", "scopes": scopes})).await.data().clone();
    let desk = text(&made, "key");
    let ask = async |body: Value| send(&demo, desk, "POST", KEYS, Some(body)).await;
    for scopes in [json!(["refund:read"]), json!(["event:trigger", "apikey:read"])] {
        let reply = ask(json!({"name": "ok", "scopes": scopes})).await;
        assert_eq!(reply.status, 201, "{scopes}");
    }
    for (scopes, beyond) in [
        (json!(["refund:read", "refund:write"]), "refund:write"),
        (json!(["refund:*"]), "refund:*"),
        (json!(["*"]), "*"),
        (json!([]), "*"),
        (json!(["*:read"]), "*:read"),
        (json!(["plugipay:ledger:read"]), "ledger:read"),
    ] {
        let reply = ask(json!({"name": "more", "scopes": scopes})).await;
        assert_eq!(problem(&reply), (403, "insufficient_scope"), "{scopes}");
        assert_eq!(reply.json["error"]["details"]["scope"], beyond);
        assert!(reply.json["error"]["message"].as_str().unwrap().contains(beyond));
    }
    assert_eq!(problem(&ask(json!({"name": "more"})).await), (403, "insufficient_scope"));
    let live = ask(json!({"name": "l", "scopes": ["refund:read"], "environment": "live"})).await;
    assert_eq!(problem(&live), (403, "wrong_environment"));
    let listed = demo.get(KEYS).await.data().as_array().unwrap().len();
    assert_eq!(listed, 4, "the demo's key, the support desk's key and the two keys it made");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_name_the_field_and_create_nothing() {
    let (_folder, demo) = demo().await;
    let before = demo.get(KEYS).await.data().clone();
    let long = "n".repeat(81);
    for (body, field) in [
        (json!({}), "name"),
        (json!({"name": ""}), "name"),
        (json!({"name": long}), "name"),
        (json!({"name": 5}), "name"),
        (json!({"name": "x", "environment": "prod"}), "environment"),
        (json!({"name": "x", "scopes": "refund:read"}), "scopes"),
        (json!({"name": "x", "scopes": ["refund:destroy"]}), "scopes"),
        (json!({"name": "x", "scopes": ["platform:admin"]}), "scopes"),
        (json!({"name": "x", "scopes": ["refund:trigger"]}), "scopes"),
        (json!({"name": "x", "scopes": ["refund:read payment:read"]}), "scopes"),
        (json!({"name": "x", "scopes": [""]}), "scopes"),
        (json!({"name": "x", "scopes": vec!["refund:read"; 51]}), "scopes"),
        (json!({"name": "x", "errorProfile": "rust"}), "errorProfile"),
    ] {
        let reply = demo.post(KEYS, &body).await;
        assert_eq!(problem(&reply), (400, "validation_error"), "{body}");
        assert_eq!(reply.json["error"]["field"], field, "{body}");
    }
    let mut after = demo.get(KEYS).await.data().clone();
    // The last use of the calling key may have been recorded since.
    after[0]["lastUsedAt"] = before[0]["lastUsedAt"].clone();
    assert_eq!(after, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_calling_key_and_keys_of_other_tenants_and_modes_cannot_be_revoked() {
    let (_folder, demo) = demo().await;
    let own = demo.ready_file["test"]["keyId"].as_str().unwrap().to_owned();
    let delete = async |bearer: &str, id: &str| {
        send(&demo, bearer, "DELETE", &format!("{KEYS}/{id}"), None).await
    };
    let reply = delete(demo.bearer(), &own).await;
    assert_eq!(problem(&reply), (409, "cannot_revoke_current"));
    let (_, made) = demo.run(&["keys", "create", "--new-account", "Other shop"]);
    let field = |name: &str| {
        made.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned()
    };
    let (other, stranger) = (field("bearer"), field("key id"));
    let live = demo.ready_file["live"]["bearer"].as_str().unwrap();
    let platform = demo.ready_file["platform"]["keyId"].as_str().unwrap();
    for (bearer, id) in [
        (demo.bearer(), stranger.as_str()),
        (other.as_str(), own.as_str()),
        (live, own.as_str()),
        (demo.bearer(), demo.ready_file["live"]["keyId"].as_str().unwrap()),
        (demo.bearer(), platform),
        (demo.bearer(), "ak_test_nothing"),
        (demo.bearer(), "%2e%2e"),
    ] {
        let reply = delete(bearer, id).await;
        assert_eq!(problem(&reply), (404, "not_found"), "{id}");
    }
    for (bearer, ids) in [(other.as_str(), [&*stranger]), (demo.bearer(), [&*own])] {
        let reply = send(&demo, bearer, "GET", KEYS, None).await;
        let listed: Vec<_> =
            reply.data().as_array().unwrap().iter().map(|key| text(key, "id")).collect();
        assert_eq!(listed, ids);
    }
    assert_eq!(demo.get("/api/v1/refunds").await.status, 200, "no key was revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_key_manages_both_modes_of_the_account_it_acts_for() {
    let (_folder, demo) = demo().await;
    let platform = demo.ready_file["platform"]["bearer"].as_str().unwrap();
    let body = json!({"name": "live till", "environment": "live", "scopes": ["refund:read"]});
    let made = send(&demo, platform, "POST", KEYS, Some(body)).await;
    assert_eq!(made.data()["environment"], "live");
    let reply = send(&demo, platform, "GET", KEYS, None).await;
    let kinds: Vec<_> =
        reply.data().as_array().unwrap().iter().map(|k| text(k, "environment")).collect();
    for kind in ["test", "live", "platform"] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
    let live = demo.ready_file["live"]["keyId"].as_str().unwrap();
    let gone = send(&demo, platform, "DELETE", &format!("{KEYS}/{live}"), None).await;
    assert_eq!(gone.status, 204);
}
