//! Refunds that wait: for the provider to be there, for the merchant's money, for a webhook, for a
//! person.

use crate::harness::*;
use crate::traits::*;
use domain::decide::{Call, Command, CreateRefund, RefundRef, Resolution, Start};
use domain::event::Type;
use domain::outcome::{Observation, ProviderOutcome, Source};
use domain::provider::{OutcomeBy, Traits};
use domain::refund::State;

fn sent(traits: Traits) -> (Harness, RefundRef) {
    let mut harness = Harness::at(traits);
    let payment = harness.pay(10_000);
    let of = harness.send(payment, 4_000);
    (harness, of)
}

fn types(harness: &Harness, of: RefundRef) -> Vec<Type> {
    harness.told_about(of).iter().map(|event| event.event_type).collect()
}

#[test]
fn hours_of_trying_to_reach_a_provider_are_not_told() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let create = CreateRefund { start: Start::Queue, ..ask(payment, 1_000) };
    let of = RefundRef::from(&harness.create(create).expect("created").refund);
    for outcome in [ProviderOutcome::NeverSent, ProviderOutcome::NotDone] {
        for _ in 0..10 {
            assert_eq!(harness.next_call(of), Ok(Call::Submit));
            let away = because("connection_refused", answered(outcome));
            assert_eq!(harness.say(of, away), Ok(State::Queued));
            assert_eq!(harness.failure_code(of), Some("connection_refused"));
        }
    }
    assert_eq!(types(&harness, of), [Type::RefundCreated]);
    assert_eq!(harness.refund(of).checks, 20, "the waits grow");
    assert_eq!(harness.refund(of).sends, 20);
    harness.next_call(of).expect("leased");
    harness.say(of, answered(ProviderOutcome::Accepted)).expect("recorded");
    let told = [Type::RefundCreated, Type::RefundSubmitted];
    assert_eq!(types(&harness, of), told);
    assert_eq!(harness.refund(of).checks, 0);
}

#[test]
fn a_refund_that_waits_for_funds_is_told_once_for_each_reason() {
    let (mut harness, of) = sent(SIMULATOR);
    for code in ["insufficient_funds", "insufficient_funds", "reserve_too_low", "reserve_too_low"] {
        let waits = because(code, answered(ProviderOutcome::WaitingForFunds));
        assert_eq!(harness.say(of, waits), Ok(State::WaitingForFunds));
        assert_eq!(
            harness.next_call(of),
            Ok(Call::Submit),
            "it is sent again as for the first time"
        );
    }
    let updated = Type::RefundUpdated;
    assert_eq!(types(&harness, of), [Type::RefundCreated, updated, updated]);
}

#[test]
fn a_refund_that_waits_for_funds_is_told_even_if_it_was_put_off_for_the_same_reason() {
    let (mut harness, of) = sent(SIMULATOR);
    let put_off = because("balance", answered(ProviderOutcome::NotDone));
    assert_eq!(harness.say(of, put_off), Ok(State::Queued));
    harness.next_call(of).expect("leased");
    let waits = because("balance", answered(ProviderOutcome::WaitingForFunds));
    assert_eq!(harness.say(of, waits), Ok(State::WaitingForFunds));
    assert_eq!(types(&harness, of), [Type::RefundCreated, Type::RefundUpdated]);
}

#[test]
fn a_person_is_told_once_of_a_refund_that_waits_for_funds_for_too_long() {
    let (mut harness, of) = sent(SIMULATOR);
    let waits = || because("insufficient_funds", answered(ProviderOutcome::WaitingForFunds));
    let day = START.plus_ms(24 * HOUR_MS);
    harness.say(of, waits()).expect("recorded");
    for (at, told) in [(day.plus_ms(-1), 0), (day, 1), (day.plus_ms(24 * HOUR_MS), 1)] {
        harness.now = at;
        harness.next_call(of).expect("leased");
        assert_eq!(harness.attention(of).len(), told, "{at:?}");
        harness.say(of, waits()).expect("recorded");
    }
    assert_eq!(harness.attention(of), ["overdue"]);
    assert!(harness.refund(of).needs_attention);
    assert_eq!(harness.failure_code(of), Some("insufficient_funds"), "the refund is as it was");
    harness.next_call(of).expect("leased");
    harness.say(of, answered(ProviderOutcome::Completed)).expect("recorded");
    assert!(!harness.refund(of).needs_attention);
}

#[test]
fn a_refusal_that_is_kept_under_the_key_is_not_asked_for_again_until_it_fades() {
    // The key is kept for a day; a day later and an hour as margin it is forgotten.
    for (traits, due_at) in [(SIMULATOR, START.plus_ms(1_000)), (DAY, START.plus_ms(25 * HOUR_MS))]
    {
        let (mut harness, of) = sent(traits);
        harness.say(of, answered(ProviderOutcome::WaitingForFunds)).expect("recorded");
        assert_eq!(harness.refund(of).due_at, Some(due_at));
    }
    let (mut harness, of) = sent(DAY);
    harness.now = START.plus_ms(30 * HOUR_MS);
    harness.say(of, answered(ProviderOutcome::WaitingForFunds)).expect("recorded");
    assert_eq!(harness.refund(of).due_at, Some(harness.now.plus_ms(1_000)), "never earlier");
}

#[test]
fn what_was_not_done_is_tried_again_as_soon_as_the_caller_says() {
    let (mut harness, of) = sent(DAY);
    harness.say(of, answered(ProviderOutcome::NotDone)).expect("recorded");
    assert_eq!(harness.refund(of).due_at, Some(harness.now.plus_ms(1_000)));
}

#[test]
fn an_id_that_is_said_while_nothing_is_at_the_provider_is_not_the_refunds() {
    for outcome in
        [ProviderOutcome::NeverSent, ProviderOutcome::NotDone, ProviderOutcome::WaitingForFunds]
    {
        let (mut harness, of) = sent(SIMULATOR);
        harness.say(of, with_id("re_1", answered(outcome))).expect("recorded");
        harness.say(of, with_id("re_1", told(ProviderOutcome::NotDone, 1))).expect("recorded");
        assert_eq!(harness.refund(of).provider_refund_id, None);
        // The refund that is made in the end is the refund, and no second payout.
        harness.next_call(of).expect("leased");
        let done = with_id("re_2", answered(ProviderOutcome::Completed));
        assert_eq!(harness.say(of, done), Ok(State::Succeeded), "{outcome}");
        assert_eq!(harness.refund(of).provider_refund_id.as_deref(), Some("re_2"));
        assert_eq!(harness.rows.refunds.len(), 1);
    }
}

#[test]
fn a_refund_that_the_provider_turns_out_to_have_does_not_wait_to_be_sent() {
    for (outcome, state) in [
        (ProviderOutcome::Accepted, State::Submitted),
        (ProviderOutcome::ActionRequired, State::RequiresAction),
        (ProviderOutcome::Held, State::Held),
        (ProviderOutcome::Completed, State::Succeeded),
        (ProviderOutcome::Failed, State::Failed),
        (ProviderOutcome::Canceled, State::Canceled),
    ] {
        let (mut harness, of) = sent(SIMULATOR);
        harness.say(of, answered(ProviderOutcome::WaitingForFunds)).expect("recorded");
        assert_eq!(harness.say(of, told(outcome, 5)), Ok(state));
    }
}

#[test]
fn a_person_is_told_once_of_a_refund_that_stays_where_it_is_for_too_long() {
    let default = rules(SIMULATOR).attention_after;
    let by_webhook =
        Traits { outcome: OutcomeBy::Webhook { overdue_after_ms: 3 * HOUR_MS }, ..SIMULATOR };
    for (traits, outcome, after_ms) in [
        (SIMULATOR, ProviderOutcome::Unknown, default.unknown_ms),
        (SIMULATOR, ProviderOutcome::Accepted, default.submitted_ms),
        (SIMULATOR, ProviderOutcome::ActionRequired, default.submitted_ms),
        (by_webhook, ProviderOutcome::Accepted, 3 * HOUR_MS),
        (SIMULATOR, ProviderOutcome::Held, default.waiting_for_funds_ms),
    ] {
        let (mut harness, of) = sent(traits);
        harness.say(of, answered(outcome)).expect("recorded");
        for (ms, told) in [(after_ms - 1, 0), (after_ms, 1), (after_ms + 60_000, 1)] {
            harness.now = START.plus_ms(ms);
            harness.next_call(of).expect("leased");
            assert_eq!(harness.attention(of).len(), told, "{outcome} after {ms} ms");
            harness.say(of, looked_up(ProviderOutcome::Unknown)).expect("recorded");
        }
        assert_eq!(harness.attention(of), ["overdue"]);
        assert!(harness.refund(of).due_at.is_some(), "the provider is asked all the same");
        assert_eq!(harness.refund(of).updated_at, START, "the refund did not change");
    }
}

#[test]
fn a_refund_that_cannot_be_asked_about_comes_up_when_a_person_is_due_and_then_rests() {
    for (outcome, after_ms) in
        [(ProviderOutcome::Accepted, 3 * HOUR_MS), (ProviderOutcome::Held, 24 * HOUR_MS)]
    {
        let (mut harness, of) = sent(BLIND);
        harness.say(of, answered(outcome)).expect("recorded");
        assert_eq!(harness.next_call(of), Ok(Call::Wait));
        assert_eq!(harness.refund(of).due_at, Some(START.plus_ms(after_ms)), "{outcome}");
        assert_eq!(harness.attention(of), [""; 0]);
        assert_eq!(harness.next_call(of), Ok(Call::Wait));
        assert_eq!(harness.attention(of), ["overdue"]);
        assert_eq!(harness.refund(of).due_at, None, "a person or a webhook moves it on");
        assert_eq!(harness.say(of, told(ProviderOutcome::Completed, 9)), Ok(State::Succeeded));
    }
}

#[test]
fn a_refund_in_doubt_that_cannot_be_asked_about_is_given_up_to_a_person_in_time() {
    let (mut harness, of) = sent(BLIND);
    harness.say(of, answered(ProviderOutcome::Unknown)).expect("recorded");
    let gives_up_at = START.plus_ms(harness.rules.give_up_after_ms);
    let told_at = START.plus_ms(HOUR_MS);
    assert_eq!(harness.next_call(of), Ok(Call::Wait));
    assert_eq!(harness.refund(of).due_at, Some(told_at));
    assert_eq!(harness.next_call(of), Ok(Call::Wait));
    assert_eq!(harness.attention(of), ["overdue"]);
    assert_eq!(harness.refund(of).due_at, Some(gives_up_at));
    assert_eq!(harness.lease_when_due(of), Ok(State::NeedsReview));
    assert_eq!(harness.now, gives_up_at);
    assert_eq!(harness.failure_code(of), Some("unresolved"));
    // It is told once more if nobody decides.
    assert_eq!(harness.refund(of).due_at, Some(gives_up_at.plus_ms(24 * HOUR_MS)));
    assert_eq!(harness.next_call(of), Ok(Call::Wait));
    assert_eq!(harness.attention(of), ["overdue", "overdue"]);
    assert_eq!(harness.refund(of).due_at, None);
    assert_eq!(harness.resolve(of, Resolution::Failed), Ok(State::Failed));
}

#[test]
fn looks_end_in_doubt_when_a_person_must_and_not_a_moment_earlier() {
    for (ms, state) in [(-1, State::Unknown), (0, State::NeedsReview)] {
        let (mut harness, of) = sent(SIMULATOR);
        harness.say(of, answered(ProviderOutcome::Unknown)).expect("recorded");
        harness.next_call(of).expect("leased");
        harness.now = START.plus_ms(harness.rules.give_up_after_ms + ms);
        assert_eq!(harness.say(of, looked_up(ProviderOutcome::Absent)), Ok(state));
    }
}

#[test]
fn a_refund_that_a_person_must_look_at_is_looked_for_until_they_are_told_again() {
    let (mut harness, of) = sent(SIMULATOR);
    let other_amount = of_amount(3_999, told(ProviderOutcome::Completed, 5));
    assert_eq!(harness.say(of, other_amount), Ok(State::NeedsReview));
    for hours in [1, 23] {
        harness.now = START.plus_ms(hours * HOUR_MS);
        assert_eq!(harness.next_call(of), Ok(Call::Look));
        assert_eq!(harness.say(of, looked_up(ProviderOutcome::Unknown)), Ok(State::NeedsReview));
    }
    harness.now = START.plus_ms(24 * HOUR_MS);
    assert_eq!(harness.next_call(of), Ok(Call::Wait));
    assert_eq!(harness.attention(of), ["overdue"]);
    assert_eq!(harness.refund(of).due_at, None);
    // The provider may still say how it ended.
    assert_eq!(harness.say(of, told(ProviderOutcome::Failed, 9)), Ok(State::Failed));
}

#[test]
fn looks_back_off_and_a_statement_that_comes_by_itself_does_not_put_them_off() {
    let (mut harness, of) = sent(SIMULATOR);
    harness.say(of, answered(ProviderOutcome::Accepted)).expect("recorded");
    for checks in 1..4 {
        harness.next_call(of).expect("leased");
        harness.say(of, looked_up(ProviderOutcome::Accepted)).expect("recorded");
        assert_eq!(harness.refund(of).checks, checks);
        assert_eq!(harness.refund(of).due_at, Some(harness.now.plus_ms(1_000)));
    }
    let due_at = harness.refund(of).due_at;
    harness.now = harness.now.plus_ms(500);
    harness.say(of, told(ProviderOutcome::Accepted, 5)).expect("recorded");
    // A list that nobody held the lease for, too: another node may be at work.
    let listed = Observation { source: Source::List, ..looked_up(ProviderOutcome::Accepted) };
    harness.say_under(None, of, listed).expect("recorded");
    assert_eq!((harness.refund(of).checks, harness.refund(of).due_at), (3, due_at));
}

/// Looks at a refund on which nobody works.
fn age(harness: &mut Harness, of: RefundRef) -> State {
    let age = Command::Age { of, rules: Box::new(harness.rules) };
    harness.run(age).expect("looked at");
    harness.refund(of).state
}

#[test]
fn a_person_is_told_once_of_a_refund_that_nobody_sends_for_a_day() {
    for start in [Start::Queue, Start::Schedule { until: START.plus_ms(HOUR_MS) }] {
        let mut harness = Harness::open();
        let payment = harness.pay(10_000);
        let create = CreateRefund { start, ..ask(payment, 1_000) };
        let refund = harness.create(create).expect("created").refund;
        let (of, state) = (RefundRef::from(&refund), refund.state);
        let day = refund.due_at.expect("it is due").plus_ms(24 * HOUR_MS);
        for (at, told) in [(day.plus_ms(-1), 0), (day, 1), (day.plus_ms(24 * HOUR_MS), 1)] {
            harness.now = at;
            assert_eq!(age(&mut harness, of), state);
            assert_eq!(harness.attention(of).len(), told);
        }
        assert_eq!(harness.next_call(of), Ok(Call::Submit), "it is sent all the same");
    }
}

#[test]
fn a_refund_whose_node_is_gone_is_in_doubt_although_nobody_works_on_it() {
    let (mut harness, of) = sent(SIMULATOR);
    let over = harness.refund(of).due_at.expect("a lease");
    for (after_ms, state) in [(300_000 - 1, State::Sending), (300_000, State::Unknown)] {
        harness.now = over.plus_ms(after_ms);
        assert_eq!(age(&mut harness, of), state);
    }
    assert_eq!(harness.failure_code(of), Some("interrupted"));
    assert_eq!(
        harness.refund(of).due_at,
        Some(harness.now),
        "it is looked for when that is allowed"
    );
    assert_eq!(harness.attention(of).len(), 0);
    harness.now = harness.now.plus_ms(HOUR_MS);
    assert_eq!(age(&mut harness, of), State::Unknown);
    assert_eq!(harness.attention(of), ["overdue"]);
}
