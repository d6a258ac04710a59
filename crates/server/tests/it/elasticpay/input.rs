//! Bad input gets a 4xx that names the field and says how to correct it, and nothing changes.

use super::{INTENTS, demo, get, open, paid, problem};
use crate::harness::{Demo, Reply};
use serde_json::Value;

async fn state(demo: &Demo) -> Vec<Value> {
    let mut all = Vec::new();
    for path in ["payments", "refunds", "events", "ledger"] {
        all.extend(demo.list(&format!("/api/v1/{path}")).await);
    }
    all.push(demo.get(&format!("{INTENTS}?limit=100")).await.json);
    all
}

async fn raw(demo: &Demo, path: &str, kind: &str, body: Vec<u8>, more: &[(&str, &str)]) -> Reply {
    let auth = format!("Bearer {}", demo.bearer());
    let mut headers = vec![("authorization", auth.as_str()), ("content-type", kind)];
    headers.extend(more);
    demo.try_send("POST", path, &headers, body).await.expect("an answer")
}

const JSON: &str = "application/json";

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_and_changes_nothing() {
    let (_folder, demo) = demo(&[]).await;
    let paid = paid(&demo, 5_000, "succeed").await;
    let open = open(&demo, 5_000, Value::Null).await;
    let before = state(&demo).await;
    let (long, longer) = ("x".repeat(201), "x".repeat(501));
    let deep = format!("{}1{}", "[".repeat(20_000), "]".repeat(20_000));
    let intents: &[(&str, &str)] = &[
        ("{}", "amount"),
        (r#"{"amount": 100}"#, "currency"),
        (r#"{"currency": "AUD"}"#, "amount"),
        (r#"{"amount": 0, "currency": "AUD"}"#, "amount"),
        (r#"{"amount": -1, "currency": "AUD"}"#, "amount"),
        (r#"{"amount": 1.5, "currency": "AUD"}"#, "amount"),
        (r#"{"amount": "100", "currency": "AUD"}"#, "amount"),
        (r#"{"amount": 9223372036854775808, "currency": "AUD"}"#, "amount"),
        (r#"{"amount": 100, "currency": "aud"}"#, "currency"),
        (r#"{"amount": 100, "currency": "XYZ"}"#, "currency"),
        (r#"{"amount": 100, "currency": 36}"#, "currency"),
        (r#"{"amount": 100, "amount": 100, "currency": "AUD"}"#, "amount"),
        (r#"{"amount": 100, "currency": "AUD", "customer_id": ""}"#, "customer_id"),
        (r#"{"amount": 100, "currency": "AUD", "customer_id": 5}"#, "customer_id"),
        (r#"{"amount": 100, "currency": "AUD", "metadata": 5}"#, "metadata"),
        ("[]", ""),
        ("null", ""),
        ("", ""),
        ("{", ""),
        (&deep, ""),
    ];
    let customer = format!(r#"{{"amount": 100, "currency": "AUD", "customer_id": "{long}"}}"#);
    let confirms: &[(&str, &str)] = &[
        ("{}", "payment_method"),
        (r#"{"payment_method": ""}"#, "payment_method"),
        (r#"{"payment_method": 5}"#, "payment_method"),
        (r#"{"payment_method": "card"}"#, "payment_method"),
        (r#"{"payment_method": "pm_"}"#, "payment_method"),
        (r#"{"payment_method": "pm_nothing"}"#, "payment_method"),
        (r#"{"payment_method": "pm_manual"}"#, "payment_method"),
        (r#"{"payment_method": "pm_qris"}"#, "payment_method"),
        ("[]", ""),
        ("", ""),
    ];
    let refunds: &[(&str, &str)] = &[
        (r#"{"amount_cents": 0}"#, "amount_cents"),
        (r#"{"amount_cents": -1}"#, "amount_cents"),
        (r#"{"amount_cents": 1.5}"#, "amount_cents"),
        (r#"{"amount_cents": 1e2}"#, "amount_cents"),
        (r#"{"amount_cents": "100"}"#, "amount_cents"),
        (r#"{"amount_cents": true}"#, "amount_cents"),
        (r#"{"amount_cents": 99999999999999999999999999}"#, "amount_cents"),
        (r#"{"amount_cents": 1, "amount_cents": 1}"#, "amount_cents"),
        (r#"{"reason": 5}"#, "reason"),
        (r#"{"reason": "\u0000"}"#, "reason"),
        (r#"{"metadata": {"a": 5}}"#, "metadata.a"),
        ("[]", ""),
        ("5", ""),
        ("{", ""),
        (&deep, ""),
    ];
    let reason = format!(r#"{{"reason": "{longer}"}}"#);
    let cases = intents
        .iter()
        .map(|case| (INTENTS.to_owned(), *case))
        .chain([(INTENTS.to_owned(), (customer.as_str(), "customer_id"))])
        .chain(confirms.iter().map(|case| (format!("{INTENTS}/{open}/confirm"), *case)))
        .chain(refunds.iter().map(|case| (format!("{INTENTS}/{paid}/refunds"), *case)))
        .chain([(format!("{INTENTS}/{paid}/refunds"), (reason.as_str(), "reason"))])
        .chain([(format!("{INTENTS}/{open}/cancel"), ("[]", ""))]);
    for (path, (body, field)) in cases {
        let reply = raw(&demo, &path, JSON, body.into(), &[]).await;
        let expected = format!("400 validation validation_error {field}");
        let what: String = body.chars().take(80).collect();
        assert_eq!(problem(&reply), expected.trim_end(), "{path} {what}");
    }
    for path in [
        INTENTS.to_owned(),
        format!("{INTENTS}/{paid}/refunds"),
        format!("{INTENTS}/{open}/cancel"),
    ] {
        for kind in ["text/plain", "application/x-www-form-urlencoded"] {
            let reply = raw(&demo, &path, kind, b"{}".to_vec(), &[]).await;
            assert_eq!(problem(&reply), "415 validation unsupported_media_type", "{path} {kind}");
        }
        let huge = format!("{{\"x\": \"{}\"}}", "x".repeat(70_000));
        let reply = raw(&demo, &path, JSON, huge.into(), &[]).await;
        assert_eq!(problem(&reply), "413 validation payload_too_large", "{path}");
        for key in ["", &"k".repeat(256)] {
            let reply = raw(&demo, &path, JSON, b"{}".to_vec(), &[("idempotency-key", key)]).await;
            assert_eq!(
                problem(&reply),
                "400 validation validation_error Idempotency-Key",
                "{path}"
            );
        }
    }
    assert_eq!(state(&demo).await, before);
    assert_eq!(get(&demo, &open).await["status"], "requires_payment_method");
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_fields_are_ignored_and_values_at_their_limits_are_accepted() {
    let (_folder, demo) = demo(&[]).await;
    let body = format!(
        r#"{{"amount": 9007199254740991, "currency": "AUD", "customer_id": "{}", "nothing": [1], "description": null}}"#,
        "x".repeat(200)
    );
    let made = raw(&demo, INTENTS, "application/json; charset=utf-8", body.into(), &[]).await;
    assert_eq!(made.status, 200, "{}", made.json);
    let intent = paid(&demo, 5_000, "succeed").await;
    let body = format!(r#"{{"amount_cents": 1, "reason": "{}", "amount": 7}}"#, "é".repeat(500));
    let path = format!("{INTENTS}/{intent}/refunds");
    let made = raw(&demo, &path, JSON, body.into(), &[]).await;
    assert_eq!((made.status.as_u16(), &made.json["amount_cents"]), (200, &1.into()));
}
