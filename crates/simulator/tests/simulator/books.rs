//! Keys, concurrency, restarts, and failures of the PSP itself.

use crate::psp::*;
use domain::money::Money;
use domain::outcome::{ProviderOutcome, Said};
use domain::provider::Idempotency;
use domain::tenant::{Mode, Tenant};
use domain::time::{Clock, Timestamp};
use providers::{Provider, RefundInstruction};
use simulator::{PaymentBook, Simulator, SimulatorConfig, SimulatorError};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

/// Submits orders concurrently.
async fn submit_all(simulator: &Arc<Simulator>, orders: Vec<RefundInstruction>) -> Vec<Said> {
    let calls: Vec<_> = orders
        .into_iter()
        .map(|order| {
            let simulator = Arc::clone(simulator);
            tokio::spawn(async move { simulator.submit(&order, call()).await })
        })
        .collect();
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.expect("a call"));
    }
    answers
}

fn keys_ignored() -> SimulatorConfig {
    SimulatorConfig { honour_keys: false, ..SimulatorConfig::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_calls_with_one_key_pay_once_and_all_hear_of_it() {
    let psp = Psp::open();
    let answers = submit_all(&psp.simulator, vec![order("k1", "succeed"); 100]).await;
    let ids: BTreeSet<_> =
        answers.into_iter().map(|answer| completed(answer).provider_refund_id).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(psp.paid_out().await, ASKED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_keys_pay_a_hundred_times() {
    let psp = Psp::open();
    let orders = (0..100).map(|n| order(&format!("k{n}"), "succeed")).collect();
    let answers = submit_all(&psp.simulator, orders).await;
    let ids: BTreeSet<_> =
        answers.into_iter().map(|answer| completed(answer).provider_refund_id).collect();
    assert_eq!(ids.len(), 100);
    assert_eq!(psp.paid_out().await, ASKED * 100);
}

#[tokio::test]
async fn a_key_used_for_another_amount_or_payment_leaves_it_open_and_pays_nothing() {
    let psp = Psp::open();
    completed(psp.submit(&order("k1", "succeed")).await);
    let more = RefundInstruction { money: usd(ASKED + 1), ..order("k1", "succeed") };
    assert_eq!(&*unknown(psp.submit(&more).await), "idempotency_key_reused");
    let mut other = capture(tenant(), None);
    other.provider_payment_id = "ch_2".into();
    let elsewhere = RefundInstruction { payment: Arc::new(other), ..order("k1", "succeed") };
    assert_eq!(&*unknown(psp.submit(&elsewhere).await), "idempotency_key_reused");
    assert_eq!(psp.paid_out().await, ASKED);
}

#[tokio::test]
async fn nothing_or_another_currency_is_refused() {
    let psp = Psp::open();
    let euros =
        RefundInstruction { money: Money::new(5, currency("EUR")), ..order("k1", "succeed") };
    assert_eq!(&*rejected(psp.submit(&euros).await).1.code, "currency_mismatch");
    let nothing = RefundInstruction { money: usd(0), ..order("k2", "succeed") };
    assert_eq!(&*rejected(psp.submit(&nothing).await).1.code, "invalid_amount");
    assert_eq!(psp.paid_out().await, 0);
}

#[tokio::test]
async fn a_replay_tells_the_first_result_and_a_look_up_the_present_one() {
    let psp = Psp::open();
    let order = order("k1", "succeed_after:20");
    let first = psp.submit(&order).await;
    psp.after(20).await;
    assert_eq!(psp.submit(&order).await, first);
    completed(psp.look_up(&order).await);
    psp.simulator.fail_refund(tenant(), "k1").await.expect("failed");
    assert_eq!(psp.submit(&order).await, first);
    rejected(psp.look_up(&order).await);
}

#[tokio::test]
async fn without_honoured_keys_every_call_pays_and_a_look_up_finds_the_first() {
    let psp = Psp::open_with(keys_ignored());
    assert_eq!(psp.simulator.traits().idempotency, Idempotency::None);
    let order = order("k1", "succeed");
    let first = completed(psp.submit(&order).await);
    let second = completed(psp.submit(&order).await);
    assert_ne!(first.provider_refund_id, second.provider_refund_id);
    assert_eq!(psp.paid_out().await, 2 * ASKED);
    assert_eq!(completed(psp.look_up(&order).await), first);
    let by_id =
        RefundInstruction { provider_refund_id: second.provider_refund_id.clone(), ..order };
    assert_eq!(completed(psp.look_up(&by_id).await), second);
}

#[tokio::test]
async fn without_honoured_keys_trouble_strikes_a_key_once_all_the_same() {
    let psp = Psp::open_with(keys_ignored());
    let lost = order("k1", "timeout_after_booking");
    unknown(psp.submit(&lost).await);
    completed(psp.submit(&lost).await);
    let refused = order("k2", "server_error");
    unknown(psp.submit(&refused).await);
    completed(psp.submit(&refused).await);
    completed(psp.submit(&refused).await);
    assert_eq!(psp.paid_out().await, 4 * ASKED);
}

#[tokio::test]
async fn what_was_answered_and_what_is_still_to_happen_survive_a_kill() {
    let psp = Psp::open();
    let success = psp.submit(&order("k1", "succeed")).await;
    unknown(psp.submit(&order("k2", "server_error")).await);
    accepted(psp.submit(&order("k3", "succeed_after:100")).await);
    completed(psp.submit(&order("k4", "late_failure")).await);
    psp.simulator.dashboard_refund(tenant(), PAYMENT, usd(300)).await.expect("a refund");
    let (signed, book) = (psp.clock.now(), psp.book().await);

    let psp = psp.kill_and_restart();
    assert_eq!(psp.book().await, book);
    assert_eq!(psp.submit(&order("k1", "succeed")).await, success);
    completed(psp.submit(&order("k2", "server_error")).await);
    assert_eq!(psp.simulator.next_due(), Some(signed), "the webhook of the dashboard");
    assert_eq!(psp.after(0).await.delivered, 1);
    assert_eq!(psp.after(100).await.changed, 1);
    assert_eq!(psp.after(900).await.changed, 1);
    assert_eq!(psp.notices().len(), 3);
    assert_eq!(psp.simulator.next_due(), None);
}

#[tokio::test]
async fn the_webhook_secret_survives_a_restart_with_another_seed() {
    let psp = Psp::open();
    accepted(psp.submit(&order("k1", "succeed_after:0")).await);
    psp.after(0).await;
    let [(_, webhook)] = psp.webhooks().try_into().expect("one webhook");
    let (path, clock) = (psp.path(), Arc::clone(&psp.clock));
    drop(psp.simulator);
    let restarted = Simulator::open(&path, SimulatorConfig::default(), clock, [9; 32]);
    assert!(read(&restarted.expect("a simulator"), &webhook).await.is_ok());
}

#[tokio::test]
async fn runs_of_one_seed_in_one_millisecond_never_make_the_same_id() {
    let psp = Psp::open();
    let first = completed(psp.submit(&order("k1", "succeed")).await);
    let psp = psp.kill_and_restart();
    let second = completed(psp.submit(&order("k2", "succeed")).await);
    assert_ne!(first.provider_refund_id, second.provider_refund_id);
}

#[tokio::test]
async fn a_book_is_open_once() {
    let psp = Psp::open();
    for shared in [false, true] {
        let config = SimulatorConfig { shared, ..SimulatorConfig::default() };
        assert!(matches!(psp.join(config).err(), Some(SimulatorError::InUse)));
    }
    completed(psp.submit(&order("k1", "succeed")).await);
}

#[tokio::test]
async fn a_file_that_is_no_book_is_not_opened() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("notes.txt");
    std::fs::write(&path, "buy milk ".repeat(1_000)).expect("written");
    let opened = Simulator::open(&path, SimulatorConfig::default(), HandClock::new(), [7; 32]);
    assert!(matches!(opened.err(), Some(SimulatorError::Book(_))));
}

#[tokio::test]
async fn accounts_do_not_see_each_others_refunds() {
    let psp = Psp::open();
    let mine = order("k1", "succeed");
    let said = completed(psp.submit(&mine).await);
    let other = Tenant::new(2, Mode::Test);
    let theirs = RefundInstruction {
        payment: Arc::new(capture(other, None)),
        provider_refund_id: said.provider_refund_id.clone(),
        ..mine
    };
    assert!(psp.is_absent(&theirs).await);
    assert!(psp.simulator.fail_refund(other, "k1").await.is_err());
    assert_eq!(psp.simulator.payment_book(other, PAYMENT).await, Ok(PaymentBook::default()));
    let second = completed(psp.submit(&theirs).await);
    assert_ne!(
        second.provider_refund_id, said.provider_refund_id,
        "another key, so another refund"
    );
}

/// A clock that blocks its callers while the gate is shut.
struct GateClock(Mutex<()>);

impl Clock for GateClock {
    fn now(&self) -> Timestamp {
        let _open = self.0.lock().expect("the gate");
        START
    }
}

#[tokio::test]
async fn a_full_queue_turns_calls_away_unbooked() {
    let dir = tempfile::tempdir().expect("a directory");
    let clock = Arc::new(GateClock(Mutex::new(())));
    let path = dir.path().join("simulator.sqlite");
    let config = SimulatorConfig::default();
    let simulator =
        Simulator::open(&path, config, Arc::<GateClock>::clone(&clock), [7; 32]).expect("opened");
    let shut = clock.0.lock().expect("the gate");
    let (mut queued, mut turned_away) = (Vec::new(), 0_usize);
    for n in 0..2_000 {
        let (simulator, order) = (Arc::clone(&simulator), order(&format!("k{n}"), "succeed"));
        let mut call = Box::pin(async move { simulator.submit(&order, call()).await });
        match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => queued.push(call),
            Poll::Ready(answer) => {
                assert_eq!(&*unknown(answer), "overloaded");
                turned_away += 1;
            }
        }
    }
    drop(shut);
    // At most one batch was taken, and the queue behind the batch was full.
    assert!(turned_away >= 2_000 - 1_024 - 512, "{turned_away}");
    let paid = queued.len();
    for call in queued {
        completed(call.await);
    }
    let book = simulator.payment_book(tenant(), PAYMENT).await.expect("a book");
    assert_eq!(book.payouts.len(), paid);
}

/// A clock that panics.
struct BrokenClock(AtomicBool);

impl Clock for BrokenClock {
    fn now(&self) -> Timestamp {
        assert!(!self.0.load(Ordering::SeqCst), "the clock is broken, as the test wants it");
        START
    }
}

#[tokio::test]
async fn what_reaches_a_dead_psp_is_certain_never_to_have_been_sent() {
    let dir = tempfile::tempdir().expect("a directory");
    let clock = Arc::new(BrokenClock(AtomicBool::new(true)));
    let path = dir.path().join("simulator.sqlite");
    let config = SimulatorConfig::default();
    let simulator = Simulator::open(&path, config, clock, [7; 32]).expect("opened");
    let order = order("k1", "succeed");
    assert_eq!(&*unknown(simulator.submit(&order, call()).await), "internal_error");
    // The thread is ending; until its end, calls are queued and dropped.
    for _ in 0..100_000 {
        let said = simulator.submit(&order, call()).await;
        if said.outcome == ProviderOutcome::NeverSent {
            assert_eq!(&*said.failure.expect("a reason").code, "connection_refused");
            return;
        }
    }
    panic!("the PSP never closed");
}
