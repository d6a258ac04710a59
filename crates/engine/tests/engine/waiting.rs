//! Waiting for a refund to be decided.

use domain::ids::RefundId;
use domain::refund::State;
use std::time::Duration;
use testkit::{EngineRig, LIMIT, within_limit};

#[tokio::test]
async fn waiting_ends_with_the_change_that_decides_the_refund() {
    for (script, state) in [
        ("succeed", State::Succeeded),
        ("timeout_before_booking", State::Succeeded),
        ("refuse", State::Failed),
        ("wrong_amount", State::NeedsReview),
    ] {
        let rig = EngineRig::open().await;
        let payment = rig.pay(10_000, "USD").await;
        let refund = rig.refund(&payment).simulate(script).create().await;
        // Nobody would wait for as long as this.
        let waiting = rig.engine.wait_for_refund(rig.tenant, refund.id, LIMIT * 100);
        let settled = Box::pin(rig.run_until_decided(&refund));
        let both = async { tokio::join!(Box::pin(waiting), settled) };
        let (found, _) = within_limit(script, both).await;
        assert_eq!(found.expect("a read").expect("it exists").refund.state, state, "{script}");
    }
}

#[tokio::test]
async fn waiting_for_a_refund_that_is_decided_ends_at_once() {
    let rig = EngineRig::open().await;
    let payment = rig.pay(10_000, "USD").await;
    let refund = rig.refund(&payment).create().await;
    rig.run_until_quiet().await;
    let waiting = rig.engine.wait_for_refund(rig.tenant, refund.id, LIMIT * 100);
    let found = within_limit("a refund that is decided", waiting).await;
    assert_eq!(found.expect("a read").expect("it exists").refund.state, State::Succeeded);
}

#[tokio::test]
async fn waiting_ends_at_its_limit_with_the_refund_as_it_is_then() {
    let rig = EngineRig::open().await;
    let payment = rig.pay(10_000, "USD").await;
    let refund = rig.refund(&payment).simulate("stay_pending").create().await;
    rig.run_now().await;
    let limit = Duration::from_millis(20);
    let found = rig.engine.wait_for_refund(rig.tenant, refund.id, limit).await;
    assert_eq!(found.expect("a read").expect("it exists").refund.state, State::Submitted);
}

#[tokio::test]
async fn waiting_for_a_refund_nobody_made_ends_at_once() {
    let rig = EngineRig::open().await;
    let none = RefundId::from_bytes([1; 16]);
    let waiting = rig.engine.wait_for_refund(rig.tenant, none, LIMIT * 100);
    let found = within_limit("nothing", waiting).await;
    assert!(found.expect("a read").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_who_waits_for_one_refund_is_woken() {
    let rig = EngineRig::open().await;
    let payment = rig.pay(10_000, "USD").await;
    let refund = rig.refund(&payment).create().await;
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let (engine, tenant, id) = (rig.engine.clone(), rig.tenant, refund.id);
            tokio::spawn(async move { engine.wait_for_refund(tenant, id, LIMIT * 100).await })
        })
        .collect();
    rig.run_until_decided(&refund).await;
    for waiter in waiting {
        let found = within_limit("a waiter", waiter).await.expect("no panic").expect("a read");
        assert_eq!(found.expect("it exists").refund.state, State::Succeeded);
    }
}
