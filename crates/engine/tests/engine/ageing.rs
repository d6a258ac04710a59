//! A person is told about refunds that have waited for too long, also while nobody works on them.

use domain::administer::sending::ThrowSwitch;
use domain::event::Type;
use domain::refund::{NewRefund, Refund, State};
use engine::{EngineConfig, Registry};
use testkit::{EngineRig, Setup};

const HOUR: i64 = 60 * 60_000;

async fn refund(rig: &EngineRig, script: &str) -> Refund {
    let payment = rig.pay(10_000, "USD").await;
    let new = NewRefund {
        amount: Some(1_000),
        metadata: Some(format!(r#"{{"simulate":"{script}"}}"#).into()),
        ..NewRefund::of(rig.tenant, payment.capture.id)
    };
    rig.engine.create_refund(new, None).await.expect("a refund").value.refund
}

async fn told(rig: &EngineRig, refund: &Refund) -> usize {
    let events = rig.events().await;
    let of = |event: &engine::EventView| match &event.subject {
        engine::EventSubject::Refund(view) => view.refund.id == refund.id,
        _ => false,
    };
    let told = events.iter().filter(|event| of(event));
    told.filter(|event| event.event.event_type == Type::RefundAttentionRequired).count()
}

/// Looks at every waiting refund, two at a time.
async fn look(rig: &EngineRig) {
    let mut after = None;
    loop {
        after = rig.engine.step_ageing(after, 2).await.expect("a step");
        if after.is_none() {
            return;
        }
    }
}

#[tokio::test]
async fn while_sending_is_stopped_a_person_is_told_once_of_each_refund_that_waits_too_long() {
    let rig = EngineRig::open_with(Setup::default()).await;
    let (unknown, funds) =
        (refund(&rig, "timeout_before_booking").await, refund(&rig, "no_funds_then_ok").await);
    let (submitted, review) =
        (refund(&rig, "stay_pending").await, refund(&rig, "wrong_amount").await);
    assert_eq!(rig.engine.step_due(9).await.expect("a step"), 4);
    let all = [
        (&unknown, State::Unknown, HOUR),
        (&funds, State::WaitingForFunds, 24 * HOUR),
        (&review, State::NeedsReview, 24 * HOUR),
        (&submitted, State::Submitted, 7 * 24 * HOUR),
    ];
    for (refund, state, _) in all {
        assert_eq!(rig.reload(refund).await.state, state);
    }
    let stop = ThrowSwitch { tenant: rig.tenant, stop: true, reason: None, recorded_in: None };
    assert!(rig.engine.throw_sending_switch(stop).await.expect("thrown"));
    let start = rig.reload(&unknown).await.updated_at;
    for after_ms in [HOUR, 24 * HOUR, 7 * 24 * HOUR] {
        for (ms, is_over) in [(after_ms - 1, false), (after_ms, true), (after_ms + 60_000, true)] {
            rig.clock.advance_to(start.plus_ms(ms));
            rig.run_now().await;
            look(&rig).await;
            for (refund, state, limit) in all {
                let is_told = limit < after_ms || limit == after_ms && is_over;
                assert_eq!(told(&rig, refund).await, usize::from(is_told), "{state} after {ms} ms");
            }
        }
    }
    let backlog = rig.engine.backlog().await.expect("a count");
    assert_eq!(backlog.refunds_for_attention, 4);
    rig.verify_clean().await;
}

#[tokio::test]
async fn a_node_without_the_provider_tells_of_its_refunds_all_the_same() {
    let mut rig = EngineRig::open_with(Setup::default()).await;
    let unknown = refund(&rig, "timeout_before_booking").await;
    rig.engine.step_due(9).await.expect("a step");
    let config = EngineConfig::clone(rig.config());
    rig.engine = engine::Engine::start(rig.parts_with(Registry::new(), &config));
    rig.clock.advance(2 * HOUR);
    look(&rig).await;
    assert_eq!(told(&rig, &unknown).await, 1);
}

#[tokio::test]
async fn a_person_is_told_once_of_refunds_that_were_to_be_sent_and_nobody_may_send() {
    let rig = EngineRig::open_with(Setup::default()).await;
    let stop = ThrowSwitch { tenant: rig.tenant, stop: true, reason: None, recorded_in: None };
    assert!(rig.engine.throw_sending_switch(stop.clone()).await.expect("thrown"));
    let queued = refund(&rig, "succeed").await;
    rig.clock.advance(24 * HOUR - 1);
    assert_eq!(rig.engine.step_left(9).await.expect("a step"), 0);
    rig.clock.advance(1);
    for _ in 0..2 {
        rig.engine.step_left(9).await.expect("a step");
    }
    assert_eq!(told(&rig, &queued).await, 1);
    let start = ThrowSwitch { stop: false, ..stop };
    assert!(rig.engine.throw_sending_switch(start).await.expect("thrown"));
    rig.run_now().await;
    let sent = rig.reload(&queued).await;
    assert_eq!((sent.state, sent.needs_attention), (State::Succeeded, false));
    rig.verify_clean().await;
}
