//! A book that several processes share. SQLite treats a second connection like another process.

use crate::psp::*;
use async_trait::async_trait;
use domain::tenant::Tenant;
use futures_util::future::join_all;
use providers::{InboundWebhook, Provider};
use simulator::{Simulator, SimulatorConfig, SimulatorError, WebhookSink};
use std::sync::{Arc, Barrier};
use std::task::{Context, Waker};

fn shared() -> SimulatorConfig {
    SimulatorConfig { shared: true, ..SimulatorConfig::default() }
}

fn two() -> (Psp, Arc<Simulator>) {
    let psp = Psp::open_with(shared());
    let other = psp.join(shared()).expect("a simulator");
    (psp, other)
}

#[tokio::test]
async fn whichever_process_a_key_comes_to_it_pays_once_and_every_call_is_counted() {
    let (psp, other) = two();
    let keys: Vec<_> = (0..100).map(|n| order(&format!("k{n}"), "succeed")).collect();
    let calls =
        keys.iter().flat_map(|order| [&psp.simulator, &other].map(|s| s.submit(order, call())));
    let answers = join_all(calls).await;
    for pair in answers.chunks(2) {
        assert_eq!(completed(pair[0].clone()), completed(pair[1].clone()));
    }
    assert_eq!(psp.paid_out().await, 100 * ASKED);
    let book = other.payment_book(tenant(), PAYMENT).await.expect("a book");
    assert_eq!(book, psp.book().await);
    assert_eq!(book.refunds.iter().map(|refund| refund.calls).collect::<Vec<_>>(), [2; 100]);
}

#[tokio::test]
async fn calls_that_booked_nothing_are_counted_too() {
    let (psp, other) = two();
    let order = order("k1", "server_error");
    unknown(psp.submit(&order).await);
    completed(other.submit(&order, call()).await);
    completed(psp.submit(&order).await);
    assert_eq!(psp.book().await.refunds[0].calls, 3);
    let by_hand = other.dashboard_refund(tenant(), PAYMENT, usd(1)).await.expect("a refund");
    assert_eq!(by_hand.calls, 0);
}

#[tokio::test]
async fn what_a_process_leaves_behind_another_one_finds_within_a_second() {
    let (psp, other) = two();
    accepted(other.submit(&order("k1", "succeed_after:400"), call()).await);
    drop(other);
    // This process had no notice of the task.
    assert_eq!(psp.simulator.next_due(), Some(START.plus_ms(1_000)));
    let step = psp.after(1_000).await;
    assert_eq!((step.changed, step.delivered), (1, 1));
    completed(psp.look_up(&order("k1", "succeed")).await);
    assert_eq!(psp.simulator.next_due(), Some(START.plus_ms(2_000)), "it goes on looking");
}

/// Lets the other process step during the delivery of a webhook.
struct Meanwhile<'a>(&'a Psp, &'a Simulator);

#[async_trait]
impl WebhookSink for Meanwhile<'_> {
    async fn deliver(&self, _: Tenant, _: InboundWebhook) -> bool {
        assert!(self.0.step_of(self.1, 64).await.is_idle());
        true
    }
}

#[tokio::test]
async fn a_webhook_that_one_process_delivers_is_delivered_by_no_other() {
    let (psp, other) = two();
    for n in 0..10 {
        accepted(psp.submit(&order(&format!("k{n}"), "webhook_twice")).await);
    }
    psp.clock.advance(100);
    let step = psp.simulator.step(&Meanwhile(&psp, &other), 64).await;
    assert_eq!((step.changed, step.delivered), (10, 20));
    assert!(psp.after(60_000).await.is_idle());
}

/// Receives a webhook and never answers.
struct Silence;

#[async_trait]
impl WebhookSink for Silence {
    async fn deliver(&self, _: Tenant, _: InboundWebhook) -> bool {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_webhook_whose_process_dies_is_delivered_by_another() {
    let (psp, other) = two();
    accepted(other.submit(&order("k1", "succeed_after:0"), call()).await);
    {
        let mut step = Box::pin(other.step(&Silence, 64));
        // Poll until the change is in the book; the step then waits only for the delivery.
        while psp.book().await.payouts.is_empty() {
            assert!(step.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
    }
    drop(other);
    assert!(psp.after(14_999).await.is_idle());
    assert_eq!(psp.after(1).await.delivered, 1);
    assert_eq!(psp.notices().len(), 1);
}

#[tokio::test]
async fn a_shared_book_is_not_opened_by_one_that_would_keep_it_for_itself() {
    let psp = Psp::open_with(shared());
    let alone = psp.join(SimulatorConfig::default());
    assert!(matches!(alone.err(), Some(SimulatorError::InUse)));
    completed(psp.submit(&order("k1", "succeed")).await);
}

#[test]
fn processes_that_make_the_book_at_the_same_time_make_one() {
    for _ in 0..10 {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("simulator.sqlite");
        let start = Barrier::new(4);
        let open = |seed| {
            start.wait();
            Simulator::open(&path, shared(), HandClock::new(), [seed; 32]).expect("a simulator")
        };
        std::thread::scope(|threads| {
            let all: Vec<_> = (0..4).map(|seed| threads.spawn(move || open(seed))).collect();
            for opened in all {
                drop(opened.join().expect("opened"));
            }
        });
    }
}
