//! Statements of providers, in any order and any number of times.

use crate::harness::*;
use domain::decide::{Command, CreateRefund, RefundRef, Refusal, Start};
use domain::ledger::Reason;
use domain::money::{Currency, Money};
use domain::outcome::Failure;
use domain::outcome::{Observation, ProviderOutcome, Said, Source};
use domain::refund::State;

fn posted(harness: &Harness) -> Vec<Reason> {
    harness.rows.transfers.iter().map(|transfer| transfer.reason).collect()
}

#[test]
fn success_moves_the_money_from_reserved_to_refunded_and_posts_it_once() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let of = harness.send(payment, 4_000);
    assert_eq!(harness.balance(payment), (0, 4_000, 0));
    for _ in 0..3 {
        let state =
            harness.say(of, told_of(4_000, ProviderOutcome::Completed, 5)).expect("recorded");
        assert_eq!(state, State::Succeeded);
    }
    assert_eq!(harness.balance(payment), (4_000, 0, 0));
    assert_eq!(posted(&harness), [Reason::Capture, Reason::Refund]);
}

#[test]
fn a_failure_frees_the_money_and_posts_nothing() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let of = harness.send(payment, 10_000);
    let failed = webhook(
        saying(ProviderOutcome::Failed, 1)
            .because(Failure::new("card_closed", "the card is closed")),
    );
    assert_eq!(harness.say(of, failed), Ok(State::Failed));
    assert_eq!(harness.refund(of).failure.as_ref().map(|f| &*f.code), Some("card_closed"));
    assert_eq!(harness.balance(payment), (0, 0, 0));
    assert_eq!(posted(&harness), [Reason::Capture]);
    harness.send(payment, 10_000);
}

#[test]
fn a_late_failure_is_the_mirror_image_and_is_marked_as_late() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let of = harness.send(payment, 4_000);
    harness.say(of, told(ProviderOutcome::Completed, 5)).expect("recorded");
    assert_eq!(harness.say(of, told(ProviderOutcome::Failed, 6)), Ok(State::Failed));
    assert!(harness.refund(of).late);
    assert_eq!(harness.balance(payment), (0, 0, 0));
    assert_eq!(posted(&harness), [Reason::Capture, Reason::Refund, Reason::LateFailure]);
}

#[test]
fn a_failed_refund_comes_back_only_when_that_is_certainly_newer_or_was_looked_at() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let of = harness.send(payment, 4_000);
    harness.say(of, told(ProviderOutcome::Completed, 5)).expect("recorded");
    harness.say(of, told(ProviderOutcome::Failed, 6)).expect("recorded");
    // It was taken back after that.
    assert_eq!(harness.say(of, told(ProviderOutcome::Completed, 5)), Ok(State::Failed));
    let failed = harness.rows.clone();
    for at in [Some(START.plus_ms(6)), None] {
        harness.rows = failed.clone();
        let statement = webhook(Said { at, ..saying(ProviderOutcome::Completed, 0) });
        assert_eq!(harness.say(of, statement), Ok(State::NeedsReview), "{at:?}");
        assert_eq!(harness.refund(of).due_at, Some(harness.now), "it is looked at at once");
        assert_eq!(harness.balance(payment), (0, 4_000, 0), "the money may be gone");
    }
    harness.rows = failed;
    assert_eq!(harness.say(of, told(ProviderOutcome::Completed, 7)), Ok(State::Succeeded));
    assert!(!harness.refund(of).late);
    assert_eq!(harness.balance(payment), (4_000, 0, 0));
    let all = [Reason::Capture, Reason::Refund, Reason::LateFailure, Reason::Refund];
    assert_eq!(posted(&harness), all);
}

#[test]
fn a_revival_after_the_money_was_given_away_again_is_booked_as_excess() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let first = harness.send(payment, 10_000);
    harness.say(first, told(ProviderOutcome::Failed, 1)).expect("recorded");
    let second = harness.send(payment, 10_000);
    harness.say(first, told(ProviderOutcome::Completed, 2)).expect("recorded");
    assert_eq!(harness.balance(payment), (10_000, 10_000, 10_000));
    harness.say(second, told(ProviderOutcome::Failed, 3)).expect("recorded");
    assert_eq!(harness.balance(payment), (10_000, 0, 0));
}

#[test]
fn a_person_with_proof_is_never_stale() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let of = harness.send(payment, 4_000);
    harness.say(of, told(ProviderOutcome::Failed, 6)).expect("recorded");
    let proof =
        Observation { source: Source::Operator, said: Said::new(ProviderOutcome::Completed) };
    assert_eq!(harness.say(of, proof), Ok(State::Succeeded));
}

#[test]
fn an_older_statement_that_comes_last_changes_nothing() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let of = harness.send(payment, 4_000);
    harness.say(of, told(ProviderOutcome::Completed, 20)).expect("recorded");
    let settled = harness.rows.clone();
    for outcome in [
        ProviderOutcome::Accepted,
        ProviderOutcome::Failed,
        ProviderOutcome::Canceled,
        ProviderOutcome::WaitingForFunds,
    ] {
        assert_eq!(harness.say(of, told(outcome, 19)), Ok(State::Succeeded), "{outcome}");
    }
    assert_eq!(harness.rows, settled);
}

#[test]
fn an_older_statement_about_a_pending_refund_does_not_move_it_but_it_is_looked_at_again() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let of = harness.send(payment, 4_000);
    harness.say(of, told(ProviderOutcome::Accepted, 20)).expect("recorded");
    let stale = Observation { source: Source::Lookup, ..told(ProviderOutcome::Failed, 19) };
    harness.now = harness.now.plus_ms(5_000);
    assert_eq!(harness.say(of, stale), Ok(State::Submitted));
    assert_eq!(harness.refund(of).due_at, Some(harness.now.plus_ms(1_000)));
    assert_eq!(harness.refund(of).evidence_at, Some(START.plus_ms(20)));
}

#[test]
fn a_statement_about_another_amount_currency_or_payment_needs_a_person() {
    let eur = Currency::parse("EUR").expect("a currency");
    let completed = || with_id("re_1", told(ProviderOutcome::Completed, 9));
    let in_euro = webhook(Said { money: Some(Money::new(4_000, eur)), ..completed().said });
    for (code, statement) in [
        ("amount_mismatch", of_amount(3_999, completed())),
        ("amount_mismatch", of_amount(4_001, completed())),
        ("amount_mismatch", in_euro),
        ("payment_mismatch", elsewhere(completed())),
    ] {
        let mut harness = Harness::open();
        let payment = harness.pay(10_000);
        let of = harness.send(payment, 4_000);
        let accepted = with_id("re_1", told(ProviderOutcome::Accepted, 0));
        harness.say(of, accepted).expect("recorded");
        assert_eq!(harness.say(of, statement), Ok(State::NeedsReview), "{code}");
        assert_eq!(harness.failure_code(of), Some(code));
        assert_eq!(harness.balance(payment), (0, 4_000, 0), "the money stays reserved");
        assert!(harness.refund(of).due_at.is_some(), "the provider is asked meanwhile");
        let proof =
            Observation { source: Source::Operator, said: Said::new(ProviderOutcome::Completed) };
        assert_eq!(harness.say(of, proof), Ok(State::Succeeded));
    }
}

#[test]
fn a_refund_that_is_taken_back_frees_its_money_whatever_amount_is_named() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let of = harness.send(payment, 4_000);
    assert_eq!(harness.say(of, told_of(4_001, ProviderOutcome::Failed, 9)), Ok(State::Failed));
    assert_eq!(harness.balance(payment), (0, 0, 0));

    let of = harness.send(payment, 4_000);
    harness.say(of, told_of(4_000, ProviderOutcome::Completed, 5)).expect("recorded");
    assert_eq!(harness.say(of, told_of(1, ProviderOutcome::Failed, 6)), Ok(State::Failed));
    assert!(harness.refund(of).late);
    assert_eq!(harness.balance(payment), (0, 0, 0));
}

#[test]
fn a_contradiction_leaves_a_refund_that_succeeded_as_it_is_and_tells_a_person_once() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let of = harness.send(payment, 4_000);
    harness.say(of, told_of(4_000, ProviderOutcome::Completed, 5)).expect("recorded");
    for ms in [6, 7] {
        let less = told_of(1, ProviderOutcome::Completed, ms);
        assert_eq!(harness.say(of, less), Ok(State::Succeeded));
    }
    assert_eq!(harness.balance(payment), (4_000, 0, 0));
    assert_eq!(harness.attention(of), ["amount_mismatch"]);
}

#[test]
fn a_refund_that_was_never_sent_by_these_books_is_booked_when_the_provider_has_it() {
    let until = START.plus_ms(60_000);
    for start in [Start::Queue, Start::Schedule { until }, Start::AwaitApproval] {
        for (outcome, state) in [
            (ProviderOutcome::Completed, State::Succeeded),
            (ProviderOutcome::Accepted, State::Submitted),
            (ProviderOutcome::Held, State::Submitted),
            (ProviderOutcome::ActionRequired, State::Submitted),
            (ProviderOutcome::Twin, State::Submitted),
        ] {
            let mut harness = Harness::open();
            let payment = harness.pay(10_000);
            let create = CreateRefund { start, ..ask(payment, 1_000) };
            let of = RefundRef::from(&harness.create(create).expect("created").refund);
            assert_eq!(harness.say(of, told(outcome, 5)), Ok(state), "{start:?} {outcome}");
            let late = harness.run(Command::Cancel { of, key: None });
            assert_eq!(late.err(), Some(Refusal::TooLateToCancel(state)));
        }
    }
}

#[test]
fn what_was_never_sent_queues_again_and_its_waits_double() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let create = CreateRefund { start: Start::Queue, ..ask(payment, 1_000) };
    let of = RefundRef::from(&harness.create(create).expect("created").refund);
    // `checks` is the exponent of the backoff, so it must grow by one with every try.
    for tries in 0..4 {
        assert_eq!(harness.lease_when_due(of), Ok(State::Sending));
        assert_eq!(harness.refund(of).checks, tries);
        assert_eq!(harness.say(of, answered(ProviderOutcome::NeverSent)), Ok(State::Queued));
    }
    assert_eq!(harness.balance(payment), (0, 1_000, 0));
}

#[test]
fn a_refund_waits_for_funds_is_sent_again_and_its_waits_double() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let of = harness.send(payment, 1_000);
    for tries in 0..4 {
        assert_eq!(harness.refund(of).checks, tries);
        let waiting =
            Observation { source: Source::Submit, ..told(ProviderOutcome::WaitingForFunds, 1) };
        assert_eq!(harness.say(of, waiting), Ok(State::WaitingForFunds));
        assert_eq!(harness.lease_when_due(of), Ok(State::Sending));
    }
    assert_eq!(harness.say(of, told(ProviderOutcome::Completed, 2)), Ok(State::Succeeded));
}

#[test]
fn a_refund_whose_node_died_is_unknown_and_is_given_up_only_to_a_person() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let of = harness.send(payment, 4_000);
    assert_eq!(harness.lease_when_due(of), Ok(State::Unknown));
    assert_eq!(harness.say(of, answered(ProviderOutcome::NeverSent)), Ok(State::Unknown));
    harness.now = START.plus_ms(harness.rules.give_up_after_ms);
    assert_eq!(harness.lease_when_due(of), Ok(State::Unknown));
    assert_eq!(harness.say(of, looked_up(ProviderOutcome::Absent)), Ok(State::NeedsReview));
    assert_eq!(harness.failure_code(of), Some("unresolved"));
    assert_eq!(harness.balance(payment), (0, 4_000, 0), "the money stays reserved");
}

#[test]
fn a_scheduled_refund_is_sent_when_its_delay_is_over_and_not_before() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let until = harness.now.plus_ms(60_000);
    let create = CreateRefund { start: Start::Schedule { until }, ..ask(payment, 1_000) };
    let of = RefundRef::from(&harness.create(create).expect("created").refund);
    assert_eq!(harness.refund(of).due_at, Some(until));
    assert_eq!(harness.lease_when_due(of), Ok(State::Sending));
    let states = harness.rows.states_of(harness.refund(of));
    assert_eq!(states, [State::Scheduled, State::Queued]);
}

#[test]
fn a_refund_named_with_another_payment_is_booked_on_its_own() {
    let mut harness = Harness::open();
    let (payment, other) = (harness.pay(10_000), harness.pay(10_000));
    let of = harness.send(payment, 4_000);
    harness.send(other, 5_000);
    let confused = RefundRef { payment: other, ..of };
    harness.say(confused, told(ProviderOutcome::Completed, 1)).expect("recorded");
    assert_eq!(harness.balance(payment), (4_000, 0, 0));
    assert_eq!(harness.balance(other), (0, 5_000, 0));
}
