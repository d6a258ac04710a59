//! Decisions of a person about refunds that nothing else settles.

use crate::harness::*;
use crate::traits::*;
use domain::decide::{
    Call, Command, CreateRefund, Done, KEY_LIFETIME_MS, KeyedRequest, RefundRef, Refusal,
    Resolution, ResolveRefund, Start,
};
use domain::event::Type;
use domain::ledger::Reason;
use domain::money::MAX_AMOUNT;
use domain::outcome::ProviderOutcome;
use domain::provider::Traits;
use domain::refund::State;

const SUCCEEDED: Resolution = Resolution::Succeeded { amount: None };

fn with_amount(amount: i64) -> Resolution {
    Resolution::Succeeded { amount: Some(amount) }
}

/// A refund of 40.00 of 100.00 at a provider that cannot be asked, sent and lost.
fn in_doubt() -> (Harness, RefundRef) {
    let mut harness = Harness::at(BLIND);
    let payment = harness.pay(10_000);
    let of = harness.lose(payment, 4_000);
    (harness, of)
}

/// The same, of which the provider says another amount.
fn in_review() -> (Harness, RefundRef) {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let of = harness.send(payment, 4_000);
    let other = of_amount(3_999, answered(ProviderOutcome::Completed));
    assert_eq!(harness.say(of, other), Ok(State::NeedsReview));
    (harness, of)
}

fn balance(harness: &Harness, of: RefundRef) -> (i64, i64, i64) {
    harness.balance(harness.refund(of).payment)
}

#[test]
fn a_person_settles_what_is_in_doubt() {
    for (mut harness, of) in [in_doubt(), in_review()] {
        assert_eq!(harness.resolve(of, SUCCEEDED), Ok(State::Succeeded));
        assert_eq!(balance(&harness, of), (4_000, 0, 0));
        assert_eq!(harness.failure_code(of), None);
        assert_eq!(harness.refund(of).due_at, None);
    }
    for (mut harness, of) in [in_doubt(), in_review()] {
        assert_eq!(harness.resolve(of, Resolution::Failed), Ok(State::Failed));
        assert_eq!(balance(&harness, of), (0, 0, 0));
        let failure = harness.refund(of).failure.clone().expect("a reason");
        assert_eq!(&*failure.code, "resolved_as_failed");
        assert_eq!(&*failure.message, "I looked at the provider");
    }
}

#[test]
fn the_amount_that_really_moved_is_booked() {
    let (mut harness, of) = in_review();
    assert_eq!(harness.resolve(of, with_amount(3_999)), Ok(State::Succeeded));
    assert_eq!(harness.refund(of).amount, 3_999);
    assert_eq!(balance(&harness, of), (3_999, 0, 0));
    assert!(!harness.refund(of).late);
    let posted: Vec<_> = harness.rows.transfers.iter().map(|t| (t.reason, t.amount)).collect();
    assert_eq!(posted, [(Reason::Capture, 10_000), (Reason::Refund, 3_999)]);
    // The provider's own words fit from now on.
    harness.say(of, told_of(3_999, ProviderOutcome::Completed, 9)).expect("recorded");
    assert_eq!(harness.attention(of), [""; 0]);

    let (mut harness, of) = in_review();
    assert_eq!(harness.resolve(of, with_amount(4_000)), Ok(State::Succeeded));
    let last = harness.told_about(of).last().map(|event| event.event_type);
    assert_eq!(last, Some(Type::RefundSucceeded));
    let told = harness.told_about(of).len();
    assert_eq!(told, 3, "created, needs review, succeeded: the same amount is no other amount");

    // More than was captured moved all the same.
    let (mut harness, of) = in_review();
    assert_eq!(harness.resolve(of, with_amount(12_000)), Ok(State::Succeeded));
    assert_eq!(balance(&harness, of), (12_000, 0, 2_000));
}

#[test]
fn an_amount_that_no_refund_can_have_is_refused() {
    for amount in [0, -1, i64::MIN, MAX_AMOUNT + 1, i64::MAX] {
        let (mut harness, of) = in_review();
        assert_eq!(harness.resolve(of, with_amount(amount)), Err(Refusal::TooLarge), "{amount}");
    }
    for amount in [1, MAX_AMOUNT] {
        let (mut harness, of) = in_review();
        assert_eq!(harness.resolve(of, with_amount(amount)), Ok(State::Succeeded), "{amount}");
    }
}

#[test]
fn an_amount_that_no_sum_holds_is_refused_and_changes_nothing() {
    let (mut harness, of) = in_review();
    let payment = harness.refund(of).payment;
    let most = told_of(i64::MAX - 4_000, ProviderOutcome::Completed, 5);
    harness.adopt(payment, "re_9", most).expect("adopted");
    assert_eq!(harness.resolve(of, with_amount(4_001)), Err(Refusal::TooLarge));

    // In one batch the running total of the ledger is full although each payment's sum is not.
    let (mut harness, of) = in_review();
    let other = harness.pay(10_000);
    let most = harness.adoption(other, "re_9", told_of(i64::MAX, ProviderOutcome::Completed, 5));
    let resolve = Command::Resolve(Box::new(decision(of, with_amount(1))));
    let answers = harness.run_all(&[most, resolve]);
    assert!(answers[0].is_ok());
    assert_eq!(answers[1], Err(Refusal::TooLarge));
    assert_eq!(harness.refund(of).state, State::NeedsReview);
    assert_eq!(harness.refund(of).amount, 4_000);
}

#[test]
fn a_refund_is_sent_again_only_with_proof_that_it_is_not_there() {
    for (mut harness, of) in [in_doubt(), in_review()] {
        let again = decision(of, Resolution::SendAgain);
        let unproved = ResolveRefund { text: None, ..again.clone() };
        assert_eq!(harness.resolve_by(unproved), Err(Refusal::NoProof));
        let named = ResolveRefund {
            provider_refund_id: Some("re_1".into()),
            name: Some(external("re_1")),
            ..again.clone()
        };
        assert_eq!(harness.resolve_by(named), Err(Refusal::NoProof), "it is there");
        assert_eq!(harness.resolve_by(again), Ok(State::Queued));
        assert_eq!(harness.failure_code(of), Some("sent_again_by_a_person"));
        let refund = harness.refund(of);
        assert_eq!((refund.first_sent_at, refund.due_at), (None, Some(harness.now)));
        assert_eq!(balance(&harness, of), (0, 4_000, 0));
        assert_eq!(harness.next_call(of), Ok(Call::Submit));
        assert_eq!(harness.refund(of).sends, 2);
    }
    // A refund that the provider has named is there.
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let of = harness.lose(payment, 4_000);
    harness.say(of, with_id("re_1", answered(ProviderOutcome::InProgress))).expect("recorded");
    assert_eq!(harness.resolve(of, Resolution::SendAgain), Err(Refusal::NoProof));
}

#[test]
fn a_person_decides_what_is_open_at_the_provider_and_what_is_disputed() {
    for (outcome, state) in [
        (ProviderOutcome::Accepted, State::Submitted),
        (ProviderOutcome::ActionRequired, State::RequiresAction),
        (ProviderOutcome::Held, State::Held),
        (ProviderOutcome::WaitingForFunds, State::WaitingForFunds),
        (ProviderOutcome::Unknown, State::Unknown),
    ] {
        let sent = |harness: &mut Harness| {
            let payment = harness.pay(10_000);
            let of = harness.send(payment, 4_000);
            assert_eq!(harness.say(of, answered(outcome)), Ok(state));
            of
        };
        let mut harness = Harness::open();
        let of = sent(&mut harness);
        assert_eq!(harness.resolve(of, SUCCEEDED), Ok(State::Succeeded), "{state}");
        let of = sent(&mut harness);
        assert_eq!(harness.resolve(of, Resolution::Failed), Ok(State::Failed), "{state}");
        let of = sent(&mut harness);
        let again = harness.resolve(of, Resolution::SendAgain);
        let expected = match state {
            State::Unknown => Ok(State::Queued),
            _ => Err(Refusal::CannotResolve(state)),
        };
        assert_eq!(again, expected, "{state}");
    }
}

#[test]
fn a_person_waits_for_the_end_of_a_call_that_may_still_make_the_refund() {
    let sent_at = START.plus_ms(LEASE_MS);
    let over = sent_at.plus_ms(5 * MINUTE_MS);
    for (at, is_over) in [(sent_at, false), (over.plus_ms(-1), false), (over, true)] {
        for resolution in [Resolution::Failed, Resolution::SendAgain] {
            let mut harness = Harness::at(Traits { lookup: BLIND.lookup, ..SIMULATOR });
            let payment = harness.pay(10_000);
            let of = harness.send(payment, 4_000);
            assert_eq!(harness.next_call(of), Ok(Call::SubmitAgain));
            assert_eq!(harness.now, sent_at);
            harness.now = at;
            let done = harness.resolve(of, resolution);
            assert_eq!(done.is_ok(), is_over, "{resolution:?} {done:?}");
            assert!(is_over || done == Err(Refusal::AttemptInFlight));
            // Success takes nothing away from anybody.
            assert!(is_over || harness.resolve(of, SUCCEEDED) == Ok(State::Succeeded));
        }
    }
    // An answer ends the call, whatever it is.
    for resolution in [Resolution::Failed, Resolution::SendAgain] {
        let mut harness = Harness::open();
        let payment = harness.pay(10_000);
        let of = harness.lose(payment, 4_000);
        assert!(harness.resolve(of, resolution).is_ok());
    }
}

#[test]
fn a_refund_that_nobody_doubts_is_not_a_persons_to_decide() {
    let mut harness = Harness::open();
    let payment = harness.pay(100_000);
    let until = harness.now.plus_ms(60_000);
    let starts = [
        (Start::Queue, State::Queued),
        (Start::Schedule { until }, State::Scheduled),
        (Start::AwaitApproval, State::AwaitingApproval),
        (Start::Send { lease_ms: LEASE_MS }, State::Sending),
    ];
    let all = [SUCCEEDED, with_amount(1), Resolution::Failed, Resolution::SendAgain];
    for (start, state) in starts {
        let create = CreateRefund { start, ..ask(payment, 1_000) };
        let of = RefundRef::from(&harness.create(create).expect("created").refund);
        for resolution in all {
            assert_eq!(harness.resolve(of, resolution), Err(Refusal::CannotResolve(state)));
        }
    }
    for (outcome, state) in [
        (ProviderOutcome::Completed, State::Succeeded),
        (ProviderOutcome::Failed, State::Failed),
        (ProviderOutcome::Canceled, State::Canceled),
    ] {
        let of = harness.send(payment, 1_000);
        harness.say(of, answered(outcome)).expect("recorded");
        for resolution in all {
            assert_eq!(harness.resolve(of, resolution), Err(Refusal::CannotResolve(state)));
        }
    }
}

#[test]
fn a_person_settles_what_the_provider_disputes() {
    let disputed = || {
        let mut harness = Harness::open();
        let payment = harness.pay(10_000);
        let of = harness.send(payment, 4_000);
        harness.say(of, answered(ProviderOutcome::Completed)).expect("recorded");
        harness.say(of, told_of(3_000, ProviderOutcome::Completed, 6)).expect("recorded");
        assert!(harness.refund(of).needs_attention);
        (harness, of)
    };
    let (mut harness, of) = disputed();
    assert_eq!(harness.resolve(of, SUCCEEDED), Ok(State::Succeeded));
    assert!(!harness.refund(of).needs_attention);
    assert_eq!(balance(&harness, of), (4_000, 0, 0));
    assert_eq!(harness.resolve(of, SUCCEEDED), Err(Refusal::CannotResolve(State::Succeeded)));

    let (mut harness, of) = disputed();
    assert_eq!(harness.resolve(of, with_amount(3_000)), Ok(State::Succeeded));
    assert_eq!(balance(&harness, of), (3_000, 0, 0));
    let reasons: Vec<_> = harness.rows.transfers.iter().map(|t| (t.reason, t.amount)).collect();
    let refund = Reason::Refund;
    assert_eq!(reasons[1..], [(refund, 4_000), (Reason::LateFailure, 4_000), (refund, 3_000)]);

    let (mut harness, of) = disputed();
    assert_eq!(harness.resolve(of, Resolution::Failed), Ok(State::Failed));
    assert!(harness.refund(of).late);
    let (mut harness, of) = disputed();
    let again = harness.resolve(of, Resolution::SendAgain);
    assert_eq!(again, Err(Refusal::CannotResolve(State::Succeeded)));
}

#[test]
fn the_id_that_a_person_saw_is_the_refunds_and_of_no_other() {
    let (mut harness, of) = in_doubt();
    let payment = harness.refund(of).payment;
    let saw = |of| ResolveRefund {
        provider_refund_id: Some("re_1".into()),
        name: Some(external("re_1")),
        ..decision(of, SUCCEEDED)
    };
    assert_eq!(harness.resolve_by(saw(of)), Ok(State::Succeeded));
    assert_eq!(harness.refund(of).provider_refund_id.as_deref(), Some("re_1"));
    let told = with_id("re_1", told_of(4_000, ProviderOutcome::Completed, 7));
    assert_eq!(harness.adopt(payment, "re_1", told).map(|known| known.id), Ok(of.refund));

    let other = harness.lose(payment, 4_000);
    assert_eq!(harness.resolve_by(saw(other)), Err(Refusal::ProviderRefundTaken(of.refund)));
}

#[test]
fn the_id_that_is_known_already_stays() {
    let (mut harness, of) = in_doubt();
    harness.say(of, with_id("re_1", looked_up(ProviderOutcome::InProgress))).expect("recorded");
    let names = harness.rows.keys.len();
    let resolve = ResolveRefund {
        provider_refund_id: Some("re_2".into()),
        name: Some(external("re_2")),
        ..decision(of, SUCCEEDED)
    };
    assert_eq!(harness.resolve_by(resolve), Ok(State::Succeeded));
    assert_eq!(harness.refund(of).provider_refund_id.as_deref(), Some("re_1"));
    assert_eq!(harness.rows.keys.len(), names, "the other id is nobody's name");
}

#[test]
fn a_decision_under_a_key_is_made_once() {
    let (mut harness, of) = in_doubt();
    let payment = harness.refund(of).payment;
    let under = |resolution, request| ResolveRefund {
        key: Some(KeyedRequest { hash: hash("key", "k"), request: [request; 16] }),
        ..decision(of, resolution)
    };
    let first = under(Resolution::Failed, 1);
    assert_eq!(harness.resolve_by(first.clone()), Ok(State::Failed));
    let again = harness.run(Command::Resolve(Box::new(first.clone())));
    assert!(matches!(again, Ok(Done::Refund { replayed: true, .. })), "{again:?}");
    assert_eq!(harness.resolve_by(under(SUCCEEDED, 2)), Err(Refusal::KeyReused));
    // A key is one name for every kind of request.
    let cancel = KeyedRequest { hash: hash("key", "c"), request: [1; 16] };
    let create = CreateRefund { start: Start::Queue, ..ask(payment, 1_000) };
    let queued = RefundRef::from(&harness.create(create).expect("created").refund);
    harness.run(Command::Cancel { of: queued, key: Some(cancel) }).expect("canceled");
    let alike = ResolveRefund { key: Some(cancel), ..decision(of, Resolution::Failed) };
    assert_eq!(harness.resolve_by(alike), Err(Refusal::KeyReused));

    harness.now = harness.now.plus_ms(KEY_LIFETIME_MS);
    let late = harness.resolve_by(first);
    assert_eq!(late, Err(Refusal::CannotResolve(State::Failed)), "the key ran out");
}

#[test]
fn what_the_provider_says_after_a_person_decided_is_heard() {
    let (mut harness, of) = in_doubt();
    harness.resolve(of, Resolution::Failed).expect("resolved");
    let paid = timeless(told(ProviderOutcome::Completed, 0));
    assert_eq!(harness.say(of, paid), Ok(State::NeedsReview));
    assert_eq!(balance(&harness, of), (0, 4_000, 0));
}

#[test]
fn a_decision_about_a_refund_that_is_not_there_is_refused() {
    let (mut harness, of) = in_doubt();
    let refund = domain::ids::RefundId::from_bytes([7; 16]);
    let nowhere = RefundRef { refund, ..of };
    let resolve = Command::Resolve(Box::new(decision(nowhere, SUCCEEDED)));
    assert_eq!(harness.run(resolve), Err(Refusal::RefundNotFound));
}
