//! The committer under trouble: what fails fails alone, what is too much is refused before anything
//! happens, a request that takes too long is answered so and found again.

use crate::lock::{WriteLock, fill_total, tamper};
use domain::decide::Refusal;
use domain::money::Money;
use domain::payment::Status;
use engine::{CommitterConfig, Error, NotReady, StoreError};
use std::pin::Pin;
use std::time::Duration;
use testkit::{EngineRig, RefundRequest, Setup, eventually, within_limit};

/// The result of a request.
pub type Answer = Result<(), Error>;

/// A request of any kind.
pub type Request = Pin<Box<dyn Future<Output = Answer> + Send>>;

pub fn refund(request: RefundRequest) -> Request {
    Box::pin(async move { request.try_create().await.map(|_| ()) })
}

fn register(rig: &EngineRig, charge: &str, currency: &str) -> Request {
    let (engine, new) = (rig.engine.clone(), rig.new_payment(charge, 100, currency));
    Box::pin(async move { engine.register_payment(new, None).await.map(|_| ()) })
}

/// Has all requests committed together: while one waits for the database, they gather behind it.
pub async fn commit_together(rig: &EngineRig, requests: Vec<Request>) -> Vec<Answer> {
    let lock = WriteLock::take(rig);
    let first = tokio::spawn(register(rig, "ch_first", "USD"));
    // On this runtime of one thread, a yield lets everything run until it waits: here, for the
    // database and for each other.
    tokio::task::yield_now().await;
    let others: Vec<_> = requests.into_iter().map(tokio::spawn).collect();
    tokio::task::yield_now().await;
    drop(lock);
    let first = within_limit("the first answer", first).await;
    assert!(first.expect("it does not panic").is_ok());
    let mut answers = Vec::new();
    for other in others {
        answers.push(within_limit("an answer", other).await.expect("it does not panic"));
    }
    answers
}

pub fn won(answers: &[Answer]) -> Vec<bool> {
    answers.iter().map(Result::is_ok).collect()
}

/// An id as SQL writes it.
fn blob(bytes: [u8; 16]) -> String {
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("x'{}'", digits.concat())
}

#[tokio::test]
async fn an_over_refund_in_a_batch_fails_alone() {
    let rig = EngineRig::open().await;
    let (one, other) = (rig.pay(1_000, "USD").await, rig.pay(1_000, "USD").await);
    let requests = vec![
        refund(rig.refund(&one).amount(600)),
        refund(rig.refund(&one).amount(600)),
        refund(rig.refund(&other)),
        refund(rig.refund(&one).amount(400)),
    ];
    let answers = commit_together(&rig, requests).await;
    assert_eq!(won(&answers), [true, false, true, true]);
    let usd = |minor| Money::new(minor, one.capture.currency);
    let (requested, refundable) = (usd(600), usd(400));
    let over = Refusal::OverRefund { requested, refundable, status: Status::Succeeded };
    assert!(matches!(&answers[1], Err(Error::Refused(refusal)) if *refusal == over), "{answers:?}");
    rig.run_until_quiet().await;
    assert_eq!(rig.amounts(&one).await, (1_000, 0, 0));
    rig.verify_clean().await;
}

#[tokio::test]
async fn a_command_that_a_guard_of_the_schema_stops_fails_alone() {
    let rig = EngineRig::open().await;
    let payment = rig.pay(1_000, "USD").await;
    // One yen more and the total does not fit into its column any longer.
    fill_total(&rig, "JPY");
    let requests = vec![
        refund(rig.refund(&payment).amount(600)),
        register(&rig, "ch_yen", "JPY"),
        register(&rig, "ch_euro", "EUR"),
        refund(rig.refund(&payment).amount(400)),
    ];
    let answers = commit_together(&rig, requests).await;
    assert_eq!(won(&answers), [true, false, true, true]);
    let Err(Error::Store(error)) = &answers[1] else { panic!("{answers:?}") };
    assert!(matches!(&**error, StoreError::Guard(_)), "{error:?}");
    tamper(&rig, "DELETE FROM totals WHERE currency = 'JPY'");
    rig.verify_clean().await;
}

#[tokio::test]
async fn nothing_of_a_command_that_a_guard_stops_stays() {
    let rig = EngineRig::open().await;
    let payment = rig.pay(1_000, "USD").await;
    let refund = rig.refund(&payment).amount(600).create().await;
    // The number that the refund's next event would have is taken.
    let taken = format!(
        "INSERT INTO events (scope, id, type, refund, state, seq)
         SELECT scope, x'00000000000000000000000000000001', type, refund, state, seq + 1
         FROM events WHERE refund = {}",
        blob(refund.id.bytes())
    );
    tamper(&rig, &taken);
    let stopped = rig.engine.cancel_refund(rig.tenant, refund.id, None).await;
    let Err(Error::Store(error)) = stopped else { panic!("{stopped:?}") };
    assert!(matches!(&*error, StoreError::Guard(_)), "{error:?}");
    assert_eq!(rig.reload(&refund).await, refund);
    assert_eq!(rig.amounts(&payment).await, (0, 600, 0));
}

#[tokio::test]
async fn a_row_that_means_nothing_fails_alone() {
    let rig = EngineRig::open().await;
    let (one, other) = (rig.pay(1_000, "USD").await, rig.pay(1_000, "USD").await);
    let id = blob(one.capture.id.bytes());
    tamper(&rig, &format!("UPDATE payments SET kind = 99 WHERE id = {id}"));
    let requests = vec![
        refund(rig.refund(&other).amount(600)),
        refund(rig.refund(&one)),
        refund(rig.refund(&other)),
    ];
    let answers = commit_together(&rig, requests).await;
    assert_eq!(won(&answers), [true, false, true]);
    let Err(Error::Store(error)) = &answers[1] else { panic!("{answers:?}") };
    assert!(matches!(&**error, StoreError::Inconsistent(_)), "{error:?}");
}

#[tokio::test]
async fn an_assertion_that_does_not_hold_fails_alone_and_the_engine_goes_on() {
    let rig = EngineRig::open().await;
    let (one, other) = (rig.pay(1_000, "USD").await, rig.pay(1_000, "USD").await);
    // The balance no longer makes sense, which every decision about it asserts that it does.
    let id = blob(one.capture.id.bytes());
    tamper(&rig, &format!("UPDATE payments SET held = -1 WHERE id = {id}"));
    let requests = vec![
        refund(rig.refund(&other).amount(600)),
        refund(rig.refund(&one)),
        refund(rig.refund(&other)),
    ];
    let answers = commit_together(&rig, requests).await;
    assert_eq!(won(&answers), [true, false, true]);
    assert!(rig.refunds_of(&one).await.is_empty());
    assert!(rig.refund(&other).try_create().await.is_err(), "the engine still answers");
}

fn small_queue() -> Setup {
    let mut setup = Setup::default();
    setup.engine.committer = CommitterConfig { queue: 2, batch: 1, lanes: 1 };
    setup
}

#[tokio::test]
async fn a_full_queue_is_busy_and_nothing_of_what_it_refused_happens() {
    let rig = EngineRig::open_with(small_queue()).await;
    let payment = rig.pay(1_000, "USD").await;
    let lock = WriteLock::take(&rig);
    let answers: Vec<_> = (0..20)
        .map(|number| {
            tokio::spawn(rig.refund(&payment).amount(1).key(&format!("k{number}")).try_create())
        })
        .collect();
    // Every request has been queued or refused when each of them has run once.
    tokio::task::yield_now().await;
    drop(lock);
    let (mut accepted, mut busy) = (Vec::new(), Vec::new());
    for (number, answer) in answers.into_iter().enumerate() {
        match within_limit("an answer", answer).await.expect("no panic") {
            Ok(answered) => accepted.push(answered.value.refund.id),
            Err(Error::Busy) => busy.push(number),
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!((2..=3).contains(&accepted.len()), "{} fit into a queue of two", accepted.len());
    let made: Vec<_> = rig.refunds_of(&payment).await.iter().map(|refund| refund.id).collect();
    assert_eq!(made, accepted);
    // Their keys are free, too.
    for number in busy {
        let again = rig.refund(&payment).amount(1).key(&format!("k{number}")).try_create().await;
        assert!(!again.expect("there is room now").replayed);
    }
    rig.run_until_quiet().await;
    assert_eq!(rig.verify_paid_as_booked(&payment).await, 20);
    rig.verify_clean().await;
}

#[tokio::test]
async fn a_commit_that_takes_too_long_is_told_so_refused_while_it_lasts_and_then_replayed() {
    let mut setup = Setup::default();
    setup.engine.commit_timeout = Duration::from_millis(200);
    let rig = EngineRig::open_with(setup).await;
    let payment = rig.pay(1_000, "USD").await;
    let request = || rig.refund(&payment).amount(600).key("slow");

    let lock = WriteLock::take(&rig);
    let late = request().try_create().await;
    assert!(matches!(late, Err(Error::TimedOut)), "{late:?}");
    for _ in 0..3 {
        let again = request().try_create().await;
        assert!(matches!(again, Err(Error::InProgress)), "{again:?}");
    }
    drop(lock);
    let replayed = eventually("the answer of the first request", async || {
        match request().try_create().await {
            Ok(answered) => Some(answered),
            Err(Error::InProgress) => None,
            Err(error) => panic!("{error:?}"),
        }
    })
    .await;
    assert!(replayed.replayed);
    let [refund] = rig.refunds_of(&payment).await.try_into().expect("one refund");
    assert_eq!(refund.id, replayed.value.refund.id);
    rig.run_until_quiet().await;
    assert_eq!(rig.verify_paid_as_booked(&payment).await, 600);
    rig.verify_clean().await;
}

#[tokio::test]
async fn a_database_that_stays_locked_is_an_error_and_the_key_is_free_afterwards() {
    let rig = EngineRig::open().await;
    let payment = rig.pay(1_000, "USD").await;
    let lock = WriteLock::take(&rig);
    // Longer than a connection waits for another process (5 s), shorter than a caller does.
    let failed = rig.refund(&payment).amount(600).key("k").try_create().await;
    assert!(matches!(failed, Err(Error::Store(_))), "{failed:?}");
    // That counts for a second, and then it is tried.
    let ready = rig.engine.ready().await;
    assert!(matches!(ready, Err(NotReady::NoCommits)), "{ready:?}");
    drop(lock);
    rig.clock.advance(1_000);
    rig.engine.ready().await.expect("it commits again");
    let again = rig.refund(&payment).amount(600).key("k").try_create().await;
    assert!(!again.expect("created").replayed);
    assert_eq!(rig.refunds_of(&payment).await.len(), 1);
    rig.verify_clean().await;
}
