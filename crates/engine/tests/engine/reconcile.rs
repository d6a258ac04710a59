//! The books read from the providers what they missed: lost webhooks, refunds made elsewhere, and refunds of books
//! that were lost.

use domain::ids::RefundId;
use domain::money::Money;
use domain::payment::Payment;
use domain::refund::{NewRefund, Origin, Refund, State};
use domain::time::Clock as _;
use engine::{Engine, Error, Place, Reconciled, Registry, Span, SpanStep, Tally};
use providers::http::Deadline;
use providers::{Attempt, Call, Provider as _, RefundInstruction};
use simulator::SimulatorConfig;
use std::time::Duration;
use testkit::{Backend, EngineRig, Setup};

const EVERY: i64 = 15 * 60_000;
const HOUR: i64 = 60 * 60_000;

async fn rig(simulator: SimulatorConfig) -> EngineRig {
    EngineRig::open_with(Setup { simulator, ..Setup::default() }).await
}

async fn step(rig: &EngineRig) -> Reconciled {
    rig.engine.step_reconcile(1).await.expect("a step")
}

/// The first step stores where the reading begins, which is due an interval later.
async fn begin(rig: &EngineRig) {
    assert_eq!(step(rig).await, Reconciled::default());
    rig.clock.advance(EVERY);
}

async fn refund(rig: &EngineRig, payment: &Payment, amount: i64) -> Result<Refund, Error> {
    let new = NewRefund::of(rig.tenant, payment.capture.id);
    let new = NewRefund { amount: Some(amount), ..new };
    rig.engine.create_refund(new, None).await.map(|done| done.value.refund)
}

/// Reads a span to its end.
async fn read_all(rig: &EngineRig, engine: &Engine, span: Span) -> Tally {
    let asked = engine.askable(rig.tenant).await.expect("a read");
    let asked = asked.iter().find(|asked| asked.name() == "simulator").expect("it is asked");
    let (mut tally, mut place) = (Tally::default(), Some(Place::Changes(None)));
    while let Some(here) = place {
        match engine.reconcile_span(rig.tenant, asked, span, here).await.expect("a page") {
            SpanStep::Read(some, next) => {
                tally += some;
                place = next;
            }
            other => panic!("{other:?}"),
        }
    }
    tally
}

#[tokio::test]
async fn a_change_whose_webhook_was_lost_is_booked_once_an_interval_is_over() {
    let rig = rig(SimulatorConfig::default()).await;
    let payment = rig.pay(10_000, "USD").await;
    begin(&rig).await;
    rig.refund_in_dashboard(&payment, 2_500).await;
    let read = step(&rig).await;
    assert_eq!((read.pages, read.tally.booked), (1, 1));
    let [adopted] = &rig.refunds_of(&payment).await[..] else { panic!("one refund") };
    assert_eq!((adopted.origin, adopted.amount), (Origin::External, 2_500));
    assert_eq!(rig.amounts(&payment).await, (2_500, 0, 0));

    // Not again before the next interval, and then it is known: nothing is written about it.
    assert_eq!(step(&rig).await.pages, 0);
    rig.clock.advance(EVERY);
    assert_eq!(step(&rig).await.tally, Tally { read: 1, known: 1, ..Tally::default() });
    rig.clock.advance(EVERY);
    assert_eq!(step(&rig).await.tally, Tally::default(), "it is behind the overlap");
    rig.verify_clean().await;
}

#[tokio::test]
async fn what_is_read_twice_is_known_and_writes_nothing() {
    let rig = rig(SimulatorConfig::default()).await;
    let payment = rig.pay(10_000, "USD").await;
    let own = refund(&rig, &payment, 1_000).await.expect("a refund");
    rig.run_until_decided(&own).await;
    begin(&rig).await;
    rig.refund_in_dashboard(&payment, 2_500).await;
    assert_eq!(step(&rig).await.tally, Tally { read: 2, booked: 1, known: 1, unmatched: 0 });
    let (events, paid) = (rig.events().await.len(), rig.payment(payment.capture.id).await);
    let span = Span { since: rig.clock.now().plus_ms(-HOUR), until: None };
    let again = read_all(&rig, &rig.engine, span).await;
    assert_eq!(again, Tally { read: 2, booked: 0, known: 2, unmatched: 0 });
    assert_eq!(rig.events().await.len(), events);
    assert_eq!(rig.payment(payment.capture.id).await, paid);
}

#[tokio::test]
async fn a_restart_goes_on_at_the_page_that_was_reached() {
    let mut rig = rig(SimulatorConfig { page_size: 2, ..SimulatorConfig::default() }).await;
    let payment = rig.pay(10_000, "USD").await;
    begin(&rig).await;
    for _ in 0..5 {
        rig.refund_in_dashboard(&payment, 1_000).await;
    }
    assert_eq!(step(&rig).await.tally.booked, 2);
    rig.restart();
    assert_eq!(step(&rig).await.tally, Tally { read: 2, booked: 2, ..Tally::default() });
    assert_eq!(step(&rig).await.tally, Tally { read: 1, booked: 1, ..Tally::default() });
    assert_eq!(step(&rig).await.pages, 0);
    assert_eq!(rig.amounts(&payment).await, (5_000, 0, 0));
}

#[tokio::test]
async fn a_refund_that_the_provider_shows_late_is_read_in_the_overlap() {
    let lag = SimulatorConfig { list_lag_ms: 30 * 60_000, ..SimulatorConfig::default() };
    let rig = rig(lag).await;
    let payment = rig.pay(10_000, "USD").await;
    begin(&rig).await;
    rig.refund_in_dashboard(&payment, 2_500).await;
    assert_eq!(step(&rig).await.tally.read, 0, "it is not shown yet");
    for _ in 0..3 {
        rig.clock.advance(EVERY);
        step(&rig).await;
    }
    assert_eq!(rig.amounts(&payment).await, (2_500, 0, 0));
}

#[tokio::test]
async fn nodes_share_the_reading_and_none_reads_while_it_is_off() {
    let rig = rig(SimulatorConfig::default()).await;
    rig.pay(10_000, "USD").await;
    begin(&rig).await;
    let other = Engine::start(rig.parts(rig.simulator.clone()));
    let (one, two) = tokio::join!(rig.engine.step_reconcile(1), other.step_reconcile(1));
    assert_eq!(one.expect("a step").pages + two.expect("a step").pages, 1);
    rig.clock.advance(EVERY);
    let config = engine::EngineConfig { reconcile_every_ms: 0, ..rig.config().clone() };
    let registry = Registry::new().with(rig.simulator.clone());
    let off = Engine::start(rig.parts_with(registry, &config));
    assert_eq!(off.step_reconcile(1).await.expect("a step"), Reconciled::default());
    assert_eq!(step(&rig).await.pages, 1);
}

#[tokio::test]
async fn where_a_provider_cannot_tell_the_payments_of_refunds_in_doubt_are_listed() {
    let rig = rig(SimulatorConfig { tells_changes: false, ..SimulatorConfig::default() }).await;
    let (waits, other) = (rig.pay(10_000, "USD").await, rig.pay(10_000, "USD").await);
    begin(&rig).await;
    let new = NewRefund {
        amount: Some(1_000),
        metadata: Some(r#"{"simulate":"stay_pending"}"#.into()),
        ..NewRefund::of(rig.tenant, waits.capture.id)
    };
    let stays = rig.engine.create_refund(new, None).await.expect("a refund").value.refund;
    rig.run_now().await;
    assert_eq!(rig.reload(&stays).await.state, State::Submitted);
    for payment in [&waits, &other] {
        rig.refund_in_dashboard(payment, 2_500).await;
    }
    assert_eq!(step(&rig).await.tally.read, 0, "it does not wait for long yet");
    rig.clock.advance(2 * HOUR);
    assert_eq!(step(&rig).await.tally, Tally { read: 2, booked: 1, known: 1, unmatched: 0 });
    assert_eq!(rig.amounts(&waits).await, (2_500, 1_000, 0));
    assert_eq!(rig.amounts(&other).await, (0, 0, 0), "nothing asks about it");

    // Over a span every payment is listed that was registered in it.
    let span = Span { since: waits.capture.captured_at, until: None };
    assert_eq!(read_all(&rig, &rig.engine, span).await.booked, 1);
    assert_eq!(rig.amounts(&other).await, (2_500, 0, 0));
}

#[tokio::test]
async fn a_payment_with_several_refunds_in_doubt_is_listed_once() {
    let rig = rig(SimulatorConfig { tells_changes: false, ..SimulatorConfig::default() }).await;
    let (one, other) = (rig.pay(10_000, "USD").await, rig.pay(10_000, "USD").await);
    for payment in [&one, &other, &one, &other] {
        let new = NewRefund {
            amount: Some(1_000),
            metadata: Some(r#"{"simulate":"stay_pending"}"#.into()),
            ..NewRefund::of(rig.tenant, payment.capture.id)
        };
        rig.engine.create_refund(new, None).await.expect("a refund");
    }
    rig.run_now().await;
    begin(&rig).await;
    rig.clock.advance(2 * HOUR);
    assert_eq!(step(&rig).await.tally.read, 4, "two refunds of each payment");
}

#[tokio::test]
async fn over_a_span_the_older_payments_of_newer_refunds_are_listed_too() {
    let rig = rig(SimulatorConfig { tells_changes: false, ..SimulatorConfig::default() }).await;
    let (refunded, other) = (rig.pay(10_000, "USD").await, rig.pay(10_000, "USD").await);
    rig.clock.advance(HOUR);
    let since = rig.clock.now();
    let own = refund(&rig, &refunded, 1_000).await.expect("a refund");
    rig.run_until_decided(&own).await;
    for payment in [&refunded, &other] {
        rig.refund_in_dashboard(payment, 2_500).await;
    }
    read_all(&rig, &rig.engine, Span { since, until: None }).await;
    assert_eq!(rig.amounts(&refunded).await, (3_500, 0, 0));
    assert_eq!(rig.amounts(&other).await, (0, 0, 0), "captured and refunded before the span");
}

#[tokio::test]
async fn a_refund_of_lost_books_is_adopted_while_another_one_is_in_doubt() {
    let rig = rig(SimulatorConfig::default()).await;
    let payment = rig.pay(10_000, "USD").await;
    let new = NewRefund {
        amount: Some(1_000),
        metadata: Some(r#"{"simulate":"timeout_before_booking"}"#.into()),
        ..NewRefund::of(rig.tenant, payment.capture.id)
    };
    let doubt = rig.engine.create_refund(new, None).await.expect("a refund").value.refund;
    assert_eq!(rig.engine.step_due(1).await.expect("a step"), 1);
    assert_eq!(rig.reload(&doubt).await.state, State::Unknown);
    // Made by books of ours that were lost: the provider has our key, and nobody here knows it.
    let lost = RefundInstruction {
        key: RefundId::from_bytes([9; 16]).to_string(),
        payment: payment.capture.clone(),
        money: Money::new(2_500, payment.capture.currency),
        refunded_before: 0,
        reason: None,
        reference: None,
        metadata: None,
        provider_refund_id: None,
        attempt: Attempt::First,
    };
    let call = Call { now: rig.clock.now(), deadline: Deadline::within(Duration::from_secs(5)) };
    rig.simulator.submit(&lost, call).await;
    let span = Span { since: payment.capture.captured_at, until: None };
    assert_eq!(read_all(&rig, &rig.engine, span).await.booked, 1);
    assert_eq!(rig.amounts(&payment).await, (2_500, 1_000, 0));
}

/// The books are restored from before some refunds. They are found and cannot be made again.
#[tokio::test]
async fn refunds_that_restored_books_do_not_know_are_adopted_and_not_paid_again() {
    if Backend::of_these_tests() == Backend::Postgres {
        return;
    }
    for tells_changes in [true, false] {
        let mut rig = rig(SimulatorConfig { tells_changes, ..SimulatorConfig::default() }).await;
        let since = rig.clock.now();
        let (whole, part, queued) = (
            rig.pay(10_000, "USD").await,
            rig.pay(10_000, "USD").await,
            rig.pay(10_000, "USD").await,
        );
        let waiting = refund(&rig, &queued, 4_000).await.expect("a refund");
        let backup = rig.copy_database().await;
        rig.clock.advance(60_000);
        let lost = [
            refund(&rig, &whole, 10_000).await.expect("a refund"),
            refund(&rig, &part, 2_500).await.expect("a refund"),
        ];
        for one in lost.iter().chain([&waiting]) {
            assert_eq!(rig.run_until_decided(one).await.state, State::Succeeded);
        }
        rig.fail_over_to(&backup);
        rig.restart();
        assert_eq!(rig.amounts(&whole).await, (0, 0, 0), "the books forgot");

        let tally = read_all(&rig, &rig.engine, Span { since, until: None }).await;
        assert_eq!((tally.booked, tally.unmatched), (3, 0), "{tells_changes}");
        assert_eq!(rig.amounts(&whole).await, (10_000, 0, 0));
        refund(&rig, &whole, 1).await.expect_err("all of it was refunded");
        refund(&rig, &part, 7_501).await.expect_err("more than what is left");
        assert_eq!(rig.reload(&waiting).await.state, State::Succeeded, "it is not sent again");
        rig.run_until_quiet().await;
        for payment in [&whole, &part, &queued] {
            assert_eq!(rig.paid_out(payment).await, rig.amounts(payment).await.0);
        }
        assert_eq!(rig.engine.refunds_in_doubt(rig.tenant, None).await.expect("a read").len(), 0);
        rig.verify_clean().await;
    }
}
