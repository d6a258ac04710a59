//! Statements of hostile providers: too early, twice, of another amount, or never.

use crate::hostile::*;
use domain::decide::Refusal;
use domain::money::Money;
use domain::outcome::{ProviderOutcome as O, Said};
use domain::payment::Payment;
use domain::provider::{OutcomeBy, Traits};
use domain::refund::{Refund, State as S};
use domain::time::Clock as _;
use engine::{Engine, Error, RetryPolicies, RetryPolicy};
use providers::RefundInstruction;
use std::sync::Arc;
use testkit::{EngineRig, Setup};

#[tokio::test]
async fn a_webhook_of_one_provider_never_books_on_a_payment_at_another() {
    let rig = EngineRig::open().await;
    let a = fake(&rig, "psp_a", keeps(24, true), completes, absent);
    let b = fake(&rig, "psp_b", keeps(24, true), completes, absent);
    let engine = engine(&rig, &[&a, &b]);
    let payment = pay(&engine, &rig, "psp_b", "order-42").await;
    tell(&engine, &rig, &a, notice("order-42", None, paid_out("x1", 10_000, &payment))).await;
    assert_eq!(books(&rig, &payment).await, (0, 0, 10_000));
    let own = pay(&engine, &rig, "psp_a", "order-42").await;
    assert_ne!(own.capture.id, payment.capture.id);
    assert_eq!(books(&rig, &own).await, (10_000, 0, 0), "the statement fits this one");
}

#[tokio::test]
async fn a_webhook_before_the_payment_is_registered_is_kept_until_then() {
    let rig = EngineRig::open().await;
    let psp = fake(&rig, "psp", keeps(24, true), completes, absent);
    let engine = engine(&rig, &[&psp]);
    let other = pay(&engine, &rig, "psp", "ch_other").await;
    for (id, minor) in [("x1", 4_000), ("x2", 1_000), ("x1", 4_000)] {
        tell(&engine, &rig, &psp, notice("ch_1", None, paid_out(id, minor, &other))).await;
    }
    let failed = Said {
        provider_refund_id: Some("x2".into()),
        at: Some(rig.clock.now()),
        ..because(O::Failed, "no")
    };
    tell(&engine, &rig, &psp, notice("ch_1", None, failed)).await;
    let kept_now = kept(&engine, &rig).await;
    let reasons: Vec<_> = kept_now.iter().map(|kept| &*kept.reason).collect();
    assert_eq!(reasons, ["payment_not_registered"; 3], "a repeated statement is kept once");
    tell(&engine, &rig, &psp, notice("ch_never", None, paid_out("x3", 700, &other))).await;
    let payment = pay(&engine, &rig, "psp", "ch_1").await;
    run(&engine, &rig, 2 * HOUR).await;
    let (refunded, ..) = books(&rig, &payment).await;
    assert!(refunded == 4_000 || refunded == 5_000, "{refunded}");
    let left = async || {
        let kept = kept(&engine, &rig).await.into_iter();
        kept.map(|kept| kept.about.provider_payment_id().to_owned()).collect::<Vec<_>>()
    };
    // Nobody registers it.
    for (ms, expected) in [(89 * 24 * HOUR, vec!["ch_never".to_owned()]), (24 * HOUR, vec![])] {
        rig.clock.advance(ms);
        assert_eq!(engine.step_notices(64).await.expect("a step"), 0);
        assert_eq!(left().await, expected);
    }
}

#[tokio::test]
async fn the_oldest_of_many_refunds_is_known_by_the_providers_id() {
    let rig = EngineRig::open().await;
    let psp = fake(&rig, "psp", keeps(24, true), |f, order, _| f.make(order, O::Accepted), absent);
    let engine = engine(&rig, &[&psp]);
    let payment = pay(&engine, &rig, "psp", "ch_1").await;
    for _ in 0..1_001 {
        rig.refund(&payment).amount(1).of(&engine).create().await;
        rig.clock.advance(1);
    }
    while psp.book().len() < 1_001 {
        engine.step_due(64).await.expect("a step");
    }
    let first = rig.refunds_of(&payment).await.remove(0);
    let said =
        Said { provider_refund_id: first.provider_refund_id.clone(), ..paid_out("", 1, &payment) };
    tell(&engine, &rig, &psp, notice("ch_1", None, said)).await;
    let all = rig.refunds_of(&payment).await;
    assert_eq!((all.len(), all[0].state), (1_001, S::Succeeded));
}

#[tokio::test]
async fn a_queued_refund_that_the_provider_paid_is_booked_and_cannot_be_canceled() {
    let rig = EngineRig::open().await;
    let psp = fake(&rig, "psp", keeps(24, true), completes, absent);
    let engine = engine(&rig, &[&psp]);
    let payment = pay(&engine, &rig, "psp", "ch_1").await;
    // The books were restored from an hour ago: here the refund is queued, there it is paid.
    let refund = rig.refund(&payment).of(&engine).create().await;
    let said = Said { at: Some(rig.clock.now()), ..paid_out("re_1", 10_000, &payment) };
    tell(&engine, &rig, &psp, notice("ch_1", Some(refund.provider_key()), said)).await;
    assert_eq!(books(&rig, &payment).await, (10_000, 0, 0));
    assert!(engine.cancel_refund(rig.tenant, refund.id, None).await.is_err());
    run(&engine, &rig, HOUR).await;
    assert_eq!(psp.calls().0, 0, "it is not sent");
}

#[tokio::test]
async fn a_canceled_refund_that_the_provider_paid_is_booked_and_flagged() {
    let rig = EngineRig::open().await;
    let psp = fake(&rig, "psp", keeps(24, true), completes, absent);
    let engine = engine(&rig, &[&psp]);
    let payment = pay(&engine, &rig, "psp", "ch_1").await;
    let refund = rig.refund(&payment).of(&engine).create().await;
    engine.cancel_refund(rig.tenant, refund.id, None).await.expect("canceled");
    rig.refund(&payment).of(&engine).create().await;
    run(&engine, &rig, 0).await;
    let said = paid_out("re_9", 10_000, &payment);
    tell(&engine, &rig, &psp, notice("ch_1", Some(refund.provider_key()), said)).await;
    assert_eq!(rig.reload(&refund).await.state, S::Succeeded);
    let now = rig.payment(payment.capture.id).await;
    assert_eq!((now.refunded, now.excess), (20_000, 10_000));
    rig.verify_clean().await;
}

#[tokio::test]
async fn a_second_payout_under_a_key_is_booked_flagged_and_told_once() {
    let rig = EngineRig::open().await;
    let psp = fake(&rig, "psp", keeps(24, true), completes, absent);
    let engine = engine(&rig, &[&psp]);
    let payment = pay(&engine, &rig, "psp", "ch_1").await;
    let refund = rig.refund(&payment).amount(2_500).of(&engine).create().await;
    run(&engine, &rig, 0).await;
    let key = || Some(refund.provider_key());
    for _ in 0..3 {
        tell(&engine, &rig, &psp, notice("ch_1", key(), paid_out("re_77", 2_500, &payment))).await;
    }
    assert_eq!(books(&rig, &payment).await, (5_000, 0, 5_000));
    assert_eq!(told(&rig, "refund.attention_required").await, 1);
    // More money under the id that is known.
    for _ in 0..3 {
        tell(&engine, &rig, &psp, notice("ch_1", key(), paid_out("re_1", 3_000, &payment))).await;
    }
    assert_eq!(books(&rig, &payment).await, (5_500, 0, 4_500));
    assert_eq!(told(&rig, "refund.attention_required").await, 2);
    // Less money, or another currency, under the id that is known: a person looks.
    tell(&engine, &rig, &psp, notice("ch_1", key(), paid_out("re_1", 2_400, &payment))).await;
    let eur = domain::money::Currency::parse("EUR").expect("a currency");
    let other = Said { money: Some(Money::new(500, eur)), ..paid_out("re_78", 1, &payment) };
    tell(&engine, &rig, &psp, notice("ch_1", None, other)).await;
    assert_eq!(books(&rig, &payment).await, (5_500, 0, 4_500));
}

/// A refund of 25.00 of which the provider says that it paid 24.99.
async fn paid_another_amount(rig: &EngineRig) -> (Arc<Fake>, Engine, Payment, Refund) {
    let make = |f: &Fake, order: &RefundInstruction, _: usize| {
        let said = f.make(order, O::Completed);
        Said { money: Some(Money::new(2_499, order.money.currency)), ..said }
    };
    let psp = fake(rig, "psp", keeps(24, false), make, absent);
    let engine = engine(rig, &[&psp]);
    let payment = pay(&engine, rig, "psp", "ch_1").await;
    let refund = rig.refund(&payment).amount(2_500).of(&engine).create().await;
    run(&engine, rig, 0).await;
    (psp, engine, payment, refund)
}

#[tokio::test]
async fn a_wrong_amount_that_is_taken_back_frees_the_money() {
    let rig = EngineRig::open().await;
    let (psp, engine, payment, refund) = paid_another_amount(&rig).await;
    assert_eq!(rig.reload(&refund).await.state, S::NeedsReview);
    let said = Said {
        money: Some(Money::new(2_499, payment.capture.currency)),
        provider_refund_id: Some("re_1".into()),
        ..because(O::Failed, "returned")
    };
    tell(&engine, &rig, &psp, notice("ch_1", Some(refund.provider_key()), said)).await;
    assert_eq!(rig.reload(&refund).await.state, S::Failed);
    assert_eq!(books(&rig, &payment).await, (0, 0, 10_000));
}

#[tokio::test]
async fn a_person_says_what_really_moved() {
    let rig = EngineRig::open().await;
    let (_, engine, payment, refund) = paid_another_amount(&rig).await;
    let decision = |amount| engine::Decision {
        resolution: engine::Resolution::Succeeded { amount },
        provider_refund_id: Some("re_1".into()),
        text: Some("seen on the provider's page".into()),
    };
    let key = engine::IdempotencyKey { door: "native", value: "k".into() };
    for replayed in [false, true] {
        let done =
            engine.resolve_refund(rig.tenant, refund.id, decision(Some(2_499)), Some(&key)).await;
        let done = done.expect("resolved");
        assert_eq!((done.replayed, done.value.refund.state), (replayed, S::Succeeded));
    }
    assert_eq!(books(&rig, &payment).await, (2_499, 0, 7_501));
    let again = engine.resolve_refund(rig.tenant, refund.id, decision(None), None).await;
    assert!(
        matches!(again, Err(Error::Refused(Refusal::CannotResolve(S::Succeeded)))),
        "{again:?}"
    );
}

#[tokio::test]
async fn only_a_webhook_settles_it_and_a_person_is_told_when_none_comes() {
    let rig = EngineRig::open().await;
    let traits =
        Traits { outcome: OutcomeBy::Webhook { overdue_after_ms: 72 * HOUR }, ..keeps(168, false) };
    let psp = fake(&rig, "psp", traits, |f, order, _| f.make(order, O::Accepted), absent);
    let engine = engine(&rig, &[&psp]);
    let payment = pay(&engine, &rig, "psp", "ch_1").await;
    let refund = rig.refund(&payment).of(&engine).create().await;
    let end = rig.clock.now().plus_ms(10 * 24 * HOUR);
    let mut worked = 0;
    loop {
        worked += engine.step_due(64).await.expect("a step");
        match engine.next_work().await.expect("a read").at {
            Some(due) if due <= end => rig.clock.advance_to(due),
            _ => break,
        }
    }
    assert!(worked < 5, "{worked} steps in ten days");
    assert_eq!(psp.calls(), (1, 0));
    let waiting = rig.reload(&refund).await;
    assert_eq!(
        (waiting.state, waiting.needs_attention, waiting.due_at),
        (S::Submitted, true, None)
    );
    assert_eq!(told(&rig, "refund.attention_required").await, 1);
}

#[tokio::test]
async fn an_outage_of_a_day_writes_three_events() {
    let rig = EngineRig::open().await;
    let down = because(O::NeverSent, "connection_refused");
    let psp = fake(&rig, "psp", keeps(24, true), move |_, _, _| down.clone(), absent);
    let engine = engine(&rig, &[&psp]);
    let payment = pay(&engine, &rig, "psp", "ch_1").await;
    let before = rig.events().await.len();
    let refund = rig.refund(&payment).of(&engine).create().await;
    run(&engine, &rig, 24 * HOUR).await;
    assert!(rig.events().await.len() - before <= 3);
    assert_eq!(rig.reload(&refund).await.state, S::Queued);
    rig.verify_clean().await;
}

#[tokio::test]
async fn a_panicking_adapter_leaves_the_refund_to_a_person_in_time() {
    let mut setup = Setup::default();
    let patience = RetryPolicy { give_up_after_ms: HOUR, ..RetryPolicy::default() };
    setup.engine.policies = RetryPolicies { default: patience, ..RetryPolicies::default() };
    let rig = EngineRig::open_with(setup).await;
    let psp = fake(
        &rig,
        "psp",
        keeps(24, true),
        |f, order, _| {
            f.make(order, O::Completed);
            panic!("an index is out of bounds, in a test")
        },
        |_, _| panic!("an index is out of bounds, in a test"),
    );
    let engine = engine(&rig, &[&psp]);
    let payment = pay(&engine, &rig, "psp", "ch_1").await;
    let refund = rig.refund(&payment).of(&engine).create().await;
    run(&engine, &rig, 6 * HOUR).await;
    let now = rig.reload(&refund).await;
    assert_eq!(now.state, S::NeedsReview);
    let (submits, looks) = psp.calls();
    assert!(submits + looks < 60, "{submits} calls and {looks} looks");
    assert_eq!(books(&rig, &payment).await, (0, 10_000, 0));
}
