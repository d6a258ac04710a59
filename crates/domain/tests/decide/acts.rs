//! Acts that are drawn at random, and how often each is.

use crate::harness::LEASE_MS;
use crate::traits::{HOUR_MS, MINUTE_MS};
use domain::outcome::{ProviderOutcome, Source};
use proptest::option::{of as optional, weighted};
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// How many payments, charges, keys and references there are: few, so that they meet.
const CHARGES: u8 = 8;
const NAMES: u8 = 5;

/// The provider of each charge. Nothing is known of the last one.
pub const PROVIDERS: [&str; 8] =
    ["simulator", "hour", "day", "keyless", "blind", "twin", "hour", "gone"];

#[derive(Clone, Debug)]
pub enum Act {
    Register {
        charge: u8,
        captured: i64,
        currency: &'static str,
        key: Option<u8>,
        settles: bool,
    },
    Create(Box<Asked>),
    Cancel {
        refund: Index,
        key: Option<u8>,
    },
    Lease {
        refund: Index,
        lease: Held,
    },
    /// Takes the work on a refund that is due, and does it.
    Step {
        refund: Index,
        said: Statement,
        finds: bool,
    },
    Record {
        refund: Index,
        said: Statement,
        lease: Held,
    },
    Resolve {
        refund: Index,
        resolution: Decided,
        saw: Option<u8>,
        proves: bool,
        key: Option<u8>,
    },
    Adopt {
        payment: Index,
        name: u8,
        said: Statement,
    },
}

/// The lease that a command comes with.
#[derive(Clone, Copy, Debug)]
pub enum Held {
    Current,
    TheOneBefore,
    None,
}

#[derive(Clone, Copy, Debug)]
pub enum Decided {
    Succeeded,
    SucceededWith(i64),
    Failed,
    SendAgain,
}

#[derive(Clone, Debug)]
pub struct Asked {
    pub payment: Index,
    pub amount: Amount,
    pub currency: Option<&'static str>,
    pub expects: Option<bool>,
    pub reference: Option<u8>,
    pub key: Option<u8>,
    pub start: u8,
}

#[derive(Clone, Debug)]
pub enum Amount {
    All,
    Tenths(i64),
    Exactly(i64),
    OneTooMuch,
}

#[derive(Clone, Debug)]
pub struct Statement {
    pub source: Source,
    pub outcome: ProviderOutcome,
    /// Compared with the newest statement known, milliseconds.
    pub newer_by: Option<i64>,
    pub amount: Option<SaidOf>,
    pub other_payment: Option<bool>,
    pub provider_refund_id: Option<u8>,
    pub reason: Option<&'static str>,
}

#[derive(Clone, Copy, Debug)]
pub enum SaidOf {
    TheAmount,
    Another(i64),
    More(i64),
    AnotherCurrency,
}

pub fn acts() -> impl Strategy<Value = Act> {
    prop_oneof![
        1 => register_acts(),
        4 => asks().prop_map(|asked| Act::Create(Box::new(asked))),
        1 => (any::<Index>(), weighted(0.3, 0..NAMES))
            .prop_map(|(refund, key)| Act::Cancel { refund, key }),
        3 => (any::<Index>(), held()).prop_map(|(refund, lease)| Act::Lease { refund, lease }),
        8 => (any::<Index>(), said(), proptest::bool::weighted(0.6))
            .prop_map(|(refund, said, finds)| Act::Step { refund, said, finds }),
        12 => (any::<Index>(), said(), held())
            .prop_map(|(refund, said, lease)| Act::Record { refund, said, lease }),
        1 => (any::<Index>(), decided(), weighted(0.3, 0..3_u8), any::<bool>(), weighted(0.2, 0..NAMES))
            .prop_map(|(refund, resolution, saw, proves, key)| {
                Act::Resolve { refund, resolution, saw, proves, key }
            }),
        2 => (any::<Index>(), 0..NAMES, said())
            .prop_map(|(payment, name, said)| Act::Adopt { payment, name, said }),
    ]
}

fn held() -> impl Strategy<Value = Held> {
    prop_oneof![8 => Just(Held::Current), 1 => Just(Held::TheOneBefore), 1 => Just(Held::None)]
}

fn decided() -> impl Strategy<Value = Decided> {
    prop_oneof![
        Just(Decided::Succeeded),
        prop_oneof![4 => 1..10_000_i64, 1 => Just(0), 1 => Just(i64::MAX)]
            .prop_map(Decided::SucceededWith),
        Just(Decided::Failed),
        Just(Decided::SendAgain),
    ]
}

/// Pauses in which leases run out, absence is proven, keys are forgotten, people lose patience.
pub fn pauses() -> impl Strategy<Value = i64> {
    prop_oneof![
        10 => 0..2_000_i64,
        6 => 2_000..LEASE_MS,
        6 => MINUTE_MS..20 * MINUTE_MS,
        1 => 50 * MINUTE_MS..2 * HOUR_MS,
        1 => 22 * HOUR_MS..50 * HOUR_MS,
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
        2 => select(ProviderOutcome::ALL.to_vec()),
        1 => select(vec![ProviderOutcome::Completed, ProviderOutcome::Completed, ProviderOutcome::Failed]),
        2 => select(vec![ProviderOutcome::Absent, ProviderOutcome::Absent, ProviderOutcome::Unknown]),
    ];
    let newer_by = weighted(0.6, -3..6_i64);
    let amount = weighted(
        0.7,
        prop_oneof![
            16 => Just(SaidOf::TheAmount),
            1 => prop_oneof![1..10_000_i64, Just(domain::money::MAX_AMOUNT), Just(0)].prop_map(SaidOf::Another),
            1 => (1..3_i64).prop_map(SaidOf::More),
            1 => Just(SaidOf::AnotherCurrency),
        ],
    );
    let other_payment = weighted(0.5, proptest::bool::weighted(0.05));
    let provider_refund_id = optional(select(vec![0_u8, 0, 0, 0, 0, 0, 0, 1, 2]));
    let reason = weighted(0.5, select(vec!["insufficient_funds", "card_closed"]));
    let from = prop_oneof![
        2 => select(Source::ALL.to_vec()),
        3 => Just(Source::Submit),
        3 => select(vec![Source::Lookup, Source::List]),
    ];
    (from, outcome, newer_by, amount, other_payment, provider_refund_id, reason).prop_map(
        |(source, outcome, newer_by, amount, other_payment, provider_refund_id, reason)| {
            Statement {
                source,
                outcome,
                newer_by,
                amount,
                other_payment,
                provider_refund_id,
                reason,
            }
        },
    )
}
