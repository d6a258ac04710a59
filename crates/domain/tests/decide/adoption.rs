//! Refunds that were made at the provider itself.

use crate::harness::*;
use domain::decide::Refusal;
use domain::money::{Currency, MAX_AMOUNT, Money};
use domain::outcome::{ProviderOutcome, Said};
use domain::payment::Status;
use domain::refund::{Origin, State};

#[test]
fn a_refund_made_at_the_provider_is_booked_once() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let told = told_of(3_000, ProviderOutcome::Completed, 5);
    let first = harness.adopt(payment, "re_1", told.clone()).expect("adopted");
    assert_eq!((first.origin, first.state), (Origin::External, State::Succeeded));
    let again = harness.adopt(payment, "re_1", told).expect("known");
    assert_eq!(again.id, first.id);
    assert_eq!(harness.balance(payment), (3_000, 0, 0));
    assert_eq!(harness.payment(payment).refundable(), 7_000);
}

#[test]
fn an_adopted_refund_that_is_pending_is_followed_to_its_end() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let pending = harness
        .adopt(payment, "re_1", told_of(3_000, ProviderOutcome::Accepted, 5))
        .expect("adopted");
    assert_eq!(pending.state, State::Submitted);
    assert_eq!(harness.balance(payment), (0, 3_000, 0));
    let done =
        harness.adopt(payment, "re_1", told_of(3_000, ProviderOutcome::Failed, 6)).expect("known");
    assert_eq!((done.id, done.state), (pending.id, State::Failed));
    assert_eq!(harness.balance(payment), (0, 0, 0));
}

#[test]
fn an_adoption_beyond_what_was_captured_is_booked_and_flagged() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let ours = harness.send(payment, 8_000);
    harness.adopt(payment, "re_1", told_of(9_000, ProviderOutcome::Completed, 5)).expect("adopted");
    assert_eq!(harness.balance(payment), (9_000, 8_000, 7_000));
    assert_eq!(harness.payment(payment).refundable(), 0);
    assert_eq!(harness.create(ask(payment, 1)), Err(over_refund(1, 0)));
    let told = harness.rows.events.iter().rev().find_map(|event| event.detail.as_ref()?.excess);
    assert_eq!(told, Some(7_000), "the payment's event says so");

    harness.say(ours, told_of(8_000, ProviderOutcome::Completed, 6)).expect("recorded");
    assert_eq!(harness.balance(payment), (17_000, 0, 7_000));
    assert_eq!(harness.payment(payment).status(), Status::Refunded);
    harness.say(ours, told_of(8_000, ProviderOutcome::Failed, 7)).expect("recorded");
    assert_eq!(harness.balance(payment), (9_000, 0, 0), "the excess is gone with it");
}

#[test]
fn an_adoption_without_an_amount_or_in_another_currency_is_refused() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    assert_eq!(
        harness.adopt(payment, "re_1", told(ProviderOutcome::Completed, 5)),
        Err(Refusal::NoAmount)
    );
    for minor in [0, -1, i64::MIN] {
        let statement = told_of(minor, ProviderOutcome::Completed, 5);
        assert_eq!(harness.adopt(payment, "re_1", statement), Err(Refusal::NoAmount), "{minor}");
    }
    let given = Currency::parse("EUR").expect("a currency");
    let money = Some(Money::new(3_000, given));
    let statement = webhook(Said { money, ..saying(ProviderOutcome::Completed, 5) });
    let mismatch = Refusal::CurrencyMismatch { expected: usd(), given };
    assert_eq!(harness.adopt(payment, "re_1", statement), Err(mismatch));
    assert!(harness.rows.refunds.is_empty());
}

#[test]
fn a_known_refund_that_is_told_of_with_another_payment_is_looked_at_by_a_person() {
    let mut harness = Harness::open();
    let (payment, other) = (harness.pay(10_000), harness.pay(10_000));
    let adopted = harness
        .adopt(payment, "re_1", told_of(3_000, ProviderOutcome::Accepted, 5))
        .expect("adopted");
    let statement = elsewhere(told_of(3_000, ProviderOutcome::Completed, 6));
    let known = harness.adopt(other, "re_1", statement).expect("recorded");
    assert_eq!((known.id, known.payment, known.state), (adopted.id, payment, State::NeedsReview));
    assert_eq!(harness.balance(payment), (0, 3_000, 0));
    assert_eq!(harness.balance(other), (0, 0, 0));
}

#[test]
fn the_most_there_is_can_be_adopted_until_a_sum_would_not_fit() {
    let mut harness = Harness::open();
    let payment = harness.pay(MAX_AMOUNT);
    let most = |outcome| told_of(i64::MAX, outcome, 5);
    harness.adopt(payment, "re_1", most(ProviderOutcome::Completed)).expect("adopted");
    assert_eq!(harness.balance(payment), (i64::MAX, 0, i64::MAX - MAX_AMOUNT));
    for outcome in [ProviderOutcome::Completed, ProviderOutcome::Accepted, ProviderOutcome::Failed]
    {
        assert_eq!(
            harness.adopt(payment, "re_2", most(outcome)),
            Err(Refusal::TooLarge),
            "{outcome}"
        );
        let one = told_of(1, outcome, 5);
        assert_eq!(harness.adopt(payment, "re_2", one), Err(Refusal::TooLarge), "{outcome}");
    }
    assert_eq!(harness.rows.refunds.len(), 1);
}

#[test]
fn a_revival_that_no_longer_fits_is_refused() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let of = harness.send(payment, 10_000);
    harness.say(of, told(ProviderOutcome::Failed, 1)).expect("recorded");
    harness
        .adopt(payment, "re_1", told_of(i64::MAX, ProviderOutcome::Completed, 2))
        .expect("adopted");
    assert_eq!(harness.say(of, told(ProviderOutcome::Completed, 3)), Err(Refusal::TooLarge));
    assert_eq!(harness.balance(payment), (i64::MAX, 0, i64::MAX - 10_000));
}

#[test]
fn an_adoption_whose_transfer_does_not_fit_leaves_nothing_behind() {
    let mut harness = Harness::open();
    let (payment, other) = (harness.pay(10_000), harness.pay(10_000));
    let most = harness.adoption(payment, "re_1", told_of(i64::MAX, ProviderOutcome::Completed, 5));
    let one = harness.adoption(other, "re_2", told_of(1, ProviderOutcome::Completed, 5));
    let answers = harness.run_all(&[most, one]);
    assert!(answers[0].is_ok());
    assert_eq!(answers[1], Err(Refusal::TooLarge), "the ledger account's total is full");
    assert_eq!(harness.balance(other), (0, 0, 0));
}

#[test]
fn the_id_of_an_adopted_refund_is_known_even_if_its_statement_does_not_fit() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let other = elsewhere(with_id("re_1", told_of(3_000, ProviderOutcome::Completed, 5)));
    let adopted = harness.adopt(payment, "re_1", other).expect("adopted");
    assert_eq!(adopted.state, State::NeedsReview);
    assert_eq!(adopted.provider_refund_id.as_deref(), Some("re_1"));
}

#[test]
fn a_payment_is_changed_when_a_refund_of_it_is_adopted_or_changes_its_balance() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    harness.now = START.plus_ms(10);
    let pending = told_of(3_000, ProviderOutcome::Accepted, 5);
    harness.adopt(payment, "re_1", pending).expect("adopted");
    assert_eq!(harness.payment(payment).updated_at, START.plus_ms(10));
    harness.now = START.plus_ms(20);
    let done = told_of(3_000, ProviderOutcome::Completed, 6);
    harness.adopt(payment, "re_1", done).expect("known");
    assert_eq!(harness.payment(payment).updated_at, START.plus_ms(20));
    harness.now = START.plus_ms(30);
    harness.send(payment, 1_000);
    assert_eq!(harness.payment(payment).updated_at, START.plus_ms(30));
}
