//! Forgetting events and deliveries: what must stay stays, and a verification knows what is gone.

use crate::lock::tamper;
use domain::ids::EventId;
use domain::payment::Payment;
use domain::refund::{Refund, State};
use domain::webhook::Format;
use engine::webhooks::EndpointDraft;
use engine::{EventFilter, PageQuery, Replayed, Retention, SortOrder, Sweep};
use testkit::{EngineRig, Setup};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A rig that keeps events for 30 days and deliveries for 10, on which a refund succeeded.
async fn open() -> (EngineRig, Payment, Refund) {
    let mut setup = Setup::default();
    setup.engine.retention =
        Retention { events_ms: Some(30 * DAY_MS), deliveries_ms: Some(10 * DAY_MS) };
    let rig = EngineRig::open_with(setup).await;
    let payment = rig.pay(10_000, "USD").await;
    let refund = in_three_events(&rig, &payment).await;
    let refund = rig.reload(&refund).await;
    assert_eq!((refund.state, refund.last_seq), (State::Succeeded, 3));
    (rig, payment, refund)
}

/// Makes a refund that is created, submitted and succeeds.
async fn in_three_events(rig: &EngineRig, payment: &Payment) -> Refund {
    let refund = rig.refund(payment).amount(1_000).simulate("succeed_after:1000").create().await;
    rig.run_until_quiet().await;
    refund
}

/// Forgets whatever may be forgotten now, two rows at a time.
async fn prune(rig: &EngineRig) {
    let mut sweep = Sweep::START;
    for _ in 0..1_000 {
        sweep = rig.engine.step_prune(sweep, 2).await.expect("a step");
        if sweep == Sweep::Done {
            return;
        }
    }
    panic!("it has no end: {sweep:?}");
}

async fn timeline(rig: &EngineRig, refund: &Refund) -> Vec<(u32, EventId)> {
    let filter = EventFilter { event_type: None, refund: Some(refund.id) };
    let order = SortOrder::Ascending;
    let page = PageQuery { limit: 100, after: None, order, from: None, until: None };
    let page = rig.engine.list_events(rig.tenant, filter, page).await.expect("a read");
    page.items.iter().map(|view| (view.event.seq, view.event.id)).collect()
}

async fn seqs(rig: &EngineRig, refund: &Refund) -> Vec<u32> {
    timeline(rig, refund).await.into_iter().map(|(seq, _)| seq).collect()
}

#[tokio::test]
async fn events_are_kept_for_as_long_as_configured_and_not_longer() {
    let (rig, payment, refund) = open().await;
    rig.clock.advance(30 * DAY_MS - 1_000);
    prune(&rig).await;
    assert_eq!(seqs(&rig, &refund).await, [1, 2, 3]);
    let young = rig.refund(&payment).amount(1).create().await;
    rig.clock.advance(2_000);
    prune(&rig).await;
    assert!(timeline(&rig, &refund).await.is_empty());
    assert_eq!(seqs(&rig, &young).await, [1]);
    let kept = rig.reload(&refund).await;
    assert_eq!((kept.state, kept.pruned, kept.last_seq), (State::Succeeded, 3, 3));
    assert_eq!(rig.legs(&refund).await.len(), 2, "the ledger stays");
    rig.verify_clean().await;
}

#[tokio::test]
async fn nothing_is_forgotten_unless_somebody_says_so() {
    let rig = EngineRig::open().await;
    let payment = rig.pay(10_000, "USD").await;
    let refund = in_three_events(&rig, &payment).await;
    rig.clock.advance(3_650 * DAY_MS);
    prune(&rig).await;
    assert_eq!(seqs(&rig, &refund).await, [1, 2, 3]);
}

#[tokio::test]
async fn a_refund_that_fails_late_goes_on_with_the_next_number() {
    let (rig, payment, refund) = open().await;
    rig.clock.advance(31 * DAY_MS);
    prune(&rig).await;
    rig.simulator.fail_refund(rig.tenant, &refund.provider_key()).await.expect("taken back");
    rig.run_until_quiet().await;
    let late = rig.reload(&refund).await;
    assert_eq!((late.state, late.late, late.pruned), (State::Failed, true, 3));
    assert_eq!(seqs(&rig, &refund).await, [4]);
    assert_eq!(rig.amounts(&payment).await, (0, 0, 0));
    rig.verify_clean().await;
    // The rest is kept for its own time, and then goes as well.
    prune(&rig).await;
    assert_eq!(seqs(&rig, &refund).await, [4]);
    rig.clock.advance(31 * DAY_MS);
    prune(&rig).await;
    assert_eq!(rig.reload(&refund).await.pruned, 4);
    rig.verify_clean().await;
}

#[tokio::test]
async fn a_refund_that_is_not_decided_keeps_its_events() {
    let (rig, payment, _) = open().await;
    let open = rig.refund(&payment).amount(1).simulate("wrong_amount").create().await;
    rig.run_until_quiet().await;
    assert_eq!(rig.reload(&open).await.state, State::NeedsReview);
    let before = seqs(&rig, &open).await;
    rig.clock.advance(400 * DAY_MS);
    prune(&rig).await;
    assert_eq!(seqs(&rig, &open).await, before);
    rig.verify_clean().await;
}

/// The findings of a verification about events.
async fn found(rig: &EngineRig) -> bool {
    let report = rig.store.verify().await.expect("a verification");
    report.differences.iter().any(|difference| difference.subject.contains("last event"))
}

#[tokio::test]
async fn an_event_that_is_missing_and_was_not_forgotten_is_found() {
    for gone in ["seq = 1", "seq = 2", "seq = 3", "seq > 0"] {
        let (rig, payment, _) = open().await;
        rig.clock.advance(31 * DAY_MS);
        prune(&rig).await;
        in_three_events(&rig, &payment).await;
        assert!(!found(&rig).await);
        tamper(&rig, &format!("DELETE FROM events WHERE refund IS NOT NULL AND {gone}"));
        assert!(found(&rig).await, "{gone}");
    }
    // Nor may there be fewer gone than is noted, or more.
    for count in [0, 2, 4] {
        let (rig, ..) = open().await;
        rig.clock.advance(31 * DAY_MS);
        prune(&rig).await;
        tamper(&rig, &format!("UPDATE refunds SET pruned = {count}"));
        assert!(found(&rig).await, "{count}");
    }
}

#[tokio::test]
async fn what_is_still_to_be_delivered_keeps_its_event() {
    let (rig, payment, refund) = open().await;
    let draft = EndpointDraft {
        url: "https://example.com/hook".into(),
        events: "".into(),
        format: Format::Refundry,
        description: None,
        active: true,
    };
    // Nobody sends here: deliveries stay as they are.
    rig.engine.create_endpoint(rig.tenant, draft).await.expect("an endpoint");
    let told = in_three_events(&rig, &payment).await;
    rig.clock.advance(400 * DAY_MS);
    prune(&rig).await;
    assert_eq!(seqs(&rig, &told).await, [1, 2, 3]);
    assert!(timeline(&rig, &refund).await.is_empty());
    // Given up, delivery and event go.
    tamper(&rig, "UPDATE deliveries SET status = 3, next_at = NULL WHERE status = 1");
    prune(&rig).await;
    assert!(timeline(&rig, &told).await.is_empty());
    rig.verify_clean().await;
}

#[tokio::test]
async fn events_that_are_gone_are_not_told_again() {
    let (rig, payment, refund) = open().await;
    let old: Vec<_> = timeline(&rig, &refund).await.into_iter().map(|(_, id)| id).collect();
    rig.clock.advance(31 * DAY_MS);
    prune(&rig).await;
    let young = rig.refund(&payment).amount(1).create().await;
    let young = timeline(&rig, &young).await[0].1;
    let asked = vec![old[0], young, old[2]];
    let replayed = rig.engine.replay_events(rig.tenant, asked, None).await.expect("an answer");
    let Replayed::Unknown(unknown) = replayed else { panic!("{replayed:?}") };
    assert_eq!(unknown, [old[0], old[2]]);
}
