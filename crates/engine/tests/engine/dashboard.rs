//! Refunds made at the provider itself.

use domain::ledger::Code::{Cash, RevenueRefund};
use domain::payment::Status;
use domain::refund::{Origin, State};
use engine::Direction::{Credit, Debit};
use testkit::EngineRig;

#[tokio::test]
async fn a_refund_made_in_the_dashboard_is_adopted() {
    let rig = EngineRig::open().await;
    let payment = rig.pay(10_000, "USD").await;
    let made = rig.refund_in_dashboard(&payment, 3_000).await;
    rig.run_until_quiet().await;

    let [adopted] = rig.refunds_of(&payment).await.try_into().expect("one refund");
    assert_eq!((adopted.origin, adopted.state), (Origin::External, State::Succeeded));
    assert_eq!(adopted.provider_refund_id.as_deref(), Some(made.id.as_str()));
    assert_eq!(rig.states(&adopted).await, [State::Submitted, State::Succeeded]);
    assert_eq!(rig.amounts(&payment).await, (3_000, 0, 0));
    let posted = [(RevenueRefund, Debit, 3_000), (Cash, Credit, 3_000)];
    assert_eq!(rig.legs(&adopted).await, posted);
    assert_eq!(rig.verify_paid_as_booked(&payment).await, 3_000);
    rig.verify_clean().await;
}

#[tokio::test]
async fn a_dashboard_refund_beyond_what_was_captured_is_booked_and_flagged() {
    let rig = EngineRig::open().await;
    let payment = rig.pay(10_000, "USD").await;
    let ours = rig.refund(&payment).amount(8_000).create().await;
    rig.run_until_decided(&ours).await;
    rig.refund_in_dashboard(&payment, 3_500).await;
    rig.run_until_quiet().await;

    assert_eq!(rig.amounts(&payment).await, (11_500, 0, 1_500));
    let now = rig.payment(payment.capture.id).await;
    assert_eq!((now.status(), now.refundable()), (Status::Refunded, 0));
    assert!(rig.refund(&payment).amount(1).try_create().await.is_err());
    assert_eq!(rig.verify_paid_as_booked(&payment).await, 11_500);
    rig.verify_clean().await;
}

#[tokio::test]
async fn a_dashboard_refund_while_ours_is_under_way_is_flagged_until_ours_fails() {
    let rig = EngineRig::open().await;
    let payment = rig.pay(10_000, "USD").await;
    let ours = rig.refund(&payment).simulate("stay_pending").create().await;
    rig.run_now().await;
    rig.refund_in_dashboard(&payment, 10_000).await;
    rig.run_now().await;
    assert_eq!(rig.amounts(&payment).await, (10_000, 10_000, 10_000));
    rig.verify_clean().await;

    let key = ours.provider_key();
    rig.simulator.fail_refund(rig.tenant, &key).await.expect("failed by hand");
    rig.run_until_quiet().await;
    assert_eq!(rig.amounts(&payment).await, (10_000, 0, 0));
    assert_eq!(rig.verify_paid_as_booked(&payment).await, 10_000);
    rig.verify_clean().await;
}

#[tokio::test]
async fn a_dashboard_refund_that_is_taken_back_is_a_late_failure() {
    let rig = EngineRig::open().await;
    let payment = rig.pay(10_000, "USD").await;
    let made = rig.refund_in_dashboard(&payment, 3_000).await;
    rig.run_until_quiet().await;
    rig.simulator.fail_refund(rig.tenant, &made.id).await.expect("taken back");
    rig.run_until_quiet().await;

    let [adopted] = rig.refunds_of(&payment).await.try_into().expect("one refund");
    assert_eq!((adopted.state, adopted.late), (State::Failed, true));
    assert_eq!(rig.amounts(&payment).await, (0, 0, 0));
    assert_eq!(rig.verify_paid_as_booked(&payment).await, 0);
    rig.verify_clean().await;
}
