//! The simulator's adapter keeps the contract, and the contract finds an adapter that does not.

use async_trait::async_trait;
use data_encoding::{BASE64, HEXLOWER};
use domain::ids::PaymentId;
use domain::money::Money;
use domain::outcome::{Failure, ProviderOutcome, Said};
use domain::payment::{Capture, Kind};
use domain::provider::{Idempotency, Traits};
use domain::tenant::{Mode, Tenant};
use domain::time::{Clock, Timestamp};
use providers::{
    Attempt, Call, Inbound, InboundWebhook, Listed, Lookup, PaymentReport, Provider,
    RefundInstruction, WebhookRefused,
};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use simulator::{Simulator, SimulatorConfig, WebhookSink};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use testkit::ManualClock;
use testkit::provider_contract::{Fault, ProviderFake, check};

const SEED: [u8; 32] = [7; 32];

struct Fake {
    _dir: TempDir,
    clock: Arc<ManualClock>,
    simulator: Arc<Simulator>,
    breaks: Option<Breach>,
}

/// A rule that the adapter breaks on purpose.
#[derive(Clone, Copy, Debug)]
enum Breach {
    UnknownIsFailed,
    UnknownIsNotDone,
    NotDoneIsFailed,
    FailedIsUnknown,
    EchoesWhatWasAsked,
    ForgetsTheId,
    PromisesKeys,
    BelievesEveryWebhook,
    LogsItsSecret,
    SaysItsSecret,
    CallsFromCheck,
    FindsNothing,
    ListsNothing,
    NeverEnds,
}

/// Each breach, and a part of the text with which it is found.
const BREACHES: [(Breach, &str); 14] = [
    (Breach::UnknownIsFailed, "CallLost: Said { outcome: Failed"),
    (Breach::UnknownIsNotDone, "CallLost: Said { outcome: NotDone"),
    (Breach::NotDoneIsFailed, "left: Failed\n right: NotDone"),
    (Breach::FailedIsUnknown, "left: Unknown\n right: Failed"),
    (Breach::EchoesWhatWasAsked, "assertion `left != right` failed"),
    (Breach::ForgetsTheId, "provider_refund_id: None"),
    (Breach::PromisesKeys, "the key was used before"),
    (Breach::BelievesEveryWebhook, "a signature is missing"),
    (Breach::LogsItsSecret, "a secret is logged"),
    (Breach::SaysItsSecret, "a statement contains a secret"),
    (Breach::CallsFromCheck, "check calls nobody"),
    (Breach::FindsNothing, "was made and is not found"),
    (Breach::ListsNothing, "is in the list"),
    (Breach::NeverEnds, "does not mind its deadline"),
];

impl Fake {
    fn open(config: SimulatorConfig) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let clock = ManualClock::new();
        let book = dir.path().join("simulator.db");
        let simulator = Simulator::open(&book, config, clock.clone(), SEED).expect("a simulator");
        Self { _dir: dir, clock, simulator, breaks: None }
    }
}

fn tenant() -> Tenant {
    Tenant::new(1, Mode::Test)
}

/// The webhook secret of a new book, which follows from the seed.
fn secret() -> [u8; 32] {
    let mut secret = [0; 32];
    ChaCha20Rng::from_seed(SEED).fill_bytes(&mut secret);
    secret
}

#[async_trait]
impl ProviderFake for Fake {
    fn provider(&self) -> Arc<dyn Provider> {
        match self.breaks {
            Some(breach) => Arc::new(Broken { inner: self.simulator.clone(), breach }),
            None => self.simulator.clone(),
        }
    }

    fn instruction(&self, key: &str, money: Money) -> RefundInstruction {
        let payment = Capture {
            tenant: tenant(),
            id: PaymentId::from_bytes([1; 16]),
            kind: Kind::Payment,
            captured: money.minor.saturating_mul(10).max(1),
            currency: money.currency,
            provider: simulator::NAME.into(),
            provider_account: None,
            provider_payment_id: format!("ch_{key}").into(),
            provider_data: None,
            captured_at: ManualClock::START,
            reference: None,
            metadata: None,
        };
        RefundInstruction {
            key: key.to_owned(),
            payment: Arc::new(payment),
            money,
            refunded_before: 0,
            reason: None,
            reference: None,
            metadata: None,
            provider_refund_id: None,
            attempt: Attempt::First,
        }
    }

    async fn expect(
        &self,
        fault: Fault,
        instruction: RefundInstruction,
    ) -> Option<RefundInstruction> {
        let script = match fault {
            Fault::NotConnected => return None,
            Fault::CallLost => "timeout_before_booking".to_owned(),
            Fault::AnswerLost => "timeout_after_booking".to_owned(),
            Fault::Drips => "hang_after_booking".to_owned(),
            Fault::Garbage => "garbage".to_owned(),
            Fault::Huge => "huge_answer".to_owned(),
            Fault::Html(status) => format!("html_error:{status}"),
            Fault::Refused => "refuse".to_owned(),
            Fault::Throttled => "throttle:1".to_owned(),
            Fault::OtherAmount => "wrong_amount".to_owned(),
            Fault::OtherCurrency => "other_currency".to_owned(),
            Fault::OtherPayment => "other_payment".to_owned(),
            Fault::NewStatus => "new_status".to_owned(),
        };
        let metadata = Some(format!(r#"{{"simulate":"{script}"}}"#).into());
        Some(RefundInstruction { metadata, ..instruction })
    }

    async fn made(&self, instruction: &RefundInstruction) -> Vec<i64> {
        let charge = &instruction.payment.provider_payment_id;
        let book = self.simulator.payment_book(tenant(), charge).await.expect("a book");
        book.payouts_of(&instruction.key).map(|payout| payout.amount).collect()
    }

    async fn calls(&self, instruction: &RefundInstruction) -> usize {
        let charge = &instruction.payment.provider_payment_id;
        let book = self.simulator.payment_book(tenant(), charge).await.expect("a book");
        book.refunds.len()
    }

    async fn webhook(&self, instruction: &RefundInstruction) -> Option<InboundWebhook> {
        self.simulator.fail_refund(tenant(), &instruction.key).await.expect("taken back");
        let inbox = Inbox::default();
        self.simulator.step(&inbox, 64).await;
        inbox.0.into_inner().expect("a lock").pop()
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn advance(&self, ms: i64) {
        self.clock.advance(ms);
    }

    fn secrets(&self) -> Vec<String> {
        let secret = secret();
        vec![HEXLOWER.encode(&secret), BASE64.encode(&secret), format!("{secret:?}")]
    }
}

/// Keeps the webhooks that are sent.
#[derive(Default)]
struct Inbox(Mutex<Vec<InboundWebhook>>);

#[async_trait]
impl WebhookSink for Inbox {
    async fn deliver(&self, _: Tenant, webhook: InboundWebhook) -> bool {
        self.0.lock().expect("a lock").push(webhook);
        true
    }
}

/// An adapter that breaks one rule.
struct Broken {
    inner: Arc<Simulator>,
    breach: Breach,
}

impl Broken {
    fn twist(&self, said: Said, instruction: &RefundInstruction) -> Said {
        use ProviderOutcome as O;
        let turn = |from, to| {
            if said.outcome == from { Said { outcome: to, ..said.clone() } } else { said.clone() }
        };
        match self.breach {
            Breach::UnknownIsFailed => turn(O::Unknown, O::Failed),
            Breach::UnknownIsNotDone => turn(O::Unknown, O::NotDone),
            Breach::NotDoneIsFailed => turn(O::NotDone, O::Failed),
            Breach::FailedIsUnknown => turn(O::Failed, O::Unknown),
            Breach::EchoesWhatWasAsked => Said { money: Some(instruction.money), ..said },
            Breach::ForgetsTheId if said.outcome == O::Accepted => {
                Said { provider_refund_id: None, ..said }
            }
            Breach::SaysItsSecret => {
                said.because(Failure::new("unauthorized", &HEXLOWER.encode(&secret())))
            }
            _ => said,
        }
    }
}

#[async_trait]
impl Provider for Broken {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn traits(&self) -> Traits {
        let traits = self.inner.traits();
        match self.breach {
            Breach::PromisesKeys => Traits {
                idempotency: Idempotency::Key { kept_ms: None, replays_errors: false },
                ..traits
            },
            _ => traits,
        }
    }

    fn check(&self, instruction: &RefundInstruction, now: Timestamp) -> Result<(), Failure> {
        if matches!(self.breach, Breach::CallsFromCheck) {
            let (simulator, tenant) = (self.inner.clone(), tenant());
            let (charge, money) =
                (instruction.payment.provider_payment_id.clone(), instruction.money);
            let money = Money::new(money.minor.max(1), money.currency);
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build();
                let made = simulator.dashboard_refund(tenant, &charge, money);
                drop(runtime.expect("a runtime").block_on(made));
            })
            .join()
            .expect("a call");
        }
        self.inner.check(instruction, now)
    }

    async fn submit(&self, instruction: &RefundInstruction, call: Call) -> Said {
        if matches!(self.breach, Breach::LogsItsSecret) {
            tracing::trace!(secret = %BASE64.encode(&secret()), "calling");
        }
        let submitted = self.inner.submit(instruction, call);
        if matches!(self.breach, Breach::NeverEnds) {
            let said = tokio::time::timeout(call.deadline.left(), submitted).await;
            return match said {
                Ok(said) if said.outcome != ProviderOutcome::Unknown => said,
                _ => std::future::pending().await,
            };
        }
        self.twist(submitted.await, instruction)
    }

    async fn lookup(&self, instruction: &RefundInstruction, call: Call) -> Lookup {
        match self.breach {
            Breach::FindsNothing => Lookup::Absent,
            _ => self.inner.lookup(instruction, call).await,
        }
    }

    async fn list(
        &self,
        payment: &Capture,
        after: Option<&str>,
        call: Call,
    ) -> Result<Listed, Failure> {
        match self.breach {
            Breach::ListsNothing => Ok(Listed::default()),
            _ => self.inner.list(payment, after, call).await,
        }
    }

    async fn payment(
        &self,
        tenant: Tenant,
        provider_payment_id: &str,
        call: Call,
    ) -> Result<Option<PaymentReport>, Failure> {
        self.inner.payment(tenant, provider_payment_id, call).await
    }

    async fn receive(
        &self,
        webhook: &InboundWebhook,
        call: Call,
    ) -> Result<Inbound, WebhookRefused> {
        let read = Provider::receive(&*self.inner, webhook, call).await;
        match self.breach {
            Breach::BelievesEveryWebhook => Ok(read.unwrap_or_default()),
            _ => read,
        }
    }
}

#[tokio::test]
async fn the_simulator_keeps_the_contract_whatever_it_is_like() {
    let day_ms = Some(24 * 60 * 60_000);
    let usual = SimulatorConfig::default();
    let configs = [
        usual,
        SimulatorConfig { honour_keys: false, ..usual },
        SimulatorConfig { keys_kept_ms: day_ms, replays_errors: true, ..usual },
        SimulatorConfig { refuses_repeats: true, names_times: false, ..usual },
        SimulatorConfig { looks_up_by_key: false, echoes_keys: false, ..usual },
        SimulatorConfig { list_lag_ms: 60_000, page_size: 1, webhooks_only_hint: true, ..usual },
    ];
    for config in configs {
        let skipped = check(&Fake::open(config)).await;
        assert_eq!(skipped, [Fault::NotConnected], "{config:?}");
    }
}

#[tokio::test]
async fn every_breach_of_the_contract_is_found() {
    for (breach, expected) in BREACHES {
        let honour_keys = !matches!(breach, Breach::PromisesKeys);
        let config = SimulatorConfig { honour_keys, ..SimulatorConfig::default() };
        let fake = Fake { breaks: Some(breach), ..Fake::open(config) };
        let set = tokio::task::LocalSet::new();
        let checked = set
            .run_until(async { tokio::task::spawn_local(async move { check(&fake).await }).await });
        let panic = checked.await.expect_err("the breach is found").into_panic();
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
        assert!(text.contains(expected), "{breach:?} is found as {text}");
    }
}
