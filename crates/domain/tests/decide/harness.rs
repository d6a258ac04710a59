//! Where one command after another is decided, each in a transaction of its own.

use crate::rows::Rows;
use crate::traits::{SIMULATOR, rules, traits_by_name};
use domain::decide::{
    AdoptRefund, Call, Command, CreateRefund, Done, KeyedRequest, RecordOutcome, RefundRef,
    Refusal, RegisterPayment, Resolution, ResolveRefund, Start,
};
use domain::event::{Event, Subject, Type};
use domain::ids::{Ids, PaymentId};
use domain::money::{Currency, Money};
use domain::outcome::{Failure, Observation, ProviderOutcome, Said, Source};
use domain::payment::{Kind, NewPayment, Payment, Status};
use domain::provider::{Rules, Traits};
use domain::refund::{NewRefund, Refund, State};
use domain::tenant::{Mode, Tenant};
use domain::time::Timestamp;
use domain::unique_keys::KeyHash;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use std::sync::Arc;

pub const START: Timestamp = Timestamp(1_700_000_000_000);

/// How long a node holds a refund.
pub const LEASE_MS: i64 = 30_000;

pub struct Harness {
    pub rows: Rows,
    pub now: Timestamp,
    pub ids: Ids<ChaCha8Rng>,
    /// The rules of whatever provider the payments are at.
    pub rules: Rules,
    charges: u64,
}

/// A refund, its payment, and whether the same request had come before.
#[derive(Debug, PartialEq, Eq)]
pub struct Created {
    pub refund: Refund,
    pub payment: Payment,
    pub replayed: bool,
}

impl Harness {
    pub fn open() -> Self {
        Self::at(SIMULATOR)
    }

    /// Where payments are at a provider with these traits.
    pub fn at(traits: Traits) -> Self {
        Self {
            rows: Rows::default(),
            now: START,
            ids: Ids::new(ChaCha8Rng::seed_from_u64(1)),
            rules: rules(traits),
            charges: 0,
        }
    }

    pub fn run(&mut self, command: Command) -> Result<Done, Refusal> {
        self.run_all(&[command]).remove(0)
    }

    pub fn run_all(&mut self, commands: &[Command]) -> Vec<Result<Done, Refusal>> {
        self.rows.run(commands, self.now, &mut self.ids)
    }

    /// Registers a payment in dollars under a charge id of its own.
    pub fn pay(&mut self, captured: i64) -> PaymentId {
        self.charges += 1;
        let capture = self.capture(&format!("ch_{}", self.charges), captured);
        let id = capture.id;
        self.run(register(capture, None)).expect("registered");
        id
    }

    /// A payment in dollars that is captured now.
    pub fn capture(&mut self, charge: &str, captured: i64) -> RegisterPayment {
        let request = hash("request", &format!("{charge} {captured}")).0;
        let new = NewPayment {
            tenant: tenant(),
            kind: Kind::Payment,
            captured,
            currency: usd(),
            provider: "simulator".into(),
            provider_account: None,
            provider_payment_id: charge.into(),
            provider_data: None,
            captured_at: Some(self.now),
            settled_at: None,
            reference: None,
            metadata: None,
        };
        RegisterPayment {
            new,
            id: self.ids.payment(self.now),
            settles_after_ms: None,
            charge: KeyedRequest { hash: hash("charge", charge), request },
            key: None,
        }
    }

    pub fn create(&mut self, create: CreateRefund) -> Result<Created, Refusal> {
        let done = self.run(Command::Create(Box::new(create)))?;
        let Done::Refund { refund, payment, replayed } = done else { panic!("{done:?}") };
        Ok(Created { refund: *refund, payment, replayed })
    }

    /// A refund whose call to the provider is under way.
    pub fn send(&mut self, payment: PaymentId, amount: i64) -> RefundRef {
        let created = self.create(ask(payment, amount)).expect("created");
        RefundRef::from(&created.refund)
    }

    /// A refund that was sent and whose answer was lost.
    pub fn lose(&mut self, payment: PaymentId, amount: i64) -> RefundRef {
        let of = self.send(payment, amount);
        let state = self.say(of, answered(ProviderOutcome::Unknown));
        assert_eq!(state, Ok(State::Unknown));
        of
    }

    /// Records an observation and returns where the refund is then. An answer of the provider is
    /// recorded by the node that holds the lease.
    pub fn say(&mut self, of: RefundRef, observation: Observation) -> Result<State, Refusal> {
        let asked = matches!(observation.source, Source::Submit | Source::Lookup | Source::List);
        let lease = asked.then(|| self.refund(of).lease);
        self.say_under(lease, of, observation)
    }

    /// The same under any lease or none.
    pub fn say_under(
        &mut self,
        lease: Option<u32>,
        of: RefundRef,
        observation: Observation,
    ) -> Result<State, Refusal> {
        let record = self.outcome(lease, of, observation);
        self.run(record)?;
        Ok(self.refund(of).state)
    }

    /// The command that records an observation.
    pub fn outcome(&self, lease: Option<u32>, of: RefundRef, observation: Observation) -> Command {
        Command::Record(Box::new(RecordOutcome {
            of,
            name: observation.said.provider_refund_id.as_deref().map(external),
            observation,
            recheck_at: self.now.plus_ms(1_000),
            lease,
            rules: self.rules,
        }))
    }

    pub fn adopt(
        &mut self,
        payment: PaymentId,
        name: &str,
        observation: Observation,
    ) -> Result<Refund, Refusal> {
        let done = self.run(self.adoption(payment, name, observation))?;
        let Done::Refund { refund, .. } = done else { panic!("{done:?}") };
        Ok(*refund)
    }

    /// The command that books a refund that was made at the provider.
    pub fn adoption(&self, payment: PaymentId, name: &str, observation: Observation) -> Command {
        Command::Adopt(Box::new(AdoptRefund {
            tenant: tenant(),
            payment,
            name: external(name),
            observation,
            recheck_at: self.now.plus_ms(1_000),
            rules: self.rules,
        }))
    }

    /// Waits until a refund is due, takes the work on it as a node does, and returns the call that it
    /// needs.
    pub fn next_call(&mut self, of: RefundRef) -> Result<Call, Refusal> {
        self.now = self.refund(of).due_at.expect("it is due some time").max(self.now);
        let begin = self.claim(of);
        let done = self.run(begin)?;
        let Done::Leased { refund, call, .. } = done else { panic!("{done:?}") };
        assert_eq!(&*refund, self.refund(of));
        Ok(call)
    }

    /// Takes the work on a refund when it is due, and returns where it is then.
    pub fn lease_when_due(&mut self, of: RefundRef) -> Result<State, Refusal> {
        self.next_call(of)?;
        Ok(self.refund(of).state)
    }

    /// Claims a refund as a store does, and returns the command that begins the work on it.
    pub fn claim(&mut self, of: RefundRef) -> Command {
        let refund = self.rows.refunds.get_mut(&(of.tenant, of.refund)).expect("a refund");
        refund.lease += 1;
        refund.due_at = Some(self.now.plus_ms(LEASE_MS));
        self.begin(of, self.refund(of).lease)
    }

    /// The command that begins the work on a refund under a lease.
    pub const fn begin(&self, of: RefundRef, lease: u32) -> Command {
        Command::Lease { of, lease, lease_ms: LEASE_MS, behind: None, rules: self.rules }
    }

    /// A person decides.
    pub fn resolve(&mut self, of: RefundRef, resolution: Resolution) -> Result<State, Refusal> {
        self.resolve_by(decision(of, resolution))
    }

    pub fn resolve_by(&mut self, resolve: ResolveRefund) -> Result<State, Refusal> {
        let of = resolve.of;
        self.run(Command::Resolve(Box::new(resolve)))?;
        Ok(self.refund(of).state)
    }

    /// The events of a refund, oldest first.
    pub fn told_about(&self, of: RefundRef) -> Vec<&Event> {
        let about =
            |event: &&Event| matches!(event.subject, Subject::Refund(id, _) if id == of.refund);
        self.rows.events.iter().filter(about).collect()
    }

    /// The reasons for which a person was told of a refund.
    pub fn attention(&self, of: RefundRef) -> Vec<&str> {
        let told = self.told_about(of).into_iter();
        told.filter(|event| event.event_type == Type::RefundAttentionRequired)
            .filter_map(|event| event.detail.as_ref()?.failure_code.as_deref())
            .collect()
    }

    /// Why a refund is where it is.
    pub fn failure_code(&self, of: RefundRef) -> Option<&str> {
        self.refund(of).failure.as_ref().map(|failure| &*failure.code)
    }

    pub fn refund(&self, of: RefundRef) -> &Refund {
        &self.rows.refunds[&(of.tenant, of.refund)]
    }

    pub fn payment(&self, id: PaymentId) -> &Payment {
        &self.rows.payments[&(tenant(), id)]
    }

    /// The refunded, the reserved and the excess amount.
    pub fn balance(&self, id: PaymentId) -> (i64, i64, i64) {
        let payment = self.payment(id);
        (payment.refunded, payment.reserved, payment.excess)
    }
}

pub fn tenant() -> Tenant {
    Tenant::new(1, Mode::Test)
}

pub fn usd() -> Currency {
    Currency::parse("USD").expect("a currency")
}

/// The name of `text` in a namespace. Tests only need names that differ.
pub fn hash(namespace: &str, text: &str) -> KeyHash {
    let bytes: Vec<u8> = namespace.bytes().chain([b':']).chain(text.bytes()).collect();
    let mut hash = [0_u8; 16];
    for (at, byte) in bytes.iter().enumerate() {
        let slot = &mut hash[at % 16];
        *slot = slot.wrapping_mul(31).wrapping_add(*byte);
    }
    KeyHash(hash)
}

/// The name of a provider's refund id.
pub fn external(provider_refund_id: &str) -> KeyHash {
    hash("external", provider_refund_id)
}

pub fn register(register: RegisterPayment, key: Option<KeyedRequest>) -> Command {
    Command::Register(Box::new(RegisterPayment { key, ..register }))
}

/// A request for a refund that is sent at once.
pub fn ask(payment: PaymentId, amount: i64) -> CreateRefund {
    CreateRefund {
        new: NewRefund { amount: Some(amount), ..NewRefund::of(tenant(), payment) },
        reference: None,
        key: None,
        request: hash("request", &format!("{payment} {amount}")).0,
        start: Start::Send { lease_ms: LEASE_MS },
        providers: Arc::new(traits_by_name()),
        accounts: Arc::default(),
    }
}

/// The same request for all that remains.
pub fn ask_for_all(payment: PaymentId) -> CreateRefund {
    changed(ask(payment, 0), |new| new.amount = None)
}

/// The same request with another refund.
pub fn changed(mut create: CreateRefund, change: impl FnOnce(&mut NewRefund)) -> CreateRefund {
    change(&mut create.new);
    create
}

/// The refusal of a refund in dollars of a payment from which money remains.
pub fn over_refund(requested: i64, refundable: i64) -> Refusal {
    Refusal::OverRefund {
        requested: Money::new(requested, usd()),
        refundable: Money::new(refundable, usd()),
        status: Status::Succeeded,
    }
}

/// The same request under an idempotency key.
pub fn under_key(key: &str, create: CreateRefund) -> CreateRefund {
    CreateRefund { key: Some(hash("key", key)), ..create }
}

/// The same request with the caller's own id.
pub fn with_reference(reference: &str, create: CreateRefund) -> CreateRefund {
    let create = changed(create, |new| new.reference = Some(reference.into()));
    CreateRefund { reference: Some(hash("reference", reference)), ..create }
}

/// A statement about `ms` after the start.
pub fn saying(outcome: ProviderOutcome, ms: i64) -> Said {
    Said { at: Some(START.plus_ms(ms)), ..Said::new(outcome) }
}

/// A statement that a webhook brings.
pub fn webhook(said: Said) -> Observation {
    Observation { source: Source::Webhook, said }
}

/// A webhook about `ms` after the start.
pub fn told(outcome: ProviderOutcome, ms: i64) -> Observation {
    webhook(saying(outcome, ms))
}

/// The same, of an amount in dollars.
pub fn told_of(minor: i64, outcome: ProviderOutcome, ms: i64) -> Observation {
    webhook(Said { money: Some(Money::new(minor, usd())), ..saying(outcome, ms) })
}

/// The answer to our own call, which says nothing more than that.
pub fn answered(outcome: ProviderOutcome) -> Observation {
    Observation { source: Source::Submit, said: Said::new(outcome) }
}

/// A look-up, which says nothing more than that.
pub fn looked_up(outcome: ProviderOutcome) -> Observation {
    Observation { source: Source::Lookup, said: Said::new(outcome) }
}

/// The same statement about a refund with an id.
pub fn with_id(id: &str, observation: Observation) -> Observation {
    let provider_refund_id = Some(id.into());
    Observation { said: Said { provider_refund_id, ..observation.said }, ..observation }
}

/// The same statement about an amount in dollars.
pub fn of_amount(minor: i64, observation: Observation) -> Observation {
    let money = Some(Money::new(minor, usd()));
    Observation { said: Said { money, ..observation.said }, ..observation }
}

/// The same statement without a time.
pub fn timeless(observation: Observation) -> Observation {
    Observation { said: Said { at: None, ..observation.said }, ..observation }
}

/// The same statement for a reason.
pub fn because(code: &str, observation: Observation) -> Observation {
    let said = observation.said.because(Failure::new(code, "a reason"));
    Observation { said, ..observation }
}

/// The same statement about another payment.
pub fn elsewhere(observation: Observation) -> Observation {
    let provider_payment_id = Some("ch_elsewhere".into());
    Observation { said: Said { provider_payment_id, ..observation.said }, ..observation }
}

/// A person's decision, without an id that they saw.
pub fn decision(of: RefundRef, resolution: Resolution) -> ResolveRefund {
    let text = Some("I looked at the provider".into());
    ResolveRefund { of, resolution, provider_refund_id: None, name: None, text, key: None }
}
