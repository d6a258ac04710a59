//! Random commands in random batches over a few payments. [`Rows::run`] checks the promises after
//! every single one of them.
//!
//! [`Rows::run`]: crate::rows::Rows::run

use crate::harness::*;
use domain::decide::{Command, CreateRefund, KeyedRequest, RefundRef, Refusal, Start};
use domain::ids::PaymentId;
use domain::money::{Currency, Money};
use domain::outcome::{Observation, ProviderOutcome, Said, Source};
use domain::payment::Payment;
use domain::refund::{NewRefund, Refund};
use domain::time::Timestamp;
use proptest::collection::vec;
use proptest::option::{of as optional, weighted};
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// How many payments, charges, keys and references there are: few, so that they meet.
const CHARGES: u8 = 4;
const NAMES: u8 = 5;

#[derive(Clone, Debug)]
enum Act {
    Register { charge: u8, captured: i64, currency: &'static str, key: Option<u8>, settles: bool },
    Create(Box<Asked>),
    Cancel { refund: Index, key: Option<u8> },
    Lease { refund: Index },
    Record { refund: Index, said: Statement },
    GiveUp { refund: Index },
    Adopt { payment: Index, name: u8, said: Statement },
}

#[derive(Clone, Debug)]
struct Asked {
    payment: Index,
    amount: Amount,
    currency: Option<&'static str>,
    expects: Option<bool>,
    reference: Option<u8>,
    key: Option<u8>,
    start: u8,
}

#[derive(Clone, Debug)]
enum Amount {
    All,
    Tenths(i64),
    Exactly(i64),
    OneTooMuch,
}

#[derive(Clone, Debug)]
struct Statement {
    source: Source,
    outcome: ProviderOutcome,
    /// Compared with the newest statement known, milliseconds.
    newer_by: Option<i64>,
    amount: Option<SaidOf>,
    other_payment: Option<bool>,
    provider_refund_id: Option<u8>,
}

#[derive(Clone, Copy, Debug)]
enum SaidOf {
    TheAmount,
    Another(i64),
    AnotherCurrency,
}

fn acts() -> impl Strategy<Value = Act> {
    prop_oneof![
        1 => register_acts(),
        4 => asks().prop_map(|asked| Act::Create(Box::new(asked))),
        1 => (any::<Index>(), weighted(0.3, 0..NAMES))
            .prop_map(|(refund, key)| Act::Cancel { refund, key }),
        3 => any::<Index>().prop_map(|refund| Act::Lease { refund }),
        8 => (any::<Index>(), said()).prop_map(|(refund, said)| Act::Record { refund, said }),
        1 => any::<Index>().prop_map(|refund| Act::GiveUp { refund }),
        2 => (any::<Index>(), 0..NAMES, said())
            .prop_map(|(payment, name, said)| Act::Adopt { payment, name, said }),
    ]
}

fn register_acts() -> impl Strategy<Value = Act> {
    let currency = select(vec!["USD", "JPY", "KWD"]);
    (0..CHARGES, amounts(), currency, weighted(0.3, 0..NAMES), any::<bool>()).prop_map(
        |(charge, captured, currency, key, settles)| Act::Register {
            charge,
            captured,
            currency,
            key,
            settles,
        },
    )
}

fn amounts() -> impl Strategy<Value = i64> {
    prop_oneof![6 => 1..10_000_i64, 1 => Just(domain::money::MAX_AMOUNT), 1 => Just(1)]
}

fn asks() -> impl Strategy<Value = Asked> {
    let amount = prop_oneof![
        2 => Just(Amount::All),
        6 => (1..=10_i64).prop_map(Amount::Tenths),
        1 => select(vec![0, -1, i64::MIN, i64::MAX]).prop_map(Amount::Exactly),
        2 => Just(Amount::OneTooMuch),
    ];
    let currency = weighted(0.1, select(vec!["USD", "JPY"]));
    let expects = weighted(0.2, proptest::bool::weighted(0.7));
    let (reference, key) = (weighted(0.3, 0..NAMES), weighted(0.4, 0..NAMES));
    let start = select(vec![0_u8, 0, 0, 0, 1, 2, 3]);
    (any::<Index>(), amount, currency, expects, reference, key, start).prop_map(
        |(payment, amount, currency, expects, reference, key, start)| Asked {
            payment,
            amount,
            currency,
            expects,
            reference,
            key,
            start,
        },
    )
}

fn said() -> impl Strategy<Value = Statement> {
    let outcome = prop_oneof![
        1 => select(ProviderOutcome::ALL.to_vec()),
        1 => select(vec![ProviderOutcome::Completed, ProviderOutcome::Completed, ProviderOutcome::Failed]),
    ];
    let newer_by = weighted(0.8, -3..6_i64);
    let amount = weighted(
        0.7,
        prop_oneof![
            16 => Just(SaidOf::TheAmount),
            1 => prop_oneof![1..10_000_i64, Just(domain::money::MAX_AMOUNT), Just(0)].prop_map(SaidOf::Another),
            1 => Just(SaidOf::AnotherCurrency),
        ],
    );
    let other_payment = weighted(0.5, proptest::bool::weighted(0.05));
    let provider_refund_id = optional(select(vec![0_u8, 0, 0, 0, 0, 0, 0, 1]));
    (select(Source::ALL.to_vec()), outcome, newer_by, amount, other_payment, provider_refund_id)
        .prop_map(|(source, outcome, newer_by, amount, other_payment, provider_refund_id)| {
            Statement { source, outcome, newer_by, amount, other_payment, provider_refund_id }
        })
}

/// Turns what was drawn into commands about what is there.
struct Script<'a> {
    harness: &'a mut Harness,
}

impl Script<'_> {
    fn command(&mut self, act: &Act) -> Option<Command> {
        match act {
            Act::Register { charge, captured, currency, key, settles } => {
                Some(self.registration(*charge, *captured, currency, *key, *settles))
            }
            Act::Create(asked) => self.creation(asked),
            Act::Cancel { refund, key } => {
                let of = RefundRef::from(&self.refund(*refund)?);
                let request = hash("request", &format!("cancel {}", of.refund)).0;
                let key = key.map(|key| KeyedRequest { hash: name("key", key), request });
                Some(Command::Cancel { of, key })
            }
            Act::Lease { refund } => {
                let of = RefundRef::from(&self.refund(*refund)?);
                Some(Command::Lease { of, lease_until: self.harness.now.plus_ms(3_000) })
            }
            Act::Record { refund, said } => {
                let refund = self.refund(*refund)?;
                let observation = self.observation(said, Some(&refund), refund.payment);
                let recheck_at = self.harness.now.plus_ms(500);
                Some(Command::Record { of: RefundRef::from(&refund), observation, recheck_at })
            }
            Act::GiveUp { refund } => {
                Some(Command::GiveUp { of: RefundRef::from(&self.refund(*refund)?) })
            }
            Act::Adopt { payment, name: external, said } => {
                let payment = self.payment(*payment)?.capture.id;
                let observation = self.observation(said, None, payment);
                let recheck_at = self.harness.now.plus_ms(500);
                let name = name("external", *external);
                Some(Command::Adopt { tenant: tenant(), payment, name, observation, recheck_at })
            }
        }
    }

    fn registration(
        &mut self,
        charge: u8,
        captured: i64,
        currency: &str,
        key: Option<u8>,
        settles: bool,
    ) -> Command {
        let mut capture = self.harness.capture(&format!("ch_{charge}"), captured);
        capture.new.currency = Currency::parse(currency).expect("a currency");
        capture.new.settled_at = settles.then(|| self.harness.now.plus_ms(5_000));
        let request = hash("request", &format!("{charge} {captured} {currency}")).0;
        capture.charge.request = request;
        register(capture, key.map(|key| KeyedRequest { hash: name("key", key), request }))
    }

    fn creation(&self, asked: &Asked) -> Option<Command> {
        let payment = self.payment(asked.payment)?;
        let (captured, refundable) = (payment.capture.captured, payment.refundable());
        let amount = match asked.amount {
            Amount::All => None,
            Amount::Tenths(tenths) => Some((captured / 10).saturating_mul(tenths).max(1)),
            Amount::Exactly(minor) => Some(minor),
            Amount::OneTooMuch => Some(refundable + 1),
        };
        let now = self.harness.now;
        let start = match asked.start {
            0 => Start::Send { lease_until: now.plus_ms(3_000) },
            1 => Start::Queue,
            2 => Start::Schedule { until: now.plus_ms(2_000) },
            _ => Start::AwaitApproval,
        };
        let request = format!("{} {amount:?} {:?}", payment.capture.id, asked.reference);
        let new = NewRefund {
            amount,
            currency: asked.currency.map(|code| Currency::parse(code).expect("a currency")),
            expected_refundable: asked.expects.map(|right| refundable + i64::from(!right)),
            reference: asked.reference.map(|number| format!("r-{number}").into()),
            ..NewRefund::of(tenant(), payment.capture.id)
        };
        Some(Command::Create(Box::new(CreateRefund {
            new,
            reference: asked.reference.map(|number| name("reference", number)),
            key: asked.key.map(|number| name("key", number)),
            request: hash("request", &request).0,
            start,
        })))
    }

    fn observation(
        &self,
        said: &Statement,
        of: Option<&Refund>,
        payment: PaymentId,
    ) -> Observation {
        let newest = of.and_then(|refund| refund.evidence_at).unwrap_or(START);
        let payment = self.harness.payment(payment);
        let currency = payment.capture.currency;
        let amount = of.map_or(payment.capture.captured / 3 + 1, |refund| refund.amount);
        let other = if currency == usd() { "EUR" } else { "USD" };
        let money = said.amount.map(|amount_said| match amount_said {
            SaidOf::TheAmount => Money::new(amount, currency),
            SaidOf::Another(minor) => Money::new(minor, currency),
            SaidOf::AnotherCurrency => {
                Money::new(amount, Currency::parse(other).expect("a currency"))
            }
        });
        let own = payment.capture.provider_payment_id.clone();
        let statement = Said {
            money,
            at: said.newer_by.map(|ms| newest.plus_ms(ms)),
            provider_payment_id: said
                .other_payment
                .map(|other| if other { "ch_elsewhere".into() } else { own }),
            provider_refund_id: said.provider_refund_id.map(|number| format!("re_{number}").into()),
            ..Said::new(said.outcome)
        };
        Observation { source: said.source, said: statement }
    }

    fn refund(&self, index: Index) -> Option<Refund> {
        let refunds: Vec<_> = self.harness.rows.refunds.values().collect();
        (!refunds.is_empty()).then(|| (*index.get(&refunds)).clone())
    }

    fn payment(&self, index: Index) -> Option<Payment> {
        let payments: Vec<_> = self.harness.rows.payments.values().collect();
        (!payments.is_empty()).then(|| (*index.get(&payments)).clone())
    }
}

fn name(namespace: &str, number: u8) -> domain::unique_keys::KeyHash {
    hash(namespace, &number.to_string())
}

fn play(batches: &[(i64, Vec<Act>)]) -> (Harness, Vec<Refusal>) {
    let mut refusals = Vec::new();
    let mut harness = Harness::open();
    harness.pay(10_000);
    harness.pay(999);
    for (pause_ms, acts) in batches {
        harness.now = Timestamp(harness.now.0 + pause_ms);
        let mut script = Script { harness: &mut harness };
        let commands: Vec<Command> = acts.iter().filter_map(|act| script.command(act)).collect();
        refusals.extend(harness.run_all(&commands).into_iter().filter_map(Result::err));
    }
    (harness, refusals)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 800,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_sequence_of_commands_breaks_a_promise(
        batches in vec((0..2_000_i64, vec(acts(), 1..8)), 1..14)
    ) {
        play(&batches);
    }

    #[test]
    fn the_same_commands_lead_to_the_same_rows(
        batches in vec((0..2_000_i64, vec(acts(), 1..6)), 1..6)
    ) {
        prop_assert_eq!(play(&batches).0.rows, play(&batches).0.rows);
    }
}

#[test]
fn random_sequences_reach_every_state_every_event_and_most_refusals() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    use std::collections::{BTreeSet, HashSet};

    // Checks are worth nothing where nothing happens: everything must have happened.
    let mut runner = TestRunner::deterministic();
    let sequences = vec((0..2_000_i64, vec(acts(), 1..8)), 10..14);
    let (mut states, mut types) = (BTreeSet::new(), BTreeSet::new());
    let (mut refused, mut excess) = (HashSet::new(), false);
    for _ in 0..150 {
        let batches = sequences.new_tree(&mut runner).expect("a value").current();
        let (harness, refusals) = play(&batches);
        refused.extend(refusals.iter().map(std::mem::discriminant));
        states.extend(harness.rows.refunds.values().flat_map(|r| harness.rows.states_of(r)));
        types.extend(harness.rows.events.iter().map(|event| event.event_type));
        excess |= harness.rows.payments.values().any(|payment| payment.excess > 0);
    }
    assert_eq!(states.len(), domain::refund::State::ALL.len(), "{states:?}");
    let spoken_of = |name: &str| name.starts_with("refund.") || name.starts_with("payment.");
    let all = domain::event::Type::ALL.iter().filter(|t| spoken_of(t.as_str())).count();
    assert_eq!(types.len(), all, "{types:?}");
    assert!(excess);
    // All but a sum that does not fit, and the three of things that do not exist or exist already:
    // those are never asked for here.
    assert_eq!(refused.len(), 11);
}
