//! Refunds: every row of the documentation's tables.

use super::{INTENTS, act, demo, get, open, paid, problem, text};
use crate::harness::{Demo, eventually};
use serde_json::{Value, json};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);
const QUICK: (&str, &str) = ("REFUNDRY_ELASTICPAY__WAIT_SECONDS", "1");

async fn refunds(demo: &Demo, intent: &str) -> Vec<Value> {
    let reply = demo.get(&format!("{INTENTS}/{intent}/refunds")).await;
    reply.json["data"].as_array().expect("a list").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refund_status_has_its_documented_fields() {
    let (_folder, demo) = demo(&[QUICK]).await;
    let intent = paid(&demo, 5_000, "succeed").await;
    let done = act(&demo, &intent, "refunds", &json!({"amount_cents": 2000})).await.json;
    assert_eq!((&done["success"], &done["status"]), (&json!(true), &json!("succeeded")));
    assert_eq!(done["message"], "Partial refund of 2000 AUD processed");

    let intent = paid(&demo, 5_000, "stay_pending").await;
    let sent = act(&demo, &intent, "refunds", &json!({"amount_cents": 2000})).await.json;
    assert_eq!((&sent["success"], &sent["status"]), (&json!(true), &json!("pending")));
    assert_eq!(sent["message"], "Partial refund of 2000 AUD submitted, awaiting confirmation");
    assert_eq!(
        get(&demo, &intent).await["amount_refunded"],
        0,
        "the amount changes on success only"
    );
    let refund = text(&sent, "refund_id").replace("re_", "rfd_");
    let path = format!("/simulator/refunds/{refund}/complete");
    let headers = [("content-type", "application/json")];
    let reply = demo.try_send("POST", &path, &headers, b"{}".to_vec()).await.expect("an answer");
    assert!(reply.status.is_success(), "{}", reply.text);
    eventually("the confirmation", LIMIT, async || {
        (refunds(&demo, &intent).await[0]["status"] == "succeeded").then_some(())
    })
    .await;
    assert_eq!(get(&demo, &intent).await["amount_refunded"], 2000);

    let intent = paid(&demo, 5_000, "refuse:card_expired").await;
    let reply = act(&demo, &intent, "refunds", &json!({})).await;
    assert_eq!(reply.status, 200);
    assert_eq!((&reply.json["success"], &reply.json["status"]), (&json!(false), &json!("failed")));
    let message = text(&reply.json, "message");
    assert!(message.starts_with("Full refund of 5000 AUD failed: "), "{message}");
    let listed = refunds(&demo, &intent).await;
    assert_eq!(
        (&listed[0]["status"], &listed[0]["failure_code"]),
        (&json!("failed"), &json!("card_expired"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_succeeded_intent_can_be_refunded() {
    let (_folder, demo) = demo(&[]).await;
    let expected = "409 conflict payment_intent_not_succeeded";
    for (method, status) in [
        ("", "requires_payment_method"),
        ("pm_card_action", "requires_action"),
        ("pm_card_declined", "failed"),
    ] {
        let intent = open(&demo, 5_000, Value::Null).await;
        if !method.is_empty() {
            act(&demo, &intent, "confirm", &json!({"payment_method": method})).await;
        }
        assert_eq!(get(&demo, &intent).await["status"], status);
        for body in [json!({}), json!({"amount_cents": 1})] {
            let reply = act(&demo, &intent, "refunds", &body).await;
            assert_eq!(problem(&reply), expected, "{status}");
        }
        assert!(refunds(&demo, &intent).await.is_empty());
        let canceled = act(&demo, &intent, "cancel", &json!({})).await;
        assert_eq!(canceled.json["status"], "canceled", "{}", canceled.json);
        let reply = act(&demo, &intent, "refunds", &json!({})).await;
        assert_eq!(problem(&reply), expected);
        assert!(text(&reply.json["error"], "message").contains("canceled"));
    }
    let intent = paid(&demo, 5_000, "succeed").await;
    act(&demo, &intent, "refunds", &json!({})).await;
    for body in [json!({}), json!({"amount_cents": 1}), json!({"amount_cents": 9_999})] {
        let reply = act(&demo, &intent, "refunds", &body).await;
        assert_eq!(problem(&reply), expected, "{body}");
        assert!(text(&reply.json["error"], "message").contains("refunded"));
    }
    assert_eq!(refunds(&demo, &intent).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn partial_refunds_add_up_to_the_charge_and_never_exceed_it() {
    let (_folder, demo) = demo(&[]).await;
    let intent = paid(&demo, 5_000, "succeed").await;
    let over = act(&demo, &intent, "refunds", &json!({"amount_cents": 5_001})).await;
    assert_eq!(problem(&over), "422 validation amount_too_large amount_cents");
    for (amount, left) in [(2_000, 3_000), (1_500, 1_500)] {
        act(&demo, &intent, "refunds", &json!({"amount_cents": amount})).await;
        let now = get(&demo, &intent).await;
        assert_eq!(
            (&now["status"], &now["amount_refunded"]),
            (&json!("succeeded"), &json!(5_000 - left))
        );
        let over = act(&demo, &intent, "refunds", &json!({"amount_cents": left + 1})).await;
        assert_eq!(problem(&over), "422 validation amount_too_large amount_cents");
        assert!(text(&over.json["error"], "message").contains(&left.to_string()));
    }
    // A null amount refunds the remainder, which is a partial refund here.
    let rest = act(&demo, &intent, "refunds", &json!({"amount_cents": null})).await.json;
    assert_eq!((&rest["amount_cents"], &rest["status"]), (&json!(1_500), &json!("succeeded")));
    assert_eq!(rest["message"], "Partial refund of 1500 AUD processed");
    assert_eq!(get(&demo, &intent).await["status"], "refunded");
    assert_eq!(refunds(&demo, &intent).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_refund_changes_nothing_and_a_new_one_can_follow() {
    let (_folder, demo) = demo(&[]).await;
    let intent = paid(&demo, 5_000, "succeed").await;
    let failing = json!({"amount_cents": 5_000, "metadata": {"simulate": "refuse"}});
    let failed = act(&demo, &intent, "refunds", &failing).await.json;
    assert_eq!(failed["status"], "failed");
    let now = get(&demo, &intent).await;
    assert_eq!((&now["status"], &now["amount_refunded"]), (&json!("succeeded"), &json!(0)));
    let again = act(&demo, &intent, "refunds", &json!({"amount_cents": 5_000})).await.json;
    assert_eq!(again["status"], "succeeded");
    assert_ne!(again["refund_id"], failed["refund_id"]);
    let statuses: Vec<_> =
        refunds(&demo, &intent).await.iter().map(|one| text(one, "status").to_owned()).collect();
    assert_eq!(statuses, ["succeeded", "failed"], "newest first");
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_refunds_reserve_their_amount_until_they_fail() {
    let (_folder, demo) = demo(&[QUICK]).await;
    let intent = paid(&demo, 5_000, "stay_pending").await;
    let sent = act(&demo, &intent, "refunds", &json!({})).await.json;
    assert_eq!(sent["status"], "pending");
    let reply = act(&demo, &intent, "refunds", &json!({})).await;
    assert_eq!(problem(&reply), "409 conflict nothing_refundable");
    let reply = act(&demo, &intent, "refunds", &json!({"amount_cents": 1})).await;
    assert_eq!(problem(&reply), "422 validation amount_too_large amount_cents");
    assert_eq!(get(&demo, &intent).await["status"], "succeeded");
    let refund = text(&sent, "refund_id").replace("re_", "rfd_");
    let path = format!("/simulator/refunds/{refund}/fail");
    let headers = [("content-type", "application/json")];
    let reply = demo.try_send("POST", &path, &headers, b"{}".to_vec()).await.expect("an answer");
    assert!(reply.status.is_success(), "{}", reply.text);
    eventually("the failure", LIMIT, async || {
        (refunds(&demo, &intent).await[0]["status"] == "failed").then_some(())
    })
    .await;
    let again = json!({"metadata": {"simulate": "succeed"}});
    assert_eq!(act(&demo, &intent, "refunds", &again).await.json["status"], "succeeded");
    assert_eq!(get(&demo, &intent).await["status"], "refunded");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_reason_is_accepted_unless_strict_reasons_is_set() {
    let strict = ("REFUNDRY_ELASTICPAY__STRICT_REASONS", "true");
    let (_folder, demo) = demo(&[strict]).await;
    let intent = paid(&demo, 5_000, "succeed").await;
    for reason in ["customer_request", "duplicate", "fraudulent"] {
        let body = json!({"amount_cents": 100, "reason": reason});
        assert_eq!(act(&demo, &intent, "refunds", &body).await.status, 200, "{reason}");
    }
    let body = json!({"amount_cents": 100, "reason": "partial_return"});
    let reply = act(&demo, &intent, "refunds", &body).await;
    assert_eq!(problem(&reply), "400 validation validation_error reason");
    assert_eq!(refunds(&demo, &intent).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_pending_and_paid_once() {
    let (_folder, demo) = demo(&[QUICK]).await;
    let intent = paid(&demo, 5_000, "timeout_after_booking").await;
    let sent = act(&demo, &intent, "refunds", &json!({})).await.json;
    assert_ne!(sent["status"], "failed", "the outcome is unknown");
    eventually("the truth", LIMIT, async || {
        (get(&demo, &intent).await["status"] == "refunded").then_some(())
    })
    .await;
    assert_eq!(refunds(&demo, &intent).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn refunds_are_listed_in_pages() {
    let (_folder, demo) = demo(&[]).await;
    let intent = paid(&demo, 5_000, "succeed").await;
    let mut made = Vec::new();
    for _ in 0..5 {
        let reply = act(&demo, &intent, "refunds", &json!({"amount_cents": 10})).await;
        made.insert(0, text(&reply.json, "refund_id").to_owned());
    }
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = demo.get(&format!("{INTENTS}/{intent}/refunds?limit=2{after}")).await.json;
        let items = page["data"].as_array().expect("a list");
        seen.extend(items.iter().map(|item| text(item, "id").to_owned()));
        if page["has_more"] == false {
            break;
        }
        assert_eq!(items.len(), 2);
        after = format!("&starting_after={}", seen.last().expect("an item"));
    }
    assert_eq!(seen, made);
}
