//! The switches that stop sending, as the nodes see them.

use crate::lock::tamper;
use domain::administer::sending::ThrowSwitch;
use domain::event::Type;
use domain::ids::AccountId;
use domain::sending::everyone;
use domain::tenant::{Mode, Tenant};
use engine::Engine;
use testkit::EngineRig;

async fn throw(rig: &EngineRig, engine: &Engine, tenant: Tenant, stop: bool) -> bool {
    let recorded_in = Some((rig.tenant, AccountId::from_bytes([1; 16])));
    let switch = ThrowSwitch { tenant, stop, reason: None, recorded_in };
    engine.throw_sending_switch(switch).await.expect("a write")
}

#[tokio::test]
async fn a_switch_works_here_at_once_and_on_other_nodes_within_a_second() {
    let rig = EngineRig::open().await;
    let other = Engine::start(rig.parts(rig.simulator.clone()));
    let here = async |tenant| rig.engine.is_sending_stopped(tenant).await;
    let there = async |tenant| other.is_sending_stopped(tenant).await;
    let tenant = rig.tenant;
    let live = Tenant::new(tenant.account(), Mode::Live);
    let stranger = Tenant::new(tenant.account() + 1, Mode::Test);
    assert!(!here(tenant).await && !there(tenant).await && !here(stranger).await);

    assert!(throw(&rig, &rig.engine, everyone(Mode::Test), true).await);
    assert!(!throw(&rig, &rig.engine, everyone(Mode::Test), true).await, "it is stopped");
    assert!(here(tenant).await && here(stranger).await && !here(live).await);
    rig.clock.advance(999);
    assert!(!there(tenant).await, "what it read is believed for a second");
    rig.clock.advance(1);
    assert!(there(tenant).await && there(stranger).await && !there(live).await);

    assert!(throw(&rig, &other, tenant, true).await);
    assert!(throw(&rig, &other, everyone(Mode::Test), false).await);
    assert!(there(tenant).await && !there(stranger).await, "its own switch still stops it");
    let status = other.sending_status(tenant).await.expect("a read");
    assert!(status.is_stopped() && status.account.expect("thrown").stopped);
    assert!(!status.everyone.expect("thrown").stopped);
    assert!(throw(&rig, &other, tenant, false).await);
    assert!(!there(tenant).await);
    let told: Vec<_> = rig.events().await.iter().map(|view| view.event.event_type).collect();
    let expected =
        [Type::SendingStopped, Type::SendingStopped, Type::SendingStarted, Type::SendingStarted];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn intake_goes_on_while_sending_is_stopped() {
    let rig = EngineRig::open().await;
    assert!(throw(&rig, &rig.engine, rig.tenant, true).await);
    let payment = rig.pay(1_000, "USD").await;
    rig.refund(&payment).amount(10).create().await;
}

#[tokio::test]
async fn a_switch_that_cannot_be_read_stands_as_it_was_seen_last() {
    let rig = EngineRig::open().await;
    let (seen, unseen) = (rig.tenant, Tenant::new(rig.tenant.account() + 1, Mode::Test));
    assert!(!rig.engine.is_sending_stopped(seen).await);
    tamper(
        &rig,
        "INSERT INTO sending (scope, stopped, last_seq, updated_at) VALUES (1, 0, 0, 0); \
         ALTER TABLE sending RENAME TO gone",
    );
    rig.clock.advance(5_000);
    assert!(!rig.engine.is_sending_stopped(seen).await);
    assert!(rig.engine.is_sending_stopped(unseen).await, "nothing is sent where nothing is known");
}
