//! A refund in doubt: when it is asked for again under its key, when it is only looked for, and what
//! proves that the provider does not have it.

use crate::harness::*;
use crate::traits::*;
use domain::decide::{Call, Command, CreateRefund, RefundRef, Refusal, Start};
use domain::outcome::{Failure, Observation, ProviderOutcome, Source};
use domain::provider::{LookupBy, Traits};
use domain::refund::State;

/// A refund of 40.00 of 100.00 whose call was answered with nothing that could be used.
fn lost(traits: Traits) -> (Harness, RefundRef) {
    let mut harness = Harness::at(traits);
    let payment = harness.pay(10_000);
    let of = harness.lose(payment, 4_000);
    (harness, of)
}

/// The next `count` calls, each of which settles nothing.
fn calls(harness: &mut Harness, of: RefundRef, count: usize) -> Vec<Call> {
    let mut calls = Vec::new();
    for _ in 0..count {
        let call = harness.next_call(of).expect("leased");
        let nothing = match call {
            Call::Submit | Call::SubmitAgain => answered(ProviderOutcome::Unknown),
            Call::Look | Call::Wait => looked_up(ProviderOutcome::Absent),
        };
        harness.say(of, nothing).expect("recorded");
        calls.push(call);
    }
    calls
}

/// The traits without any way to find a refund.
const fn unfindable(traits: Traits) -> Traits {
    Traits { lookup: BLIND.lookup, ..traits }
}

const LOOK_THEN_AGAIN: [Call; 4] = [Call::Look, Call::SubmitAgain, Call::Look, Call::SubmitAgain];

#[test]
fn while_the_key_is_kept_looking_and_asking_again_take_turns() {
    let (mut harness, of) = lost(SIMULATOR);
    assert_eq!(calls(&mut harness, of, 4), LOOK_THEN_AGAIN);
    // A key that is kept for ever is safe at any time.
    harness.now = harness.now.plus_ms(6 * 24 * HOUR_MS);
    assert_eq!(calls(&mut harness, of, 4), LOOK_THEN_AGAIN);
}

#[test]
fn a_refund_that_cannot_be_looked_for_is_only_asked_for_again() {
    let (mut harness, of) = lost(unfindable(SIMULATOR));
    assert_eq!(calls(&mut harness, of, 3), [Call::SubmitAgain; 3]);
}

#[test]
fn a_refund_can_be_found_by_its_id_only_once_that_is_known() {
    let (mut harness, of) = lost(TWIN);
    assert_eq!(harness.next_call(of), Ok(Call::SubmitAgain));
    let named = with_id("re_1", answered(ProviderOutcome::InProgress));
    assert_eq!(harness.say(of, named), Ok(State::Unknown));
    assert_eq!(harness.refund(of).provider_refund_id.as_deref(), Some("re_1"));
    // The second try comes after one look less.
    assert_eq!(calls(&mut harness, of, 3), [Call::SubmitAgain, Call::Look, Call::SubmitAgain]);
}

#[test]
fn a_key_that_is_about_to_be_forgotten_is_not_sent_again() {
    // From ten minutes before the end of the hour, which is the margin.
    let horizon = START.plus_ms(50 * MINUTE_MS);
    for (traits, at, call) in [
        (HOUR, horizon.plus_ms(-1), Call::SubmitAgain),
        (HOUR, horizon, Call::Look),
        (HOUR, START.plus_ms(30 * HOUR_MS), Call::Look),
        (unfindable(HOUR), horizon.plus_ms(-1), Call::SubmitAgain),
        (unfindable(HOUR), horizon, Call::Wait),
        (TWIN, horizon.plus_ms(-1), Call::SubmitAgain),
        (TWIN, horizon, Call::Wait),
    ] {
        let (mut harness, of) = lost(traits);
        if traits.lookup.list {
            calls(&mut harness, of, 1);
        }
        harness.now = at;
        assert_eq!(harness.next_call(of), Ok(call), "{at:?} {traits:?}");
    }
}

#[test]
fn the_time_of_a_key_counts_from_the_first_call_whatever_came_later() {
    let (mut harness, of) = lost(unfindable(HOUR));
    for minutes in [10, 20, 30, 40] {
        harness.now = START.plus_ms(minutes * MINUTE_MS);
        assert_eq!(harness.next_call(of), Ok(Call::SubmitAgain));
        harness.say(of, answered(ProviderOutcome::Unknown)).expect("recorded");
    }
    assert_eq!(harness.refund(of).first_sent_at, Some(START));
    assert_eq!(harness.refund(of).sent_at, Some(START.plus_ms(40 * MINUTE_MS)));
    assert_eq!(harness.refund(of).sends, 5);
    harness.now = START.plus_ms(50 * MINUTE_MS);
    assert_eq!(harness.next_call(of), Ok(Call::Wait));
}

#[test]
fn the_time_of_a_key_begins_anew_once_nothing_is_at_the_provider() {
    let mut harness = Harness::at(unfindable(HOUR));
    let payment = harness.pay(10_000);
    let of = harness.send(payment, 4_000);
    harness.now = START.plus_ms(45 * MINUTE_MS);
    harness.say(of, answered(ProviderOutcome::NeverSent)).expect("recorded");
    assert_eq!(harness.refund(of).first_sent_at, None);
    assert_eq!(harness.next_call(of), Ok(Call::Submit));
    let sent_at = harness.refund(of).first_sent_at.expect("it is sent");
    assert_eq!(sent_at, START.plus_ms(45 * MINUTE_MS + 1_000));
    harness.say(of, answered(ProviderOutcome::Unknown)).expect("recorded");
    harness.now = sent_at.plus_ms(50 * MINUTE_MS - 1);
    assert_eq!(harness.next_call(of), Ok(Call::SubmitAgain));
}

#[test]
fn without_keys_a_refund_is_never_asked_for_twice() {
    let (mut harness, of) = lost(KEYLESS);
    let short_of_proof = 5;
    assert_eq!(calls(&mut harness, of, short_of_proof), [Call::Look; 5]);

    let (mut harness, of) = lost(BLIND);
    assert_eq!(harness.next_call(of), Ok(Call::Wait));
}

#[test]
fn two_complete_looks_a_minute_apart_and_late_enough_prove_that_a_refund_is_not_there() {
    let (mut harness, of) = lost(KEYLESS);
    let absent = || Observation { source: Source::List, ..looked_up(ProviderOutcome::Absent) };
    // A look that comes too early proves nothing, and the first that counts needs a second.
    let late_enough = START.plus_ms(10 * MINUTE_MS);
    for at in [
        late_enough.plus_ms(-1),
        late_enough,
        late_enough.plus_ms(30_000),
        late_enough.plus_ms(59_999),
    ] {
        harness.now = at.plus_ms(-1_000);
        assert_eq!(harness.next_call(of), Ok(Call::Look));
        harness.now = at;
        assert_eq!(harness.say(of, absent()), Ok(State::Unknown), "{at:?}");
    }
    assert_eq!(harness.refund(of).absent_at, Some(late_enough));
    assert_eq!(harness.next_call(of), Ok(Call::Look));
    harness.now = late_enough.plus_ms(60_999);
    assert_eq!(harness.say(of, absent()), Ok(State::Queued));
    let refund = harness.refund(of);
    assert_eq!((refund.first_sent_at, refund.absent_at), (None, None));
    // It goes out under the same key, as if for the first time.
    assert_eq!(harness.next_call(of), Ok(Call::Submit));
    assert_eq!(harness.refund(of).sends, 2);
    assert_eq!(harness.say(of, answered(ProviderOutcome::Completed)), Ok(State::Succeeded));
}

#[test]
fn exactly_a_minute_between_two_looks_is_enough() {
    let (mut harness, of) = lost(KEYLESS);
    harness.now = START.plus_ms(10 * MINUTE_MS);
    harness.next_call(of).expect("leased");
    harness.say(of, looked_up(ProviderOutcome::Absent)).expect("recorded");
    harness.next_call(of).expect("leased");
    harness.now = START.plus_ms(11 * MINUTE_MS);
    assert_eq!(harness.say(of, looked_up(ProviderOutcome::Absent)), Ok(State::Queued));
}

#[test]
fn a_call_after_the_first_look_makes_both_looks_necessary_again() {
    let (mut harness, of) = lost(HOUR);
    for minutes in [6, 12, 18, 24] {
        harness.now = START.plus_ms(minutes * MINUTE_MS);
        let call = harness.next_call(of).expect("leased");
        let is_look = call == Call::Look;
        let outcome = if is_look { ProviderOutcome::Absent } else { ProviderOutcome::Unknown };
        let source = if is_look { Source::List } else { Source::Submit };
        let nothing = Observation { source, ..looked_up(outcome) };
        assert_eq!(harness.say(of, nothing), Ok(State::Unknown));
        let refund = harness.refund(of);
        assert_eq!(refund.absent_at > refund.sent_at, is_look);
    }
    // Past the key's time only looks follow, and they prove it.
    harness.now = START.plus_ms(50 * MINUTE_MS);
    harness.next_call(of).expect("leased");
    harness.say(of, looked_up(ProviderOutcome::Absent)).expect("recorded");
    harness.now = START.plus_ms(52 * MINUTE_MS);
    assert_eq!(harness.next_call(of), Ok(Call::Look));
    assert_eq!(harness.say(of, looked_up(ProviderOutcome::Absent)), Ok(State::Queued));
}

#[test]
fn a_refusal_of_a_repeat_is_a_failure_once_a_look_showed_that_nothing_was_made_before() {
    for (proves_ms, state) in [(Some(0), State::Failed), (None, State::Unknown)] {
        let lookup = LookupBy { proves_absence_after_ms: proves_ms, ..HOUR.lookup };
        let (mut harness, of) = lost(Traits { lookup, ..HOUR });
        harness.now = START.plus_ms(MINUTE_MS);
        assert_eq!(harness.next_call(of), Ok(Call::Look));
        let absent = Observation { source: Source::List, ..looked_up(ProviderOutcome::Absent) };
        assert_eq!(harness.say(of, absent), Ok(State::Unknown));
        assert_eq!(harness.next_call(of), Ok(Call::SubmitAgain));
        let refused = because("card_closed", answered(ProviderOutcome::Failed));
        assert_eq!(harness.say(of, refused), Ok(state), "{proves_ms:?}");
    }
}

#[test]
fn a_repeat_whose_answer_is_lost_too_makes_the_next_refusal_doubtful_again() {
    let lookup = LookupBy { proves_absence_after_ms: Some(0), ..HOUR.lookup };
    let (mut harness, of) = lost(Traits { lookup, ..HOUR });
    harness.now = START.plus_ms(MINUTE_MS);
    harness.next_call(of).expect("leased");
    harness.say(of, looked_up(ProviderOutcome::Absent)).expect("recorded");
    assert_eq!(harness.next_call(of), Ok(Call::SubmitAgain));
    harness.say(of, answered(ProviderOutcome::Unknown)).expect("recorded");
    // This look is not answered, so nothing is known of the second call.
    assert_eq!(harness.next_call(of), Ok(Call::Look));
    harness.say(of, looked_up(ProviderOutcome::Unknown)).expect("recorded");
    assert_eq!(harness.next_call(of), Ok(Call::SubmitAgain));
    let refused = because("already_refunded", answered(ProviderOutcome::Failed));
    assert_eq!(harness.say(of, refused), Ok(State::Unknown));
}

#[test]
fn looks_prove_nothing_where_the_provider_shows_refunds_late_without_a_limit() {
    let lookup = LookupBy { proves_absence_after_ms: None, ..KEYLESS.lookup };
    let (mut harness, of) = lost(Traits { lookup, ..KEYLESS });
    for hours in 1..48 {
        harness.now = START.plus_ms(hours * HOUR_MS);
        assert_eq!(harness.next_call(of), Ok(Call::Look));
        assert_eq!(harness.say(of, looked_up(ProviderOutcome::Absent)), Ok(State::Unknown));
    }
}

#[test]
fn a_look_that_may_be_older_than_the_last_call_proves_nothing() {
    let (mut harness, of) = lost(KEYLESS);
    for minutes in [10, 12, 14] {
        harness.now = START.plus_ms(minutes * MINUTE_MS);
        harness.next_call(of).expect("leased");
        // Another node looked, stood still, and reports only now.
        let old = Some(harness.refund(of).lease - 1);
        for lease in [old, None] {
            let absent = looked_up(ProviderOutcome::Absent);
            assert_eq!(harness.say_under(lease, of, absent), Ok(State::Unknown));
        }
        assert_eq!(harness.refund(of).absent_at, None);
    }
    // The answer to a call is no look.
    let not_found = answered(ProviderOutcome::Absent);
    assert_eq!(harness.say(of, not_found), Ok(State::Unknown));
    assert_eq!(harness.refund(of).absent_at, None);
}

#[test]
fn a_refund_that_the_provider_has_named_is_not_absent_whatever_a_look_says() {
    let (mut harness, of) = lost(KEYLESS);
    let named = with_id("re_1", looked_up(ProviderOutcome::InProgress));
    assert_eq!(harness.say(of, named), Ok(State::Unknown));
    for hours in 1..12 {
        harness.now = START.plus_ms(hours * HOUR_MS);
        assert_eq!(harness.next_call(of), Ok(Call::Look));
        assert_eq!(harness.say(of, looked_up(ProviderOutcome::Absent)), Ok(State::Unknown));
    }
}

#[test]
fn a_refusal_of_a_repetition_is_no_failure() {
    for outcome in [
        ProviderOutcome::Failed,
        ProviderOutcome::Canceled,
        ProviderOutcome::Spent,
        ProviderOutcome::Impossible,
        ProviderOutcome::NotDone,
        ProviderOutcome::WaitingForFunds,
        ProviderOutcome::NeverSent,
        ProviderOutcome::InProgress,
    ] {
        let (mut harness, of) = lost(SIMULATOR);
        calls(&mut harness, of, 1);
        assert_eq!(harness.next_call(of), Ok(Call::SubmitAgain));
        let refusal = because("charge_already_refunded", answered(outcome));
        assert_eq!(harness.say(of, refusal), Ok(State::Unknown), "{outcome}");
        let payment = harness.refund(of).payment;
        assert_eq!(harness.balance(payment), (0, 4_000, 0), "the money stays reserved");
        // The provider is asked what became of the first call.
        assert_eq!(harness.next_call(of), Ok(Call::Look));
        assert_eq!(harness.say(of, looked_up(ProviderOutcome::Completed)), Ok(State::Succeeded));
        assert_eq!(harness.balance(payment), (4_000, 0, 0));
    }
}

#[test]
fn a_payment_that_is_spent_may_be_spent_on_our_first_call_whatever_a_look_showed() {
    let lookup = LookupBy { proves_absence_after_ms: Some(0), ..HOUR.lookup };
    let (mut harness, of) = lost(Traits { lookup, ..HOUR });
    harness.now = START.plus_ms(MINUTE_MS);
    harness.next_call(of).expect("leased");
    harness.say(of, looked_up(ProviderOutcome::Absent)).expect("recorded");
    assert_eq!(harness.next_call(of), Ok(Call::SubmitAgain));
    let spent = because("charge_already_refunded", answered(ProviderOutcome::Spent));
    assert_eq!(harness.say(of, spent), Ok(State::Unknown));
}

#[test]
fn a_look_that_found_nothing_says_nothing_about_a_call_that_is_under_way() {
    let mut harness = Harness::at(BLIND);
    let payment = harness.pay(10_000);
    let of = harness.send(payment, 4_000);
    for source in [Source::Lookup, Source::List, Source::Webhook] {
        for outcome in [ProviderOutcome::Absent, ProviderOutcome::Unknown, ProviderOutcome::Spent] {
            let late = Observation { source, ..looked_up(outcome) };
            assert_eq!(harness.say_under(None, of, late), Ok(State::Sending), "{source} {outcome}");
        }
    }
    assert_eq!(harness.say(of, answered(ProviderOutcome::NotDone)), Ok(State::Queued));
    // An older call that was lost may still make it.
    harness.next_call(of).expect("leased");
    let late = harness.say_under(Some(1), of, answered(ProviderOutcome::Unknown));
    assert_eq!(late, Ok(State::Unknown));
}

#[test]
fn a_refusal_of_the_only_call_is_a_failure() {
    for (outcome, state) in [
        (ProviderOutcome::Failed, State::Failed),
        (ProviderOutcome::Spent, State::Failed),
        (ProviderOutcome::Impossible, State::Failed),
        (ProviderOutcome::Canceled, State::Canceled),
    ] {
        let mut harness = Harness::open();
        let payment = harness.pay(10_000);
        let of = harness.send(payment, 4_000);
        let refusal = because("charge_already_refunded", answered(outcome));
        assert_eq!(harness.say(of, refusal), Ok(state), "{outcome}");
        assert_eq!(harness.failure_code(of), Some("charge_already_refunded"));
        assert_eq!(harness.balance(payment), (0, 0, 0));
    }
}

#[test]
fn a_failure_that_a_look_or_a_webhook_tells_of_is_one_in_doubt_too() {
    for source in [Source::Lookup, Source::List, Source::Webhook] {
        for outcome in [ProviderOutcome::Failed, ProviderOutcome::Canceled] {
            let (mut harness, of) = lost(SIMULATOR);
            let failed = Observation { source, ..looked_up(outcome) };
            assert_eq!(harness.say(of, failed), Ok(State::Failed), "{source} {outcome}");
            assert_eq!(harness.failure_code(of), Some(outcome.as_str()));
        }
    }
}

#[test]
fn a_call_that_did_nothing_counts_only_for_the_holder_of_the_lease() {
    for (outcome, state) in [
        (ProviderOutcome::NeverSent, State::Queued),
        (ProviderOutcome::NotDone, State::Queued),
        (ProviderOutcome::WaitingForFunds, State::WaitingForFunds),
        (ProviderOutcome::Failed, State::Failed),
    ] {
        for (lease, expected) in
            [(Some(1), state), (Some(0), State::Unknown), (None, State::Unknown)]
        {
            let mut harness = Harness::open();
            let payment = harness.pay(10_000);
            let of = harness.send(payment, 4_000);
            let said = harness.say_under(lease, of, answered(outcome));
            assert_eq!(said, Ok(expected), "{outcome} under {lease:?}");
        }
    }
}

#[test]
fn an_answer_that_comes_after_the_lease_does_not_touch_the_next_one() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let of = harness.send(payment, 4_000);
    assert_eq!(harness.lease_when_due(of), Ok(State::Unknown));
    let held = harness.refund(of).clone();
    harness.now = harness.now.plus_ms(5_000);
    let late = harness.say_under(Some(1), of, answered(ProviderOutcome::NeverSent));
    assert_eq!(late, Ok(State::Unknown));
    assert_eq!(*harness.refund(of), held, "not even its time and its answer");
    // A result is a result, whoever brings it.
    let late = harness.say_under(Some(1), of, answered(ProviderOutcome::Completed));
    assert_eq!(late, Ok(State::Succeeded));
}

#[test]
fn a_lease_is_refused_unless_it_fits() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let create = CreateRefund { start: Start::Queue, ..ask(payment, 1_000) };
    let of = RefundRef::from(&harness.create(create).expect("created").refund);
    let first = harness.claim(of);
    let second = harness.claim(of);
    assert_eq!(harness.run(first), Err(Refusal::NotDue), "another node was faster");
    assert!(harness.run(second).is_ok());
    let lease = harness.refund(of).lease;
    for other in [lease - 1, lease + 1] {
        assert_eq!(harness.run(harness.begin(of, other)), Err(Refusal::NotDue));
    }
}

#[test]
fn a_refund_that_was_decided_after_the_claim_is_not_worked_on() {
    let completed = || told(ProviderOutcome::Completed, 5);
    for (statements, state) in [
        (vec![], State::Canceled),
        (vec![completed()], State::Succeeded),
        (vec![completed(), told(ProviderOutcome::Failed, 6)], State::Failed),
    ] {
        let mut harness = Harness::open();
        let payment = harness.pay(10_000);
        let create = CreateRefund { start: Start::Queue, ..ask(payment, 1_000) };
        let of = RefundRef::from(&harness.create(create).expect("created").refund);
        let begin = harness.claim(of);
        if statements.is_empty() {
            harness.run(Command::Cancel { of, key: None }).expect("canceled");
        }
        for statement in statements {
            harness.say(of, statement).expect("recorded");
        }
        assert_eq!(harness.refund(of).state, state);
        assert_eq!(harness.run(begin), Err(Refusal::NotDue), "{state}");
    }
}

#[test]
fn a_lease_ends_as_long_after_the_commit_as_it_is_long() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    for start in [Start::Queue, Start::Send { lease_ms: LEASE_MS }] {
        let create = CreateRefund { start, ..ask(payment, 1_000) };
        let of = RefundRef::from(&harness.create(create).expect("created").refund);
        harness.now = harness.refund(of).due_at.expect("due");
        let begin = harness.claim(of);
        // The commit waits behind others.
        harness.now = harness.now.plus_ms(7_000);
        harness.run(begin).expect("leased");
        assert_eq!(harness.refund(of).due_at, Some(harness.now.plus_ms(LEASE_MS)), "{start:?}");
    }
}

#[test]
fn every_call_is_on_record_with_its_answer() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let of = harness.send(payment, 4_000);
    harness.now = START.plus_ms(70);
    harness.say(of, because("http_500", answered(ProviderOutcome::Unknown))).expect("recorded");
    let first = harness.refund(of).last_attempt().expect("sent");
    assert_eq!((first.number, first.sent_at), (1, START));
    assert_eq!(first.answered_at, Some(START.plus_ms(70)));
    assert_eq!(first.answer.as_deref(), Some("lost: http_500: a reason"));

    calls(&mut harness, of, 1);
    assert_eq!(harness.refund(of).last_attempt(), Some(first.clone()), "a look is no call for it");
    harness.next_call(of).expect("leased");
    assert_eq!(harness.rows.attempts, [first]);
    let second = harness.refund(of).last_attempt().expect("sent");
    assert_eq!((second.number, second.answered_at, second.answer), (2, None, None));
    assert_eq!(second.sent_at, harness.now);

    // A webhook is no answer, and the first answer stays.
    harness.say(of, told(ProviderOutcome::Accepted, 5)).expect("recorded");
    assert_eq!(harness.refund(of).answer, None);
    harness.say(of, answered(ProviderOutcome::Completed)).expect("recorded");
    assert_eq!(harness.refund(of).answer.as_deref(), Some("completed"));
    let answered_at = harness.refund(of).answered_at;
    harness.now = harness.now.plus_ms(1);
    harness.say(of, answered(ProviderOutcome::Accepted)).expect("recorded");
    assert_eq!(harness.refund(of).answer.as_deref(), Some("completed"));
    assert_eq!(harness.refund(of).answered_at, answered_at);
}

#[test]
fn a_node_that_stops_leaves_a_reason_and_a_look_comes_first() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let of = harness.send(payment, 4_000);
    assert_eq!(harness.next_call(of), Ok(Call::Look));
    let why = harness.refund(of).failure.clone().map(|Failure { code, .. }| code);
    assert_eq!(why.as_deref(), Some("interrupted"));
    assert_eq!(harness.refund(of).due_at, Some(harness.now.plus_ms(LEASE_MS)));
}

#[test]
fn what_the_provider_has_is_only_looked_at() {
    for (outcome, state) in [
        (ProviderOutcome::Accepted, State::Submitted),
        (ProviderOutcome::Twin, State::Submitted),
        (ProviderOutcome::ActionRequired, State::RequiresAction),
        (ProviderOutcome::Held, State::Held),
    ] {
        for (traits, call) in [(SIMULATOR, Call::Look), (BLIND, Call::Wait)] {
            let mut harness = Harness::at(traits);
            let payment = harness.pay(10_000);
            let of = harness.send(payment, 4_000);
            assert_eq!(harness.say(of, answered(outcome)), Ok(state));
            for _ in 0..3 {
                assert_eq!(harness.next_call(of), Ok(call), "{state}");
                let again = Observation { source: Source::Lookup, ..answered(outcome) };
                assert_eq!(harness.say(of, again), Ok(state));
            }
            assert_eq!(harness.refund(of).sends, 1);
            assert_eq!(
                harness.say(of, looked_up(ProviderOutcome::Completed)),
                Ok(State::Succeeded)
            );
        }
    }
}
