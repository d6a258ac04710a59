//! Random commands in random batches over a few payments. `Rows::run` checks the promises after each.

use crate::acts::{Act, Amount, Asked, Decided, Held, PROVIDERS, SaidOf, Statement, acts, pauses};
use crate::harness::*;
use crate::traits::{rules, traits_by_name};
use domain::decide::{
    AdoptRefund, Call, Command, CreateRefund, Done, KeyedRequest, RecordOutcome, RefundRef,
    Refusal, Resolution, ResolveRefund, Start,
};
use domain::ids::PaymentId;
use domain::money::{Currency, Money};
use domain::outcome::{Failure, Observation, ProviderOutcome, Said, Source};
use domain::payment::Payment;
use domain::provider::{Rules, Traits};
use domain::refund::{NewRefund, Refund, State};
use domain::time::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use std::sync::Arc;

/// Turns what was drawn into commands about what is there.
struct Script<'a> {
    harness: &'a mut Harness,
}

impl Script<'_> {
    fn commands(&mut self, act: &Act) -> Vec<Command> {
        if let Act::Step { refund, said, finds } = act {
            return self.step(*refund, said, *finds);
        }
        self.command(act).into_iter().collect()
    }

    fn step(&mut self, index: Index, said: &Statement, finds: bool) -> Vec<Command> {
        let Some(refund) = self.refund(index) else { return Vec::new() };
        if refund.due_at.is_none_or(|at| self.harness.now < at) {
            return Vec::new();
        }
        let begin = self.lease(index, Held::Current);
        let is_new = matches!(refund.state, State::Queued | State::WaitingForFunds);
        let source = if is_new { Source::Submit } else { Source::Lookup };
        let mut said = Statement { source, ..said.clone() };
        if refund.state == State::Unknown && !finds {
            (said.outcome, said.provider_refund_id) = (ProviderOutcome::Absent, None);
        }
        let lease = Some(self.harness.refund(RefundRef::from(&refund)).lease);
        let record = self.record(&refund, &said, lease);
        begin.into_iter().chain([record]).collect()
    }

    fn record(&self, refund: &Refund, said: &Statement, lease: Option<u32>) -> Command {
        let observation = self.observation(said, Some(refund), refund.payment);
        let id = observation.said.provider_refund_id.as_deref();
        Command::Record(Box::new(RecordOutcome {
            of: RefundRef::from(refund),
            name: id.map(external),
            observation,
            recheck_at: self.harness.now.plus_ms(500),
            lease,
            rules: self.rules(refund.payment),
        }))
    }

    fn command(&mut self, act: &Act) -> Option<Command> {
        match act {
            Act::Step { .. } => None,
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
            Act::Lease { refund, lease } => self.lease(*refund, *lease),
            Act::Record { refund, said, lease } => {
                let refund = self.refund(*refund)?;
                let current = match said.source {
                    Source::Webhook | Source::Changes | Source::Operator => None,
                    Source::Lookup | Source::List => Some(refund.lease),
                    Source::Submit => self.harness.rows.doubts.last_lease(&refund),
                };
                let lease = match lease {
                    Held::Current => current,
                    Held::TheOneBefore => current.map(|lease| lease.wrapping_sub(1)),
                    Held::None => None,
                };
                Some(self.record(&refund, said, lease))
            }
            Act::Resolve { refund, resolution, saw, proves, key } => {
                Some(self.resolution(*refund, *resolution, *saw, *proves, *key)?)
            }
            Act::Adopt { payment, name: number, said } => {
                let payment = self.payment(*payment)?.capture.id;
                let id = format!("re_{number}");
                let mut observation = self.observation(said, None, payment);
                observation.said.provider_refund_id = Some(id.as_str().into());
                Some(Command::Adopt(Box::new(AdoptRefund {
                    tenant: tenant(),
                    payment,
                    name: external(&id),
                    observation,
                    recheck_at: self.harness.now.plus_ms(500),
                    rules: self.rules(payment),
                })))
            }
        }
    }

    /// Begins the work on a refund, which is claimed first where it is due.
    fn lease(&mut self, refund: Index, lease: Held) -> Option<Command> {
        let refund = self.refund(refund)?;
        let of = RefundRef::from(&refund);
        let is_due = refund.due_at.is_some_and(|at| at <= self.harness.now);
        let fits = is_due && matches!(lease, Held::Current);
        if is_due {
            self.harness.claim(of);
        }
        let held = self.harness.refund(of).lease;
        let lease = if fits { held } else { held.wrapping_sub(1) };
        Some(Command::Lease {
            of,
            lease,
            lease_ms: LEASE_MS,
            behind: None,
            rules: self.rules(refund.payment),
        })
    }

    fn resolution(
        &self,
        refund: Index,
        resolution: Decided,
        saw: Option<u8>,
        proves: bool,
        key: Option<u8>,
    ) -> Option<Command> {
        let of = RefundRef::from(&self.refund(refund)?);
        let resolution = match resolution {
            Decided::Succeeded => Resolution::Succeeded { amount: None },
            Decided::SucceededWith(minor) => Resolution::Succeeded { amount: Some(minor) },
            Decided::Failed => Resolution::Failed,
            Decided::SendAgain => Resolution::SendAgain,
        };
        let id = saw.map(|number| format!("re_{number}"));
        let request = hash("request", &format!("{resolution:?} {}", of.refund)).0;
        Some(Command::Resolve(Box::new(ResolveRefund {
            of,
            resolution,
            provider_refund_id: id.as_deref().map(Into::into),
            name: id.as_deref().map(external),
            text: proves.then(|| "I looked".into()),
            key: key.map(|key| KeyedRequest { hash: name("key", key), request }),
        })))
    }

    /// The rules of a payment's provider.
    fn rules(&self, payment: PaymentId) -> Rules {
        let provider = &self.harness.payment(payment).capture.provider;
        rules(traits_by_name().get(&**provider).copied().unwrap_or(Traits::UNKNOWN))
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
        capture.new.provider = PROVIDERS[usize::from(charge)].into();
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
        let start = match asked.start {
            0 => Start::Send { lease_ms: LEASE_MS },
            1 => Start::Queue,
            2 => Start::Schedule { until: self.harness.now.plus_ms(2_000) },
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
            providers: Arc::new(traits_by_name()),
            accounts: Arc::default(),
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
            SaidOf::More(minor) => Money::new(amount.saturating_add(minor), currency),
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
            provider_refund_id: said.provider_refund_id.map(|number| match (number, of) {
                // Most refunds have an id of their own, and some meet.
                (0, Some(refund)) => format!("re_{}", refund.id).into(),
                (1, Some(refund)) => format!("re_{}_2", refund.id).into(),
                _ => format!("re_{number}").into(),
            }),
            failure: said.reason.map(|code| Failure::new(code, "a reason")),
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

/// Everything that happened.
struct Played {
    harness: Harness,
    refusals: Vec<Refusal>,
    calls: Vec<Call>,
}

fn play(batches: &[(i64, Vec<Act>)]) -> Played {
    let (mut refusals, mut calls) = (Vec::new(), Vec::new());
    let mut harness = Harness::open();
    harness.pay(10_000);
    harness.pay(999);
    for provider in ["hour", "day", "keyless", "twin"] {
        let mut capture = harness.capture(provider, 5_000);
        capture.new.provider = provider.into();
        harness.run(register(capture, None)).expect("registered");
    }
    for (pause_ms, acts) in batches {
        harness.now = Timestamp(harness.now.0 + pause_ms);
        let mut script = Script { harness: &mut harness };
        let commands: Vec<Command> = acts.iter().flat_map(|act| script.commands(act)).collect();
        for answer in harness.run_all(&commands) {
            match answer {
                Ok(Done::Leased { call, .. }) => calls.push(call),
                Ok(_) => {}
                Err(refusal) => refusals.push(refusal),
            }
        }
    }
    Played { harness, refusals, calls }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 800,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_sequence_of_commands_breaks_a_promise(
        batches in vec((pauses(), vec(acts(), 1..8)), 1..18)
    ) {
        play(&batches);
    }

    #[test]
    fn the_same_commands_lead_to_the_same_rows(
        batches in vec((pauses(), vec(acts(), 1..6)), 1..6)
    ) {
        prop_assert_eq!(play(&batches).harness.rows, play(&batches).harness.rows);
    }
}

#[test]
fn random_sequences_reach_every_state_every_event_and_most_refusals() {
    use State as S;
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    use std::collections::{BTreeSet, HashSet};

    // Checks are worth nothing where nothing happens: everything must have happened.
    let mut runner = TestRunner::deterministic();
    let sequences = vec((pauses(), vec(acts(), 1..8)), 10..18);
    let (mut states, mut types) = (BTreeSet::new(), BTreeSet::new());
    let (mut refused, mut called, mut excess) = (HashSet::new(), HashSet::new(), false);
    let (mut moves, mut reasons) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..400 {
        let batches = sequences.new_tree(&mut runner).expect("a value").current();
        let Played { harness, refusals, calls } = play(&batches);
        let rows = &harness.rows;
        refused.extend(refusals.iter().map(std::mem::discriminant));
        called.extend(calls.iter().map(std::mem::discriminant));
        for refund in rows.refunds.values() {
            let told = rows.states_of(refund);
            moves.extend(told.windows(2).map(|pair| (pair[0], pair[1])));
            states.extend(told);
            states.insert(refund.state);
        }
        types.extend(rows.events.iter().map(|event| event.event_type));
        reasons.extend(rows.events.iter().filter_map(|event| {
            let is_attention = event.event_type == domain::event::Type::RefundAttentionRequired;
            let detail = event.detail.as_ref().filter(|_| is_attention)?;
            detail.failure_code.clone()
        }));
        excess |= rows.payments.values().any(|payment| payment.excess > 0);
    }
    assert_eq!(states.len(), S::ALL.len(), "{states:?}");
    // Holds are driven by their own tests.
    let spoken_of = |name: &str| {
        name.starts_with("refund.")
            || name.starts_with("payment.") && !name.starts_with("payment.hold_")
    };
    let all = domain::event::Type::ALL.iter().filter(|t| spoken_of(t.as_str())).count();
    assert_eq!(types.len(), all, "{types:?}");
    assert!(excess);
    assert_eq!(called.len(), 4, "{called:?}");
    // All but a sum that does not fit, and the ones of things that do not exist or exist already: those
    // are never asked for here.
    assert_eq!(refused.len(), 17);
    // Absence was proven, and what had been given up came back.
    for way in [
        (S::Unknown, S::Queued),
        (S::Unknown, S::NeedsReview),
        (S::Failed, S::NeedsReview),
        (S::Failed, S::Succeeded),
        (S::Canceled, S::NeedsReview),
        (S::Canceled, S::Succeeded),
    ] {
        assert!(moves.contains(&way), "{way:?} {moves:?}");
    }
    for why in ["amount_mismatch", "overdue", "paid_more", "refund_mismatch", "second_payout"] {
        assert!(reasons.contains(why), "{why} {reasons:?}");
    }
}
