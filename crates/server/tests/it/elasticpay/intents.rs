//! Payment intents: creating, paying in each way, canceling and listing them.

use super::{INTENTS, act, demo, get, open, paid, problem, send, text};
use crate::harness::{Demo, Reply, eventually};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

const LIMIT: Duration = Duration::from_secs(15);

async fn confirm(demo: &Demo, intent: &str, method: &str) -> Reply {
    act(demo, intent, "confirm", &json!({"payment_method": method})).await
}

/// Sends a request as a buyer's browser, without a key.
async fn browse(demo: &Demo, method: &str, path: &str, form: &str) -> Reply {
    let kind = if path.starts_with("/c/") {
        "application/x-www-form-urlencoded"
    } else {
        "application/json"
    };
    let headers = [("content-type", kind), ("sec-fetch-site", "same-origin")];
    demo.try_send(method, path, &headers, form.into()).await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_test_payment_method_has_its_documented_outcome() {
    let (_folder, demo) = demo(&[]).await;
    for method in ["pm_card", "pm_debit", "pm_paypal"] {
        let intent = open(&demo, 2_000, Value::Null).await;
        let now = confirm(&demo, &intent, method).await.json;
        assert_eq!((&now["status"], &now["payment_method"]), (&json!("succeeded"), &json!(method)));
        assert_eq!(get(&demo, &intent).await, now);
    }
    let declined = open(&demo, 2_000, Value::Null).await;
    let now = confirm(&demo, &declined, "pm_card_declined").await.json;
    assert_eq!(
        (&now["status"], &now["failure_code"]),
        (&json!("failed"), &json!("payment_declined"))
    );
    assert_eq!(
        confirm(&demo, &declined, "pm_card").await.json["status"],
        "succeeded",
        "tried again"
    );

    let action = open(&demo, 2_000, Value::Null).await;
    let now = confirm(&demo, &action, "pm_card_action").await.json;
    assert_eq!(now["status"], "requires_action");
    let path = format!("/c/{action}");
    assert_eq!(now["hosted_url"], format!("http://127.0.0.1:{}{path}", demo.port));
    assert!(browse(&demo, "GET", &path, "").await.text.contains("Approve"));
    assert_eq!(browse(&demo, "POST", &path, "do=approve").await.status, 303);
    assert_eq!(get(&demo, &action).await["status"], "succeeded");

    for method in ["pm_card_processing", "pm_card_timeout"] {
        let intent = open(&demo, 2_000, Value::Null).await;
        assert_eq!(confirm(&demo, &intent, method).await.json["status"], "processing");
        eventually("the money", LIMIT, async || {
            (get(&demo, &intent).await["status"] == "succeeded").then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_pays_on_the_hosted_page_and_through_the_public_endpoint() {
    let (_folder, demo) = demo(&[]).await;
    let intent = open(&demo, 2_000, Value::Null).await;
    let path = format!("/c/{intent}");
    let page = browse(&demo, "GET", &path, "").await;
    assert!(page.status == 200 && page.text.contains("Card"), "{}", page.text);
    assert_eq!(browse(&demo, "POST", &path, "do=pay&method=card").await.status, 303);
    assert_eq!(get(&demo, &intent).await["status"], "succeeded");

    let intent = open(&demo, 2_000, Value::Null).await;
    let public = format!("/api/v1/public/checkout/sessions/{intent}");
    let shown = browse(&demo, "GET", &public, "").await;
    assert_eq!(shown.data()["session"]["id"], json!(intent));
    let charge = format!("{public}/charge");
    let charged = browse(&demo, "POST", &charge, r#"{"method":"card_declined"}"#).await;
    assert_eq!(charged.data()["status"], "failed");
    assert_eq!(get(&demo, &intent).await["status"], "failed");
    let charged = browse(&demo, "POST", &charge, r#"{"method":"debit"}"#).await;
    assert_eq!(charged.data()["status"], "completed");
    assert_eq!(get(&demo, &intent).await["payment_method"], "pm_debit");
    // The id with another door's prefix is not found on this page.
    let other = public.replace("pi_", "cs_");
    assert_eq!(browse(&demo, "GET", &other, "").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intent_is_paid_once_and_can_be_canceled_only_before() {
    let (_folder, demo) = demo(&[]).await;
    let intent = paid(&demo, 2_000, "succeed").await;
    assert_eq!(confirm(&demo, &intent, "pm_debit").await.json["payment_method"], "pm_card");
    let reply = act(&demo, &intent, "cancel", &Value::Null).await;
    assert_eq!(problem(&reply), "409 conflict payment_intent_unexpected_state");
    act(&demo, &intent, "refunds", &json!({})).await;
    assert_eq!(confirm(&demo, &intent, "pm_card").await.json["status"], "refunded");
    assert_eq!(demo.list("/api/v1/payments").await.len() - 6, 1, "besides the demo's six");

    let intent = open(&demo, 2_000, Value::Null).await;
    assert_eq!(act(&demo, &intent, "cancel", &Value::Null).await.json["status"], "canceled");
    for reply in
        [act(&demo, &intent, "cancel", &json!({})).await, confirm(&demo, &intent, "pm_card").await]
    {
        assert_eq!(problem(&reply), "409 conflict payment_intent_unexpected_state");
        assert!(text(&reply.json["error"], "message").contains("canceled"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_secret_that_is_sent_must_be_the_intents() {
    let (_folder, demo) = demo(&[]).await;
    let intent = open(&demo, 2_000, Value::Null).await;
    let other = open(&demo, 2_000, Value::Null).await;
    let secret = text(&get(&demo, &intent).await, "client_secret").to_owned();
    let foreign = text(&get(&demo, &other).await, "client_secret").to_owned();
    let auth = format!("Bearer {}", demo.bearer());
    let path = format!("{INTENTS}/{intent}/confirm");
    let body = br#"{"payment_method":"pm_card"}"#;
    for (given, status) in [(&*foreign, 400), ("x", 400), ("", 400), (&*secret, 200)] {
        let headers = [
            ("authorization", auth.as_str()),
            ("content-type", "application/json"),
            ("x-client-secret", given),
        ];
        let reply = demo.try_send("POST", &path, &headers, body.to_vec()).await.expect("an answer");
        assert_eq!(reply.status.as_u16(), status, "{given}: {}", reply.json);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn intents_are_listed_in_pages_newest_first() {
    let (_folder, demo) = demo(&[]).await;
    let mut made = Vec::new();
    for n in 0..5 {
        let body =
            json!({"amount": 100, "currency": "AUD", "customer_id": format!("cus_{}", n % 2)});
        made.insert(0, text(&demo.post(INTENTS, &body).await.json, "id").to_owned());
        // Two of one millisecond would be in no order.
        let made_at = SystemTime::now();
        while made_at.elapsed().is_ok_and(|time| time < Duration::from_millis(1)) {
            tokio::task::yield_now().await;
        }
    }
    confirm(&demo, &made[1], "pm_card").await;
    let ids = |page: &Value| -> Vec<String> {
        let items = page["data"].as_array().expect("a list");
        items.iter().map(|item| text(item, "id").to_owned()).collect()
    };
    let first = demo.get(&format!("{INTENTS}?limit=3")).await.json;
    assert_eq!((ids(&first), &first["has_more"]), (made[..3].to_vec(), &json!(true)));
    assert_eq!(first["data"][1]["status"], "succeeded");
    let rest = demo.get(&format!("{INTENTS}?limit=3&starting_after={}", made[2])).await.json;
    assert_eq!((ids(&rest), &rest["has_more"]), (made[3..].to_vec(), &json!(false)));
    let of = demo.get(&format!("{INTENTS}?customer_id=cus_1")).await.json;
    assert_eq!(ids(&of), [made[1].clone(), made[3].clone()]);
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("starting_after=x", "starting_after"),
        ("starting_after=", "starting_after"),
        ("starting_after=re_01ARZ3NDEKTSV4RRFFQ69G5FAV", "starting_after"),
    ] {
        let reply = demo.get(&format!("{INTENTS}?{query}")).await;
        assert_eq!(problem(&reply), format!("400 validation validation_error {field}"), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_objects_get_this_doors_error() {
    let (_folder, demo) = demo(&[]).await;
    let unknown = "pi_01ARZ3NDEKTSV4RRFFQ69G5FAV";
    for id in
        [unknown, "x", "pi_", "pi_%00", "%ff", "..", "%2e%2e", "re_01ARZ3NDEKTSV4RRFFQ69G5FAV"]
    {
        for path in [format!("{INTENTS}/{id}"), format!("{INTENTS}/{id}/refunds")] {
            assert_eq!(problem(&demo.get(&path).await), "404 not_found not_found", "{path}");
        }
        for (word, body) in [
            ("confirm", json!({"payment_method": "pm_card"})),
            ("cancel", json!({})),
            ("refunds", json!({})),
        ] {
            let reply = act(&demo, id, word, &body).await;
            assert_eq!(problem(&reply), "404 not_found not_found", "{id} {word}");
        }
    }
    let reply = demo.get(&format!("{INTENTS}/{unknown}/nothing")).await;
    assert_eq!(problem(&reply), "404 not_found not_found");
    let reply =
        send(&demo, demo.bearer(), "DELETE", &format!("{INTENTS}/{unknown}"), &Value::Null).await;
    assert_eq!(problem(&reply), "405 validation method_not_allowed");
    assert!(reply.header("allow").contains("GET"));
}
