//! People who settle by hand what nothing else settles.

use crate::world::{Ask, Key, Reply, World};
use domain::tenant::Mode;
use serde_json::{Value, json};
use testkit::eventually;

/// Asks for a refund of 25.00 USD whose answer is lost.
fn ask_for_lost(key: &Key) -> Ask {
    let body = json!({"chargeId": "ch_1", "amount": 2500,
        "metadata": {"simulate": "timeout_before_booking"}});
    Ask::post("/api/v1/refunds", body.to_string()).bearer(key)
}

async fn lost(world: &World, key: &Key) -> String {
    lost_after(world, key, &world.send(ask_for_lost(key)).await).await
}

async fn lost_after(world: &World, key: &Key, reply: &Reply) -> String {
    let id = reply.data(201)["id"].as_str().expect("an id").to_owned();
    eventually("the answer to be lost", async || {
        let found = read(world, key, &format!("/api/v1/refunds/{id}")).await;
        (found["statusDetail"] == "unknown").then_some(())
    })
    .await;
    id
}

async fn read(world: &World, key: &Key, path: &str) -> Value {
    world.send(Ask::get(path).bearer(key)).await.data(200).clone()
}

async fn resolve(world: &World, key: &Key, id: &str, body: &Value, name: &str) -> Reply {
    let path = format!("/api/v1/refunds/{id}/resolve");
    let ask = Ask::post(&path, body.to_string()).bearer(key).header("Idempotency-Key", name);
    world.send(ask).await
}

async fn open() -> (World, Key, String) {
    let world = World::new().await;
    let key = world.key(Some(Mode::Test), "*").await;
    let payment = world.payment(&key, "ch_1").await;
    (world, key, format!("/api/v1/payments/{payment}"))
}

#[tokio::test]
async fn a_refund_that_was_paid_is_resolved_once_with_what_really_moved() {
    let (world, key, payment) = open().await;
    let id = lost(&world, &key).await;
    let paid = json!({"outcome": "succeeded", "amount": 2000,
        "proof": {"providerRefundId": "sim_re_1", "text": "dashboard, 12 May"}});
    let first = resolve(&world, &key, &id.replace("rfd_", "re_"), &paid, "r 1").await;
    let resolved = first.data(200).clone();
    assert_eq!(
        [&resolved["status"], &resolved["amount"], &resolved["providerRefundId"]],
        [&json!("succeeded"), &json!(2000), &json!("sim_re_1")]
    );
    assert_eq!(first.header("idempotent-replayed"), None);
    let again = resolve(&world, &key, &id, &paid, "r 1").await;
    assert_eq!(again.data(200), &resolved);
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let other = json!({"outcome": "failed", "proof": {"text": "it is not there"}});
    assert_eq!(resolve(&world, &key, &id, &other, "r 1").await.problem(), "409 conflict");
    assert_eq!(resolve(&world, &key, &id, &other, "r 2").await.problem(), "409 state_conflict");
    let now = read(&world, &key, &payment).await;
    assert_eq!((&now["amountRefunded"], &now["amountReserved"]), (&json!(2000), &json!(0)));
    let timeline = read(&world, &key, &format!("/api/v1/refunds/{id}/timeline")).await;
    let last = timeline.as_array().and_then(|steps| steps.last()).expect("a step");
    assert_eq!((&last["status"], &last["source"]), (&json!("succeeded"), &json!("operator")));
    // The provider's id belongs to the first refund now.
    let twin = lost(&world, &key).await;
    let taken = resolve(&world, &key, &twin, &paid, "r 3").await;
    assert_eq!(taken.problem(), "409 conflict proof");
    assert_eq!(taken.body["error"]["details"]["refundId"], id);
}

#[tokio::test]
async fn a_refund_that_was_not_paid_fails_or_is_sent_again_and_each_call_is_listed() {
    let (world, key, payment) = open().await;
    let id = lost(&world, &key).await;
    let failed = json!({"outcome": "failed", "proof": {"text": "closed account"}});
    let reply = resolve(&world, &key, &id, &failed, "r 1").await;
    assert_eq!(
        (&reply.data(200)["status"], &reply.data(200)["failureMessage"]),
        (&json!("failed"), &json!("closed account"))
    );
    assert_eq!(read(&world, &key, &payment).await["amountRefundable"], 10_000);

    let ask = || ask_for_lost(&key).header("Idempotency-Key", "c 1");
    let made = world.send(ask()).await;
    let id = lost_after(&world, &key, &made).await;
    let attempts = format!("/api/v1/refunds/{id}/attempts");
    let first = json!({"number": 1, "sentAt": "2026-05-12T10:42:00.000Z",
        "answeredAt": "2026-05-12T10:42:00.000Z", "outcome": "lost",
        "answer": "timeout: the request was sent and no answer came back"});
    assert_eq!(read(&world, &key, &attempts).await, json!([first]));
    world.clock.advance(5_000);
    let again = json!({"outcome": "send_again", "proof": {"text": "searched for the key"}});
    let reply = resolve(&world, &key, &id, &again, "r 2").await;
    assert_eq!(
        (&reply.data(200)["statusDetail"], &reply.data(200)["firstSentAt"]),
        (&json!("queued"), &Value::Null)
    );
    assert_eq!(world.engine.step_due(10).await.expect("a step"), 1);
    assert_eq!(world.send(ask()).await.data(201), made.data(201), "the first answer, as it was");
    let now = read(&world, &key, &format!("/api/v1/refunds/{id}")).await;
    assert_eq!(
        [&now["status"], &now["sends"], &now["firstSentAt"]],
        [&json!("succeeded"), &json!(2), &json!("2026-05-12T10:42:05.000Z")]
    );
    let second = json!({"number": 2, "sentAt": "2026-05-12T10:42:05.000Z",
        "answeredAt": "2026-05-12T10:42:05.000Z", "outcome": "completed", "answer": null});
    assert_eq!(read(&world, &key, &attempts).await, json!([first, second]));
    let events = read(&world, &key, "/api/v1/events?type=refund.succeeded").await;
    assert_eq!(events[0]["data"]["object"]["sends"], Value::Null, "calls are no events");
}

#[tokio::test]
async fn events_tell_whether_a_person_was_waited_for_by_then() {
    let (world, key, _) = open().await;
    let body = json!({"chargeId": "ch_1", "metadata": {"simulate": "stay_pending"}});
    let ask = Ask::post("/api/v1/refunds", body.to_string()).bearer(&key);
    let made = world.send(ask.header("Prefer", "wait=0")).await;
    let id = made.data(201)["id"].as_str().expect("an id").to_owned();
    let path = format!("/api/v1/refunds/{id}");
    eventually("the provider to have it", async || {
        (read(&world, &key, &path).await["statusDetail"] == "submitted").then_some(())
    })
    .await;
    world.clock.advance(8 * 24 * 60 * 60 * 1000);
    world.engine.step_due(10).await.expect("a step");
    assert_eq!(read(&world, &key, &path).await["needsAttention"], true);
    let failed = json!({"outcome": "failed", "proof": {"text": "the bank sent it back"}});
    let reply = resolve(&world, &key, &id, &failed, "r 1").await;
    assert_eq!(reply.data(200)["needsAttention"], false);
    let events = read(&world, &key, "/api/v1/events?order=asc").await;
    let told: Vec<_> = events
        .as_array()
        .expect("a list")
        .iter()
        .map(|event| (event["type"].as_str(), event["data"]["object"]["needsAttention"].as_bool()))
        .filter(|(kind, _)| kind.is_some_and(|kind| kind.starts_with("refund.")))
        .collect();
    let told_of = |kind: &'static str, waits: bool| (Some(kind), Some(waits));
    assert_eq!(
        told,
        [
            told_of("refund.created", false),
            told_of("refund.submitted", false),
            told_of("refund.attention_required", true),
            told_of("refund.failed", false),
        ]
    );
}

#[tokio::test]
async fn a_decision_with_a_wrong_field_is_refused_with_a_hint_and_changes_nothing() {
    let (world, key, _) = open().await;
    let id = lost(&world, &key).await;
    let before = world.books(&key).await;
    let text = json!({"text": "it is not there"});
    for (body, field, hint) in [
        (json!({"proof": text}), "outcome", "succeeded, failed or send_again"),
        (json!({"outcome": "paid", "proof": text}), "outcome", "one of succeeded, failed"),
        (json!({"outcome": "failed"}), "proof", "what you saw"),
        (json!({"outcome": "failed", "proof": null}), "proof", "what you saw"),
        (json!({"outcome": "failed", "proof": "seen"}), "proof", "an object"),
        (json!({"outcome": "failed", "proof": {}}), "proof.text", "what you saw"),
        (json!({"outcome": "send_again", "proof": {}}), "proof.text", "what you saw"),
        (json!({"outcome": "failed", "proof": {"text": " "}}), "proof.text", "says nothing"),
        (json!({"outcome": "failed", "proof": {"text": "a\nb"}}), "proof.text", "control"),
        (json!({"outcome": "failed", "proof": {"text": "x".repeat(501)}}), "proof.text", "500"),
        (json!({"outcome": "failed", "amount": 5, "proof": text}), "amount", "succeeded only"),
        (json!({"outcome": "succeeded", "amount": 0, "proof": text}), "amount", "1 or more"),
        (json!({"outcome": "succeeded", "amont": 5, "proof": text}), "amont", "mean amount?"),
        (
            json!({"outcome": "succeeded", "proof": {"providerRefundID": "re_1"}}),
            "proof.providerRefundID",
            "mean providerRefundId?",
        ),
        (
            json!({"outcome": "send_again", "proof": {"providerRefundId": "re_1", "text": "x"}}),
            "proof.providerRefundId",
            "leave the id out",
        ),
    ] {
        let reply = resolve(&world, &key, &id, &body, "k").await;
        assert_eq!(reply.problem(), format!("400 validation_error {field}"), "{body}");
        let message = reply.body["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(hint), "{body}: {message}");
        assert_eq!(world.books(&key).await, before, "{body}");
    }
}
