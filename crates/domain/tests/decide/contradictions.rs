//! Statements that do not fit: of another amount, another refund, another order. None disappears, and
//! none moves money unless it is certain.

use crate::harness::*;
use crate::traits::*;
use domain::decide::{Call, Command, CreateRefund, RefundRef, Refusal, Start};
use domain::event::Type;
use domain::outcome::{Observation, ProviderOutcome, Source};
use domain::provider::{LookupBy, Traits};
use domain::refund::{Refund, State};
use domain::time::Timestamp;

pub fn succeeded() -> (Harness, RefundRef) {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let of = harness.send(payment, 4_000);
    let done = with_id("re_1", answered(ProviderOutcome::Completed));
    assert_eq!(harness.say(of, done), Ok(State::Succeeded));
    (harness, of)
}

fn failed(traits: Traits) -> (Harness, RefundRef) {
    let mut harness = Harness::at(traits);
    let payment = harness.pay(10_000);
    let of = harness.send(payment, 4_000);
    let refused = with_id("re_1", answered(ProviderOutcome::Failed));
    assert_eq!(harness.say(of, refused), Ok(State::Failed));
    (harness, of)
}

fn withdrawn() -> (Harness, RefundRef) {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let create = CreateRefund { start: Start::Queue, ..ask(payment, 4_000) };
    let of = RefundRef::from(&harness.create(create).expect("created").refund);
    harness.run(Command::Cancel { of, key: None }).expect("canceled");
    (harness, of)
}

pub fn balance(harness: &Harness, of: RefundRef) -> (i64, i64, i64) {
    harness.balance(harness.refund(of).payment)
}

pub fn others(harness: &Harness, of: RefundRef) -> Vec<&Refund> {
    harness.rows.refunds.values().filter(|refund| refund.id != of.refund).collect()
}

#[test]
fn success_without_a_time_after_a_failure_is_looked_at_before_it_is_believed() {
    for (looked, state, balance_then) in [
        (ProviderOutcome::Completed, State::Succeeded, (4_000, 0, 0)),
        (ProviderOutcome::Failed, State::Failed, (0, 0, 0)),
        (ProviderOutcome::Canceled, State::Failed, (0, 0, 0)),
    ] {
        let (mut harness, of) = failed(SIMULATOR);
        assert_eq!(balance(&harness, of), (0, 0, 0));
        let done = timeless(told(ProviderOutcome::Completed, 0));
        assert_eq!(harness.say(of, done.clone()), Ok(State::NeedsReview));
        assert_eq!(harness.failure_code(of), Some("doubted"));
        assert_eq!(balance(&harness, of), (0, 4_000, 0), "nobody can ask for the money meanwhile");
        assert_eq!(harness.refund(of).due_at, Some(harness.now));
        // Webhooks come more than once, and in any order.
        let not_done = timeless(told(ProviderOutcome::Failed, 0));
        for again in [done, not_done, answered(ProviderOutcome::Completed)] {
            assert_eq!(harness.say_under(None, of, again), Ok(State::NeedsReview));
        }
        assert_eq!(harness.refund(of).due_at, Some(harness.now));
        assert_eq!(harness.next_call(of), Ok(Call::Look));
        assert_eq!(harness.say(of, looked_up(looked)), Ok(state));
        assert_eq!(balance(&harness, of), balance_then);
    }
}

#[test]
fn a_look_after_a_doubt_comes_when_the_provider_can_show_the_change() {
    let lookup = LookupBy { lag_ms: 7_000, ..SIMULATOR.lookup };
    let (mut harness, of) = failed(Traits { lookup, ..SIMULATOR });
    harness.say(of, timeless(told(ProviderOutcome::Completed, 0))).expect("recorded");
    assert_eq!(harness.refund(of).due_at, Some(harness.now.plus_ms(7_000)));
}

#[test]
fn a_doubt_about_a_provider_that_cannot_be_asked_is_a_persons() {
    let (mut harness, of) = failed(BLIND);
    harness.say(of, timeless(told(ProviderOutcome::Completed, 0))).expect("recorded");
    assert_eq!(harness.next_call(of), Ok(Call::Wait));
    assert_eq!(harness.next_call(of), Ok(Call::Wait));
    assert_eq!(harness.attention(of), ["overdue"]);
    assert_eq!(balance(&harness, of), (0, 4_000, 0));
    // A time makes it certain.
    harness.say(of, told(ProviderOutcome::Accepted, 3)).expect("recorded");
    assert_eq!(harness.say(of, told(ProviderOutcome::Completed, 4)), Ok(State::Succeeded));
}

#[test]
fn a_revival_that_was_given_away_meanwhile_is_reserved_as_excess() {
    let (mut harness, of) = failed(SIMULATOR);
    let payment = harness.refund(of).payment;
    let all = harness.send(payment, 10_000);
    harness.say(all, answered(ProviderOutcome::Completed)).expect("recorded");
    harness.say(of, timeless(told(ProviderOutcome::Completed, 0))).expect("recorded");
    assert_eq!(harness.balance(payment), (10_000, 4_000, 4_000));
    harness.say(of, looked_up(ProviderOutcome::Failed)).expect("recorded");
    assert_eq!(harness.balance(payment), (10_000, 0, 0));
}

#[test]
fn failure_without_a_time_after_success_changes_nothing_until_it_was_looked_at() {
    for outcome in [ProviderOutcome::Failed, ProviderOutcome::Canceled] {
        for (looked, state) in
            [(ProviderOutcome::Completed, State::Succeeded), (outcome, State::Failed)]
        {
            let (mut harness, of) = succeeded();
            assert_eq!(harness.say(of, timeless(told(outcome, 0))), Ok(State::Succeeded));
            assert_eq!(balance(&harness, of), (4_000, 0, 0));
            assert_eq!(harness.refund(of).due_at, Some(harness.now));
            assert_eq!(harness.next_call(of), Ok(Call::Look));
            assert_eq!(harness.say(of, looked_up(looked)), Ok(state));
            let refund = harness.refund(of);
            assert_eq!((refund.due_at, refund.late), (None, state == State::Failed));
            assert_eq!(harness.attention(of), [""; 0]);
        }
    }
}

#[test]
fn a_look_that_began_before_the_failure_does_not_settle_it() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let of = harness.send(payment, 4_000);
    harness.say(of, answered(ProviderOutcome::Accepted)).expect("recorded");
    harness.next_call(of).expect("leased");
    let lease = harness.refund(of).lease;
    harness.say(of, timeless(told(ProviderOutcome::Completed, 0))).expect("recorded");
    harness.say(of, timeless(told(ProviderOutcome::Failed, 0))).expect("recorded");
    let found = looked_up(ProviderOutcome::Completed);
    assert_eq!(harness.say_under(Some(lease), of, found), Ok(State::Succeeded));
    assert!(harness.refund(of).due_at.is_some(), "it is still to be looked at");
    assert_eq!(harness.next_call(of), Ok(Call::Look));
    assert_eq!(harness.say(of, looked_up(ProviderOutcome::Failed)), Ok(State::Failed));
}

#[test]
fn an_answer_to_our_call_does_not_settle_whether_success_was_taken_back() {
    let (mut harness, of) = succeeded();
    harness.say(of, timeless(told(ProviderOutcome::Failed, 0))).expect("recorded");
    harness.say(of, answered(ProviderOutcome::Completed)).expect("recorded");
    assert!(harness.refund(of).due_at.is_some());
}

#[test]
fn a_dispute_that_looks_do_not_settle_is_told_once_and_then_rests() {
    let (mut harness, of) = succeeded();
    harness.say(of, timeless(told(ProviderOutcome::Failed, 0))).expect("recorded");
    for _ in 0..21 {
        assert_eq!(harness.attention(of), [""; 0]);
        assert_eq!(harness.next_call(of), Ok(Call::Look));
        harness.say(of, looked_up(ProviderOutcome::Unknown)).expect("recorded");
    }
    harness.next_call(of).expect("leased");
    assert_eq!(harness.attention(of), ["disputed"]);
    assert_eq!(harness.refund(of).due_at, None);
    assert_eq!(balance(&harness, of), (4_000, 0, 0));
    // The failure is known; told again, it is looked at again, and nobody is told twice.
    harness.say(of, timeless(told(ProviderOutcome::Failed, 0))).expect("recorded");
    harness.next_call(of).expect("leased");
    assert_eq!(harness.attention(of), ["disputed"]);
}

#[test]
fn a_dispute_at_a_provider_that_cannot_be_asked_is_told_at_once() {
    let mut harness = Harness::at(BLIND);
    let payment = harness.pay(10_000);
    let of = harness.send(payment, 4_000);
    harness.say(of, answered(ProviderOutcome::Completed)).expect("recorded");
    harness.say(of, timeless(told(ProviderOutcome::Failed, 0))).expect("recorded");
    assert_eq!(harness.next_call(of), Ok(Call::Wait));
    assert_eq!(harness.attention(of), ["disputed"]);
    assert_eq!(harness.refund(of).due_at, None);
}

#[test]
fn a_newer_time_turns_over_what_was_decided_and_the_same_or_no_known_time_does_not() {
    let completed_at = |ms| told(ProviderOutcome::Completed, ms);
    for (known, newer, state) in [
        (Some(5), 6, State::Failed),
        (Some(5), 5, State::Succeeded),
        (Some(5), 4, State::Succeeded),
        (None, 6, State::Succeeded),
    ] {
        let mut harness = Harness::open();
        let payment = harness.pay(10_000);
        let of = harness.send(payment, 4_000);
        let done = known.map_or_else(|| timeless(completed_at(0)), completed_at);
        harness.say(of, done).expect("recorded");
        let taken_back = harness.say(of, told(ProviderOutcome::Failed, newer));
        assert_eq!(taken_back, Ok(state), "{known:?} {newer}");
        // An older statement is not even worth a look.
        let is_looked_at = state == State::Succeeded && newer != 4;
        assert_eq!(harness.refund(of).due_at.is_some(), is_looked_at, "{known:?} {newer}");
    }
}

#[test]
fn a_contradiction_about_a_refund_that_was_given_up_reserves_its_money_again() {
    for (mut harness, of) in [failed(SIMULATOR), withdrawn()] {
        assert_eq!(balance(&harness, of), (0, 0, 0));
        let other = told_of(3_999, ProviderOutcome::Completed, 7);
        assert_eq!(harness.say(of, other), Ok(State::NeedsReview));
        assert_eq!(harness.failure_code(of), Some("amount_mismatch"));
        assert_eq!(balance(&harness, of), (0, 4_000, 0));
        let payment = harness.refund(of).payment;
        assert_eq!(harness.create(ask(payment, 6_001)), Err(over_refund(6_001, 6_000)));
        assert_eq!(harness.next_call(of), Ok(Call::Look));
        assert_eq!(harness.say(of, looked_up(ProviderOutcome::Completed)), Ok(State::Succeeded));
        assert_eq!(balance(&harness, of), (4_000, 0, 0));
    }
}

#[test]
fn success_of_a_refund_that_was_withdrawn_is_booked() {
    let (mut harness, of) = withdrawn();
    assert_eq!(harness.say(of, told(ProviderOutcome::Completed, 7)), Ok(State::Succeeded));
    assert_eq!(balance(&harness, of), (4_000, 0, 0));
    assert_eq!(harness.rows.transfers.len(), 2);
}

#[test]
fn a_refund_that_was_withdrawn_and_that_the_provider_works_on_is_reserved_again() {
    for outcome in [
        ProviderOutcome::Accepted,
        ProviderOutcome::Twin,
        ProviderOutcome::Held,
        ProviderOutcome::ActionRequired,
    ] {
        let (mut harness, of) = withdrawn();
        assert_eq!(harness.say(of, told(outcome, 7)), Ok(State::NeedsReview), "{outcome}");
        assert_eq!(harness.failure_code(of), Some("not_withdrawn"));
        assert_eq!(balance(&harness, of), (0, 4_000, 0));
        assert_eq!(harness.next_call(of), Ok(Call::Look));
        assert_eq!(harness.say(of, looked_up(ProviderOutcome::Canceled)), Ok(State::Failed));
        assert_eq!(balance(&harness, of), (0, 0, 0));
    }
    for outcome in [ProviderOutcome::Failed, ProviderOutcome::Canceled, ProviderOutcome::Unknown] {
        let (mut harness, of) = withdrawn();
        assert_eq!(harness.say(of, told(outcome, 7)), Ok(State::Canceled), "{outcome}");
    }
}

#[test]
fn a_refund_that_the_provider_canceled_is_not_opened_by_an_older_word() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let of = harness.send(payment, 4_000);
    harness.say(of, answered(ProviderOutcome::Accepted)).expect("recorded");
    harness.say(of, timeless(told(ProviderOutcome::Canceled, 0))).expect("recorded");
    let accepted = timeless(told(ProviderOutcome::Accepted, 0));
    assert_eq!(harness.say(of, accepted), Ok(State::Canceled));
    assert_eq!(balance(&harness, of), (0, 0, 0));
}

#[test]
fn an_id_of_another_refund_is_about_that_one_and_ours_goes_to_a_person() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let first = harness.send(payment, 4_000);
    harness.say(first, with_id("re_1", answered(ProviderOutcome::Accepted))).expect("recorded");
    let second = harness.send(payment, 4_000);
    // The provider takes the second for a repetition of the first.
    let twin = with_id("re_1", answered(ProviderOutcome::Completed));
    assert_eq!(harness.say(second, twin), Ok(State::NeedsReview));
    assert_eq!(harness.failure_code(second), Some("refund_mismatch"));
    let message = harness.refund(second).failure.as_ref().map(|f| f.message.to_string());
    assert!(message.is_some_and(|message| message.contains(&first.refund.to_string())));
    assert_eq!(harness.refund(second).provider_refund_id, None);
    assert_eq!(harness.refund(second).due_at, Some(harness.now.plus_ms(1_000)));
    assert_eq!(harness.refund(first).state, State::Succeeded);
    assert_eq!(harness.balance(payment), (4_000, 4_000, 0));
}

#[test]
fn an_id_of_another_refund_moves_that_one_only_by_what_the_provider_says_of_it() {
    // A refusal of our call is no refusal of the other's, although both hold their first lease.
    for outcome in
        [ProviderOutcome::Failed, ProviderOutcome::NotDone, ProviderOutcome::WaitingForFunds]
    {
        let mut harness = Harness::open();
        let payment = harness.pay(10_000);
        let first = harness.send(payment, 4_000);
        harness.say(first, with_id("re_1", answered(ProviderOutcome::Accepted))).expect("known");
        let second = harness.send(payment, 4_000);
        let refused = with_id("re_1", answered(outcome));
        assert_eq!(harness.say(second, refused), Ok(State::NeedsReview), "{outcome}");
        assert_eq!(harness.refund(first).state, State::Submitted);
        assert_eq!(harness.refund(first).answer.as_deref(), Some("accepted"));
        assert_eq!(harness.balance(payment), (0, 8_000, 0));
    }
}

#[test]
fn an_id_of_another_refund_leaves_ours_as_it_is_once_it_is_decided() {
    let (mut harness, of) = succeeded();
    let payment = harness.refund(of).payment;
    let other = harness.send(payment, 1_000);
    harness.say(other, with_id("re_2", answered(ProviderOutcome::Accepted))).expect("recorded");
    harness.say(of, with_id("re_2", told(ProviderOutcome::Completed, 7))).expect("recorded");
    assert_eq!(harness.refund(of).state, State::Succeeded);
    assert_eq!(harness.refund(other).state, State::Succeeded);
    assert_eq!(harness.balance(payment), (5_000, 0, 0));
}

#[test]
fn a_statement_about_a_refund_that_is_not_there_changes_nothing() {
    let (mut harness, of) = succeeded();
    let refund = domain::ids::RefundId::from_bytes([7; 16]);
    let nowhere = RefundRef { refund, ..of };
    let before = harness.rows.clone();
    for statement in
        [told(ProviderOutcome::Completed, 7), with_id("re_1", told(ProviderOutcome::Failed, 8))]
    {
        let record = harness.outcome(None, nowhere, statement);
        assert_eq!(harness.run(record), Err(Refusal::RefundNotFound));
    }
    assert_eq!(harness.rows, before);
}

#[test]
fn a_refused_statement_leaves_nothing_behind() {
    // The payment gave back so much that no sum holds a second success.
    let overflow = |harness: &mut Harness, payment| {
        let most = told_of(i64::MAX, ProviderOutcome::Completed, 2);
        harness.adopt(payment, "re_9", most).expect("adopted");
    };
    let (mut harness, of) = failed(SIMULATOR);
    let payment = harness.refund(of).payment;
    overflow(&mut harness, payment);
    // `run` checks that nothing changed.
    let newer = Observation { source: Source::Lookup, ..told(ProviderOutcome::Completed, 9) };
    assert_eq!(harness.say(of, newer), Err(Refusal::TooLarge));
    assert_eq!(harness.say(of, answered(ProviderOutcome::Completed)), Err(Refusal::TooLarge));

    // The refund under whose key another one was named is left as it was, too.
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let first = harness.send(payment, 4_000);
    harness.say(first, with_id("re_1", answered(ProviderOutcome::Failed))).expect("recorded");
    let other = harness.pay(10_000);
    let second = harness.send(other, 4_000);
    overflow(&mut harness, payment);
    let said = with_id("re_1", looked_up(ProviderOutcome::Completed));
    assert_eq!(harness.say(second, said), Err(Refusal::TooLarge));
    assert_eq!(harness.refund(second).state, State::Sending);
}

#[test]
fn the_time_of_a_word_on_what_was_never_sent_is_not_that_of_the_refund() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let create = CreateRefund { start: Start::Queue, ..ask(payment, 1_000) };
    let of = RefundRef::from(&harness.create(create).expect("created").refund);
    assert_eq!(harness.say(of, told(ProviderOutcome::Failed, 7)), Ok(State::Queued));
    assert_eq!(harness.refund(of).evidence_at, None);
}

#[test]
fn a_contradiction_teaches_no_id_of_another_payment() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let of = harness.send(payment, 4_000);
    let other = elsewhere(with_id("re_9", told(ProviderOutcome::Completed, 5)));
    for _ in 0..2 {
        assert_eq!(harness.say(of, other.clone()), Ok(State::NeedsReview));
        assert_eq!(harness.refund(of).provider_refund_id, None);
    }
    // So the right one fits.
    let ours = with_id("re_1", told(ProviderOutcome::Completed, 6));
    assert_eq!(harness.say(of, ours), Ok(State::Succeeded));
    assert_eq!(harness.refund(of).provider_refund_id.as_deref(), Some("re_1"));
    assert_eq!(harness.rows.refunds.len(), 1);
}

#[test]
fn an_id_is_a_name_from_the_moment_it_is_known() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let of = harness.send(payment, 4_000);
    harness.say(of, with_id("re_1", answered(ProviderOutcome::Accepted))).expect("recorded");
    // A webhook without our key names the refund by its id.
    let told = with_id("re_1", told_of(4_000, ProviderOutcome::Completed, 7));
    let known = harness.adopt(payment, "re_1", told).expect("known");
    assert_eq!((known.id, known.state), (of.refund, State::Succeeded));
    assert_eq!(harness.balance(payment), (4_000, 0, 0));
    assert_eq!(harness.rows.refunds.len(), 1);
}

#[test]
fn an_id_that_is_learned_without_a_move_is_a_name_too() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let of = harness.send(payment, 4_000);
    harness.say(of, answered(ProviderOutcome::Accepted)).expect("recorded");
    harness.say(of, with_id("re_1", told(ProviderOutcome::Accepted, 5))).expect("recorded");
    let done = with_id("re_1", told_of(4_000, ProviderOutcome::Completed, 7));
    let known = harness.adopt(payment, "re_1", done).expect("known");
    assert_eq!(known.id, of.refund);
    assert_eq!(harness.rows.keys.len(), 2, "the payment's and the refund's");
}

#[test]
fn an_older_statement_moves_nothing_and_the_newest_time_stays() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let of = harness.send(payment, 4_000);
    harness.say(of, told(ProviderOutcome::Accepted, 5)).expect("recorded");
    harness.say(of, told(ProviderOutcome::ActionRequired, 9)).expect("recorded");
    let at = |harness: &Harness| harness.refund(of).evidence_at;
    let ms = |ms| Some(Timestamp(START.0 + ms));
    assert_eq!(at(&harness), ms(9));
    assert_eq!(harness.say(of, told(ProviderOutcome::Completed, 8)), Ok(State::Submitted));
    assert_eq!(at(&harness), ms(9));
    assert_eq!(harness.say(of, told(ProviderOutcome::Completed, 9)), Ok(State::Succeeded));
}

#[test]
fn what_a_statement_says_of_itself_is_in_the_event() {
    let (harness, of) = succeeded();
    let events = harness.told_about(of);
    let types: Vec<Type> = events.iter().map(|event| event.event_type).collect();
    assert_eq!(types, [Type::RefundCreated, Type::RefundSucceeded]);
    let detail = events[1].detail.clone().expect("a detail");
    assert_eq!(detail.provider_refund_id.as_deref(), Some("re_1"));
    assert_eq!(detail.source.as_deref(), Some("submit"));
    assert_eq!(detail.failure_code, None);
}
