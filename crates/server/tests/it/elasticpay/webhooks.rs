//! Webhooks in the format of this door, delivered over HTTP and verified by a short Python program.

use super::{INTENTS, act, demo, open, paid, text};
use crate::harness::{Demo, eventually};
use crate::webhooks::receiver::{Received, Receiver};
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

/// Verifies a webhook as the documentation describes.
const VERIFY: &str = r#"
import datetime, hashlib, hmac, sys
secret, signature, timestamp, key_id = sys.argv[1:]
body = sys.stdin.buffer.read()
good = "v1=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
signed = datetime.datetime.fromisoformat(timestamp.replace("Z", "+00:00"))
age = abs((datetime.datetime.now(datetime.timezone.utc) - signed).total_seconds())
known = key_id == "whk_" + hashlib.sha256(secret.encode()).hexdigest()[:16]
sys.exit(0 if hmac.compare_digest(good, signature) and age < 300 and known else 1)
"#;

fn verify(one: &Received, secret: &str, body: &[u8]) -> bool {
    let headers = ["x-webhook-signature", "x-webhook-timestamp", "x-webhook-key-id"];
    let mut python = Command::new("python3")
        .args(["-c", VERIFY, secret])
        .args(headers.map(|name| one.header(name)))
        .stdin(Stdio::piped())
        .spawn()
        .expect("python3");
    python.stdin.take().expect("its input").write_all(body).expect("it reads");
    python.wait().expect("it ends").success()
}

async fn subscribe(demo: &Demo, receiver: &Receiver, events: &Value) -> (String, String) {
    let body = json!({"url": receiver.url("/"), "format": "elasticpay", "events": events});
    let made = demo.post("/api/v1/webhooks", &body).await;
    assert_eq!(made.status, 201, "{}", made.json);
    (text(made.data(), "id").to_owned(), text(made.data(), "secret").to_owned())
}

/// Received events of an intent.
fn events(receiver: &Receiver, intent: &str) -> Vec<Value> {
    let all = receiver.all().into_iter().map(|one| one.json());
    all.filter(|event| event["data"]["id"] == intent).collect()
}

async fn until(receiver: &Receiver, intent: &str, types: &[&str]) -> Vec<Value> {
    let types: Vec<_> = types.iter().map(|word| format!("payment_intent.{word}")).collect();
    eventually(&types.join(", "), LIMIT, async || {
        let found = events(receiver, intent);
        let named: Vec<_> = found.iter().map(|event| text(event, "event_type")).collect();
        (named == types).then_some(found)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn all_events_of_an_intent_are_sent_in_order_and_signed() {
    let (_folder, demo) = demo(&[]).await;
    let receiver = Receiver::start().await;
    let (endpoint, secret) = subscribe(&demo, &receiver, &json!([])).await;
    let intent = paid(&demo, 5_000, "succeed").await;
    until(&receiver, &intent, &["processing", "succeeded"]).await;
    act(&demo, &intent, "refunds", &json!({"amount_cents": 2_000})).await;
    until(&receiver, &intent, &["processing", "succeeded", "partially_refunded"]).await;
    act(&demo, &intent, "refunds", &json!({})).await;
    let all = ["processing", "succeeded", "partially_refunded", "refunded"];
    let arrived = until(&receiver, &intent, &all).await;
    let shape =
        |event: &Value| event.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    let biller = text(&demo.ready_file, "accountId").replace("acc_", "biller_");
    for (event, (status, refunded)) in arrived.iter().zip([
        ("processing", Value::Null),
        ("succeeded", json!(0)),
        ("succeeded", json!(2_000)),
        ("refunded", json!(5_000)),
    ]) {
        let fields =
            ["version", "event_id", "event_type", "biller_id", "livemode", "emitted_at", "data"];
        assert_eq!(shape(event), fields);
        assert_eq!((&event["version"], &event["livemode"]), (&json!("1"), &json!(false)));
        assert_eq!(event["biller_id"], json!(biller));
        assert!(text(event, "event_id").starts_with("evt_"));
        assert!(text(event, "emitted_at").ends_with('Z'));
        let data = &event["data"];
        assert_eq!((&data["status"], &data["amount"]), (&json!(status), &json!(5_000)));
        assert_eq!((&data["currency"], &data["amount_refunded"]), (&json!("AUD"), &refunded));
    }
    let arrived = receiver.all();
    for one in &arrived {
        assert!(verify(one, &secret, &one.body), "{}", one.text());
        assert!(!verify(one, "whsec_another", &one.body));
        let changed = one.text().replace("5000", "5001");
        assert!(!verify(one, &secret, changed.as_bytes()));
    }
    // After a rotation, the newest secret signs and the key id names it.
    let path = format!("/api/v1/webhooks/{endpoint}/rotate-secret");
    let rotated = demo.post(&path, &json!({})).await;
    let newest = text(rotated.data(), "secret").to_owned();
    let other = paid(&demo, 700, "succeed").await;
    until(&receiver, &other, &["processing", "succeeded"]).await;
    let last = receiver.all().pop().expect("one");
    assert!(verify(&last, &newest, &last.body) && !verify(&last, &secret, &last.body));
    assert_ne!(last.header("x-webhook-key-id"), arrived[0].header("x-webhook-key-id"));
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_and_canceled_intents_are_sent_too() {
    let (_folder, demo) = demo(&[]).await;
    let receiver = Receiver::start().await;
    subscribe(&demo, &receiver, &json!(["*"])).await;
    let declined = open(&demo, 900, Value::Null).await;
    act(&demo, &declined, "confirm", &json!({"payment_method": "pm_card_declined"})).await;
    act(&demo, &declined, "cancel", &json!({})).await;
    let arrived = until(&receiver, &declined, &["processing", "failed", "canceled"]).await;
    assert_eq!(arrived[1]["data"]["status"], "failed");
    assert_eq!(arrived[1]["data"]["failure_code"], "payment_declined");
    assert_eq!(arrived[2]["data"]["status"], "canceled");

    let intent = paid(&demo, 900, "refuse:card_expired").await;
    // Events of a refund do not wait for events of its payment.
    until(&receiver, &intent, &["processing", "succeeded"]).await;
    let failed = act(&demo, &intent, "refunds", &json!({"amount_cents": 400})).await.json;
    let arrived = until(&receiver, &intent, &["processing", "succeeded", "refund_failed"]).await;
    let data = &arrived[2]["data"];
    assert_eq!(data["status"], "succeeded");
    assert_eq!(data["refund"]["refund_id"], failed["refund_id"]);
    assert_eq!(data["refund"]["amount_cents"], 400);
    assert_eq!(data["refund"]["failure_code"], "card_expired");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_gets_only_its_events_through_whichever_door_they_arose() {
    let (_folder, demo) = demo(&[]).await;
    let receiver = Receiver::start().await;
    let wanted = json!(["payment_intent.refunded", "setup_intent.succeeded"]);
    subscribe(&demo, &receiver, &wanted).await;
    let payment = demo.pay("ch_native", 1_000).await;
    for amount in [300, 700] {
        let body = json!({"chargeId": payment, "amount": amount});
        assert_eq!(demo.post("/api/v1/refunds", &body).await.status, 201);
        demo.wait_until_decided(LIMIT).await;
    }
    let intent = payment.replace("pay_", "pi_");
    let arrived = until(&receiver, &intent, &["refunded"]).await;
    assert_eq!(arrived[0]["data"]["amount_refunded"], 1_000);
    let shown = demo.get(&format!("{INTENTS}/{intent}")).await.json;
    assert_eq!(shown["status"], "refunded");
    assert_eq!(receiver.all().len(), 1);
}
