//! A row that somebody else keeps locked is in the way of nobody but those who want it.

use crate::committer::{Answer, refund, won};
use domain::payment::Payment;
use domain::refund::State;
use engine::{CommitterConfig, Error};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use testkit::postgres::BlockingSession;
use testkit::{EngineRig, Setup, within_limit};

/// A row that another session keeps locked. Given back when dropped.
struct Lock(BlockingSession);

impl Lock {
    fn take(rig: &EngineRig, row: &str) -> Self {
        let session = BlockingSession::connect(rig.url());
        session.run("BEGIN");
        assert_eq!(session.run(&format!("SELECT 1 FROM {row} FOR UPDATE")), 1, "{row}");
        Self(session)
    }

    fn of(rig: &EngineRig, payment: &Payment) -> Self {
        Self::take(rig, &format!("payments WHERE id = '{}'", uuid(payment.capture.id.bytes())))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.run("ROLLBACK");
    }
}

fn uuid(bytes: [u8; 16]) -> String {
    bytes.map(|byte| format!("{byte:02x}")).concat()
}

/// A rig with two lanes, as a node has by default, and payments on both.
async fn two_lanes(payments: usize) -> (EngineRig, Vec<Payment>) {
    let mut setup = Setup::default();
    setup.engine.dispatch_at_once = true;
    setup.engine.committer = CommitterConfig { lanes: 2, ..CommitterConfig::default() };
    let rig = EngineRig::open_with(setup).await;
    let mut paid = Vec::new();
    for _ in 0..payments {
        // Ids of one millisecond follow each other, and could all be even.
        rig.clock.advance(1);
        paid.push(rig.pay(1_000_000, "USD").await);
    }
    (rig, paid)
}

fn is_busy(answer: &Answer) -> bool {
    matches!(answer, Err(Error::Busy))
}

/// The number of all refunds of a payment, by hand.
async fn refunds(rig: &EngineRig, payment: &Payment) -> usize {
    rig.refunds_of(payment).await.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refunds_of_other_payments_go_on_while_one_payment_is_locked() {
    let (rig, payments) = two_lanes(20).await;
    let (locked, neighbours) = payments.split_first().expect("payments");
    let lock = Lock::of(&rig, locked);
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::new();
    for neighbour in neighbours {
        let (request, stop) = (rig.refund(neighbour).amount(1), stop.clone());
        tasks.push(tokio::spawn(async move {
            let mut made = 0;
            while !stop.load(Ordering::SeqCst) {
                request.clone().try_create().await?;
                made += 1;
            }
            Ok::<_, Error>(made)
        }));
    }
    let request = || refund(rig.refund(locked).amount(1));
    assert!(is_busy(&within_limit("an answer", request()).await));
    // Now that it has been locked for long, nobody waits for it.
    for _ in 0..3 {
        assert!(is_busy(&request().await));
    }
    stop.store(true, Ordering::SeqCst);
    for task in tasks {
        let made = within_limit("a neighbour", task).await.expect("no panic");
        let made = made.expect("no refund of a neighbour fails");
        assert!(made > 10, "{made} refunds in some seconds");
    }
    drop(lock);
    request().await.expect("it is free");
    rig.drain().await;
    rig.run_until_quiet().await;
    for payment in &payments {
        rig.verify_paid_as_booked(payment).await;
    }
    assert_eq!(refunds(&rig, locked).await, 1);
    rig.verify_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_wants_a_row_that_is_locked_for_a_moment_waits_for_it() {
    let (rig, payments) = two_lanes(2).await;
    let lock = Lock::of(&rig, &payments[0]);
    let waits = tokio::spawn(refund(rig.refund(&payments[0]).amount(1)));
    // Longer than any lane waits.
    for _ in 0..2 {
        tokio::task::yield_now().await;
        rig.refund(&payments[1]).amount(1).create().await;
        BlockingSession::connect(rig.url()).run("SELECT pg_sleep(0.5)");
    }
    assert!(!waits.is_finished());
    drop(lock);
    within_limit("an answer", waits).await.expect("no panic").expect("it was waited for");
    rig.drain().await;
    assert_eq!(rig.amounts(&payments[0]).await, (1, 0, 0));
}

/// On this runtime of one thread, all requests are queued before the first batch begins.
#[tokio::test]
async fn in_one_batch_only_those_who_want_the_row_are_told_that_it_is_locked() {
    let rig = EngineRig::open().await;
    let (one, other) = (rig.pay(1_000, "USD").await, rig.pay(1_000, "USD").await);
    let lock = Lock::of(&rig, &one);
    let requests = vec![
        refund(rig.refund(&other).amount(10)),
        refund(rig.refund(&one).amount(10)),
        refund(rig.refund(&other).amount(10)),
    ];
    let mut answers = Vec::new();
    for request in requests.into_iter().map(tokio::spawn).collect::<Vec<_>>() {
        answers.push(within_limit("an answer", request).await.expect("no panic"));
    }
    assert_eq!(won(&answers), [true, false, true]);
    assert!(is_busy(&answers[1]), "it exists: {answers:?}");
    drop(lock);
    rig.refund(&one).amount(10).create().await;
    rig.verify_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_locked_is_not_taken_for_a_free_one() {
    let rig = EngineRig::open().await;
    let payment = rig.pay(1_000, "USD").await;
    let request = || rig.refund(&payment).amount(10).key("k");
    let made = request().create().await;
    let lock = Lock::take(&rig, &format!("keys WHERE id = '{}'", uuid(made.id.bytes())));
    let answer = within_limit("an answer", request().try_create()).await;
    assert!(matches!(answer, Err(Error::Busy)), "{answer:?}");
    drop(lock);
    let replayed = request().try_create().await.expect("the first answer");
    assert!(replayed.replayed);
    assert_eq!(replayed.value.refund.id, made.id);
    assert_eq!(refunds(&rig, &payment).await, 1);
}

/// Nobody sees the row of a key that another transaction is inserting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_being_taken_stops_nobody_but_its_own_request() {
    let (rig, payments) = two_lanes(2).await;
    let first = rig.refund(&payments[0]).amount(10).key("k").create().await;
    let session = BlockingSession::connect(rig.url());
    // Another node has a commit under way that takes the key.
    session.run("BEGIN");
    let id = uuid(first.id.bytes());
    session.run(&format!(
        "CREATE TEMP TABLE taken ON COMMIT DROP AS SELECT * FROM keys WHERE id = '{id}'"
    ));
    let other = BlockingSession::connect(rig.url());
    assert!(other.run(&format!("DELETE FROM keys WHERE id = '{id}'")) > 0);
    session.run("INSERT INTO keys SELECT * FROM taken");
    let request = || rig.refund(&payments[0]).amount(10).key("k");
    let same = tokio::spawn(request().try_create());
    for _ in 0..20 {
        rig.refund(&payments[0]).amount(1).create().await;
        rig.refund(&payments[1]).amount(1).create().await;
    }
    let same = within_limit("an answer", same).await.expect("no panic");
    assert!(matches!(same, Err(Error::Busy)), "{same:?}");
    session.run("COMMIT");
    let replayed = request().try_create().await.expect("the first answer");
    assert!(replayed.replayed);
    assert_eq!(replayed.value.refund.id, first.id);
    rig.drain().await;
    rig.verify_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_that_is_locked_is_not_unknown() {
    let rig = EngineRig::open().await;
    let payment = rig.pay(1_000, "USD").await;
    let made = rig.refund(&payment).amount(10).create().await;
    let lock = Lock::take(&rig, &format!("refunds WHERE id = '{}'", uuid(made.id.bytes())));
    let cancel = || rig.engine.cancel_refund(rig.tenant, made.id, None);
    let answer = within_limit("an answer", cancel()).await;
    assert!(matches!(answer, Err(Error::Busy)), "{answer:?}");
    drop(lock);
    assert_eq!(cancel().await.expect("it is free").value.refund.state, State::Canceled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_leaves_out_what_is_locked_and_sends_the_rest() {
    let rig = EngineRig::open().await;
    let (one, other) = (rig.pay(1_000, "USD").await, rig.pay(1_000, "USD").await);
    let locked = rig.refund(&one).amount(10).create().await;
    for _ in 0..10 {
        rig.refund(&other).amount(10).create().await;
    }
    let lock = Lock::of(&rig, &one);
    assert_eq!(rig.engine.step_due(100).await.expect("a step"), 10);
    assert_eq!(rig.reload(&locked).await.state, State::Queued);
    drop(lock);
    rig.run_until_quiet().await;
    assert_eq!(rig.verify_paid_as_booked(&one).await, 10);
    assert_eq!(rig.verify_paid_as_booked(&other).await, 100);
    rig.verify_clean().await;
}
