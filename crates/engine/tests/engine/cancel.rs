//! Withdrawing refunds.

use domain::decide::Refusal;
use domain::ids::RefundId;
use domain::refund::{Refund, State};
use engine::{Answered, Engine, EngineConfig, Error, IdempotencyKey, RefundView, Registry};
use testkit::{EngineRig, StopAt, StoppingProvider};

async fn cancel(
    rig: &EngineRig,
    refund: &Refund,
    key: Option<&str>,
) -> Result<Answered<RefundView>, Error> {
    let key = key.map(|key| IdempotencyKey { door: "native", value: key.into() });
    rig.engine.cancel_refund(rig.tenant, refund.id, key.as_ref()).await
}

#[tokio::test]
async fn a_queued_refund_is_withdrawn_and_never_sent() {
    let rig = EngineRig::open().await;
    let payment = rig.pay(10_000, "USD").await;
    let refund = rig.refund(&payment).create().await;
    let canceled = cancel(&rig, &refund, None).await.expect("canceled").value.refund;
    assert_eq!(canceled.state, State::Canceled);
    assert_eq!(rig.amounts(&payment).await, (0, 0, 0));
    rig.run_until_quiet().await;
    assert_eq!(rig.states(&refund).await, [State::Queued, State::Canceled]);
    assert!(rig.book(&payment).await.refunds.is_empty());
    rig.refund(&payment).create().await;
    rig.verify_clean().await;
}

#[tokio::test]
async fn what_may_have_been_sent_cannot_be_withdrawn() {
    let rig = EngineRig::open().await;
    let payment = rig.pay(10_000, "USD").await;
    let provider = StoppingProvider::new(rig.simulator.clone(), StopAt::BeforeSubmit);
    let node = rig.start_node(provider.clone());
    let refund = rig.refund(&payment).of(node.engine()).create().await;
    provider.stopped().await;
    let refused = cancel(&rig, &refund, None).await;
    let too_late = |state| Refusal::TooLateToCancel(state);
    assert!(
        matches!(&refused, Err(Error::Refused(r)) if *r == too_late(State::Sending)),
        "{refused:?}"
    );
    provider.let_go();
    rig.wait_for(&refund, State::Succeeded).await;
    let refused = cancel(&rig, &refund, None).await;
    assert!(
        matches!(&refused, Err(Error::Refused(r)) if *r == too_late(State::Succeeded)),
        "{refused:?}"
    );
    assert_eq!(rig.verify_paid_as_booked(&payment).await, 10_000);
    rig.verify_clean().await;
}

#[tokio::test]
async fn a_cancellation_under_a_key_is_answered_again() {
    let rig = EngineRig::open().await;
    let payment = rig.pay(10_000, "USD").await;
    let refund = rig.refund(&payment).create().await;
    assert!(!cancel(&rig, &refund, Some("c")).await.expect("canceled").replayed);
    assert!(cancel(&rig, &refund, Some("c")).await.expect("answered").replayed);
    let other = rig.refund(&payment).create().await;
    let refused = cancel(&rig, &other, Some("c")).await;
    assert!(matches!(refused, Err(Error::Refused(Refusal::KeyReused))), "{refused:?}");
}

#[tokio::test]
async fn a_refund_nobody_made_cannot_be_withdrawn() {
    let rig = EngineRig::open().await;
    let none = RefundId::from_bytes([1; 16]);
    let refused = rig.engine.cancel_refund(rig.tenant, none, None).await;
    assert!(matches!(refused, Err(Error::Refused(Refusal::RefundNotFound))), "{refused:?}");
}

#[tokio::test]
async fn a_refund_that_its_provider_holds_is_taken_back_there() {
    let rig = EngineRig::open().await;
    let payment = rig.pay(10_000, "USD").await;
    let refund = rig.refund(&payment).simulate("hold_for_funds").create().await;
    rig.engine.step_due(9).await.expect("a step");
    assert_eq!(rig.reload(&refund).await.state, State::Held);
    for _ in 0..2 {
        let canceled = cancel(&rig, &refund, Some("c")).await.expect("canceled").value.refund;
        assert_eq!(canceled.state, State::Canceled);
    }
    assert_eq!(rig.amounts(&payment).await, (0, 0, 0));
    rig.run_until_quiet().await;
    assert_eq!(rig.verify_paid_as_booked(&payment).await, 0);
    assert_eq!(rig.states(&refund).await.last(), Some(&State::Canceled));
    rig.verify_clean().await;
}

#[tokio::test]
async fn a_refund_that_its_provider_does_not_take_back_stays_as_it_is() {
    let rig = EngineRig::open().await;
    let payment = rig.pay(10_000, "USD").await;
    let refund = rig.refund(&payment).simulate("stay_pending").create().await;
    rig.engine.step_due(9).await.expect("a step");
    let before = rig.reload(&refund).await;
    let refused = cancel(&rig, &refund, None).await;
    let too_late = Refusal::TooLateToCancel(State::Submitted);
    assert!(matches!(&refused, Err(Error::Refused(r)) if *r == too_late), "{refused:?}");
    assert_eq!(rig.reload(&refund).await, before);
}

#[tokio::test]
async fn a_provider_that_cannot_be_asked_to_take_a_refund_back_is_told_from_one_that_refuses() {
    let mut rig = EngineRig::open().await;
    let payment = rig.pay(10_000, "USD").await;
    let refund = rig.refund(&payment).simulate("hold_for_funds").create().await;
    rig.engine.step_due(9).await.expect("a step");
    let config = EngineConfig::clone(rig.config());
    rig.engine = Engine::start(rig.parts_with(Registry::new(), &config));
    let refused = cancel(&rig, &refund, None).await;
    assert!(matches!(refused, Err(Error::NotTakenBack)), "{refused:?}");
    assert_eq!(rig.reload(&refund).await.state, State::Held);
}
