//! Signatures, retries, and knowing when there is work.

use crate::till::*;
use domain::account::{Mode, Scope};
use domain::time::Clock;
use providers::simulator::{Simulator, SimulatorConfig};
use providers::{InboundWebhook, Provider, RefundInstruction, WebhookRefused};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A till that has received one authentic webhook.
async fn with_a_webhook() -> (Till, InboundWebhook) {
    let till = Till::open();
    accepted(till.submit(&order("k1", "succeed_after:0")).await);
    till.after(0).await;
    let [(_, webhook)] = till.webhooks().try_into().expect("one webhook");
    (till, webhook)
}

#[tokio::test]
async fn a_webhook_has_the_published_shape() {
    let (_till, webhook) = with_a_webhook().await;
    let body: serde_json::Value = serde_json::from_slice(&webhook.body).expect("JSON");
    assert!(body["id"].as_str().expect("an id").starts_with("swe_"));
    assert_eq!(body["type"], "refund.succeeded");
    assert_eq!(body["at"], START.0 + 1);
    let data = body["data"].as_object().expect("data");
    assert!(data["refundId"].as_str().expect("an id").starts_with("sre_"));
    assert_eq!(
        (&data["key"], &data["paymentId"], &data["amount"], &data["currency"], &data["status"]),
        (&"k1".into(), &PAYMENT.into(), &ASKED.into(), &"USD".into(), &"succeeded".into())
    );
    assert_eq!(data.len(), 6);
}

#[tokio::test]
async fn a_webhook_that_was_tampered_with_is_refused() {
    let (till, webhook) = with_a_webhook().await;
    let text = String::from_utf8(webhook.body.clone()).expect("text");
    for (said, forged) in [("succeeded", "failed"), ("2500", "2501"), ("k1", "k2")] {
        let body = text.replace(said, forged).into_bytes();
        assert_ne!(body, webhook.body, "{said}");
        let tampered = InboundWebhook { body, ..webhook.clone() };
        assert_eq!(till.simulator.parse_webhook(&tampered), Err(WebhookRefused::Forged));
    }
}

#[tokio::test]
async fn an_old_webhook_is_refused() {
    let (till, webhook) = with_a_webhook().await;
    let replayed =
        InboundWebhook { received_at: webhook.received_at.plus_ms(301_000), ..webhook.clone() };
    assert_eq!(till.simulator.parse_webhook(&replayed), Err(WebhookRefused::Forged));
    assert!(till.simulator.parse_webhook(&webhook).is_ok());
}

#[tokio::test]
async fn another_simulators_webhook_is_refused() {
    let (_till, webhook) = with_a_webhook().await;
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("simulator.sqlite");
    let other = Simulator::open(&path, SimulatorConfig::default(), HandClock::new(), [8; 32]);
    let refused = other.expect("a simulator").parse_webhook(&webhook);
    assert_eq!(refused, Err(WebhookRefused::Forged));
}

#[tokio::test]
async fn a_refused_webhook_comes_again_and_later_each_time() {
    let till = Till::open();
    accepted(till.submit(&order("k1", "succeed_after:0")).await);
    till.inbox.closed.store(true, Ordering::SeqCst);
    assert_eq!(till.after(0).await.refused, 1);
    for wait_ms in [1_000, 2_000, 4_000] {
        assert!(till.after(wait_ms - 1).await.is_idle());
        assert_eq!(till.after(1).await.refused, 1);
    }
    till.inbox.closed.store(false, Ordering::SeqCst);
    // Signed anew, so that it is still believed half an hour later.
    assert_eq!(till.after(1_800_000).await.delivered, 1);
    assert_eq!(till.notices().len(), 1);
    assert_eq!(till.simulator.next_due(), None);
}

#[tokio::test]
async fn a_webhook_refused_too_often_is_kept_and_can_be_sent_again() {
    let till = Till::open();
    accepted(till.submit(&order("k1", "succeed_after:0")).await);
    till.inbox.closed.store(true, Ordering::SeqCst);
    let mut deliveries = 0;
    while let Some(due_at) = till.simulator.next_due() {
        deliveries += till.after(due_at.ms_since(till.clock.now()).max(0)).await.refused;
        assert!(deliveries <= 12, "it never gives up");
    }
    assert_eq!(deliveries, 12);

    till.inbox.closed.store(false, Ordering::SeqCst);
    assert_eq!(till.simulator.resend_webhooks(Scope::new(2, Mode::Test)).await, Ok(0));
    assert_eq!(till.simulator.resend_webhooks(scope()).await, Ok(1));
    assert_eq!(till.after(0).await.delivered, 1);
    assert_eq!(till.simulator.resend_webhooks(scope()).await, Ok(0));
}

#[tokio::test]
async fn a_webhook_whose_delivery_was_not_recorded_comes_again_after_a_kill() {
    let till = Till::open();
    accepted(till.submit(&order("k1", "succeed_after:0")).await);
    till.inbox.closed.store(true, Ordering::SeqCst);
    till.after(0).await;
    till.inbox.closed.store(false, Ordering::SeqCst);
    let till = till.kill_and_restart();
    assert_eq!(till.after(1_000).await.delivered, 1);
    assert_eq!(till.notices().len(), 1);
}

#[tokio::test]
async fn webhooks_go_to_the_account_of_their_refund() {
    let till = Till::open();
    let live = Scope::new(9, Mode::Live);
    let order = RefundInstruction {
        payment: Arc::new(facts(live, None)),
        ..order("k1", "succeed_after:0")
    };
    accepted(till.submit(&order).await);
    till.after(0).await;
    let [(scope, _)] = till.webhooks().try_into().expect("one webhook");
    assert_eq!(scope, live);
}

#[tokio::test]
async fn a_step_does_no_more_than_it_was_told_to() {
    let till = Till::open();
    for n in 0..5 {
        accepted(till.submit(&order(&format!("k{n}"), "succeed_after:10")).await);
    }
    till.clock.advance(10);
    for expected in [2, 2, 1, 0] {
        let step = till.step(2).await;
        assert_eq!((step.changed, step.delivered), (expected, expected));
    }
    assert_eq!(till.notices().len(), 5);
}

#[tokio::test]
async fn a_sleeper_wakes_for_sooner_work_only() {
    let till = Till::open();
    let sleeper = {
        let simulator = Arc::clone(&till.simulator);
        tokio::spawn(async move { simulator.wait_for_work().await })
    };
    completed(till.submit(&order("k1", "succeed")).await);
    tokio::task::yield_now().await;
    assert!(!sleeper.is_finished(), "a plain refund schedules nothing");
    accepted(till.submit(&order("k2", "succeed_after:100")).await);
    sleeper.await.expect("woken");

    // Work that is due later than what is known is no reason to wake.
    accepted(till.submit(&order("k3", "succeed_after:500")).await);
    let waited = tokio::time::timeout(Duration::ZERO, till.simulator.wait_for_work()).await;
    assert!(waited.is_err());
    // Sooner work is, also for one who only comes to wait afterwards.
    accepted(till.submit(&order("k4", "succeed_after:5")).await);
    till.simulator.wait_for_work().await;
    assert_eq!(till.simulator.next_due(), Some(START.plus_ms(5)));
    // Work that was done leaves later work, which is none either.
    assert_eq!(till.after(5).await.changed, 1);
    assert_eq!(till.simulator.next_due(), Some(START.plus_ms(100)));
    let waited = tokio::time::timeout(Duration::ZERO, till.simulator.wait_for_work()).await;
    assert!(waited.is_err());
}
