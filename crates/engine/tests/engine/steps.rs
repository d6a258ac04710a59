//! Steps in a world that is not in order: no provider, no answer, no room.

use crate::lock::{WriteLock, tamper};
use domain::decide::Refusal;
use domain::refund::State as S;
use engine::{Backlog, CommitterConfig, Engine, EngineConfig, Error, Registry};
use std::time::Duration;
use testkit::{EngineRig, Setup, StopAt, StoppingProvider, within_limit};

/// An engine on the rig's database with other providers.
fn engine_with(rig: &EngineRig, registry: Registry) -> Engine {
    let config = EngineConfig {
        dispatch_at_once: false,
        provider_timeout: Duration::from_millis(20),
        ..EngineConfig::default()
    };
    Engine::start(rig.parts_with(registry, &config))
}

#[tokio::test]
async fn a_refund_whose_provider_is_not_configured_waits_in_the_queue() {
    let rig = EngineRig::open().await;
    let payment = rig.pay(10_000, "USD").await;
    let refund = rig.refund(&payment).create().await;
    let without = engine_with(&rig, Registry::new());
    assert_eq!(without.step_due(10).await.expect("a step"), 0, "another node may have it");
    assert_eq!(rig.reload(&refund).await, refund);
    let refused = rig.refund(&payment).of(&without).try_create().await;
    let refused = refused.expect_err("nobody here could send it");
    assert!(matches!(&refused, Error::Refused(Refusal::NothingRefundable { .. })), "{refused:?}");
    let other = rig.pay(10_000, "USD").await;
    let refused = rig.refund(&other).of(&without).try_create().await;
    let refused = refused.expect_err("nobody here could send it");
    let missing = Refusal::ProviderNotConfigured("simulator".into());
    assert!(matches!(&refused, Error::Refused(why) if *why == missing), "{refused:?}");

    assert_eq!(rig.run_until_decided(&refund).await.state, S::Succeeded);
    assert_eq!(rig.verify_paid_as_booked(&payment).await, 10_000);
    rig.verify_clean().await;
}

#[tokio::test]
async fn a_lost_refund_whose_provider_is_not_configured_stays_lost_until_it_is() {
    let rig = EngineRig::open().await;
    let payment = rig.pay(10_000, "USD").await;
    let refund = rig.refund(&payment).simulate("timeout_after_booking").create().await;
    rig.run_now().await;
    let lost = rig.reload(&refund).await;
    assert_eq!(lost.state, S::Unknown);
    rig.clock.advance_to(lost.due_at.expect("it is due some time"));
    let without = engine_with(&rig, Registry::new());
    assert_eq!(without.step_due(10).await.expect("a step"), 0);
    assert_eq!(rig.reload(&refund).await, lost);
    assert_eq!(rig.run_until_decided(&refund).await.state, S::Succeeded);
    assert_eq!(rig.verify_paid_as_booked(&payment).await, 10_000);
}

#[tokio::test]
async fn a_provider_that_never_answers_costs_its_time_limit_and_no_more() {
    let rig = EngineRig::open().await;
    let payment = rig.pay(10_000, "USD").await;
    let refund = rig.refund(&payment).create().await;
    let hangs = |at| Registry::new().with(StoppingProvider::new(rig.simulator.clone(), at));

    let silent = engine_with(&rig, hangs(StopAt::AfterSubmit));
    assert_eq!(within_limit("a step", silent.step_due(10)).await.expect("a step"), 1);
    let lost = rig.reload(&refund).await;
    assert_eq!(lost.state, S::Unknown);
    assert_eq!(lost.failure.map(|f| f.code).as_deref(), Some("timeout"));

    rig.clock.advance_to(lost.due_at.expect("it is due some time"));
    let silent = engine_with(&rig, hangs(StopAt::BeforeLookup));
    assert_eq!(within_limit("a step", silent.step_due(10)).await.expect("a step"), 1);
    assert!(silent.drain(Duration::ZERO).await, "its slot is free again");
    assert_eq!(rig.run_until_decided(&refund).await.state, S::Succeeded);
    assert_eq!(rig.verify_paid_as_booked(&payment).await, 10_000);
}

#[tokio::test]
async fn what_a_step_claims_is_worked_on_though_the_queue_has_no_room_for_all_at_once() {
    let mut setup = Setup::default();
    setup.engine.committer = CommitterConfig { queue: 2, batch: 1, lanes: 1 };
    let rig = EngineRig::open_with(setup).await;
    let payment = rig.pay(10_000, "USD").await;
    for _ in 0..5 {
        rig.refund(&payment).amount(10).create().await;
    }
    let lock = WriteLock::take(&rig);
    let engine = rig.engine.clone();
    let step = tokio::spawn(async move { engine.step_due(5).await });
    tokio::task::yield_now().await;
    drop(lock);
    // Five are due, and the queue takes two at a time.
    assert_eq!(within_limit("the step", step).await.expect("no panic").expect("a step"), 5);
    for refund in rig.refunds_of(&payment).await {
        assert_eq!(rig.reload(&refund).await.state, S::Succeeded);
    }
    rig.verify_paid_as_booked(&payment).await;
    rig.verify_clean().await;
}

#[tokio::test]
async fn a_refund_that_cannot_be_claimed_does_not_keep_a_step_from_the_others() {
    let rig = EngineRig::open().await;
    let payment = rig.pay(10_000, "USD").await;
    let mut refunds = Vec::new();
    for amount in [1, 2, 3] {
        refunds.push(rig.refund(&payment).amount(amount).create().await);
    }
    // The number of its last call, which is kept now, is taken.
    tamper(&rig, "UPDATE refunds SET sends = 1, sent_at = 1 WHERE amount = 2");
    let taken = "INSERT INTO refund_attempts (scope, refund, number, sent_at)
         SELECT scope, id, 1, 1 FROM refunds WHERE amount = 2";
    tamper(&rig, taken);
    assert_eq!(rig.engine.step_due(10).await.expect("a step"), 2);
    for (refund, state) in refunds.iter().zip([S::Succeeded, S::Queued, S::Succeeded]) {
        assert_eq!(rig.reload(refund).await.state, state);
    }
    rig.clock.advance(30_000);
    assert!(rig.engine.step_due(10).await.is_err(), "there is nothing else to do");
}

#[tokio::test]
async fn draining_waits_for_calls_under_way_and_says_when_some_are_left() {
    let rig = EngineRig::open().await;
    let payment = rig.pay(10_000, "USD").await;
    let provider = StoppingProvider::new(rig.simulator.clone(), StopAt::AfterSubmit);
    let node = rig.start_node(provider.clone());
    let refund = rig.refund(&payment).of(node.engine()).create().await;
    provider.stopped().await;
    assert!(!node.engine().drain(Duration::from_millis(10)).await);
    provider.let_go();
    assert!(node.engine().drain(testkit::LIMIT).await);
    assert_eq!(rig.reload(&refund).await.state, S::Succeeded);
}

#[tokio::test]
async fn a_refund_that_finds_no_free_call_waits_in_the_queue() {
    let mut setup = Setup::default();
    setup.engine.dispatch_limit = 1;
    let rig = EngineRig::open_with(setup).await;
    let payment = rig.pay(10_000, "USD").await;
    let provider = StoppingProvider::new(rig.simulator.clone(), StopAt::BeforeSubmit);
    let node = rig.start_node(provider.clone());
    let first = rig.refund(&payment).amount(1).of(node.engine()).create().await;
    provider.stopped().await;
    let second = rig.refund(&payment).amount(1).of(node.engine()).create().await;
    assert_eq!((first.state, second.state), (S::Sending, S::Queued));
    assert_eq!(node.engine().step_due(10).await.expect("a step"), 0, "no call is free");
    provider.let_go();
    assert!(node.engine().drain(testkit::LIMIT).await);
    assert_eq!(rig.reload(&first).await.state, S::Succeeded);
    assert_eq!(node.engine().step_due(10).await.expect("a step"), 1);
    assert_eq!(rig.reload(&second).await.state, S::Succeeded);
}

#[tokio::test]
async fn keys_that_ran_out_are_swept_away_and_those_of_refunds_never() {
    let rig = EngineRig::open().await;
    let key = |value: &str| engine::IdempotencyKey { door: "native", value: value.into() };
    let new = rig.new_payment("ch_k", 10_000, "USD");
    let payment =
        rig.engine.register_payment(new, Some(&key("p"))).await.expect("registered").value;
    let refund = rig.refund(&payment).amount(1).key("r").reference("mine").create().await;
    rig.clock.advance(domain::decide::KEY_LIFETIME_MS + 1);
    assert_eq!(rig.engine.step_expire(100).await.expect("a step"), 1);
    assert_eq!(rig.engine.step_expire(100).await.expect("a step"), 0);
    rig.clock.advance(365 * domain::decide::KEY_LIFETIME_MS);
    assert_eq!(rig.engine.step_expire(100).await.expect("a step"), 0);
    let again = rig.refund(&payment).amount(1).key("r").reference("mine").try_create().await;
    let again = again.expect("answered");
    assert!(again.replayed);
    assert_eq!(again.value.refund.id, refund.id);
    rig.verify_clean().await;
}

#[tokio::test]
async fn what_is_overdue_and_what_is_in_doubt_is_counted() {
    let rig = EngineRig::open().await;
    let count = async || rig.engine.backlog().await.expect("a count");
    assert_eq!(count().await, Backlog::default());
    let payment = rig.pay(10_000, "USD").await;
    let refund = |script: &str| rig.refund(&payment).amount(1_000).simulate(script).key(script);
    let lost = refund("timeout_after_booking").create().await;
    let wrong = refund("wrong_amount").create().await;
    refund("succeed").create().await;
    rig.run_now().await;
    let lost = rig.reload(&lost).await;
    assert_eq!((lost.state, rig.reload(&wrong).await.state), (S::Unknown, S::NeedsReview));
    let in_doubt = Backlog { unknown_refunds: 1, refunds_in_review: 1, ..Backlog::default() };
    assert_eq!(count().await, in_doubt);

    let due = lost.due_at.expect("it is due some time");
    rig.clock.advance_to(due.plus_ms(60_000));
    assert_eq!(count().await, in_doubt, "it can be under way");
    rig.clock.advance_to(due.plus_ms(60_001));
    assert_eq!(count().await, Backlog { overdue_refunds: 1, ..in_doubt });

    rig.run_until_quiet().await;
    let told = Backlog { refunds_in_review: 1, refunds_for_attention: 1, ..Backlog::default() };
    assert_eq!(count().await, told);
}

#[tokio::test]
async fn draining_waits_for_work_that_was_spawned_but_not_forever() {
    let rig = EngineRig::open().await;
    let (finish, finished) = tokio::sync::oneshot::channel::<()>();
    let (note, noted) = tokio::sync::oneshot::channel::<()>();
    rig.engine.spawn(async move {
        let _ = finished.await;
        let _ = note.send(());
    });
    assert!(!rig.engine.drain(Duration::from_millis(10)).await, "the work is not done");
    finish.send(()).expect("somebody waits");
    assert!(rig.engine.drain(testkit::LIMIT).await);
    noted.await.expect("the work was done before drain returned");
    // Work that is spawned after that is waited for as well.
    rig.engine.spawn(std::future::pending());
    assert!(!rig.engine.drain(Duration::from_millis(10)).await);
}
