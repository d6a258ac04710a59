//! A node that dies between any two of the three moves: the intent is committed, the provider is
//! called, the outcome is committed. Another node takes over when the lease has run out, and the
//! money goes back once.

use crate::lock::WriteLock;
use domain::payment::Payment;
use domain::refund::{Refund, State as S};
use testkit::{EngineRig, Node, StopAt, StoppingProvider, eventually};

const ASKED: i64 = 2_500;
const LEASE_MS: i64 = 30_000;

/// A rig, and a node on its database that dies at one point while it works on a refund.
struct Crash {
    rig: EngineRig,
    payment: Payment,
    refund: Refund,
}

impl Crash {
    /// The node that creates the refund sends it at once and dies at `at`.
    async fn of_the_creating_node(at: StopAt) -> Self {
        let rig = EngineRig::open().await;
        let payment = rig.pay(10_000, "USD").await;
        let provider = StoppingProvider::new(rig.simulator.clone(), at);
        let node = rig.start_node(provider.clone());
        let refund = rig.refund(&payment).amount(ASKED).of(node.engine()).create().await;
        provider.stopped().await;
        node.kill();
        assert_eq!(rig.reload(&refund).await.state, S::Sending);
        Self { rig, payment, refund }
    }

    /// A node that finds the refund due dies at `at`.
    async fn of_a_claiming_node(at: StopAt, script: &str, state: S) -> Self {
        let rig = EngineRig::open().await;
        let payment = rig.pay(10_000, "USD").await;
        let refund = rig.refund(&payment).amount(ASKED).simulate(script).create().await;
        if state != S::Queued {
            rig.engine.step_due(1).await.expect("a step");
        }
        let mut refund = rig.reload(&refund).await;
        assert_eq!(refund.state, state);
        if state == S::Unknown && matches!(at, StopAt::BeforeSubmit | StopAt::AfterSubmit) {
            refund = look_once(&rig, &refund).await;
        }
        rig.clock.advance_to(refund.due_at.expect("it is due some time"));
        let provider = StoppingProvider::new(rig.simulator.clone(), at);
        let node = rig.start_node(provider.clone());
        step_and_die(node, &provider).await;
        Self { rig, payment, refund }
    }

    /// Nothing happens while the dead node's lease holds, and all is well after it.
    async fn assert_paid_once_after_the_lease(&self) -> Vec<S> {
        let (rig, refund) = (&self.rig, &self.refund);
        assert_eq!(rig.engine.step_due(10).await.expect("a step"), 0, "the lease still holds");
        let before = rig.reload(refund).await;
        rig.clock.advance(LEASE_MS);
        let settled = rig.run_until_decided(&before).await;
        assert_eq!(settled.state, S::Succeeded);
        rig.run_until_quiet().await;
        assert_eq!(rig.amounts(&self.payment).await, (ASKED, 0, 0));
        assert_eq!(rig.verify_paid_as_booked(&self.payment).await, ASKED);
        rig.verify_clean().await;
        rig.states(refund).await
    }
}

/// A healthy node looks for a lost refund, after which it is sent again.
async fn look_once(rig: &EngineRig, refund: &Refund) -> Refund {
    rig.clock.advance_to(rig.reload(refund).await.due_at.expect("it is due some time"));
    assert_eq!(rig.engine.step_due(1).await.expect("a step"), 1);
    rig.reload(refund).await
}

async fn step_and_die(node: Node, provider: &StoppingProvider) {
    let engine = node.engine().clone();
    node.spawn(async move {
        let _ = engine.step_due(1).await;
    });
    provider.stopped().await;
    node.kill();
}

#[tokio::test]
async fn a_node_that_dies_after_the_intent_has_sent_nothing_and_another_sends_it() {
    let crash = Crash::of_the_creating_node(StopAt::BeforeSubmit).await;
    assert!(crash.rig.book(&crash.payment).await.refunds.is_empty());
    let states = crash.assert_paid_once_after_the_lease().await;
    assert_eq!(states, [S::Sending, S::Unknown, S::Succeeded]);
}

#[tokio::test]
async fn a_node_that_dies_with_the_answer_in_its_hands_has_paid_and_another_finds_out() {
    let crash = Crash::of_the_creating_node(StopAt::AfterSubmit).await;
    assert_eq!(crash.rig.paid_out(&crash.payment).await, ASKED);
    let states = crash.assert_paid_once_after_the_lease().await;
    assert_eq!(states, [S::Sending, S::Unknown, S::Succeeded]);
}

#[tokio::test]
async fn a_node_that_dies_after_claiming_a_queued_refund_is_replaced() {
    for at in [StopAt::BeforeSubmit, StopAt::AfterSubmit] {
        let crash = Crash::of_a_claiming_node(at, "succeed", S::Queued).await;
        let states = crash.assert_paid_once_after_the_lease().await;
        assert_eq!(states, [S::Queued, S::Unknown, S::Succeeded], "{at:?}");
    }
}

#[tokio::test]
async fn a_node_that_dies_while_it_looks_for_a_lost_refund_is_replaced() {
    for script in ["timeout_after_booking", "timeout_before_booking"] {
        for at in [StopAt::BeforeLookup, StopAt::AfterLookup] {
            let crash = Crash::of_a_claiming_node(at, script, S::Unknown).await;
            crash.assert_paid_once_after_the_lease().await;
        }
    }
}

#[tokio::test]
async fn a_node_that_dies_while_it_sends_a_lost_refund_again_is_replaced() {
    for script in ["timeout_before_booking", "server_error"] {
        for at in [StopAt::BeforeSubmit, StopAt::AfterSubmit] {
            let crash = Crash::of_a_claiming_node(at, script, S::Unknown).await;
            crash.assert_paid_once_after_the_lease().await;
        }
    }
}

#[tokio::test]
async fn a_node_that_dies_while_it_asks_about_a_pending_refund_is_replaced() {
    for at in [StopAt::BeforeLookup, StopAt::AfterLookup] {
        let crash = Crash::of_a_claiming_node(at, "webhook_never", S::Submitted).await;
        crash.assert_paid_once_after_the_lease().await;
    }
}

#[tokio::test]
async fn node_after_node_may_die_and_the_refund_is_still_paid_once() {
    let crash = Crash::of_the_creating_node(StopAt::BeforeSubmit).await;
    let rig = &crash.rig;
    let points =
        [StopAt::BeforeLookup, StopAt::AfterLookup, StopAt::BeforeSubmit, StopAt::AfterSubmit];
    for at in points {
        if at == StopAt::BeforeSubmit {
            look_once(rig, &crash.refund).await;
        }
        let due = rig.reload(&crash.refund).await.due_at;
        rig.clock.advance_to(due.expect("it is due some time"));
        let provider = StoppingProvider::new(rig.simulator.clone(), at);
        step_and_die(rig.start_node(provider.clone()), &provider).await;
    }
    crash.assert_paid_once_after_the_lease().await;
}

#[tokio::test]
async fn a_node_that_wakes_up_after_another_took_over_changes_nothing() {
    for at in [StopAt::BeforeSubmit, StopAt::AfterSubmit] {
        let rig = EngineRig::open().await;
        let payment = rig.pay(10_000, "USD").await;
        let provider = StoppingProvider::new(rig.simulator.clone(), at);
        let slow = rig.start_node(provider.clone());
        let refund = rig.refund(&payment).amount(ASKED).of(slow.engine()).create().await;
        provider.stopped().await;
        rig.clock.advance(LEASE_MS);
        assert_eq!(rig.run_until_decided(&refund).await.state, S::Succeeded);
        let settled = rig.states(&refund).await;

        provider.let_go();
        assert!(slow.engine().drain(testkit::LIMIT).await);
        assert_eq!(rig.states(&refund).await, settled, "{at:?}");
        assert_eq!(rig.verify_paid_as_booked(&payment).await, ASKED);
        rig.verify_clean().await;
    }
}

#[tokio::test]
async fn a_webhook_may_be_faster_than_the_outcome_of_the_call_that_it_tells_of() {
    let rig = EngineRig::open().await;
    let payment = rig.pay(10_000, "USD").await;
    let provider = StoppingProvider::new(rig.simulator.clone(), StopAt::AfterSubmit);
    let slow = rig.start_node(provider.clone());
    let request = rig.refund(&payment).amount(ASKED).simulate("succeed_after:10");
    let refund = request.of(slow.engine()).create().await;
    provider.stopped().await;
    rig.clock.advance(10);
    rig.step_simulator().await;
    assert_eq!(rig.reload(&refund).await.state, S::Succeeded);

    provider.let_go();
    assert!(slow.engine().drain(testkit::LIMIT).await);
    assert_eq!(rig.states(&refund).await, [S::Sending, S::Succeeded], "`accepted` came too late");
    assert_eq!(rig.verify_paid_as_booked(&payment).await, ASKED);
    rig.verify_clean().await;
}

#[tokio::test]
async fn a_caller_whose_node_died_before_it_answered_asks_again_under_the_same_key() {
    let rig = EngineRig::open().await;
    let payment = rig.pay(10_000, "USD").await;
    let node = rig.start_node(rig.simulator.clone());
    let request = rig.refund(&payment).amount(ASKED).key("k");
    let lock = WriteLock::take(&rig);
    let never_heard = request.clone().of(node.engine());
    node.spawn(async move {
        let _ = never_heard.try_create().await;
    });
    node.kill();
    drop(lock);
    // Whether the first one was committed is anybody's guess; under one key it does not matter.
    let refund = request.create().await;
    rig.run_until_quiet().await;
    assert_eq!(rig.refunds_of(&payment).await.len(), 1);
    assert_eq!(rig.reload(&refund).await.state, S::Succeeded);
    assert_eq!(rig.verify_paid_as_booked(&payment).await, ASKED);
    rig.verify_clean().await;
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_every_restart() {
    let mut rig = EngineRig::dispatching().await;
    let payment = rig.pay(10_000, "USD").await;
    let mut acknowledged = Vec::new();
    for number in 0..20_i64 {
        let request = rig.refund(&payment).amount(100 + number).key(&format!("k{number}"));
        acknowledged.push((request.clone(), request.create().await));
        rig.restart();
    }
    for (request, refund) in acknowledged {
        let again = request.of(&rig.engine).try_create().await.expect("answered");
        assert!(again.replayed);
        assert_eq!(again.value.refund.id, refund.id);
        eventually("an end", async || {
            rig.clock.advance(LEASE_MS);
            rig.run_now().await;
            Some(rig.reload(&refund).await).filter(|refund| refund.state == S::Succeeded)
        })
        .await;
    }
    rig.verify_paid_as_booked(&payment).await;
    rig.verify_clean().await;
}
