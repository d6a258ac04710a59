//! Webhooks in the format of this door, sent by a running server.

use super::*;
use crate::webhooks::receiver::{Received, Receiver};
use crate::webhooks::world::verify_standard;

#[expect(clippy::disallowed_methods, reason = "receivers compare signatures with real time")]
fn now_s() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.expect("a time after 1970").as_secs()).expect("a few billion")
}

async fn received(receiver: &Receiver, count: usize) -> Vec<Received> {
    eventually("the webhooks", LIMIT, async || {
        let all = receiver.all();
        (all.len() >= count).then_some(all)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_of_payments_and_refunds_have_the_documented_fields() {
    let (_folder, demo) = demo(&[("REFUNDRY_YOCO_ALLOW_TEST_REFUNDS", "1")]).await;
    let receiver = Receiver::start().await;
    let body = json!({"name": "shop", "url": receiver.url("/wp-json/yoco/webhook")});
    let made = Curl::new(&demo, "POST", "/api/webhooks").key("test").json(&body).run();
    let secret = made.json["secret"].as_str().expect("a secret").to_owned();

    let body = json!({"amount": 900, "currency": "ZAR", "metadata": {"order": "7"}});
    let reply = Curl::new(&demo, "POST", "/api/checkouts").key("test").json(&body).run();
    let checkout = reply.json["id"].as_str().unwrap().to_owned();
    let payment = checkout.replacen("ch_", "p_", 1);
    charge(&demo, &checkout, "card");
    let paid = received(&receiver, 1).await;
    let event = paid[0].json();
    let at = event["createdDate"].clone();
    assert!(event["id"].as_str().unwrap().starts_with("evt_"));
    assert_eq!(paid[0].header("webhook-id"), event["id"].as_str().unwrap());
    let when = event["payload"]["createdDate"].clone();
    assert!(at.is_string() && when.is_string());
    assert_eq!(
        event,
        json!({
            "id": event["id"], "type": "payment.succeeded", "createdDate": at,
            "payload": {
                "id": payment, "type": "payment", "createdDate": when, "amount": 900,
                "currency": "ZAR", "status": "succeeded", "mode": "test",
                "paymentMethodDetails": {"type": "card"},
                "metadata": {"order": "7", "checkoutId": checkout},
            },
        })
    );

    // One refund fails and one succeeds. The order of their webhooks is not fixed, so the test
    // finds them by their ids.
    let body = json!({"amount": 100, "metadata": {"simulate": "refuse"}});
    assert_eq!(refund(&demo, "test", &checkout, &body).run().status, 400);
    let body = json!({"amount": 200, "metadata": {"ticket": "9"}});
    let accepted = refund(&demo, "test", &checkout, &body).run();
    let all = received(&receiver, 3).await;
    let find = |kind: &str| {
        let mut found = all.iter().filter(|one| one.kind() == kind);
        let one = found.next().unwrap_or_else(|| panic!("{kind} in {:?}", receiver.kinds()));
        assert!(found.next().is_none(), "{kind} is sent once");
        one.json()
    };
    let failed = find("refund.failed")["payload"].clone();
    assert_eq!((&failed["status"], &failed["amount"]), (&json!("failed"), &json!(100)));
    assert!(failed["failureReason"].is_string());
    let event = find("refund.succeeded");
    assert_eq!(
        event["payload"],
        json!({
            "id": accepted.json["refundId"], "type": "refund",
            "createdDate": event["payload"]["createdDate"], "amount": 200, "currency": "ZAR",
            "status": "succeeded", "mode": "test", "paymentId": payment,
            "metadata": {"ticket": "9", "checkoutId": checkout},
        })
    );
    for one in &all {
        assert_eq!(verify_standard(one, &secret, now_s()), Some(0), "{}", one.text());
        let payload = &one.json()["payload"];
        assert_eq!(payload["metadata"]["checkoutId"], json!(checkout));
        assert!(payload["amount"].is_i64() && payload["currency"].is_string());
    }
    // A refund through the native door is sent as well.
    let body = json!({"chargeId": checkout, "amount": 5});
    native(&demo, "test", "POST", "/api/v1/refunds", &body).await.data();
    let all = received(&receiver, 4).await;
    assert_eq!(all[3].json()["payload"]["metadata"]["checkoutId"], json!(checkout));
}
