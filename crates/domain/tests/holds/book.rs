//! The rows of a merchant, on which one command after another is decided.

use domain::decide::hold::{End, EndHold, HoldRef, PlaceHold};
use domain::decide::{
    AdoptRefund, Command, CreateRefund, Done, KeyedRequest, RecordOutcome, RefundRef, Refusal,
    RegisterPayment, Start, decide,
};
use domain::hold::{Hold, NewHold, State};
use domain::ids::{Ids, PaymentId};
use domain::ledger::Reason;
use domain::money::{Currency, Money};
use domain::outcome::{Observation, ProviderOutcome, Said, Source};
use domain::payment::{Kind, NewPayment, Payment};
use domain::provider::{AttentionAfter, Rules, Traits};
use domain::refund::{self, NewRefund, Refund};
use domain::tenant::{Mode, Tenant};
use domain::time::Timestamp;
use domain::unique_keys::KeyHash;
use domain::view::{RowKeys, View};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use std::sync::Arc;

pub const NOW: Timestamp = Timestamp(1_700_000_000_000);

const RULES: Rules = Rules {
    traits: Traits::UNKNOWN,
    give_up_after_ms: 1,
    attention_after: AttentionAfter {
        unknown_ms: 1,
        submitted_ms: 1,
        waiting_for_funds_ms: 1,
        needs_review_ms: 1,
    },
};

pub struct Book {
    /// Every row there is, and everything that was ever appended.
    pub view: View,
    pub now: Timestamp,
    ids: Ids<ChaCha8Rng>,
    names: u32,
}

pub fn tenant() -> Tenant {
    Tenant::new(1, Mode::Test)
}

pub fn usd() -> Currency {
    Currency::parse("USD").expect("a currency")
}

fn hash(text: &str) -> [u8; 16] {
    let mut hash = [0_u8; 16];
    for (at, byte) in text.bytes().enumerate() {
        hash[at % 16] = hash[at % 16].wrapping_mul(31).wrapping_add(byte);
    }
    hash
}

pub fn key(name: &str, request: &str) -> KeyedRequest {
    KeyedRequest { hash: KeyHash(hash(name)), request: hash(request) }
}

impl Book {
    pub fn open() -> Self {
        let ids = Ids::new(ChaCha8Rng::seed_from_u64(5));
        Self { view: View::default(), now: NOW, ids, names: 0 }
    }

    fn name(&mut self) -> KeyedRequest {
        self.names += 1;
        key(&format!("name {}", self.names), "")
    }

    /// Decides a command and checks the whole book. A refusal changes nothing.
    pub fn run(&mut self, command: &Command) -> Result<Done, Refusal> {
        let before = self.view.clone();
        Self::check_wants(command);
        let done = decide(&mut self.view, command, self.now, &mut self.ids);
        if done.is_err() {
            assert_eq!(self.view, before, "{command:?}");
        }
        self.check();
        done
    }

    /// The rows that a decision about a hold looks at are among those that it asks for, or led to by them.
    fn check_wants(command: &Command) {
        let mut wanted = RowKeys::default();
        command.wants(&mut wanted);
        match command {
            Command::PlaceHold(place) => {
                assert!(wanted.payments.contains(&(tenant(), place.new.payment)));
                let names = [place.dispute, place.key].into_iter().flatten();
                let mut names = names.map(|name| name.hash);
                assert!(names.all(|name| wanted.keys.contains(&(tenant(), name))));
            }
            Command::EndHold(end) => {
                assert!(wanted.holds.contains(&(tenant(), end.of.hold)));
                assert!(wanted.payments.contains(&(tenant(), end.of.payment)));
                let name = end.key.map(|key| key.hash);
                assert!(name.is_none_or(|name| wanted.keys.contains(&(tenant(), name))));
            }
            _ => {}
        }
    }

    pub fn run_hold(&mut self, command: &Command) -> Result<Hold, Refusal> {
        match self.run(command)? {
            Done::Hold { hold, .. } => Ok(*hold),
            other => panic!("{other:?}"),
        }
    }

    fn run_refund(&mut self, command: &Command) -> Result<Refund, Refusal> {
        match self.run(command)? {
            Done::Refund { refund, .. } => Ok(*refund),
            other => panic!("{other:?}"),
        }
    }

    pub fn pay(&mut self, captured: i64) -> PaymentId {
        let charge = self.name();
        let new = NewPayment {
            tenant: tenant(),
            kind: Kind::Payment,
            captured,
            currency: usd(),
            provider: "simulator".into(),
            provider_account: None,
            provider_payment_id: format!("ch_{}", self.names).into(),
            provider_data: None,
            captured_at: Some(NOW),
            // A dispute is not asked for before the payment settles, and reverses nothing.
            settled_at: Some(NOW.plus_ms(1_000)),
            reference: None,
            metadata: None,
        };
        let id = self.ids.payment(NOW);
        let register = RegisterPayment { new, id, settles_after_ms: None, charge, key: None };
        self.run(&Command::Register(Box::new(register))).expect("registered");
        id
    }

    fn create(
        &mut self,
        payment: PaymentId,
        amount: Option<i64>,
        start: Start,
    ) -> Result<Refund, Refusal> {
        let create = CreateRefund {
            accounts: Arc::default(),
            new: NewRefund { amount, ..NewRefund::of(tenant(), payment) },
            reference: None,
            key: None,
            request: [0; 16],
            start,
            providers: Arc::new([("simulator", Traits::UNKNOWN)].into()),
        };
        self.run_refund(&Command::Create(Box::new(create)))
    }

    /// A refund that is sent at once.
    pub fn refund(&mut self, payment: PaymentId, amount: i64) -> Result<Refund, Refusal> {
        self.create(payment, Some(amount), Start::Send { lease_ms: 1_000 })
    }

    pub fn refund_all(&mut self, payment: PaymentId) -> Result<Refund, Refusal> {
        self.create(payment, None, Start::Send { lease_ms: 1_000 })
    }

    /// A refund that can still be canceled.
    pub fn queue(&mut self, payment: PaymentId, amount: i64) -> Result<Refund, Refusal> {
        self.create(payment, Some(amount), Start::Queue)
    }

    pub fn cancel(&mut self, refund: &Refund) -> Result<Refund, Refusal> {
        self.run_refund(&Command::Cancel { of: RefundRef::from(refund), key: None })
    }

    /// Records the answer to the call of a refund, or a newer statement about it.
    pub fn say(&mut self, refund: &Refund, outcome: ProviderOutcome) -> Result<Refund, Refusal> {
        let of = RefundRef::from(refund);
        let now = &self.view.refunds[&(of.tenant, of.refund)].value;
        let at = now.evidence_at.unwrap_or(NOW).plus_ms(1);
        let source = match now.state {
            refund::State::Sending => Source::Submit,
            _ => Source::Lookup,
        };
        let said = Said { at: Some(at), ..Said::new(outcome) };
        let record = RecordOutcome {
            of,
            observation: Observation { source, said },
            name: None,
            recheck_at: NOW.plus_ms(1_000),
            lease: Some(now.lease),
            rules: RULES,
        };
        self.run_refund(&Command::Record(Box::new(record)))
    }

    /// A refund that was made at the provider.
    pub fn adopt(&mut self, payment: PaymentId, amount: i64) -> Result<Refund, Refusal> {
        let name = self.name().hash;
        let said = Said {
            money: Some(Money::new(amount, usd())),
            provider_refund_id: Some(format!("re_{}", self.names).into()),
            ..Said::new(ProviderOutcome::Completed)
        };
        let adopt = AdoptRefund {
            tenant: tenant(),
            payment,
            name,
            observation: Observation { source: Source::Webhook, said },
            recheck_at: NOW.plus_ms(1_000),
            rules: RULES,
        };
        self.run_refund(&Command::Adopt(Box::new(adopt)))
    }

    /// A person holds money.
    pub fn place(payment: PaymentId, amount: i64) -> PlaceHold {
        let new = NewHold {
            tenant: tenant(),
            payment,
            amount,
            currency: None,
            reason: "chargeback".into(),
            reference: None,
            source: Source::Operator,
        };
        PlaceHold { new, dispute: None, key: None }
    }

    pub fn hold(&mut self, payment: PaymentId, amount: i64) -> Result<Hold, Refusal> {
        let place = Self::place(payment, amount);
        self.run_hold(&Command::PlaceHold(Box::new(place)))
    }

    pub fn end(&mut self, hold: &Hold, end: End) -> Result<Hold, Refusal> {
        let of = HoldRef { tenant: hold.tenant, hold: hold.id, payment: hold.payment };
        let end = EndHold { of, end, source: Source::Operator, key: None };
        self.run_hold(&Command::EndHold(Box::new(end)))
    }

    pub fn payment(&self, id: PaymentId) -> &Payment {
        &self.view.payments[&(tenant(), id)].value
    }

    /// Refunded, reserved, held, asked for by holds beyond that, and beyond the captured amount.
    pub fn balance(&self, id: PaymentId) -> [i64; 5] {
        let payment = self.payment(id);
        [payment.refunded, payment.reserved, payment.held, payment.held_excess, payment.excess]
    }

    /// Every balance follows from the refunds and the holds, and so does the ledger.
    fn check(&self) {
        for row in self.view.payments.values() {
            let payment = &row.value;
            let of = |refund: &&Refund| refund.payment == payment.capture.id;
            let refunds = || self.view.refunds.values().map(|row| &row.value).filter(of);
            let sum = |status| -> i64 {
                let with = refunds().filter(|refund| refund.state.status() == status);
                with.map(|refund| refund.amount).sum()
            };
            let refunded = sum(refund::Status::Succeeded);
            let reserved = sum(refund::Status::Pending);
            let holds = self.view.holds.values().map(|row| &row.value);
            let open = holds.filter(|h| h.payment == payment.capture.id && h.state == State::Open);
            let on_hold: i64 = open.map(|hold| hold.amount).sum();
            let captured = payment.capture.captured;
            let held = on_hold.min((captured - refunded - reserved).max(0));
            let excess = (refunded + reserved - captured).max(0);
            assert_eq!(
                self.balance(payment.capture.id),
                [refunded, reserved, held, on_hold - held, excess]
            );
            assert!(payment.within_limit() && payment.refundable() >= 0);
            let posted: i64 = self
                .view
                .new_rows
                .transfers
                .iter()
                .map(|transfer| {
                    let sign = match transfer.reason {
                        Reason::Capture => 0,
                        Reason::Refund => 1,
                        Reason::LateFailure => -1,
                    };
                    if transfer.payment == payment.capture.id { sign * transfer.amount } else { 0 }
                })
                .sum();
            assert_eq!(posted, refunded);
        }
    }
}
