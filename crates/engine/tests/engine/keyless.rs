//! A provider that does not honour idempotency keys: a second call pays twice. A refund
//! that may have been sent is never sent again; only an answer moves it on.

use domain::payment::Payment;
use domain::refund::{Refund, State as S};
use engine::{RetryPolicies, RetryPolicy};
use testkit::{EngineRig, Setup, StopAt, StoppingProvider};

const HOUR_MS: i64 = 60 * 60_000;

/// A rig whose provider does not honour keys and whose engine gives up after an hour.
async fn open() -> EngineRig {
    let mut setup = Setup::default();
    setup.simulator.honour_keys = false;
    let patience = RetryPolicy { give_up_after_ms: HOUR_MS, ..RetryPolicy::default() };
    setup.engine.policies = RetryPolicies { default: patience, ..RetryPolicies::default() };
    EngineRig::open_with(setup).await
}

async fn play(script: &str) -> (EngineRig, Payment, Refund) {
    let rig = open().await;
    let payment = rig.pay(10_000, "USD").await;
    let refund = rig.refund(&payment).amount(2_500).simulate(script).create().await;
    rig.run_until_quiet().await;
    rig.verify_clean().await;
    let refund = rig.reload(&refund).await;
    (rig, payment, refund)
}

#[tokio::test]
async fn what_was_booked_is_found_by_a_look_up_and_paid_once() {
    for script in ["timeout_after_booking", "garbage"] {
        let (rig, payment, refund) = play(script).await;
        let states = rig.states(&refund).await;
        assert_eq!(states, [S::Queued, S::Unknown, S::Succeeded], "{script}");
        assert_eq!(rig.verify_paid_as_booked(&payment).await, 2_500, "{script}");
    }
}

#[tokio::test]
async fn what_is_not_found_is_left_to_a_person_and_never_sent_again() {
    for script in ["timeout_before_booking", "server_error"] {
        let (rig, payment, refund) = play(script).await;
        let states = rig.states(&refund).await;
        assert_eq!(states, [S::Queued, S::Unknown, S::NeedsReview], "{script}");
        assert_eq!(refund.failure.map(|f| f.code).as_deref(), Some("unresolved"), "{script}");
        assert_eq!(rig.amounts(&payment).await, (0, 2_500, 0), "{script}");
        assert_eq!(rig.book(&payment).await.refunds, [], "{script}");
    }
}

#[tokio::test]
async fn an_answer_that_refuses_for_lack_of_funds_is_certain_and_so_it_is_sent_again() {
    let (rig, payment, refund) = play("no_funds_then_ok").await;
    assert_eq!(refund.state, S::Succeeded);
    assert_eq!(rig.verify_paid_as_booked(&payment).await, 2_500);
}

#[tokio::test]
async fn a_node_that_wakes_up_after_its_lease_still_pays_once() {
    let rig = open().await;
    let payment = rig.pay(10_000, "USD").await;
    let refund = rig.refund(&payment).amount(2_500).create().await;
    let provider = StoppingProvider::new(rig.simulator.clone(), StopAt::BeforeSubmit);
    let slow = rig.start_node(provider.clone());
    let engine = slow.engine().clone();
    slow.spawn(async move {
        let _ = engine.step_due(1).await;
    });
    provider.stopped().await;

    rig.clock.advance(60_000);
    rig.run_for(10 * 60_000).await;
    assert_eq!(rig.reload(&refund).await.state, S::Unknown, "it may have been sent");
    assert_eq!(rig.book(&payment).await.refunds, []);

    provider.let_go();
    rig.wait_for(&refund, S::Succeeded).await;
    rig.run_until_quiet().await;
    assert_eq!(rig.verify_paid_as_booked(&payment).await, 2_500);
    rig.verify_clean().await;
}
