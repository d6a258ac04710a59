//! Signatures, retries, and wake-ups for due work.

use crate::psp::*;
use domain::tenant::{Mode, Tenant};
use domain::time::Clock;
use providers::{InboundWebhook, RefundInstruction, WebhookRefused};
use simulator::{Simulator, SimulatorConfig};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A simulator that has sent one authentic webhook.
async fn with_a_webhook() -> (Psp, InboundWebhook) {
    let psp = Psp::open();
    accepted(psp.submit(&order("k1", "succeed_after:0")).await);
    psp.after(0).await;
    let [(_, webhook)] = psp.webhooks().try_into().expect("one webhook");
    (psp, webhook)
}

#[tokio::test]
async fn a_webhook_has_the_published_shape() {
    let (_psp, webhook) = with_a_webhook().await;
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
    let (psp, webhook) = with_a_webhook().await;
    let text = String::from_utf8(webhook.body.clone()).expect("text");
    for (said, forged) in [("succeeded", "failed"), ("2500", "2501"), ("k1", "k2")] {
        let body = text.replace(said, forged).into_bytes();
        assert_ne!(body, webhook.body, "{said}");
        let tampered = InboundWebhook { body, ..webhook.clone() };
        assert_eq!(read(&psp.simulator, &tampered).await, Err(WebhookRefused::Forged));
    }
}

#[tokio::test]
async fn an_old_webhook_is_refused() {
    let (psp, webhook) = with_a_webhook().await;
    let replayed =
        InboundWebhook { received_at: webhook.received_at.plus_ms(301_000), ..webhook.clone() };
    assert_eq!(read(&psp.simulator, &replayed).await, Err(WebhookRefused::Forged));
    assert!(read(&psp.simulator, &webhook).await.is_ok());
}

#[tokio::test]
async fn another_simulators_webhook_is_refused() {
    let (_psp, webhook) = with_a_webhook().await;
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("simulator.sqlite");
    let other = Simulator::open(&path, SimulatorConfig::default(), HandClock::new(), [8; 32]);
    let refused = read(&other.expect("a simulator"), &webhook).await;
    assert_eq!(refused, Err(WebhookRefused::Forged));
}

#[tokio::test]
async fn a_refused_webhook_comes_again_and_later_each_time() {
    let psp = Psp::open();
    accepted(psp.submit(&order("k1", "succeed_after:0")).await);
    psp.inbox.closed.store(true, Ordering::SeqCst);
    assert_eq!(psp.after(0).await.refused, 1);
    for wait_ms in [1_000, 2_000, 4_000] {
        assert!(psp.after(wait_ms - 1).await.is_idle());
        assert_eq!(psp.after(1).await.refused, 1);
    }
    psp.inbox.closed.store(false, Ordering::SeqCst);
    // Each retry has a new signature, so the webhook still verifies half an hour later.
    assert_eq!(psp.after(1_800_000).await.delivered, 1);
    assert_eq!(psp.notices().len(), 1);
    assert_eq!(psp.simulator.next_due(), None);
}

#[tokio::test]
async fn a_webhook_refused_too_often_is_kept_and_can_be_sent_again() {
    let psp = Psp::open();
    accepted(psp.submit(&order("k1", "succeed_after:0")).await);
    psp.inbox.closed.store(true, Ordering::SeqCst);
    let mut deliveries = 0;
    while let Some(due_at) = psp.simulator.next_due() {
        deliveries += psp.after(due_at.ms_since(psp.clock.now()).max(0)).await.refused;
        assert!(deliveries <= 12, "it never gives up");
    }
    assert_eq!(deliveries, 12);

    psp.inbox.closed.store(false, Ordering::SeqCst);
    assert_eq!(psp.simulator.resend_webhooks(Tenant::new(2, Mode::Test)).await, Ok(0));
    assert_eq!(psp.simulator.resend_webhooks(tenant()).await, Ok(1));
    assert_eq!(psp.after(0).await.delivered, 1);
    assert_eq!(psp.simulator.resend_webhooks(tenant()).await, Ok(0));
}

#[tokio::test]
async fn a_webhook_whose_delivery_was_not_recorded_comes_again_after_a_kill() {
    let psp = Psp::open();
    accepted(psp.submit(&order("k1", "succeed_after:0")).await);
    psp.inbox.closed.store(true, Ordering::SeqCst);
    psp.after(0).await;
    psp.inbox.closed.store(false, Ordering::SeqCst);
    let psp = psp.kill_and_restart();
    assert_eq!(psp.after(1_000).await.delivered, 1);
    assert_eq!(psp.notices().len(), 1);
}

#[tokio::test]
async fn webhooks_go_to_the_account_of_their_refund() {
    let psp = Psp::open();
    let live = Tenant::new(9, Mode::Live);
    let order = RefundInstruction {
        payment: Arc::new(capture(live, None)),
        ..order("k1", "succeed_after:0")
    };
    accepted(psp.submit(&order).await);
    psp.after(0).await;
    let [(tenant, _)] = psp.webhooks().try_into().expect("one webhook");
    assert_eq!(tenant, live);
}

#[tokio::test]
async fn a_step_does_no_more_than_it_was_told_to() {
    let psp = Psp::open();
    for n in 0..5 {
        accepted(psp.submit(&order(&format!("k{n}"), "succeed_after:10")).await);
    }
    psp.clock.advance(10);
    for expected in [2, 2, 1, 0] {
        let step = psp.step(2).await;
        assert_eq!((step.changed, step.delivered), (expected, expected));
    }
    assert_eq!(psp.notices().len(), 5);
}

#[tokio::test]
async fn a_sleeper_wakes_for_sooner_work_only() {
    let psp = Psp::open();
    let sleeper = {
        let simulator = Arc::clone(&psp.simulator);
        tokio::spawn(async move { simulator.wait_for_work().await })
    };
    completed(psp.submit(&order("k1", "succeed")).await);
    tokio::task::yield_now().await;
    assert!(!sleeper.is_finished(), "a plain refund schedules nothing");
    accepted(psp.submit(&order("k2", "succeed_after:100")).await);
    sleeper.await.expect("woken");

    // A task that is due after the known time does not wake the waiter.
    accepted(psp.submit(&order("k3", "succeed_after:500")).await);
    let waited = tokio::time::timeout(Duration::ZERO, psp.simulator.wait_for_work()).await;
    assert!(waited.is_err());
    // A task that is due sooner does, even if the waiter starts to wait afterwards.
    accepted(psp.submit(&order("k4", "succeed_after:5")).await);
    psp.simulator.wait_for_work().await;
    assert_eq!(psp.simulator.next_due(), Some(START.plus_ms(5)));
    // The work that remains after a step is due later and wakes nobody.
    assert_eq!(psp.after(5).await.changed, 1);
    assert_eq!(psp.simulator.next_due(), Some(START.plus_ms(100)));
    let waited = tokio::time::timeout(Duration::ZERO, psp.simulator.wait_for_work()).await;
    assert!(waited.is_err());
}
