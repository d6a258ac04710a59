//! Checkouts and invoices: random sequences of acts, of which every one must keep the promises.

use domain::checkout::{Checkout, NewCheckout, Outcome, PaymentAttempt, State};
use domain::decide::checkout::{Act, ActOnCheckout, Charge, OpenCheckout};
use domain::decide::invoice::{Act as InvoiceAct, ActOnInvoice, CreateInvoice};
use domain::decide::{Command, Refusal, decide};
use domain::event::{Subject, Type};
use domain::ids::{Ids, InvoiceId, PaymentId};
use domain::invoice::{self, NewInvoice, Totals};
use domain::line_item::LineItem;
use domain::money::{Currency, Money};
use domain::outcome::Failure;
use domain::payment::Kind;
use domain::tenant::{Mode, Tenant};
use domain::time::Timestamp;
use domain::unique_keys::KeyHash;
use domain::view::{Change, Row, View};
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use std::collections::BTreeMap;
use ulid::Ulid;

const AMOUNT: i64 = 1_000;
const LIFETIME_MS: i64 = 50;

fn tenant() -> Tenant {
    Tenant::new(1, Mode::Test)
}

fn usd() -> Currency {
    Currency::parse("USD").expect("a currency")
}

fn session(id: PaymentId) -> Command {
    let new = NewCheckout {
        tenant: tenant(),
        kind: Kind::CheckoutSession,
        amount: AMOUNT,
        currency: usd(),
        methods: vec!["card".into(), "manual".into()],
        success_url: None,
        cancel_url: None,
        lines: Vec::new(),
        customer: None,
        template: None,
        metadata: None,
        extra: None,
        expires_in_ms: Some(LIFETIME_MS),
    };
    Command::OpenCheckout(Box::new(OpenCheckout { new, id, key: None }))
}

fn open_invoice(id: InvoiceId) -> Command {
    let lines = vec![LineItem { text: "Tea".into(), quantity: 1, unit_amount: AMOUNT }];
    let totals = Totals::of(&lines, 0, 0).expect("they add up");
    let new = NewInvoice {
        tenant: tenant(),
        customer: "cus".into(),
        subscription: None,
        template: None,
        memo: None,
        metadata: None,
        currency: usd(),
        lines,
        discount: 0,
        tax: 0,
        open: true,
        due_at: Some(Timestamp(LIFETIME_MS)),
    };
    let create = CreateInvoice { new, totals, id, methods: Vec::new(), key: None };
    Command::CreateInvoice(Box::new(create))
}

/// One thing that somebody does.
#[derive(Clone, Debug)]
enum Move {
    Start,
    Claim,
    Confirm,
    Cancel,
    Delete,
    Wake,
    /// An answer about the attempt so many attempts ago, and whether the amount is right.
    Say(u32, &'static str, bool),
    PayInvoice,
    VoidInvoice,
    WakeInvoice,
    Wait(i64),
}

fn moves() -> impl Strategy<Value = Move> {
    let words = prop::sample::select(vec!["paid", "declined", "action", "processing", "lost"]);
    prop_oneof![
        3 => Just(Move::Start),
        1 => Just(Move::Claim),
        1 => Just(Move::Confirm),
        1 => Just(Move::Cancel),
        1 => Just(Move::Delete),
        2 => Just(Move::Wake),
        5 => (0..2_u32, words, prop::bool::weighted(0.9)).prop_map(|(ago, word, right)| Move::Say(ago, word, right)),
        1 => Just(Move::PayInvoice),
        1 => Just(Move::VoidInvoice),
        1 => Just(Move::WakeInvoice),
        2 => (1..40_i64).prop_map(Move::Wait),
    ]
}

fn charge(id: &str) -> Charge {
    Charge {
        provider: "simulator".into(),
        id: id.into(),
        name: KeyHash([7; 16]),
        settles_after_ms: None,
    }
}

fn command(step: &Move, checkout: &Checkout, now: Timestamp) -> Option<Command> {
    let id = checkout.terms.id;
    let lease_until = now.plus_ms(10);
    let act = match step {
        Move::Start => Act::Start { method: "card".into(), lease_until },
        Move::Claim => Act::Claim { method: "manual".into(), proof_url: None },
        Move::Confirm => {
            let known = checkout.provider_payment_id.as_deref().unwrap_or("by hand");
            Act::Confirm { charge: charge(known) }
        }
        Move::Cancel => Act::Cancel,
        Move::Delete => Act::Delete,
        Move::Wake => Act::Wake { lease_until },
        Move::Say(ago, word, right) => {
            let minor = if *right { AMOUNT } else { AMOUNT - 1 };
            let outcome = match *word {
                "paid" => Outcome::Paid {
                    provider_payment_id: "sim_1".into(),
                    money: Money::new(minor, usd()),
                    at: now,
                },
                "declined" => {
                    Outcome::Declined(Failure { code: "no".into(), message: "no".into() })
                }
                "action" => Outcome::ActionRequired,
                "processing" => Outcome::Processing,
                _ => Outcome::Lost,
            };
            Act::Record {
                attempt: checkout.attempts.saturating_sub(*ago),
                charge: (*word == "paid").then(|| charge("sim_1")),
                outcome,
                recheck_at: lease_until,
            }
        }
        Move::PayInvoice | Move::VoidInvoice | Move::WakeInvoice => {
            if checkout.terms.kind != Kind::Invoice {
                return None;
            }
            let act = match step {
                Move::PayInvoice => InvoiceAct::Pay,
                Move::VoidInvoice => InvoiceAct::Void,
                _ => InvoiceAct::Wake,
            };
            let id = InvoiceId::from_ulid(id.ulid());
            let act = ActOnInvoice { tenant: tenant(), id, act, key: None };
            return Some(Command::Invoice(Box::new(act)));
        }
        Move::Wait(_) => return None,
    };
    let act = ActOnCheckout { tenant: tenant(), id, act, key: None };
    Some(Command::Checkout(Box::new(act)))
}

/// Everything that must be true at any time.
fn check(view: &View, id: PaymentId) {
    let checkout = &view.checkouts[&(tenant(), id)].value;
    let completed = checkout.state == State::Completed;
    let payment = view.payments.get(&(tenant(), id)).map(|row| &row.value);
    assert_eq!(payment.is_some(), completed, "{checkout:?}");
    let captures: i64 = view.new_rows.transfers.iter().map(|transfer| transfer.amount).sum();
    assert_eq!(captures, if completed { AMOUNT } else { 0 }, "paid once or not at all");
    if let Some(payment) = payment {
        assert_eq!(payment.capture.captured, AMOUNT);
        assert_eq!(
            Some(&payment.capture.provider_payment_id),
            checkout.provider_payment_id.as_ref()
        );
    }
    let flying = checkout.flight != PaymentAttempt::None;
    assert!(!flying || checkout.due_at.is_some(), "nobody looks after it: {checkout:?}");
    assert!(!flying || matches!(checkout.state, State::Pending | State::Canceled), "{checkout:?}");
    assert!(checkout.state != State::Pending || flying, "{checkout:?}");
    assert!(!checkout.deleted || (checkout.state.is_over() && !completed && !flying));
    let mut told: BTreeMap<Ulid, u32> = BTreeMap::new();
    for event in &view.new_rows.events {
        let subject = match event.subject {
            Subject::Checkout(id, _) => id.ulid(),
            Subject::Invoice(id, _) => Ulid(id.ulid().0 + 1),
            Subject::Payment(id) => Ulid(id.ulid().0 + 2),
            _ => continue,
        };
        let seq = told.entry(subject).or_default();
        *seq += 1;
        assert_eq!(event.seq, *seq, "events count without a gap");
    }
    if let Some(row) = view.invoices.get(&(tenant(), InvoiceId::from_ulid(id.ulid()))) {
        let invoice = &row.value;
        assert_eq!(invoice.charged, completed, "{invoice:?}");
        assert!(!completed || invoice.state == invoice::State::Paid, "{invoice:?}");
        assert_eq!(told.get(&Ulid(id.ulid().0 + 1)), Some(&invoice.last_seq));
        let payable = matches!(invoice.state, invoice::State::Open | invoice::State::PastDue);
        assert!(!payable || !checkout.state.is_over(), "{invoice:?} {checkout:?}");
    } else {
        assert_eq!(told.get(&id.ulid()), Some(&checkout.last_seq));
    }
}

fn run(first: &Command, id: PaymentId, steps: &[Move]) {
    let mut ids = Ids::new(ChaCha8Rng::seed_from_u64(1));
    let mut now = Timestamp(1);
    let mut view = View::default();
    decide(&mut view, first, now, &mut ids).expect("it opens");
    for step in steps {
        if let Move::Wait(ms) = step {
            now = now.plus_ms(*ms);
        }
        let checkout = view.checkouts[&(tenant(), id)].value.clone();
        let Some(command) = command(step, &checkout, now) else { continue };
        let before = view.clone();
        match decide(&mut view, &command, now, &mut ids) {
            Ok(_) => check(&view, id),
            Err(_) => assert_eq!(view, before, "{command:?} was refused and changed something"),
        }
        let terms = &view.checkouts[&(tenant(), id)].value.terms;
        assert_eq!(*terms, checkout.terms, "what never changes did");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_session_is_paid_once_or_not_at_all_whatever_happens(steps in prop::collection::vec(moves(), 1..30)) {
        let id = PaymentId::from_ulid(Ulid(1 << 80));
        run(&session(id), id, &steps);
    }

    #[test]
    fn an_invoice_is_paid_once_or_not_at_all_whatever_happens(steps in prop::collection::vec(moves(), 1..30)) {
        let id = InvoiceId::from_ulid(Ulid(1 << 80));
        // Sessions' own acts are not offered for an invoice's checkout.
        let offered = |step: &Move| !matches!(step, Move::Cancel | Move::Delete | Move::Claim);
        let steps: Vec<_> = steps.into_iter().filter(offered).collect();
        run(&open_invoice(id), PaymentId::from_ulid(id.ulid()), &steps);
    }
}

#[test]
fn a_charge_that_pays_for_something_else_pays_for_nothing_more() {
    let mut ids = Ids::new(ChaCha8Rng::seed_from_u64(1));
    let mut view = View::default();
    let ours = [1, 2].map(|n| PaymentId::from_ulid(Ulid(n << 80)));
    for (at, id) in ours.into_iter().enumerate() {
        decide(&mut view, &session(id), Timestamp(1), &mut ids).expect("it opens");
        for step in [Move::Start, Move::Say(0, "paid", true)] {
            let checkout = view.checkouts[&(tenant(), id)].value.clone();
            let command = command(&step, &checkout, Timestamp(2)).expect("a command");
            let answer = decide(&mut view, &command, Timestamp(2), &mut ids);
            let second = at == 1 && matches!(step, Move::Say(..));
            assert_eq!(answer.err(), second.then_some(Refusal::ChargeTaken(ours[0])));
        }
    }
    assert_eq!(view.payments.len(), 1);
}

#[test]
fn rows_that_did_not_change_are_not_saved() {
    let mut ids = Ids::new(ChaCha8Rng::seed_from_u64(1));
    let mut view = View::default();
    let id = PaymentId::from_ulid(Ulid(1 << 80));
    decide(&mut view, &session(id), Timestamp(1), &mut ids).expect("it opens");
    let checkout = view.checkouts[&(tenant(), id)].value.clone();
    view.checkouts.insert((tenant(), id), Row::loaded(checkout.clone()));
    let late = command(&Move::Say(0, "declined", true), &checkout, Timestamp(2)).expect("one");
    decide(&mut view, &late, Timestamp(2), &mut ids).expect("it is nothing new");
    assert_eq!(view.checkouts[&(tenant(), id)].change, Change::None);
}

#[test]
fn a_payment_that_was_declined_is_told_and_ends_the_attempt() {
    let mut ids = Ids::new(ChaCha8Rng::seed_from_u64(1));
    let mut view = View::default();
    let id = PaymentId::from_ulid(Ulid(1 << 80));
    decide(&mut view, &session(id), Timestamp(1), &mut ids).expect("it opens");
    for step in [Move::Start, Move::Say(0, "declined", true)] {
        let checkout = view.checkouts[&(tenant(), id)].value.clone();
        let command = command(&step, &checkout, Timestamp(2)).expect("a command");
        decide(&mut view, &command, Timestamp(2), &mut ids).expect("decided");
    }
    let checkout = &view.checkouts[&(tenant(), id)].value;
    assert_eq!((checkout.state, checkout.flight), (State::Failed, PaymentAttempt::None));
    assert_eq!(checkout.failure.as_ref().map(|failure| &*failure.code), Some("no"));
    let last = view.new_rows.events.last().map(|event| event.event_type);
    assert_eq!(last, Some(Type::CheckoutFailed));
}
