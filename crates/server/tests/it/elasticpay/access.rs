//! Authentication of this door: every operation without a key, with a wrong key, with another
//! account's key, with a key of the other mode and with too few scopes; and platform keys that act
//! for an account.

use super::{INTENTS, act, demo, make_key, open, paid, problem, send, text};
use crate::harness::Demo;
use serde_json::{Value, json};

/// Every operation of the door on one intent. Another test checks that the list is complete.
fn operations(intent: &str) -> Vec<(&'static str, String, Value)> {
    vec![
        ("POST", INTENTS.to_owned(), json!({"amount": 100, "currency": "AUD"})),
        ("GET", INTENTS.to_owned(), Value::Null),
        ("GET", format!("{INTENTS}/{intent}"), Value::Null),
        ("POST", format!("{INTENTS}/{intent}/confirm"), json!({"payment_method": "pm_card"})),
        ("POST", format!("{INTENTS}/{intent}/cancel"), json!({})),
        ("POST", format!("{INTENTS}/{intent}/refunds"), json!({"amount_cents": 1})),
        ("GET", format!("{INTENTS}/{intent}/refunds"), Value::Null),
    ]
}

#[test]
fn the_list_of_operations_is_complete() {
    let served = api::operations().into_iter().filter(|(_, path, _)| path.starts_with(INTENTS));
    let served: Vec<_> = served.map(|(method, path, _)| format!("{method} {path}")).collect();
    let tested = operations("{id}").into_iter().map(|(method, path, _)| format!("{method} {path}"));
    assert_eq!(tested.collect::<Vec<_>>(), served);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_refuses_a_missing_or_wrong_key() {
    let (_folder, demo) = demo(&[]).await;
    let intent = paid(&demo, 5_000, "succeed").await;
    let (_, id, revoked) = make_key(&demo, &["--format", "elasticpay"]);
    let (code, out) = demo.run(&["keys", "revoke", &id]);
    assert_eq!(code, 0, "{out}");
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    for (method, path, body) in operations(&intent) {
        let none = demo.try_send(method, &path, &[], body.to_string().into_bytes()).await;
        let none = none.expect("an answer");
        assert_eq!(problem(&none), "401 authentication unauthorized", "{method} {path}");
        assert_eq!(none.header("www-authenticate"), "Bearer");
        for wrong in ["sk_sandbox_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "pk_live_x", &revoked] {
            let reply = send(&demo, wrong, method, &path, &body).await;
            assert_eq!(problem(&reply), "401 authentication invalid_key", "{method} {path}");
        }
    }
    assert_eq!(demo.list("/api/v1/refunds").await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_tenants_and_the_other_mode_see_nothing() {
    let (_folder, demo) = demo(&[]).await;
    let intent = paid(&demo, 5_000, "succeed").await;
    let open = open(&demo, 5_000, Value::Null).await;
    let account = text(&demo.ready_file, "accountId").to_owned();
    let (_, _, stranger) =
        make_key(&demo, &["--new-account", "Other shop", "--format", "elasticpay"]);
    let live = ["--account", &account, "--mode", "live", "--format", "elasticpay"];
    let (_, _, live) = make_key(&demo, &live);
    for key in [&stranger, &live] {
        for id in [&intent, &open] {
            for (method, path, body) in operations(id) {
                if path == INTENTS {
                    continue;
                }
                let reply = send(&demo, key, method, &path, &body).await;
                assert_eq!(problem(&reply), "404 not_found not_found", "{method} {path}");
            }
        }
        let listed = send(&demo, key, "GET", INTENTS, &Value::Null).await;
        assert_eq!(listed.json, json!({"data": [], "has_more": false}));
    }
    assert_eq!(super::get(&demo, &intent).await["amount_refunded"], 0);
    assert_eq!(super::get(&demo, &open).await["status"], "requires_payment_method");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_operation_needs_its_scope() {
    let (_folder, demo) = demo(&[]).await;
    let intent = paid(&demo, 5_000, "succeed").await;
    let permissions =
        api::operations().into_iter().filter(|(_, path, _)| path.starts_with(INTENTS));
    let all = ["payment:read", "payment:write", "refund:read", "refund:write"];
    for ((method, path, body), (.., needed)) in operations(&intent).into_iter().zip(permissions) {
        let needed = needed.expect("a permission").to_string();
        let others: Vec<_> = all.into_iter().filter(|tenant| *tenant != needed).collect();
        let (_, _, key) =
            make_key(&demo, &["--scopes", &others.join(" "), "--format", "elasticpay"]);
        let reply = send(&demo, &key, method, &path, &body).await;
        assert_eq!(problem(&reply), "403 permission insufficient_scope", "{method} {path}");
        assert!(text(&reply.json["error"], "message").contains(&needed));
        let (_, _, key) = make_key(&demo, &["--scopes", &needed, "--format", "elasticpay"]);
        let reply = send(&demo, &key, method, &path, &body).await;
        assert!(![401, 403].contains(&reply.status.as_u16()), "{method} {path}: {}", reply.json);
    }
}

async fn for_biller(
    demo: &Demo,
    key: &str,
    path: &str,
    billers: &[(&str, &str)],
) -> crate::harness::Reply {
    let auth = format!("Bearer {key}");
    let mut headers = vec![("authorization", auth.as_str())];
    headers.extend(billers);
    demo.try_send("GET", path, &headers, Vec::new()).await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platforms_key_acts_for_the_biller_that_it_names() {
    const BILLER: &str = "x-biller-account";
    let (_folder, demo) = demo(&[]).await;
    let intent = paid(&demo, 5_000, "succeed").await;
    let path = format!("{INTENTS}/{intent}");
    let account = text(&demo.ready_file, "accountId").to_owned();
    let biller = account.replace("acc_", "biller_");
    let platform = ["--new-account", "Platform", "--platform", "--format", "elasticpay"];
    let (own, _, sandbox) = make_key(&demo, &platform);
    let live = ["--account", &own, "--platform", "--mode", "live", "--format", "elasticpay"];
    let (_, _, live) = make_key(&demo, &live);
    assert!(sandbox.starts_with("oa_sandbox_") && live.starts_with("oa_live_"));
    for name in [&biller, &account] {
        let reply = for_biller(&demo, &sandbox, &path, &[(BILLER, name)]).await;
        assert_eq!((reply.status.as_u16(), &reply.json["id"]), (200, &json!(intent)));
        let reply = for_biller(&demo, &live, &path, &[(BILLER, name)]).await;
        assert_eq!(problem(&reply), "404 not_found not_found", "the intent is in the other mode");
    }
    // A platform key in Refundry's own form needs a header for the mode as well.
    let both = text(&demo.ready_file["platform"], "bearer").to_owned();
    assert_eq!(for_biller(&demo, &both, &path, &[(BILLER, &biller)]).await.status, 200);
    let unknown = "biller_01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let merchant = demo.bearer().to_owned();
    for (key, headers, expected) in [
        (&sandbox, vec![], "400 validation validation_error X-Biller-Account"),
        (&both, vec![], "400 validation validation_error X-Biller-Account"),
        (&sandbox, vec![(BILLER, unknown)], "404 not_found not_found X-Biller-Account"),
        (&sandbox, vec![(BILLER, "nonsense")], "404 not_found not_found X-Biller-Account"),
        (&sandbox, vec![(BILLER, "")], "404 not_found not_found X-Biller-Account"),
        (
            &sandbox,
            vec![(BILLER, &*biller), (BILLER, &*biller)],
            "400 validation validation_error x-biller-account",
        ),
        (
            &sandbox,
            vec![(BILLER, &*biller), ("x-refundry-on-behalf-of", &*own)],
            "400 validation validation_error X-Biller-Account",
        ),
        (&merchant, vec![(BILLER, &*biller)], "403 permission insufficient_scope"),
    ] {
        let reply = for_biller(&demo, key, &path, &headers).await;
        assert_eq!(problem(&reply), expected, "{headers:?}");
    }
    // A merchant's key manages the merchant's keys, but not those of platforms.
    let keys = send(&demo, &merchant, "GET", "/api/v1/api-keys", &Value::Null).await;
    assert_eq!(keys.data().as_array().expect("a list").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_this_form_can_be_created_over_the_api() {
    let (_folder, demo) = demo(&[]).await;
    let intent = paid(&demo, 5_000, "succeed").await;
    for (mode, prefix) in [("test", "sk_sandbox_"), ("live", "sk_live_")] {
        let maker = text(&demo.ready_file[mode], "bearer").to_owned();
        let body = json!({"name": "shop", "scopes": ["payment:read"], "format": "elasticpay"});
        let made = send(&demo, &maker, "POST", "/api/v1/api-keys", &body).await;
        assert_eq!(made.status, 201, "{}", made.json);
        let key = text(made.data(), "key").to_owned();
        let rest = key.strip_prefix(prefix).expect("its form");
        assert!(rest.len() == 32 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let reply = send(&demo, &key, "GET", &format!("{INTENTS}/{intent}"), &Value::Null).await;
        assert_eq!(reply.status.as_u16(), if mode == "test" { 200 } else { 404 });
        // The key works on every door.
        let reply = send(&demo, &key, "GET", "/api/v1/payments", &Value::Null).await;
        assert_eq!(reply.status, 200);
    }
    let body = json!({"name": "shop", "format": "paypal"});
    let reply = demo.post("/api/v1/api-keys", &body).await;
    assert_eq!((reply.status.as_u16(), &reply.json["error"]["field"]), (400, &json!("format")));
    for args in [
        &["keys", "create", "--format", "paypal"][..],
        &["keys", "create", "--format", "elasticpay", "--mode", "platform"],
    ] {
        let (code, out) = demo.run(args);
        assert!(code != 0 && out.contains("elasticpay"), "{out}");
    }
    assert_eq!(act(&demo, &intent, "refunds", &json!({})).await.status, 200, "the demo's own key");
}
