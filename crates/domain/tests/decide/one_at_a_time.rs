//! A provider that makes one refund of a payment after another.

use crate::harness::*;
use crate::traits::*;
use domain::decide::{Call, Command, CreateRefund, Done, RefundRef, Start};
use domain::outcome::ProviderOutcome;
use domain::provider::{PerPayment, Traits};
use domain::refund::State;
use std::sync::Arc;

const ONE: Traits = Traits { per_payment: PerPayment::OneAtATime { gap_ms: 1_000 }, ..SIMULATOR };

fn at(traits: Traits) -> Harness {
    Harness::at(traits)
}

fn asked(harness: &mut Harness, payment: domain::ids::PaymentId, traits: Traits) -> RefundRef {
    let providers = Arc::new([("simulator", traits)].into());
    let create = CreateRefund { providers, ..ask(payment, 1_000) };
    RefundRef::from(&harness.create(create).expect("created").refund)
}

#[test]
fn a_refund_is_sent_at_once_only_where_nothing_else_of_the_payment_is_under_way() {
    let mut harness = at(ONE);
    let payment = harness.pay(10_000);
    harness.now = harness.now.plus_ms(1_000);
    let first = asked(&mut harness, payment, ONE);
    assert_eq!(harness.refund(first).state, State::Sending);
    let second = asked(&mut harness, payment, ONE);
    assert_eq!(harness.refund(second).state, State::Queued);
    harness.say(first, answered(ProviderOutcome::Completed)).expect("recorded");
    harness
        .say_under(None, second, webhook(answered(ProviderOutcome::Completed).said))
        .expect("recorded");
    harness.now = harness.now.plus_ms(999);
    let soon = asked(&mut harness, payment, ONE);
    assert_eq!(harness.refund(soon).state, State::Queued, "the gap is not over");
    harness
        .say_under(None, soon, webhook(answered(ProviderOutcome::Completed).said))
        .expect("recorded");
    harness.now = harness.now.plus_ms(1_000);
    let third = asked(&mut harness, payment, ONE);
    assert_eq!(harness.refund(third).state, State::Sending, "the others are over");
    // Elsewhere they go side by side, and where a gate is closed none is sent.
    let mut harness = at(SIMULATOR);
    let payment = harness.pay(10_000);
    for _ in 0..2 {
        let of = asked(&mut harness, payment, SIMULATOR);
        assert_eq!(harness.refund(of).state, State::Sending);
    }
}

#[test]
fn a_refund_behind_another_one_waits_without_a_call_or_an_event() {
    let mut harness = at(ONE);
    let payment = harness.pay(10_000);
    let queued = CreateRefund { start: Start::Queue, ..ask(payment, 1_000) };
    let of = RefundRef::from(&harness.create(queued).expect("created").refund);
    let until = harness.now.plus_ms(7_000);
    let told = harness.told_about(of).len();
    let Command::Lease { of, lease, lease_ms, rules, .. } = harness.claim(of) else { panic!() };
    let begin = Command::Lease { of, lease, lease_ms, behind: Some(until), rules };
    let done = harness.run(begin).expect("leased");
    assert!(matches!(done, Done::Leased { call: Call::Wait, .. }), "{done:?}");
    let refund = harness.refund(of);
    assert_eq!((refund.state, refund.due_at, refund.sends), (State::Queued, Some(until), 0));
    assert_eq!(harness.told_about(of).len(), told);
    assert_eq!(harness.next_call(of), Ok(Call::Submit), "then it is sent");
}

#[test]
fn a_refund_that_may_be_at_the_provider_is_asked_about_whatever_goes_before_it() {
    let mut harness = at(ONE);
    let payment = harness.pay(10_000);
    let of = harness.lose(payment, 1_000);
    harness.now = harness.refund(of).due_at.expect("it is due some time");
    let until = harness.now.plus_ms(7_000);
    let Command::Lease { of, lease, lease_ms, rules, .. } = harness.claim(of) else { panic!() };
    let begin = Command::Lease { of, lease, lease_ms, behind: Some(until), rules };
    let done = harness.run(begin).expect("leased");
    assert!(matches!(done, Done::Leased { call: Call::Look | Call::SubmitAgain, .. }), "{done:?}");
}
