//! Money that a provider pays beside a refund: another refund under its key, and more than was asked for.

use crate::contradictions::{balance, others, succeeded};
use crate::harness::*;
use domain::decide::{Call, RefundRef};
use domain::money::{Currency, MAX_AMOUNT, Money};
use domain::outcome::{ProviderOutcome, Said};
use domain::refund::{Origin, State};

#[test]
fn a_second_refund_under_our_key_is_booked_beside_it_and_told_once() {
    for (said, state, sums) in [
        (ProviderOutcome::Completed, State::Succeeded, (8_000, 0, 0)),
        (ProviderOutcome::Accepted, State::Submitted, (4_000, 4_000, 0)),
        (ProviderOutcome::Twin, State::Submitted, (4_000, 4_000, 0)),
        (ProviderOutcome::Held, State::Submitted, (4_000, 4_000, 0)),
        (ProviderOutcome::ActionRequired, State::Submitted, (4_000, 4_000, 0)),
    ] {
        let (mut harness, of) = succeeded();
        let second = with_id("re_2", told_of(4_000, said, 7));
        for _ in 0..2 {
            assert_eq!(harness.say(of, second.clone()), Ok(State::Succeeded), "{said}");
        }
        let [booked] = *others(&harness, of) else { panic!("one more") };
        assert_eq!((booked.origin, booked.state, booked.amount), (Origin::External, state, 4_000));
        assert_eq!(booked.provider_refund_id.as_deref(), Some("re_2"));
        assert_eq!(balance(&harness, of), sums);
        assert_eq!(harness.attention(of), ["second_payout"]);
        // The refund itself still knows the first one.
        assert_eq!(harness.refund(of).provider_refund_id.as_deref(), Some("re_1"));
        // A third one is told as well.
        harness.say(of, with_id("re_3", told_of(1_000, said, 8))).expect("recorded");
        assert_eq!(harness.attention(of), ["second_payout", "second_payout"]);
        assert_eq!(others(&harness, of).len(), 2);
    }
}

#[test]
fn a_second_refund_is_followed_on_its_own() {
    let (mut harness, of) = succeeded();
    harness.say(of, with_id("re_2", told_of(4_000, ProviderOutcome::Accepted, 7))).expect("known");
    let booked = RefundRef::from(others(&harness, of)[0]);
    harness.say(of, with_id("re_2", told_of(4_000, ProviderOutcome::Completed, 8))).expect("known");
    assert_eq!(harness.refund(booked).state, State::Succeeded);
    harness.say(of, with_id("re_2", told_of(4_000, ProviderOutcome::Failed, 9))).expect("known");
    assert_eq!(harness.refund(booked).state, State::Failed);
    assert_eq!(harness.refund(of).state, State::Succeeded);
    assert_eq!(balance(&harness, of), (4_000, 0, 0));
}

#[test]
fn a_refund_we_never_knew_that_went_wrong_is_no_second_payout() {
    for outcome in [ProviderOutcome::Failed, ProviderOutcome::Canceled, ProviderOutcome::Unknown] {
        let (mut harness, of) = succeeded();
        let before = harness.rows.clone();
        let said = harness.say(of, with_id("re_2", told_of(4_000, outcome, 7)));
        assert_eq!(said, Ok(State::Succeeded), "{outcome}");
        assert_eq!(harness.rows, before);
    }
}

#[test]
fn a_second_refund_of_no_clear_amount_cannot_be_booked_and_goes_to_a_person() {
    let eur = Currency::parse("EUR").expect("a currency");
    let named = || with_id("re_2", told(ProviderOutcome::Completed, 7));
    let in_euro = webhook(Said { money: Some(Money::new(4_000, eur)), ..named().said });
    let too_much = of_amount(MAX_AMOUNT + 1, named());
    for statement in [named(), in_euro, of_amount(0, named()), too_much] {
        let (mut harness, of) = succeeded();
        assert_eq!(harness.say(of, statement.clone()), Ok(State::Succeeded));
        assert_eq!(harness.attention(of), ["refund_mismatch"]);
        assert!(others(&harness, of).is_empty());

        let mut harness = Harness::open();
        let payment = harness.pay(10_000);
        let of = harness.send(payment, 4_000);
        harness.say(of, with_id("re_1", answered(ProviderOutcome::Accepted))).expect("recorded");
        assert_eq!(harness.say(of, statement), Ok(State::NeedsReview));
        assert_eq!(harness.failure_code(of), Some("refund_mismatch"));
        assert_eq!(harness.refund(of).provider_refund_id.as_deref(), Some("re_1"));
        assert_eq!(harness.attention(of), [""; 0], "the state says it");
        assert_eq!(harness.next_call(of), Ok(Call::Look));
    }
}

#[test]
fn more_money_than_was_asked_for_is_booked_beside_a_refund_that_succeeded() {
    let (mut harness, of) = succeeded();
    let more = with_id("re_1", told_of(4_500, ProviderOutcome::Completed, 7));
    for _ in 0..2 {
        assert_eq!(harness.say(of, more.clone()), Ok(State::Succeeded));
    }
    let [booked] = *others(&harness, of) else { panic!("one more") };
    assert_eq!(
        (booked.origin, booked.state, booked.amount),
        (Origin::External, State::Succeeded, 500)
    );
    assert_eq!(balance(&harness, of), (4_500, 0, 0));
    assert_eq!(harness.attention(of), ["paid_more"]);
    let told = harness.told_about(of).last().and_then(|event| event.detail.clone());
    let message = told.and_then(|detail| detail.failure_message).expect("a reason");
    assert!(message.contains("5.00 USD") && message.contains(&booked.id.to_string()), "{message}");
}

#[test]
fn what_was_paid_beside_a_refund_is_freed_when_all_of_it_is_taken_back() {
    for (back, left) in [(Some(4_500), 0), (None, 0), (Some(4_000), 500), (Some(3_999), 500)] {
        let (mut harness, of) = succeeded();
        harness.say(of, with_id("re_1", told(ProviderOutcome::Completed, 6))).expect("told");
        harness
            .say(of, with_id("re_1", told_of(4_500, ProviderOutcome::Completed, 7)))
            .expect("told");
        assert_eq!(balance(&harness, of), (4_500, 0, 0));
        let taken_back = with_id("re_1", told(ProviderOutcome::Failed, 8));
        let taken_back = match back {
            Some(minor) => of_amount(minor, taken_back),
            None => taken_back,
        };
        for _ in 0..2 {
            assert_eq!(harness.say(of, taken_back.clone()), Ok(State::Failed));
        }
        assert_eq!(balance(&harness, of), (left, 0, 0), "{back:?}");
        let [beside] = *others(&harness, of) else { panic!("one more") };
        let state = if left == 0 { State::Failed } else { State::Succeeded };
        assert_eq!(beside.state, state, "{back:?}");
    }
}

#[test]
fn what_was_paid_beside_a_refund_stays_while_it_is_not_believed_to_have_failed() {
    let (mut harness, of) = succeeded();
    harness.say(of, with_id("re_1", told(ProviderOutcome::Completed, 6))).expect("told");
    harness.say(of, with_id("re_1", told_of(4_500, ProviderOutcome::Completed, 7))).expect("told");
    let failed = with_id("re_1", told_of(4_500, ProviderOutcome::Failed, 8));
    assert_eq!(harness.say(of, timeless(failed)), Ok(State::Succeeded), "it is looked at first");
    assert_eq!(balance(&harness, of), (4_500, 0, 0));
    // The time of the first success is not known.
    let (mut harness, of) = succeeded();
    harness.say(of, with_id("re_1", told_of(4_500, ProviderOutcome::Completed, 7))).expect("told");
    let failed = with_id("re_1", told_of(4_500, ProviderOutcome::Failed, 8));
    assert_eq!(harness.say(of, failed), Ok(State::Succeeded), "it is looked at first");
    assert_eq!(balance(&harness, of), (4_500, 0, 0));
}

#[test]
fn more_than_can_be_booked_is_told() {
    let (mut harness, of) = succeeded();
    let more = with_id("re_1", told_of(MAX_AMOUNT + 4_001, ProviderOutcome::Completed, 7));
    assert_eq!(harness.say(of, more), Ok(State::Succeeded));
    assert_eq!(harness.attention(of), ["amount_mismatch"]);
    assert!(others(&harness, of).is_empty());
    let (mut harness, of) = succeeded();
    let most = with_id("re_1", told_of(MAX_AMOUNT + 4_000, ProviderOutcome::Completed, 7));
    assert_eq!(harness.say(of, most), Ok(State::Succeeded));
    assert_eq!(harness.attention(of), ["paid_more"]);
}

#[test]
fn the_amount_that_was_asked_for_and_more_in_another_state_are_no_surplus() {
    let (mut harness, of) = succeeded();
    let before = harness.rows.refunds.len();
    for statement in [
        told_of(4_000, ProviderOutcome::Completed, 7),
        told_of(4_500, ProviderOutcome::Accepted, 8),
        told_of(3_500, ProviderOutcome::Completed, 9),
    ] {
        harness.say(of, with_id("re_1", statement)).expect("recorded");
    }
    assert_eq!(harness.rows.refunds.len(), before);
    assert_eq!(balance(&harness, of), (4_000, 0, 0));
    assert_eq!(harness.attention(of), ["amount_mismatch"], "the others do not fit either");
}

#[test]
fn more_money_under_no_refund_id_is_told_and_not_booked() {
    let (mut harness, of) = succeeded();
    let more = told_of(4_500, ProviderOutcome::Completed, 7);
    assert_eq!(harness.say(of, more), Ok(State::Succeeded));
    assert_eq!(harness.attention(of), ["amount_mismatch"]);
    assert_eq!(balance(&harness, of), (4_000, 0, 0));
}

#[test]
fn more_money_in_another_currency_is_told_and_not_booked() {
    let eur = Currency::parse("EUR").expect("a currency");
    let (mut harness, of) = succeeded();
    let more = with_id("re_1", told(ProviderOutcome::Completed, 7));
    let more = webhook(Said { money: Some(Money::new(9_000, eur)), ..more.said });
    assert_eq!(harness.say(of, more), Ok(State::Succeeded));
    assert_eq!(harness.attention(of), ["amount_mismatch"]);
    assert!(others(&harness, of).is_empty());
}
