//! Refunds that are made at the PSP itself, and the PSP's view of a payment.

use crate::psp::*;
use domain::money::Money;
use domain::time::Clock;
use providers::Provider;
use simulator::{DashboardError, RefundStatus};

#[tokio::test]
async fn a_dashboard_refund_pays_and_is_told_without_a_key() {
    let psp = Psp::open();
    let made = psp.simulator.dashboard_refund(tenant(), PAYMENT, usd(300)).await.expect("made");
    assert_eq!((made.key.as_deref(), made.amount), (None, 300));
    assert_eq!(made.status, RefundStatus::Succeeded);
    assert_eq!(psp.simulator.next_due(), Some(psp.clock.now()));
    assert_eq!(psp.after(0).await.delivered, 1);
    let [notice] = psp.notices().try_into().expect("one notice");
    assert_eq!(notice.key, None);
    let said = completed(notice.said);
    assert_eq!(said.provider_refund_id.as_deref(), Some(made.id.as_str()));
    assert_eq!(said.money, Some(usd(300)));
    assert_eq!(psp.book().await.payouts[0].key, None);
}

#[tokio::test]
async fn a_dashboard_refund_may_pay_too_much_but_not_in_another_currency() {
    let psp = Psp::open();
    completed(psp.submit(&order("k1", "succeed")).await);
    let refund = |money| psp.simulator.dashboard_refund(tenant(), PAYMENT, money);
    refund(usd(10_000)).await.expect("an excess");
    assert_eq!(psp.paid_out().await, ASKED + 10_000);
    let euro = currency("EUR");
    assert_eq!(
        refund(Money::new(1, euro)).await,
        Err(DashboardError::CurrencyMismatch { expected: currency("USD"), given: euro })
    );
    assert_eq!(refund(usd(0)).await, Err(DashboardError::InvalidAmount));
}

#[tokio::test]
async fn a_succeeded_refund_can_be_made_to_fail_once() {
    let psp = Psp::open();
    let order = order("k1", "succeed");
    let success = completed(psp.submit(&order).await);
    let failed = psp.simulator.fail_refund(tenant(), "k1").await.expect("failed");
    assert_eq!(failed.status, RefundStatus::Failed);
    assert!(Some(failed.at) > success.at, "newer though the clock stands still");
    psp.after(0).await;
    let [notice] = psp.notices().try_into().expect("one notice");
    assert_eq!(rejected(notice.said).0.at, Some(failed.at));
    let again = psp.simulator.fail_refund(tenant(), &failed.id).await;
    assert_eq!(again, Err(DashboardError::WrongStatus(RefundStatus::Failed)));
    assert_eq!(psp.paid_out().await, 0);
}

#[tokio::test]
async fn only_a_pending_refund_can_be_completed() {
    let psp = Psp::open();
    completed(psp.submit(&order("k1", "succeed")).await);
    let done = psp.simulator.complete_refund(tenant(), "k1").await;
    assert_eq!(done, Err(DashboardError::WrongStatus(RefundStatus::Succeeded)));
    let missing = psp.simulator.complete_refund(tenant(), "k2").await;
    assert_eq!(missing, Err(DashboardError::RefundNotFound));
}

#[tokio::test]
async fn a_refund_settled_by_hand_is_not_settled_again_when_its_time_comes() {
    let psp = Psp::open();
    accepted(psp.submit(&order("k1", "succeed_after:100")).await);
    psp.simulator.fail_refund(tenant(), "k1").await.expect("failed");
    assert_eq!(psp.after(0).await.delivered, 1);
    let step = psp.after(100).await;
    assert_eq!((step.changed, step.delivered), (0, 0));
    assert_eq!(psp.book().await.refunds[0].status, RefundStatus::Failed);
    assert_eq!(psp.paid_out().await, 0);
}

#[tokio::test]
async fn a_payments_refunds_are_listed_newest_first_ours_and_others() {
    let psp = Psp::open();
    completed(psp.submit(&order("k1", "succeed")).await);
    psp.simulator.dashboard_refund(tenant(), PAYMENT, usd(5)).await.expect("made");
    accepted(psp.submit(&order("k2", "stay_pending")).await);
    let list = psp.simulator.list(&capture(tenant(), None), None, call()).await.expect("a list");
    let list = list.notices;
    let keys: Vec<_> = list.iter().map(|notice| notice.key.as_deref()).collect();
    assert_eq!(keys, [Some("k2"), None, Some("k1")]);
    accepted(list[0].said.clone());
    completed(list[1].said.clone());
    let book: Vec<_> = psp.book().await.refunds.into_iter().map(|refund| refund.key).collect();
    assert_eq!(book, [Some("k1".to_owned()), None, Some("k2".to_owned())], "oldest first");
}

#[tokio::test]
async fn a_payment_is_known_once_a_refund_of_it_was_asked_for() {
    let psp = Psp::open();
    assert_eq!(psp.simulator.payment(tenant(), PAYMENT, call()).await, Ok(None));
    rejected(psp.submit(&order("k1", "refuse")).await);
    let known = psp.simulator.payment(tenant(), PAYMENT, call()).await.expect("an answer");
    assert_eq!(known.map(|payment| payment.captured), Some(usd(10_000)));
}
