//! Statements of hostile providers that name what is not theirs, or name it oddly, and calls that must not be made.

use crate::hostile::*;
use domain::administer::sending::ThrowSwitch;
use domain::money::Money;
use domain::outcome::{Again, ProviderOutcome as O, Said};
use domain::provider::{PerPayment, Traits};
use domain::refund::State as S;
use domain::time::Clock as _;
use engine::{Engine, EngineConfig, Registry};
use providers::{Lookup, RefundInstruction};
use testkit::EngineRig;

#[tokio::test]
async fn the_key_of_a_refund_at_one_provider_means_nothing_in_a_webhook_of_another() {
    let rig = EngineRig::open().await;
    let make = |f: &Fake, order: &RefundInstruction, _: usize| f.make(order, O::Accepted);
    let a = fake(&rig, "psp_a", keeps(24, true), make, absent);
    let b = fake(&rig, "psp_b", keeps(24, true), make, absent);
    let engine = engine(&rig, &[&a, &b]);
    let payment = pay(&engine, &rig, "psp_b", "order-42").await;
    let refund = rig.refund(&payment).of(&engine).create().await;
    run(&engine, &rig, 0).await;
    let key = || Some(refund.provider_key());
    tell(&engine, &rig, &a, notice("order-42", key(), because(O::Failed, "no"))).await;
    assert_eq!(rig.reload(&refund).await.state, S::Submitted, "only its own provider fails it");
    tell(&engine, &rig, &a, notice("order-42", key(), paid_out("re_1", 10_000, &payment))).await;
    assert_eq!(rig.reload(&refund).await.state, S::Submitted, "nor pays another one");
    assert_eq!(books(&rig, &payment).await, (0, 10_000, 0));
}

#[tokio::test]
async fn our_key_under_another_payment_is_for_a_person() {
    let rig = EngineRig::open().await;
    let make = |f: &Fake, order: &RefundInstruction, _: usize| f.make(order, O::Accepted);
    let psp = fake(&rig, "psp", keeps(24, false), make, absent);
    let engine = engine(&rig, &[&psp]);
    let payment = pay(&engine, &rig, "psp", "ch_1").await;
    pay(&engine, &rig, "psp", "ch_2").await;
    let refund = rig.refund(&payment).of(&engine).create().await;
    run(&engine, &rig, 0).await;
    let said = paid_out("re_1", 10_000, &payment);
    tell(&engine, &rig, &psp, notice("ch_2", Some(refund.provider_key()), said)).await;
    assert_eq!(rig.reload(&refund).await.state, S::NeedsReview);
}

#[tokio::test]
async fn a_payment_id_with_control_characters_stops_nobody() {
    let rig = EngineRig::open().await;
    let psp = fake(&rig, "psp", keeps(24, true), completes, absent);
    let engine = engine(&rig, &[&psp]);
    let payment = pay(&engine, &rig, "psp", "ch_1").await;
    tell(&engine, &rig, &psp, notice("ch\0_9", Some("k\0".into()), paid_out("x1", 1, &payment)))
        .await;
}

#[tokio::test]
async fn an_id_of_another_payments_refund_is_for_a_person() {
    let rig = EngineRig::open().await;
    let make = |f: &Fake, order: &RefundInstruction, _: usize| {
        f.make(order, O::Completed);
        about(order, O::Completed, "re_same")
    };
    let psp = fake(&rig, "psp", keeps(24, true), make, absent);
    let engine = engine(&rig, &[&psp]);
    let one = pay(&engine, &rig, "psp", "ch_1").await;
    let two = pay(&engine, &rig, "psp", "ch_2").await;
    rig.refund(&one).of(&engine).create().await;
    run(&engine, &rig, 0).await;
    let second = rig.refund(&two).of(&engine).create().await;
    run(&engine, &rig, 0).await;
    let second = rig.reload(&second).await;
    assert_eq!(second.state, S::NeedsReview);
    assert_eq!(books(&rig, &one).await, (10_000, 0, 0));
    assert_eq!(books(&rig, &two).await, (0, 10_000, 0));
}

#[tokio::test]
async fn the_largest_amounts_overflow_nothing() {
    let rig = EngineRig::open().await;
    let psp = fake(&rig, "psp", keeps(24, true), completes, absent);
    let engine = engine(&rig, &[&psp]);
    let payment = pay(&engine, &rig, "psp", "ch_1").await;
    for (id, minor) in [
        ("x1", i64::MAX),
        ("x2", i64::MAX),
        ("x3", i64::MIN),
        ("x4", -1),
        ("x5", i64::MAX - 10_000),
        ("x6", 1),
    ] {
        tell(&engine, &rig, &psp, notice("ch_1", None, paid_out(id, minor, &payment))).await;
    }
    run(&engine, &rig, HOUR).await;
    let failed = Said {
        provider_refund_id: Some("x1".into()),
        at: Some(rig.clock.now()),
        ..because(O::Failed, "no")
    };
    tell(&engine, &rig, &psp, notice("ch_1", None, failed)).await;
    run(&engine, &rig, HOUR).await;
    let other = pay(&engine, &rig, "psp", "ch_2").await;
    rig.refund(&other).of(&engine).create().await;
    run(&engine, &rig, HOUR).await;
    assert_eq!(books(&rig, &other).await, (10_000, 0, 0), "another payment is refunded");
}

#[tokio::test]
async fn a_provider_cannot_put_a_refund_off_for_ever() {
    let rig = EngineRig::open().await;
    let throttle = |f: &Fake, order: &RefundInstruction, number: usize| match number {
        1 => Said { again: Again::AfterMs(i64::MAX), ..because(O::NotDone, "too_many") },
        _ => f.make(order, O::Completed),
    };
    let psp = fake(&rig, "psp", keeps(24, true), throttle, absent);
    let engine = engine(&rig, &[&psp]);
    let payment = pay(&engine, &rig, "psp", "ch_1").await;
    let refund = rig.refund(&payment).of(&engine).create().await;
    run(&engine, &rig, 48 * HOUR).await;
    assert_eq!(rig.reload(&refund).await.state, S::Succeeded);
}

#[tokio::test]
async fn a_new_refund_keeps_the_gap_after_one_that_is_done() {
    let rig = EngineRig::open().await;
    let gap_ms = 120_000;
    let traits = Traits { per_payment: PerPayment::OneAtATime { gap_ms }, ..keeps(24, true) };
    let psp = fake(&rig, "psp", traits, completes, absent);
    let config = EngineConfig { dispatch_at_once: true, ..rig.config().clone() };
    let engine = Engine::start(rig.parts_with(Registry::new().with(psp.clone()), &config));
    let payment = pay(&engine, &rig, "psp", "ch_1").await;
    rig.clock.advance(gap_ms);
    for _ in 0..2 {
        rig.refund(&payment).amount(1_000).of(&engine).create().await;
        engine.drain(testkit::LIMIT).await;
        rig.clock.advance(10);
    }
    run(&engine, &rig, HOUR).await;
    let times: Vec<_> = psp.book().iter().map(|made| made.at.0).collect();
    assert_eq!(times.len(), 2);
    assert!(times[1] - times[0] >= gap_ms, "{times:?}");
}

#[tokio::test]
async fn a_stop_between_the_claim_and_the_call_sends_nothing() {
    let rig = EngineRig::open().await;
    let psp = fake(&rig, "psp", keeps(24, true), completes, absent);
    let engine = engine(&rig, &[&psp]);
    let payment = pay(&engine, &rig, "psp", "ch_1").await;
    let refund = rig.refund(&payment).of(&engine).create().await;
    let leased = engine.lease_due(64).await.expect("claimed");
    assert_eq!(leased.len(), 1);
    let stop = ThrowSwitch { tenant: rig.tenant, stop: true, reason: None, recorded_in: None };
    assert!(engine.throw_sending_switch(stop).await.expect("thrown"));
    for leased in leased {
        engine.work(leased).await;
    }
    assert_eq!(psp.calls(), (0, 0));
    assert_eq!(rig.reload(&refund).await.state, S::Queued);
}

#[tokio::test]
async fn a_person_who_names_another_amount_tells_nobody_of_a_failure() {
    let rig = EngineRig::open().await;
    let make = |f: &Fake, order: &RefundInstruction, _: usize| {
        let said = f.make(order, O::Completed);
        Said { money: Some(Money::new(2_499, order.money.currency)), ..said }
    };
    let psp = fake(&rig, "psp", keeps(24, false), make, absent);
    let engine = engine(&rig, &[&psp]);
    let payment = pay(&engine, &rig, "psp", "ch_1").await;
    let refund = rig.refund(&payment).amount(2_500).of(&engine).create().await;
    run(&engine, &rig, 0).await;
    let decision = engine::Decision {
        resolution: engine::Resolution::Succeeded { amount: Some(2_499) },
        provider_refund_id: Some("re_1".into()),
        text: Some("seen on the provider's page".into()),
    };
    engine.resolve_refund(rig.tenant, refund.id, decision, None).await.expect("resolved");
    assert_eq!(told(&rig, "refund.succeeded").await, 1);
    assert_eq!(told(&rig, "refund.failed").await, 0, "the money moved");
}

#[tokio::test]
async fn a_late_word_about_a_refused_call_does_not_fail_the_one_under_way() {
    let rig = EngineRig::open().await;
    let make = |f: &Fake, order: &RefundInstruction, number: usize| match number {
        1 => because(O::WaitingForFunds, "no_funds"),
        _ => f.make(order, O::Completed),
    };
    let psp = fake(&rig, "psp", keeps(24, true), make, absent);
    let engine = engine(&rig, &[&psp]);
    let payment = pay(&engine, &rig, "psp", "ch_1").await;
    let refund = rig.refund(&payment).amount(2_500).of(&engine).create().await;
    engine.step_due(64).await.expect("a step");
    rig.clock.advance_to(engine.next_work().await.expect("a read").at.expect("work"));
    let leased = engine.lease_due(64).await.expect("claimed");
    assert_eq!(leased.len(), 1);
    let late = Said { provider_refund_id: Some("re_0".into()), ..because(O::Failed, "no_funds") };
    tell(&engine, &rig, &psp, notice("ch_1", Some(refund.provider_key()), late)).await;
    for leased in leased {
        engine.work(leased).await;
    }
    run(&engine, &rig, HOUR).await;
    assert_eq!(told(&rig, "refund.failed").await, 0);
}

#[tokio::test]
async fn a_refund_whose_node_died_while_nothing_is_sent_is_told() {
    let rig = EngineRig::open().await;
    let psp = fake(&rig, "psp", keeps(24, true), completes, absent);
    let engine = engine(&rig, &[&psp]);
    let payment = pay(&engine, &rig, "psp", "ch_1").await;
    let refund = rig.refund(&payment).of(&engine).create().await;
    drop(engine.lease_due(64).await.expect("claimed"));
    assert_eq!(rig.reload(&refund).await.state, S::Sending);
    let stop = ThrowSwitch { tenant: rig.tenant, stop: true, reason: None, recorded_in: None };
    assert!(engine.throw_sending_switch(stop).await.expect("thrown"));
    for _ in 0..10 {
        rig.clock.advance(24 * HOUR);
        run(&engine, &rig, 0).await;
        engine.step_left(64).await.expect("a step");
        engine.step_ageing(None, 64).await.expect("a step");
    }
    assert_eq!(
        told(&rig, "refund.attention_required").await,
        1,
        "{:?}",
        rig.reload(&refund).await.state
    );
}

#[tokio::test]
async fn more_than_was_asked_for_is_freed_with_the_refund_that_is_taken_back() {
    let rig = EngineRig::open().await;
    let make = |f: &Fake, order: &RefundInstruction, _: usize| Said {
        at: Some(f.clock.now()),
        ..f.make(order, O::Completed)
    };
    let psp = fake(&rig, "psp", keeps(24, false), make, absent);
    let engine = engine(&rig, &[&psp]);
    let payment = pay(&engine, &rig, "psp", "ch_1").await;
    let refund = rig.refund(&payment).amount(2_500).of(&engine).create().await;
    run(&engine, &rig, 0).await;
    let key = || Some(refund.provider_key());
    let more = Said { at: Some(rig.clock.now()), ..paid_out("re_1", 3_000, &payment) };
    tell(&engine, &rig, &psp, notice("ch_1", key(), more)).await;
    assert_eq!(books(&rig, &payment).await, (3_000, 0, 7_000));
    rig.clock.advance(HOUR);
    let back = Said { at: Some(rig.clock.now()), ..paid_out("re_1", 3_000, &payment) };
    let back = Said { outcome: O::Failed, ..back };
    tell(&engine, &rig, &psp, notice("ch_1", key(), back)).await;
    assert_eq!(books(&rig, &payment).await, (0, 0, 10_000));
}

#[tokio::test]
async fn a_failure_told_of_a_refund_that_was_sent_before_a_restore_is_applied_once_it_is_answered()
{
    let rig = EngineRig::open().await;
    // The provider knows the key, answers as it answered the first call, and has failed the refund since.
    let look = |_: &Fake, order: &RefundInstruction| Lookup::Found(about(order, O::Failed, "re_1"));
    let psp = fake(&rig, "psp", keeps(24, true), completes, look);
    let engine = engine(&rig, &[&psp]);
    let payment = pay(&engine, &rig, "psp", "ch_1").await;
    let refund = rig.refund(&payment).amount(2_500).of(&engine).create().await;
    let failed = Said { provider_refund_id: Some("re_1".into()), ..because(O::Failed, "bounced") };
    tell(&engine, &rig, &psp, notice("ch_1", Some(refund.provider_key()), failed)).await;
    assert_eq!(rig.reload(&refund).await.state, S::Queued);
    let kept_now = kept(&engine, &rig).await;
    let reasons: Vec<_> = kept_now.iter().map(|kept| &*kept.reason).collect();
    assert_eq!(reasons, ["refund_in_doubt"]);
    run(&engine, &rig, HOUR).await;
    assert_eq!(rig.reload(&refund).await.state, S::Failed);
    assert_eq!(books(&rig, &payment).await, (0, 0, 10_000));
    assert!(kept(&engine, &rig).await.is_empty());
}
