//! Holds: money of a payment that cannot be refunded for now.

mod book;
mod random;

use book::{Book, NOW, key, tenant, usd};
use domain::decide::hold::{End, EndHold, HoldRef, PlaceHold};
use domain::decide::{Command, Done, Refusal};
use domain::event::{Detail, HoldDetail, Type};
use domain::event_view::{EventSubject, EventView};
use domain::hold::State;
use domain::ids::PaymentId;
use domain::ledger::{Code, Reason};
use domain::money::{Currency, MAX_AMOUNT};
use domain::outcome::{ProviderOutcome, Source};
use domain::payment::Status;
use domain::refund::{self, Origin};

#[test]
fn a_hold_takes_what_is_free_and_the_rest_is_counted() {
    let mut book = Book::open();
    let payment = book.pay(1_000);
    book.refund(payment, 300).unwrap();
    let hold = book.hold(payment, 800).unwrap();
    assert_eq!((hold.amount, hold.state, &*hold.reason), (800, State::Open, "chargeback"));
    assert_eq!(book.balance(payment), [0, 300, 700, 100, 0]);
    assert_eq!(book.payment(payment).refundable(), 0);
    let refused = book.refund(payment, 1);
    assert!(matches!(refused, Err(Refusal::OverRefund { .. })), "{refused:?}");
    // Money that is free belongs to the hold, also to the guard.
    let mut wrong = book.payment(payment).clone();
    wrong.reserved -= 1;
    assert!(!wrong.within_limit());
    let refused = book.refund_all(payment);
    assert_eq!(refused, Err(Refusal::NothingRefundable { status: Status::Succeeded }));
}

#[test]
fn a_refund_beside_a_hold_gets_what_is_free_and_no_more() {
    let mut book = Book::open();
    let payment = book.pay(1_000);
    book.hold(payment, 600).unwrap();
    let refused = book.refund(payment, 401);
    assert!(matches!(refused, Err(Refusal::OverRefund { .. })), "{refused:?}");
    assert_eq!(book.refund_all(payment).unwrap().amount, 400);
    assert_eq!(book.balance(payment), [0, 400, 600, 0, 0]);
}

#[test]
fn money_that_a_refund_gives_free_goes_to_the_hold_first() {
    let mut book = Book::open();
    let payment = book.pay(1_000);
    let failing = book.refund(payment, 300).unwrap();
    let canceled = book.queue(payment, 500).unwrap();
    book.hold(payment, 600).unwrap();
    assert_eq!(book.balance(payment), [0, 800, 200, 400, 0]);
    book.say(&failing, ProviderOutcome::Failed).unwrap();
    assert_eq!(book.balance(payment), [0, 500, 500, 100, 0]);
    book.cancel(&canceled).unwrap();
    assert_eq!(book.balance(payment), [0, 0, 600, 0, 0]);
    assert_eq!(book.payment(payment).refundable(), 400);
}

#[test]
fn a_release_frees_the_money_also_for_the_next_hold() {
    let mut book = Book::open();
    let payment = book.pay(1_000);
    let first = book.hold(payment, 700).unwrap();
    book.hold(payment, 500).unwrap();
    assert_eq!(book.balance(payment), [0, 0, 1_000, 200, 0]);
    let released = book.end(&first, End::Release).unwrap();
    assert_eq!((released.state, released.refund), (State::Released, None));
    assert_eq!(book.balance(payment), [0, 0, 500, 0, 0]);
    assert_eq!(book.end(&first, End::Release), Err(Refusal::HoldEnded(State::Released)));
    let book_it = End::Book { amount: None };
    assert_eq!(book.end(&first, book_it), Err(Refusal::HoldEnded(State::Released)));
}

#[test]
fn a_lost_dispute_is_booked_as_an_external_refund_also_beyond_what_was_captured() {
    let mut book = Book::open();
    let payment = book.pay(1_000);
    let refund = book.refund(payment, 300).unwrap();
    book.say(&refund, ProviderOutcome::Completed).unwrap();
    let hold = book.hold(payment, 1_000).unwrap();
    assert_eq!(book.balance(payment), [300, 0, 700, 300, 0]);
    let told = book.view.new_rows.events.len();
    let booked = book.end(&hold, End::Book { amount: None }).unwrap();
    assert_eq!(booked.state, State::Booked);
    assert_eq!(book.balance(payment), [1_300, 0, 0, 0, 300]);
    assert_eq!(book.payment(payment).status(), Status::Refunded);

    let refund = &book.view.refunds[&(tenant(), booked.refund.unwrap())].value;
    assert_eq!((refund.amount, refund.state), (1_000, refund::State::Succeeded));
    assert_eq!((refund.origin, refund.reason.as_deref()), (Origin::External, Some("dispute")));
    assert_eq!((refund.before_settlement, refund.due_at), (false, None));
    let transfer = book.view.new_rows.transfers.last().unwrap();
    assert_eq!((transfer.reason, transfer.amount), (Reason::Refund, 1_000));
    assert_eq!(transfer.source, refund.id.ulid());

    let events = &book.view.new_rows.events[told..];
    let types: Vec<_> = events.iter().map(|event| event.event_type).collect();
    let [created, succeeded] = [Type::RefundCreated, Type::RefundSucceeded];
    assert_eq!(types, [created, succeeded, Type::PaymentRefunded, Type::PaymentHoldBooked]);
    assert_eq!(events[1].detail.as_deref().unwrap().source.as_deref(), Some("operator"));
    let expected = Detail {
        refunded: Some(1_300),
        excess: Some(300),
        hold: Some(HoldDetail {
            id: hold.id.to_string().into(),
            amount: 1_000,
            reason: "chargeback".into(),
        }),
        ..Detail::default()
    };
    assert_eq!(events[3].detail.as_deref(), Some(&expected));
}

#[test]
fn another_amount_than_was_held_can_be_booked() {
    let mut book = Book::open();
    let payment = book.pay(1_000);
    let hold = book.hold(payment, 400).unwrap();
    book.end(&hold, End::Book { amount: Some(250) }).unwrap();
    assert_eq!(book.balance(payment), [250, 0, 0, 0, 0]);
    let hold = book.hold(payment, 400).unwrap();
    for amount in [0, -1, MAX_AMOUNT + 1] {
        let refused = book.end(&hold, End::Book { amount: Some(amount) });
        assert_eq!(refused, Err(Refusal::NoAmount), "{amount}");
    }
}

#[test]
fn a_refund_made_at_the_provider_goes_before_a_hold() {
    let mut book = Book::open();
    let payment = book.pay(1_000);
    let hold = book.hold(payment, 800).unwrap();
    book.adopt(payment, 500).unwrap();
    assert_eq!(book.balance(payment), [500, 0, 500, 300, 0]);
    book.adopt(payment, 700).unwrap();
    assert_eq!(book.balance(payment), [1_200, 0, 0, 800, 200]);
    book.end(&hold, End::Release).unwrap();
    assert_eq!(book.balance(payment), [1_200, 0, 0, 0, 200]);
}

#[test]
fn money_is_held_once_for_a_dispute() {
    let mut book = Book::open();
    let payment = book.pay(1_000);
    let dispute = Some(key("dispute dp_1", "400"));
    let mut place = Book::place(payment, 400);
    place.dispute = dispute;
    let first = book.run_hold(&Command::PlaceHold(Box::new(place))).unwrap();
    let mut again = Book::place(payment, 400);
    (again.dispute, again.key) = (dispute, Some(key("k", "again")));
    let replayed = book.run(&Command::PlaceHold(Box::new(again))).unwrap();
    assert_eq!(replayed, Done::Hold { hold: Box::new(first.clone()), replayed: true });
    // A person with other facts is told; what a provider tells later is what the dispute is about.
    let mut other = Book::place(payment, 500);
    other.dispute = Some(key("dispute dp_1", "500"));
    let refused = book.run(&Command::PlaceHold(Box::new(other)));
    assert_eq!(refused, Err(Refusal::DisputeHeld(first.id)));
    let mut told = Book::place(payment, 500);
    told.dispute = Some(key("dispute dp_1", "500"));
    told.new.source = Source::Webhook;
    let grown = book.run_hold(&Command::PlaceHold(Box::new(told))).unwrap();
    assert_eq!((grown.id, grown.amount), (first.id, 500));
    assert_eq!(book.balance(payment), [0, 0, 500, 0, 0]);
    let mut less = Book::place(payment, 300);
    less.dispute = Some(key("dispute dp_1", "300"));
    less.new.source = Source::Webhook;
    assert_eq!(book.run_hold(&Command::PlaceHold(Box::new(less))).unwrap(), grown);
    let first = grown;
    // Also when it ended.
    book.end(&first, End::Release).unwrap();
    let mut late = Book::place(payment, 400);
    late.dispute = dispute;
    let late = book.run_hold(&Command::PlaceHold(Box::new(late))).unwrap();
    assert_eq!((late.id, late.state), (first.id, State::Released));
}

#[test]
fn a_repeated_request_is_answered_and_another_one_under_its_key_refused() {
    let mut book = Book::open();
    let payment = book.pay(1_000);
    let place = |book: &mut Book, request: &str| {
        let mut place = Book::place(payment, 400);
        place.key = Some(key("k 1", request));
        book.run(&Command::PlaceHold(Box::new(place)))
    };
    let Done::Hold { hold, replayed: false } = place(&mut book, "one").unwrap() else { panic!() };
    let again = place(&mut book, "one").unwrap();
    assert_eq!(again, Done::Hold { hold: hold.clone(), replayed: true });
    assert_eq!(place(&mut book, "two"), Err(Refusal::KeyReused));
    let end = |book: &mut Book, name: &str, request: &str| {
        let of = HoldRef { tenant: tenant(), hold: hold.id, payment };
        let key = Some(key(name, request));
        let end = EndHold { of, end: End::Release, source: Source::Operator, key };
        book.run(&Command::EndHold(Box::new(end)))
    };
    assert_eq!(end(&mut book, "k 1", "release"), Err(Refusal::KeyReused));
    let Done::Hold { hold: ended, replayed: false } = end(&mut book, "k 2", "release").unwrap()
    else {
        panic!()
    };
    let again = end(&mut book, "k 2", "release").unwrap();
    assert_eq!(again, Done::Hold { hold: ended, replayed: true });
    assert_eq!(book.balance(payment), [0; 5]);
}

#[test]
fn what_cannot_be_held_is_refused() {
    let mut book = Book::open();
    let payment = book.pay(1_000);
    let mut place = Book::place(payment, 400);
    let given = Currency::parse("EUR").unwrap();
    place.new.currency = Some(given);
    let refused = book.run(&Command::PlaceHold(Box::new(place)));
    assert_eq!(refused, Err(Refusal::CurrencyMismatch { expected: usd(), given }));
    for amount in [0, -5, MAX_AMOUNT + 1] {
        assert_eq!(book.hold(payment, amount), Err(Refusal::NoAmount), "{amount}");
    }
    let nobody = PaymentId::from_bytes([1; 16]);
    assert_eq!(book.hold(nobody, 5), Err(Refusal::PaymentNotFound));
    let hold = book.hold(payment, 5).unwrap();
    let unknown = domain::ids::HoldId::from_bytes([1; 16]);
    let of = HoldRef { tenant: tenant(), hold: unknown, payment };
    let end = EndHold { of, end: End::Release, source: Source::Operator, key: None };
    assert_eq!(book.run(&Command::EndHold(Box::new(end))), Err(Refusal::HoldNotFound));
    assert_eq!(hold.id.at(), NOW);
}

#[test]
fn sums_that_would_pass_64_bits_are_refused() {
    let mut book = Book::open();
    let payment = book.pay(1_000);
    let mut held = 0;
    let refused = loop {
        match book.hold(payment, MAX_AMOUNT) {
            Ok(_) => held += 1,
            Err(refusal) => break refusal,
        }
        assert!(held < 2_000);
    };
    assert_eq!((refused, held), (Refusal::TooLarge, 1_024));
}

#[test]
fn a_lost_dispute_that_the_ledger_cannot_take_changes_nothing() {
    let mut book = Book::open();
    let payment = book.pay(1_000);
    let hold = book.hold(payment, 400).unwrap();
    let full = (tenant(), usd(), Code::RevenueRefund);
    book.view.new_rows.totals.entry(full).or_default().debits = i64::MAX - 399;
    assert_eq!(book.end(&hold, End::Book { amount: None }), Err(Refusal::TooLarge));
    book.end(&hold, End::Book { amount: Some(399) }).unwrap();
}

#[test]
fn an_event_tells_what_was_held_by_then() {
    let mut book = Book::open();
    let payment = book.pay(1_000);
    let hold = book.hold(payment, 1_200).unwrap();
    book.end(&hold, End::Release).unwrap();
    let now = book.payment(payment).clone();
    let then = |event_type| {
        let event = book.view.new_rows.events.iter().find(|event| event.event_type == event_type);
        let subject = EventSubject::Payment(Box::new(now.clone()));
        let view = EventView::of(event.unwrap().clone(), subject);
        let EventSubject::Payment(payment) = view.subject else { panic!() };
        (payment.held, payment.held_excess, payment.updated_at)
    };
    assert_eq!(then(Type::PaymentCreated), (0, 0, NOW));
    assert_eq!(then(Type::PaymentHoldPlaced), (1_000, 200, NOW));
    assert_eq!(then(Type::PaymentHoldReleased), (0, 0, NOW));
}

/// The notice of a provider about a dispute.
fn told(payment: PaymentId, amount: i64) -> PlaceHold {
    let mut told = Book::place(payment, amount);
    told.dispute = Some(key("dispute dp_1", &amount.to_string()));
    told.new.source = Source::Webhook;
    told
}

#[test]
fn only_an_open_dispute_of_the_same_money_grows() {
    let mut book = Book::open();
    let (payment, other) = (book.pay(1_000), book.pay(1_000));
    let tell = |book: &mut Book, told| book.run_hold(&Command::PlaceHold(Box::new(told)));
    let first = tell(&mut book, told(payment, 400)).unwrap();
    let eur = Currency::parse("EUR").unwrap();
    let of_currency = |currency, amount| {
        let mut told = told(payment, amount);
        told.new.currency = Some(currency);
        told
    };
    for same in [
        told(other, 500),
        of_currency(eur, 500),
        told(payment, 400),
        told(payment, 399),
        told(payment, MAX_AMOUNT + 1),
    ] {
        let case = format!("{same:?}");
        assert_eq!(tell(&mut book, same), Ok(first.clone()), "{case}");
    }
    let grown = tell(&mut book, of_currency(usd(), 401)).unwrap();
    assert_eq!((grown.id, grown.amount), (first.id, 401));
    assert_eq!(tell(&mut book, told(payment, MAX_AMOUNT)).unwrap().amount, MAX_AMOUNT);
    let ended = book.end(&first, End::Book { amount: Some(1) }).unwrap();
    assert_eq!(tell(&mut book, told(payment, MAX_AMOUNT)), Ok(ended));
    assert_eq!(book.balance(other), [0; 5]);
}

#[test]
fn a_payment_and_its_hold_say_when_they_changed() {
    let mut book = Book::open();
    let payment = book.pay(1_000);
    let later = |book: &mut Book| {
        book.now = book.now.plus_ms(1_000);
        book.now
    };
    let changed = |book: &Book| book.payment(payment).updated_at;
    let at = later(&mut book);
    let hold = book.run_hold(&Command::PlaceHold(Box::new(told(payment, 400)))).unwrap();
    assert_eq!((hold.updated_at, changed(&book)), (at, at));
    let at = later(&mut book);
    let hold = book.run_hold(&Command::PlaceHold(Box::new(told(payment, 500)))).unwrap();
    assert_eq!((hold.updated_at, changed(&book)), (at, at));
    let at = later(&mut book);
    let hold = book.end(&hold, End::Release).unwrap();
    assert_eq!((hold.updated_at, changed(&book)), (at, at));
}
