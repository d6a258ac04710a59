//! Registering payments, asking for refunds, withdrawing them, and the names that make all of that
//! happen once.

use crate::harness::*;
use domain::decide::{
    ACCOUNT_DELETED, Command, CreateRefund, Done, KEY_LIFETIME_MS, KeyedRequest, RefundRef,
    Refusal, RegisterPayment, Start,
};
use domain::event::{Subject, Type};
use domain::ids::ProviderAccountId;
use domain::money::Currency;
use domain::outcome::{Failure, ProviderOutcome};
use domain::payment::{Kind, NewPayment, Status};
use domain::provider_account::{self, ProviderAccountState};
use domain::refund::{Refund, State};

fn queued(create: CreateRefund) -> CreateRefund {
    CreateRefund { start: Start::Queue, ..create }
}

#[test]
fn an_amount_left_out_is_all_that_remains() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    harness.send(payment, 2_500);
    let rest = ask_for_all(payment);
    let created = harness.create(rest).expect("created");
    assert_eq!(created.refund.amount, 7_500);
    assert_eq!((created.payment.reserved, created.payment.refundable()), (10_000, 0));
    let nothing = harness.create(ask_for_all(payment));
    assert_eq!(nothing, Err(Refusal::NothingRefundable { status: Status::Succeeded }));
}

#[test]
fn a_refund_beyond_what_remains_is_refused_with_the_balance() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    harness.send(payment, 9_999);
    for requested in [2, 10_000, i64::MAX, 0, -1, i64::MIN] {
        let refused = harness.create(ask(payment, requested));
        assert_eq!(refused, Err(over_refund(requested, 1)));
    }
    harness.send(payment, 1);
}

#[test]
fn over_refunds_of_one_batch_are_refused_alone() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let full = || Command::Create(Box::new(ask_for_all(payment)));
    let part = |amount| Command::Create(Box::new(ask(payment, amount)));
    let answers = harness.run_all(&[part(4_000), part(6_001), full(), full(), part(1)]);
    let won: Vec<bool> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(won, [true, false, true, false, false]);
    assert_eq!(harness.balance(payment), (0, 10_000, 0));
}

#[test]
fn a_caller_with_another_balance_currency_or_kind_in_mind_is_refused() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let expecting =
        |expected| changed(ask(payment, 1), |new| new.expected_refundable = Some(expected));
    let moved = Err(Refusal::BalanceChanged { expected: 9_999, refundable: 10_000 });
    assert_eq!(harness.create(expecting(9_999)), moved);
    assert!(harness.create(expecting(10_000)).is_ok());

    let eur = Currency::parse("EUR").expect("a currency");
    let in_euro = changed(ask(payment, 1), |new| new.currency = Some(eur));
    let mismatch = Refusal::CurrencyMismatch { expected: usd(), given: eur };
    assert_eq!(harness.create(in_euro), Err(mismatch));

    let of_invoice = changed(ask(payment, 1), |new| new.kind = Some(Kind::Invoice));
    assert_eq!(harness.create(of_invoice), Err(Refusal::PaymentNotFound));
    let elsewhere = domain::tenant::Tenant::new(1, domain::tenant::Mode::Live);
    let of_other_mode = changed(ask(payment, 1), |new| new.tenant = elsewhere);
    assert_eq!(harness.create(of_other_mode), Err(Refusal::PaymentNotFound));
}

#[test]
fn a_start_decides_the_state_and_the_time_of_the_first_look() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let later = harness.now.plus_ms(60_000);
    for (start, state, due_at) in [
        (Start::Send { lease_ms: 60_000 }, State::Sending, Some(later)),
        (Start::Queue, State::Queued, Some(harness.now)),
        (Start::Schedule { until: later }, State::Scheduled, Some(later)),
        (Start::AwaitApproval, State::AwaitingApproval, None),
    ] {
        let created = harness.create(CreateRefund { start, ..ask(payment, 1) }).expect("created");
        assert_eq!((created.refund.state, created.refund.due_at), (state, due_at));
        let refund = created.refund;
        // The intent to call is durable, with its time, before the call.
        let calls = (refund.sends, refund.lease, refund.first_sent_at, refund.sent_at);
        let now = Some(harness.now);
        let expected = if state == State::Sending { (1, 1, now, now) } else { (0, 0, None, None) };
        assert_eq!(calls, expected, "{state}");
    }
}

#[test]
fn a_key_that_comes_again_is_answered_as_the_first_time_whatever_happened_since() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let request = || under_key("k", ask(payment, 4_000));
    let first = harness.create(request()).expect("created");
    let of = RefundRef::from(&first.refund);
    harness.say(of, told(ProviderOutcome::Accepted, 5)).expect("recorded");
    let failed = webhook(
        saying(ProviderOutcome::Failed, 9)
            .because(Failure::new("card_closed", "the card is closed")),
    );
    harness.say(of, failed).expect("recorded");
    harness.now = harness.now.plus_ms(90 * KEY_LIFETIME_MS);

    let again = harness.create(request()).expect("answered");
    assert!(again.replayed);
    let told_again = |refund: &Refund| {
        let outcome = (refund.state, refund.failure.clone(), refund.provider_refund_id.clone());
        (refund.id, refund.amount, refund.late, refund.updated_at, outcome)
    };
    assert_eq!(told_again(&again.refund), told_again(&first.refund));
    assert_eq!(harness.rows.refunds.len(), 1);
    assert_eq!(harness.balance(payment), (0, 0, 0), "the refund itself failed");
}

#[test]
fn the_first_answer_is_repeated_in_all_that_a_caller_sees() {
    for start in [Start::Send { lease_ms: 60_000 }, Start::Queue] {
        let mut harness = Harness::open();
        let payment = harness.pay(10_000);
        let request = || {
            let create = under_key("k", CreateRefund { start, ..ask(payment, 4_000) });
            changed(create, |new| {
                new.reason = Some("too late".into());
                new.metadata = Some("{}".into());
            })
        };
        let first = harness.create(request()).expect("created").refund;
        assert_eq!(
            (first.reason.as_deref(), first.metadata.as_deref()),
            (Some("too late"), Some("{}"))
        );
        let of = RefundRef::from(&first);
        harness.now = harness.now.plus_ms(5_000);
        if start == Start::Queue {
            harness.next_call(of).expect("leased");
        }
        let mut done = told(ProviderOutcome::Completed, 5);
        done.said.provider_refund_id = Some("re_1".into());
        harness.say(of, done).expect("recorded");
        harness.now = harness.now.plus_ms(5_000);
        let failed = webhook(saying(ProviderOutcome::Failed, 9).because(Failure::new("x", "y")));
        harness.say(of, failed).expect("recorded");
        let now = harness.refund(of);
        assert!(now.late && now.sends > 0 && now.provider_refund_id.is_some(), "{now:?}");
        let again = harness.create(request()).expect("answered").refund;
        let seen = |refund: &Refund| {
            let calls = (refund.sends, refund.first_sent_at, refund.provider_refund_id.clone());
            let flags = (refund.late, refund.needs_attention, refund.failure.clone());
            let texts = (refund.reason.clone(), refund.metadata.clone());
            (refund.id, refund.state, refund.updated_at, calls, flags, texts)
        };
        assert_eq!(seen(&again), seen(&first), "{start:?}");
    }
}

#[test]
fn a_key_repeated_inside_one_batch_makes_one_refund() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let request = || Command::Create(Box::new(under_key("k", ask(payment, 4_000))));
    let answers = harness.run_all(&[request(), request(), request()]);
    let replayed: Vec<bool> = answers
        .into_iter()
        .map(|answer| matches!(answer, Ok(Done::Refund { replayed: true, .. })))
        .collect();
    assert_eq!(replayed, [false, true, true]);
    assert_eq!(harness.balance(payment), (0, 4_000, 0));
}

#[test]
fn another_request_under_the_same_key_is_refused() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let first = harness.create(under_key("k", queued(ask(payment, 4_000)))).expect("created");
    let other = harness.create(under_key("k", ask(payment, 4_001)));
    assert_eq!(other, Err(Refusal::KeyReused));

    // A key is one name for every kind of request.
    let name = KeyedRequest { hash: hash("key", "k"), request: [7; 16] };
    let of = RefundRef::from(&first.refund);
    assert_eq!(harness.run(Command::Cancel { of, key: Some(name) }), Err(Refusal::KeyReused));
    let capture = harness.capture("ch_other", 100);
    assert_eq!(harness.run(register(capture, Some(name))), Err(Refusal::KeyReused));

    // Not even if the requests hash alike.
    let alike = KeyedRequest { request: ask(payment, 4_000).request, ..name };
    assert_eq!(harness.run(Command::Cancel { of, key: Some(alike) }), Err(Refusal::KeyReused));
    let canceled = KeyedRequest { hash: hash("key", "c"), ..alike };
    harness.run(Command::Cancel { of, key: Some(canceled) }).expect("canceled");
    let created = harness.create(under_key("c", ask(payment, 4_000)));
    assert_eq!(created, Err(Refusal::KeyReused));
}

#[test]
fn a_refused_request_leaves_its_key_free() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    assert!(harness.create(under_key("k", ask(payment, 10_001))).is_err());
    let second = harness.create(under_key("k", ask(payment, 9_000))).expect("created");
    assert!(!second.replayed);
}

#[test]
fn a_reference_names_one_refund_forever() {
    let mut harness = Harness::open();
    let (payment, other) = (harness.pay(10_000), harness.pay(10_000));
    let first = harness.create(with_reference("r-1", ask(payment, 4_000))).expect("created");
    assert_eq!(first.refund.reference.as_deref(), Some("r-1"));

    let same = harness.create(with_reference("r-1", ask(payment, 4_000))).expect("answered");
    assert!(same.replayed);
    assert_eq!(same.refund.id, first.refund.id);

    let taken = Err(Refusal::ReferenceTaken(first.refund.id));
    assert_eq!(harness.create(with_reference("r-1", ask(payment, 4_001))), taken);
    assert_eq!(harness.create(with_reference("r-1", ask(other, 4_000))), taken);
    let of = RefundRef::from(&first.refund);
    harness.say(of, told(ProviderOutcome::Failed, 1)).expect("recorded");
    assert_eq!(
        harness.create(with_reference("r-1", ask(payment, 4_001))),
        taken,
        "also once it failed"
    );
}

#[test]
fn a_key_that_found_a_reference_answers_for_it_from_then_on() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let request = || with_reference("r-1", ask(payment, 4_000));
    let first = harness.create(under_key("k1", request())).expect("created");
    let second = harness.create(under_key("k2", request())).expect("answered");
    assert!(second.replayed);
    assert_eq!(second.refund.id, first.refund.id);
    assert_eq!(harness.create(under_key("k2", ask(payment, 1))), Err(Refusal::KeyReused));
}

#[test]
fn a_payment_is_registered_once_and_posted_once() {
    let mut harness = Harness::open();
    let capture = harness.capture("ch_a", 10_000);
    let id = capture.id;
    harness.run(register(capture, None)).expect("registered");

    let again = harness.capture("ch_a", 10_000);
    let answer = harness.run(register(again, None)).expect("answered");
    let Done::Payment { payment, replayed: true } = answer else { panic!("{answer:?}") };
    assert_eq!(payment.capture.id, id);

    let other = harness.capture("ch_a", 9_999);
    assert_eq!(harness.run(register(other, None)), Err(Refusal::ChargeTaken(id)));
    let mut same_id = harness.capture("ch_b", 10_000);
    same_id.id = id;
    assert_eq!(harness.run(register(same_id, None)), Err(Refusal::PaymentExists(id)));
    assert_eq!(harness.rows.transfers.len(), 1);
}

#[test]
fn a_key_that_found_a_registered_charge_answers_for_it_from_then_on() {
    let mut harness = Harness::open();
    let name = KeyedRequest { hash: hash("key", "k"), request: [1; 16] };
    let (first, second) = (harness.capture("ch_a", 10_000), harness.capture("ch_a", 10_000));
    harness.run(register(first, None)).expect("registered");
    harness.run(register(second, Some(name))).expect("answered");
    let other = harness.capture("ch_b", 500);
    let other_request = KeyedRequest { request: [2; 16], ..name };
    assert_eq!(harness.run(register(other, Some(other_request))), Err(Refusal::KeyReused));
}

#[test]
fn a_key_of_a_registration_is_free_again_when_it_ran_out() {
    let mut harness = Harness::open();
    let name = KeyedRequest { hash: hash("key", "k"), request: [1; 16] };
    let capture = harness.capture("ch_a", 10_000);
    harness.run(register(capture, Some(name))).expect("registered");
    harness.now = harness.now.plus_ms(KEY_LIFETIME_MS - 1);
    let again = harness.capture("ch_a", 10_000);
    let answer = harness.run(register(again, Some(name)));
    assert!(matches!(answer, Ok(Done::Payment { replayed: true, .. })), "{answer:?}");
    let capture = harness.capture("ch_b", 500);
    let other = KeyedRequest { request: [2; 16], ..name };
    assert_eq!(harness.run(register(capture, Some(other))), Err(Refusal::KeyReused));
    harness.now = harness.now.plus_ms(1);
    let capture = harness.capture("ch_b", 500);
    let answer = harness.run(register(capture, Some(other)));
    assert!(matches!(answer, Ok(Done::Payment { replayed: false, .. })), "{answer:?}");
}

#[test]
fn a_key_of_anything_but_a_refund_is_kept_for_a_day() {
    assert_eq!(KEY_LIFETIME_MS, 86_400_000);
}

#[test]
fn a_refund_of_a_payment_that_was_taken_by_hand_waits_for_a_person_from_the_start() {
    let mut harness = Harness::open();
    let capture = harness.capture("ch_hand", 10_000);
    let payment = capture.id;
    let new = NewPayment { provider: "by_hand".into(), ..capture.new };
    harness.run(register(RegisterPayment { new, ..capture }, None)).expect("registered");
    for start in [Start::Send { lease_ms: LEASE_MS }, Start::Queue] {
        let key = format!("{start:?}");
        let [first, again] = [(); 2].map(|()| {
            let create = under_key(&key, CreateRefund { start, ..ask(payment, 1_000) });
            harness.create(create).expect("answered")
        });
        for made in [&first.refund, &again.refund] {
            assert_eq!((made.state, made.due_at, made.sends), (State::NeedsReview, None, 0));
            assert_eq!(made.failure.as_ref().map(|why| &*why.code), Some("paid_by_hand"));
            assert!(made.needs_attention, "a person was told");
        }
        assert_eq!(harness.attention(RefundRef::from(&first.refund)), ["paid_by_hand"]);
    }
    let until = harness.now.plus_ms(60_000);
    let later = CreateRefund { start: Start::Schedule { until }, ..ask(payment, 1_000) };
    assert_eq!(harness.create(later).expect("created").refund.state, State::Scheduled);
}

#[test]
fn a_payment_at_a_provider_account_that_is_gone_is_not_refunded() {
    let mut harness = Harness::open();
    let [here, gone] = [1, 2].map(|n| ProviderAccountId::from_bytes([n; 16]));
    let account = ProviderAccountState {
        id: here,
        provider: "simulator".into(),
        state: provider_account::State::Paused,
        version: 1,
    };
    let mut refund = |charge: &str, account_of_payment: &str| {
        let capture = harness.capture(charge, 10_000);
        let new = NewPayment { provider_account: Some(account_of_payment.into()), ..capture.new };
        let payment = capture.id;
        harness.run(register(RegisterPayment { new, ..capture }, None)).expect("registered");
        let accounts = [account.clone()].into();
        harness.create(CreateRefund { accounts, ..ask(payment, 1_000) })
    };
    assert!(refund("ch_1", &here.to_string()).is_ok(), "it waits");
    assert!(refund("ch_2", "a name of earlier days").is_ok());
    let refused = refund("ch_3", &gone.to_string()).expect_err("refused");
    let Refusal::NotPossible { code: ACCOUNT_DELETED, message } = refused else {
        panic!("{refused:?}")
    };
    assert!(message.contains(&gone.to_string()), "{message}");
}

#[test]
fn only_what_was_not_sent_can_be_canceled_and_the_money_is_free_again() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let until = harness.now.plus_ms(60_000);
    for start in [Start::Queue, Start::Schedule { until }, Start::AwaitApproval] {
        let create = CreateRefund { start, ..ask(payment, 10_000) };
        let of = RefundRef::from(&harness.create(create).expect("created").refund);
        harness.run(Command::Cancel { of, key: None }).expect("canceled");
        assert_eq!(harness.refund(of).state, State::Canceled);
        assert_eq!(harness.balance(payment), (0, 0, 0));
        harness.run(Command::Cancel { of, key: None }).expect("it is canceled already");
    }
    let of = harness.send(payment, 10_000);
    let late = harness.run(Command::Cancel { of, key: None });
    assert_eq!(late, Err(Refusal::TooLateToCancel(State::Sending)));
    assert_eq!(harness.balance(payment), (0, 10_000, 0));
}

#[test]
fn canceling_again_under_the_same_key_is_answered_again() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let of = RefundRef::from(&harness.create(queued(ask(payment, 1))).expect("created").refund);
    let key = Some(KeyedRequest { hash: hash("key", "c"), request: [1; 16] });
    harness.run(Command::Cancel { of, key }).expect("canceled");
    let again = harness.run(Command::Cancel { of, key }).expect("answered");
    assert!(matches!(again, Done::Refund { replayed: true, .. }));
}

#[test]
fn a_full_refund_asked_for_before_the_payment_settled_reverses_it() {
    let mut harness = Harness::open();
    for (settles_after_ms, status) in [(1, Status::Reversed), (0, Status::Refunded)] {
        let capture = harness.capture(&format!("ch_s{settles_after_ms}"), 500);
        let (payment, settled_at) = (capture.id, harness.now.plus_ms(settles_after_ms));
        let Command::Register(mut command) = register(capture, None) else { unreachable!() };
        command.new.settled_at = Some(settled_at);
        harness.run(Command::Register(command)).expect("registered");
        let of = harness.send(payment, 500);
        assert_eq!(harness.payment(payment).status(), Status::Succeeded);
        harness.say(of, told(ProviderOutcome::Completed, 1)).expect("recorded");
        assert_eq!(harness.payment(payment).status(), status);
        harness.say(of, told(ProviderOutcome::Failed, 2)).expect("recorded");
        assert_eq!(
            harness.payment(payment).status(),
            Status::Succeeded,
            "a late failure undoes it"
        );
    }
}

#[test]
fn a_payment_tells_of_its_registration_and_of_each_refund_that_succeeds() {
    let mut harness = Harness::open();
    let payment = harness.pay(10_000);
    let (first, second) = (harness.send(payment, 4_000), harness.send(payment, 6_000));
    harness.say(first, told(ProviderOutcome::Completed, 1)).expect("recorded");
    harness.say(second, told(ProviderOutcome::Completed, 2)).expect("recorded");
    let of_payment = harness.rows.events.iter().filter(|e| e.subject == Subject::Payment(payment));
    let types: Vec<Type> = of_payment.map(|event| event.event_type).collect();
    let partly = Type::PaymentPartiallyRefunded;
    assert_eq!(types, [Type::PaymentCreated, partly, Type::PaymentRefunded]);
}

#[test]
fn sums_at_the_edge_of_64_bits_are_refused_and_not_wrapped() {
    let mut harness = Harness::open();
    let payment = harness.pay(i64::MAX);
    let of = harness.send(payment, i64::MAX);
    assert_eq!(harness.payment(payment).refundable(), 0);
    harness.say(of, told(ProviderOutcome::Completed, 1)).expect("recorded");
    assert_eq!(harness.balance(payment), (i64::MAX, 0, 0));

    // Two captures of the most there is do not fit into one running total of one batch.
    let capture = [harness.capture("ch_a", i64::MAX), harness.capture("ch_b", i64::MAX)];
    let mut harness = Harness::open();
    let commands = capture.map(|capture| register(capture, None));
    let answers = harness.run_all(&commands);
    assert!(answers[0].is_ok());
    assert_eq!(answers[1], Err(Refusal::TooLarge));
}
