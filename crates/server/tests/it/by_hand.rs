//! Refunds, notices and holds that people settle by hand, on the real server.

use crate::harness::{Demo, ON_POSTGRES, Reply, eventually};
use crate::keys::send;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rusqlite::Connection;
use serde_json::{Value, json};
use sha2::Sha256;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const LIMIT: Duration = Duration::from_secs(10);

/// A demo, and the secret of its simulated provider. A running server has the book for itself alone.
async fn demo_and_secret(folder: &Path) -> (Demo, Vec<u8>) {
    let mut demo = Demo::start(folder, &[]).await;
    demo.kill();
    let book = Connection::open(folder.join("simulator.db")).expect("a book");
    let secret = book.query_row("SELECT secret FROM simulator", [], |row| row.get(0));
    drop(book);
    demo.restart().await;
    (demo, secret.expect("a secret"))
}

/// Sends a webhook that is signed as the simulated provider signs it.
async fn tell(demo: &Demo, secret: &[u8], body: &Value) -> Reply {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("any length");
    mac.update(format!("{now}.{body}").as_bytes());
    let mac: String = mac.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect();
    let signature = format!("t={now},v1={mac}");
    let account = demo.ready_file["accountId"].as_str().expect("an id");
    let path = format!("/api/v1/inbound-webhooks/simulator/{account}/test");
    let headers = [("simulator-signature", signature.as_str())];
    demo.try_send("POST", &path, &headers, body.to_string().into_bytes()).await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_that_hangs_is_resolved_by_hand_and_its_calls_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path(), &[]).await;
    let payment = demo.pay("ch_hangs", 10_000).await;
    let body = json!({"chargeId": "ch_hangs", "amount": 900,
        "metadata": {"simulate": "stay_pending"}});
    let refund = demo.post("/api/v1/refunds", &body).await.data().clone();
    let path = format!("/api/v1/refunds/{}", refund["id"].as_str().unwrap());
    eventually("the provider to have it", LIMIT, async || {
        (demo.get(&path).await.data()["statusDetail"] == "submitted").then_some(())
    })
    .await;
    let attempts = demo.get(&format!("{path}/attempts")).await.data().clone();
    assert_eq!(attempts.as_array().map(Vec::len), Some(1), "{attempts}");
    assert_eq!((&attempts[0]["number"], &attempts[0]["outcome"]), (&json!(1), &json!("accepted")));
    assert!(attempts[0]["answeredAt"].is_string());

    let resolve = format!("{path}/resolve");
    let misspelt = json!({"outcome": "succeeded", "amout": 800, "proof": {"text": "dashboard"}});
    let reply = demo.post(&resolve, &misspelt).await;
    assert_eq!((reply.status.as_u16(), &reply.json["error"]["field"]), (400, &json!("amout")));
    let paid = json!({"outcome": "succeeded", "amount": 800, "proof": {"text": "dashboard"}});
    let resolved = demo.try_post(&resolve, Some("by hand"), &paid).await.expect("an answer");
    assert_eq!(resolved.data()["status"], "succeeded");
    let again = demo.try_post(&resolve, Some("by hand"), &paid).await.expect("an answer");
    assert_eq!(again.header("idempotent-replayed"), "true");
    let now = demo.get(&format!("/api/v1/payments/{payment}")).await;
    assert_eq!(
        (&now.data()["amountRefunded"], &now.data()["amountReserved"]),
        (&json!(800), &json!(0))
    );
    let (code, text) = demo.run(&["verify"]);
    assert_eq!(code, 0, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_comes_before_its_payment_is_listed_and_then_booked() {
    let folder = tempfile::tempdir().unwrap();
    let (demo, secret) = demo_and_secret(folder.path()).await;
    let told = json!({"id": "swe_1", "type": "refund.succeeded", "at": 1_700_000_000_000_i64,
        "data": {"refundId": "sim_re_early", "key": null, "paymentId": "ch_early", "amount": 300,
            "currency": "USD", "status": "succeeded"}});
    assert_eq!(tell(&demo, &secret, &told).await.status, 200);
    let kept = demo.list("/api/v1/unmatched-notices").await;
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(
        (&kept[0]["providerRefundId"], &kept[0]["reason"]),
        (&json!("sim_re_early"), &json!("payment_not_registered"))
    );
    let body = json!({"amount": 1000, "currency": "USD", "provider": "simulator",
        "providerPaymentId": "ch_early", "providerData": {"b": 1, "a": {"c": [1.50]}}});
    let payment = demo.post("/api/v1/payments", &body).await.data().clone();
    assert_eq!(payment["amountRefunded"], 300);
    assert_eq!(payment["providerData"], json!({"a": {"c": [1.5]}, "b": 1}));
    assert_eq!(demo.list("/api/v1/unmatched-notices").await.len(), 0);
    let mut elsewhere = told;
    elsewhere["id"] = json!("swe_2");
    elsewhere["data"]["paymentId"] = json!("ch_elsewhere");
    elsewhere["data"]["refundId"] = json!("sim_re_elsewhere");
    assert_eq!(tell(&demo, &secret, &elsewhere).await.status, 200);
    let kept = demo.list("/api/v1/unmatched-notices").await;
    let one = format!("/api/v1/unmatched-notices/{}", kept[0]["id"].as_str().unwrap());
    let body = json!({"name": "writes", "scopes": ["refund:write"]});
    let writer = demo.post("/api/v1/api-keys", &body).await.data()["key"].clone();
    let writer = writer.as_str().unwrap();
    for (key, status) in [(writer, 403), (demo.bearer(), 204), (demo.bearer(), 404)] {
        assert_eq!(send(&demo, key, "DELETE", &one, None).await.status, status);
    }
    assert_eq!(demo.list("/api/v1/unmatched-notices").await.len(), 0);
    let (code, text) = demo.run(&["verify"]);
    assert_eq!(code, 0, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disputed_payment_is_held_and_booked_and_a_verification_sees_the_holds() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = Demo::start(folder.path(), &[]).await;
    let payment = format!("/api/v1/payments/{}", demo.pay("ch_disputed", 10_000).await);
    let holds = format!("{payment}/holds");
    let body = json!({"amount": 6000, "reason": "chargeback", "reference": "dp_1"});
    let lost = demo.post(&holds, &body).await.data().clone();
    let other = json!({"amount": 5000, "reason": "chargeback", "reference": "dp_2"});
    let won = demo.post(&holds, &other).await.data().clone();
    let amounts = async |demo: &Demo| {
        let now = demo.get(&payment).await.data().clone();
        ["amountHeld", "amountHeldExcess", "amountRefunded", "amountRefundable"]
            .map(|name| now[name].as_i64().unwrap())
    };
    assert_eq!(amounts(&demo).await, [10_000, 1_000, 0, 0]);
    let refused = demo.post("/api/v1/refunds", &json!({"chargeId": "ch_disputed"})).await;
    assert_eq!(refused.json["error"]["code"], "state_conflict");
    let (code, text) = demo.run(&["verify"]);
    assert_eq!(code, 0, "{text}");
    let path = |hold: &Value, end: &str| format!("{holds}/{}/{end}", hold["id"].as_str().unwrap());
    assert_eq!(demo.post(&path(&won, "release"), &json!({})).await.data()["status"], "released");
    assert_eq!(demo.post(&path(&lost, "book"), &json!({})).await.data()["status"], "booked");
    assert_eq!(amounts(&demo).await, [0, 0, 6_000, 4_000]);
    assert_eq!(demo.list(&holds).await.len(), 2);
    let (code, text) = demo.run(&["verify"]);
    assert_eq!(code, 0, "{text}");

    // A sum that no hold explains is found.
    let another = demo.post(&holds, &json!({"amount": 100, "reason": "chargeback"})).await;
    assert_eq!(another.status, 201);
    demo.kill();
    if std::env::var_os(ON_POSTGRES).is_none() {
        let database = Connection::open(folder.path().join("refundry.db")).unwrap();
        let changed = database.execute("UPDATE holds SET amount = 99 WHERE state = 1", []);
        assert_eq!(changed, Ok(1));
        drop(database);
        let (code, text) = demo.run(&["verify"]);
        assert_eq!(code, 1, "{text}");
        assert!(text.contains("held/held excess: stored 100/0, derived 99/0"), "{text}");
    }
}
