//! Where one command after another is decided, each in a transaction of its own.

use crate::rows::Rows;
use domain::decide::{
    Command, CreateRefund, Done, KeyedRequest, RefundRef, Refusal, RegisterPayment, Start,
};
use domain::ids::{Ids, PaymentId};
use domain::money::{Currency, Money};
use domain::outcome::{Observation, ProviderOutcome, Said, Source};
use domain::payment::{Kind, NewPayment, Payment, Status};
use domain::refund::{NewRefund, Refund, State};
use domain::tenant::{Mode, Tenant};
use domain::time::Timestamp;
use domain::unique_keys::KeyHash;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

pub const START: Timestamp = Timestamp(1_700_000_000_000);

pub struct Harness {
    pub rows: Rows,
    pub now: Timestamp,
    pub ids: Ids<ChaCha8Rng>,
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
        Self {
            rows: Rows::default(),
            now: START,
            ids: Ids::new(ChaCha8Rng::seed_from_u64(1)),
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
            provider_payment_id: charge.into(),
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

    /// Records an observation and returns where the refund is then.
    pub fn say(&mut self, of: RefundRef, observation: Observation) -> Result<State, Refusal> {
        let recheck_at = self.now.plus_ms(1_000);
        self.run(Command::Record { of, observation, recheck_at })?;
        Ok(self.refund(of).state)
    }

    pub fn adopt(
        &mut self,
        payment: PaymentId,
        name: &str,
        observation: Observation,
    ) -> Result<Refund, Refusal> {
        let recheck_at = self.now.plus_ms(1_000);
        let name = hash("external", name);
        let adopt = Command::Adopt { tenant: tenant(), payment, name, observation, recheck_at };
        let done = self.run(adopt)?;
        let Done::Refund { refund, .. } = done else { panic!("{done:?}") };
        Ok(*refund)
    }

    /// Takes the work on a refund when it is due.
    pub fn lease_when_due(&mut self, of: RefundRef) -> Result<State, Refusal> {
        self.now = self.refund(of).due_at.expect("it is due some time").max(self.now);
        let lease_until = self.now.plus_ms(30_000);
        self.run(Command::Lease { of, lease_until })?;
        Ok(self.refund(of).state)
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
        start: Start::Send { lease_until: START.plus_ms(30_000) },
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
