//! The refunds of one payment, page by page.

use domain::ids::RefundId;
use domain::payment::Payment;
use domain::refund::Status;
use engine::{PageQuery, RefundFilter, SortOrder};
use testkit::EngineRig;

/// Reads all pages of two.
async fn pages(
    rig: &EngineRig,
    payment: &Payment,
    order: SortOrder,
    status: Option<Status>,
) -> Vec<RefundId> {
    let filter = RefundFilter { payment: Some(payment.capture.id), status };
    let mut found: Vec<RefundId> = Vec::new();
    loop {
        let after = found.last().map(|id| id.ulid());
        let page = PageQuery { limit: 2, after, order, from: None, until: None };
        let page = rig.engine.list_refunds(rig.tenant, filter, page).await.expect("a page");
        assert!(page.items.len() <= 2 && (page.items.len() == 2 || !page.more));
        found.extend(page.items.iter().map(|view| view.refund.id));
        if !page.more {
            return found;
        }
    }
}

#[tokio::test]
async fn the_refunds_of_a_payment_are_listed_in_both_directions() {
    let rig = EngineRig::open().await;
    let (one, other) = (rig.pay(1_000, "USD").await, rig.pay(1_000, "USD").await);
    assert_eq!(pages(&rig, &one, SortOrder::Descending, None).await, []);
    let mut made = Vec::new();
    for amount in 1..=5 {
        made.push(rig.refund(&one).amount(amount).create().await.id);
        rig.refund(&other).amount(amount).create().await;
    }
    assert_eq!(pages(&rig, &one, SortOrder::Ascending, None).await, made);
    rig.engine.cancel_refund(rig.tenant, made[1], None).await.expect("it is not sent yet");
    let pending = Some(Status::Pending);
    let left = [made[4], made[3], made[2], made[0]];
    assert_eq!(pages(&rig, &one, SortOrder::Descending, pending).await, left);
    let canceled = Some(Status::Canceled);
    assert_eq!(pages(&rig, &one, SortOrder::Ascending, canceled).await, [made[1]]);
    made.reverse();
    assert_eq!(pages(&rig, &one, SortOrder::Descending, None).await, made);
    rig.verify_clean().await;
}

#[tokio::test]
async fn the_refunds_of_a_payment_are_found_by_when_they_were_made() {
    let rig = EngineRig::open().await;
    let payment = rig.pay(1_000, "USD").await;
    let mut made = Vec::new();
    for _ in 0..4 {
        made.push(rig.refund(&payment).amount(1).create().await);
        rig.clock.advance(1_000);
    }
    let filter = RefundFilter { payment: Some(payment.capture.id), status: None };
    let (from, until) = (Some(made[1].id.at()), Some(made[3].id.at()));
    for order in [SortOrder::Ascending, SortOrder::Descending] {
        let page = PageQuery { limit: 10, after: None, order, from, until };
        let page = rig.engine.list_refunds(rig.tenant, filter, page).await.expect("a page");
        let mut found: Vec<_> = page.items.iter().map(|view| view.refund.id).collect();
        found.sort_unstable();
        assert_eq!(found, [made[1].id, made[2].id]);
    }
}
