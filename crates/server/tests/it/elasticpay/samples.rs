//! Runs the samples of the documentation in a shell, with the host and the key replaced.

use super::{INTENTS, demo, make_key, send, text};
use crate::harness::Demo;
use serde_json::{Value, json};
use std::process::Command;

const SAMPLE_INTENT: &str = "pi_0abc123def456ghi789jkl012mn";

/// Runs a command in a shell with the host and the key set. Returns the status and the answer.
fn shell(demo: &Demo, key: &str, command: &str) -> (u16, Value) {
    let output = Command::new("sh")
        .args(["-c", &format!("{command} -s -w '\\n%{{http_code}}'")])
        .env("HOST", format!("http://127.0.0.1:{}", demo.port))
        .env("KEY", key)
        .output()
        .expect("a shell");
    let text = String::from_utf8(output.stdout).expect("text");
    let (body, status) = text.rsplit_once('\n').expect("a status");
    let json = serde_json::from_str(body).unwrap_or_else(|_| panic!("no JSON: {body}"));
    (status.parse().expect("a number"), json)
}

const FULL: &str = r#"curl -X POST $HOST/api/v1/payment_intents/pi_0abc123def456ghi789jkl012mn/refunds \
-H "Authorization: Bearer $KEY" \
-H "Content-Type: application/json" \
-d '{"reason": "customer_request"}'"#;

const PARTIAL: &str = r#"curl -X POST $HOST/api/v1/payment_intents/pi_0abc123def456ghi789jkl012mn/refunds \
-H "Authorization: Bearer $KEY" \
-H "Content-Type: application/json" \
-d '{"amount_cents": 2000, "reason": "partial_return"}'"#;

const LIST: &str = r#"curl $HOST/api/v1/payment_intents/pi_0abc123def456ghi789jkl012mn/refunds \
-H "Authorization: Bearer $KEY""#;

/// Makes a live account, adopts the intent of the samples with its id, and returns a key.
async fn account_with_the_intent(demo: &Demo, name: &str) -> String {
    let live = ["--new-account", name, "--mode", "live", "--format", "elasticpay"];
    let (_, _, key) = make_key(demo, &live);
    assert!(key.starts_with("sk_live_"), "the form of the key");
    let body = json!({
        "amount": 5000, "currency": "AUD", "provider": "simulator",
        "providerPaymentId": SAMPLE_INTENT,
    });
    let reply = send(demo, &key, "POST", "/api/v1/payments", &body).await;
    assert_eq!(reply.status, 201, "{}", reply.json);
    key
}

/// Compares an answer with the documented one, field by field and in order. Only the refund's id
/// may differ.
#[track_caller]
fn assert_documented(answer: &Value, documented: &Value) {
    let fields = |value: &Value| -> Vec<String> {
        value.as_object().expect("an object").keys().cloned().collect()
    };
    assert_eq!(fields(answer), fields(documented));
    for (field, value) in documented.as_object().expect("an object") {
        if field == "refund_id" {
            let id = text(answer, field);
            assert!(id.starts_with("re_") && id.len() == 29, "{id}");
        } else {
            assert_eq!(answer[field], *value, "{field}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_samples_of_the_documentation_are_answered_as_documented() {
    let (_folder, demo) = demo(&[]).await;
    let key = account_with_the_intent(&demo, "Full").await;
    let (status, full) = shell(&demo, &key, FULL);
    assert_eq!(status, 200);
    assert_documented(
        &full,
        &json!({
            "success": true,
            "status": "succeeded",
            "transaction_id": SAMPLE_INTENT,
            "refund_id": "re_0abc123def456",
            "message": "Full refund of 5000 AUD processed",
            "amount_cents": 5000,
            "currency": "AUD",
        }),
    );
    let (status, listed) = shell(&demo, &key, LIST);
    assert_eq!((status, &listed["has_more"]), (200, &json!(false)));
    let items = listed["data"].as_array().expect("a list");
    assert_eq!(items.len(), 1);
    for (field, value) in [
        ("id", full["refund_id"].clone()),
        ("refund_id", full["refund_id"].clone()),
        ("transaction_id", json!(SAMPLE_INTENT)),
        ("status", json!("succeeded")),
        ("amount_cents", json!(5000)),
        ("currency", json!("AUD")),
        ("reason", json!("customer_request")),
    ] {
        assert_eq!(items[0][field], value, "{field}");
    }
    let intent =
        send(&demo, &key, "GET", &format!("{INTENTS}/{SAMPLE_INTENT}"), &Value::Null).await;
    assert_eq!(
        (&intent.json["status"], &intent.json["livemode"]),
        (&json!("refunded"), &json!(true))
    );
    assert_eq!(intent.json["id"], SAMPLE_INTENT);

    let key = account_with_the_intent(&demo, "Partial").await;
    let (status, partial) = shell(&demo, &key, PARTIAL);
    assert_eq!(status, 200);
    assert_documented(
        &partial,
        &json!({
            "success": true,
            "status": "succeeded",
            "transaction_id": SAMPLE_INTENT,
            "refund_id": "re_0def456ghi789",
            "message": "Partial refund of 2000 AUD processed",
            "amount_cents": 2000,
            "currency": "AUD",
        }),
    );
    let (_, listed) = shell(&demo, &key, LIST);
    assert_eq!(listed["data"][0]["reason"], "partial_return");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_steps_of_the_guides_take_and_refund_a_payment() {
    let (_folder, demo) = demo(&[]).await;
    let account = demo.ready_file["accountId"].as_str().expect("an account").to_owned();
    let (_, _, key) = make_key(&demo, &["--account", &account, "--format", "elasticpay"]);
    assert!(key.starts_with("sk_sandbox_"));
    let post = |path: &str, body: &str| {
        format!(
            "curl -X POST $HOST/api/v1/payment_intents{path} -H \"Authorization: Bearer $KEY\" \
             -H \"Content-Type: application/json\" -d '{body}'"
        )
    };
    let make = post("", r#"{"amount": 2000, "currency": "AUD", "customer_id": "cus_1"}"#);
    let (status, intent) = shell(&demo, &key, &make);
    assert_eq!(status, 200);
    let id = text(&intent, "id").to_owned();
    assert!(id.starts_with("pi_"));
    assert!(text(&intent, "client_secret").starts_with(&format!("{id}_secret_")));
    assert!(text(&intent, "created_at").ends_with('Z'));
    for (field, value) in [
        ("amount", json!(2000)),
        ("currency", json!("AUD")),
        ("status", json!("requires_payment_method")),
        ("livemode", json!(false)),
        ("customer_id", json!("cus_1")),
    ] {
        assert_eq!(intent[field], value, "{field}");
    }
    let confirm = post(&format!("/{id}/confirm"), r#"{"payment_method": "pm_card"}"#);
    let (status, confirmed) = shell(&demo, &key, &confirm);
    assert_eq!((status, &confirmed["status"]), (200, &json!("succeeded")));
    // A request without a body is a full refund, too.
    let bare =
        format!("curl -X POST $HOST{INTENTS}/{id}/refunds -H \"Authorization: Bearer $KEY\"");
    let (status, refund) = shell(&demo, &key, &bare);
    assert_eq!(status, 200);
    assert_eq!(refund["message"], "Full refund of 2000 AUD processed");
    assert_eq!(refund["transaction_id"], json!(id));
    let list = "curl $HOST/api/v1/payment_intents -H \"Authorization: Bearer $KEY\"";
    let (_, listed) = shell(&demo, &key, list);
    assert_eq!(listed["data"][0]["status"], "refunded");
    assert_eq!(listed["data"][0]["client_secret"], intent["client_secret"]);
}
