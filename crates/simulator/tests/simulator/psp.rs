//! The simulator on a book of its own, with a clock that tests move and an inbox for its webhooks.

use async_trait::async_trait;
use domain::ids::PaymentId;
use domain::money::{Currency, Money};
use domain::outcome::{Failure, ProviderOutcome, Said};
use domain::payment::{Capture, Kind};
use domain::tenant::{Mode, Tenant};
use domain::time::{Clock, Timestamp};
use providers::http::Deadline;
use providers::{
    Attempt, Call, Inbound, InboundWebhook, Lookup, Notice, Provider, RefundInstruction,
    WebhookRefused,
};
use simulator::{PaymentBook, Simulator, SimulatorConfig, SimulatorError, Step, WebhookSink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

pub const START: Timestamp = Timestamp(1_700_000_000_000);
pub const ASKED: i64 = 2_500;
pub const PAYMENT: &str = "ch_1";
pub fn call() -> Call {
    Call { now: START, deadline: Deadline::within(Duration::from_secs(20)) }
}

/// A clock that moves only in `advance`.
pub struct HandClock(AtomicI64);

impl HandClock {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(START.0)))
    }

    pub fn advance(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// Receives webhooks as a server does: refuses a webhook that does not verify.
#[derive(Default)]
pub struct Inbox {
    pub closed: AtomicBool,
    received: Mutex<Vec<(Tenant, InboundWebhook)>>,
    notices: Mutex<Vec<Notice>>,
}

pub struct Receiver<'a> {
    inbox: &'a Inbox,
    simulator: &'a Simulator,
}

#[async_trait]
impl WebhookSink for Receiver<'_> {
    async fn deliver(&self, tenant: Tenant, webhook: InboundWebhook) -> bool {
        let inbound = read(self.simulator, &webhook).await;
        self.inbox.received.lock().expect("inbox").push((tenant, webhook));
        if self.inbox.closed.load(Ordering::SeqCst) {
            return false;
        }
        let authentic = inbound.is_ok();
        let notices = inbound.unwrap_or_default().notices;
        self.inbox.notices.lock().expect("inbox").extend(notices);
        authentic
    }
}

pub struct Psp {
    dir: TempDir,
    pub clock: Arc<HandClock>,
    pub simulator: Arc<Simulator>,
    pub inbox: Inbox,
}

impl Psp {
    pub fn open() -> Self {
        Self::open_with(SimulatorConfig::default())
    }

    pub fn open_with(config: SimulatorConfig) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let clock = HandClock::new();
        let simulator = open_book(dir.path(), config, &clock).expect("a simulator");
        Self { dir, clock, simulator, inbox: Inbox::default() }
    }

    /// Ends the process as `kill -9` does: the next process finds the files as they are now.
    pub fn kill_and_restart(self) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        for file in std::fs::read_dir(self.dir.path()).expect("the directory") {
            let file = file.expect("a file");
            std::fs::copy(file.path(), dir.path().join(file.file_name())).expect("a copy");
        }
        let simulator = open_book(dir.path(), SimulatorConfig::default(), &self.clock);
        Self {
            dir,
            clock: self.clock,
            simulator: simulator.expect("a simulator"),
            inbox: self.inbox,
        }
    }

    pub fn path(&self) -> PathBuf {
        book_path(self.dir.path())
    }

    /// Opens the same book a second time, in place of a second process.
    pub fn join(&self, config: SimulatorConfig) -> Result<Arc<Simulator>, SimulatorError> {
        open_book(self.dir.path(), config, &self.clock)
    }

    pub async fn submit(&self, order: &RefundInstruction) -> Said {
        self.simulator.submit(order, call()).await
    }

    /// Finds a refund by its key.
    pub async fn look_up(&self, order: &RefundInstruction) -> Said {
        match self.simulator.lookup(order, call()).await {
            Lookup::Found(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    pub async fn is_absent(&self, order: &RefundInstruction) -> bool {
        self.simulator.lookup(order, call()).await == Lookup::Absent
    }

    pub async fn book(&self) -> PaymentBook {
        self.simulator.payment_book(tenant(), PAYMENT).await.expect("a book")
    }

    /// The sum of the payouts that were not taken back.
    pub async fn paid_out(&self) -> i64 {
        let payouts = self.book().await.payouts;
        payouts.iter().filter(|payout| payout.returned_at.is_none()).map(|p| p.amount).sum()
    }

    /// Moves the clock and does the due work.
    pub async fn after(&self, ms: i64) -> Step {
        self.clock.advance(ms);
        self.step(64).await
    }

    pub async fn step(&self, limit: usize) -> Step {
        self.step_of(&self.simulator, limit).await
    }

    /// A step of a simulator that `join` opened.
    pub async fn step_of(&self, simulator: &Simulator, limit: usize) -> Step {
        let receiver = Receiver { inbox: &self.inbox, simulator };
        sendable(simulator.step(&receiver, limit)).await
    }

    /// The notices of authentic webhooks since the last call.
    pub fn notices(&self) -> Vec<Notice> {
        std::mem::take(&mut self.inbox.notices.lock().expect("inbox"))
    }

    /// Every webhook since the last call, authentic or not.
    pub fn webhooks(&self) -> Vec<(Tenant, InboundWebhook)> {
        std::mem::take(&mut self.inbox.received.lock().expect("inbox"))
    }
}

/// Reads a webhook as the adapter does.
pub async fn read(
    simulator: &Simulator,
    webhook: &InboundWebhook,
) -> Result<Inbound, WebhookRefused> {
    Provider::receive(simulator, webhook, call()).await
}

/// Requires `Send`: a server runs steps in a task of a multi-threaded runtime.
fn sendable<F: Future + Send>(step: F) -> F {
    step
}

fn book_path(dir: &Path) -> PathBuf {
    dir.join("simulator.sqlite")
}

fn open_book(
    dir: &Path,
    config: SimulatorConfig,
    clock: &Arc<HandClock>,
) -> Result<Arc<Simulator>, SimulatorError> {
    Simulator::open(&book_path(dir), config, Arc::<HandClock>::clone(clock), [7; 32])
}

pub fn tenant() -> Tenant {
    Tenant::new(1, Mode::Test)
}

pub fn usd(minor: i64) -> Money {
    Money::new(minor, currency("USD"))
}

pub fn currency(code: &str) -> Currency {
    Currency::parse(code).expect("a currency")
}

pub fn capture(tenant: Tenant, payment_script: Option<&str>) -> Capture {
    Capture {
        tenant,
        id: PaymentId::from_bytes([1; 16]),
        kind: Kind::Payment,
        captured: 10_000,
        currency: currency("USD"),
        provider: "simulator".into(),
        provider_account: None,
        provider_data: None,
        provider_payment_id: PAYMENT.into(),
        captured_at: START,
        reference: None,
        metadata: payment_script.map(simulate),
    }
}

/// An order to refund 25.00 USD of the test payment.
pub fn order(key: &str, script: &str) -> RefundInstruction {
    RefundInstruction {
        key: key.to_owned(),
        payment: Arc::new(capture(tenant(), None)),
        money: usd(ASKED),
        reason: None,
        reference: None,
        metadata: Some(simulate(script)),
        provider_refund_id: None,
        refunded_before: 0,
        attempt: Attempt::First,
    }
}

/// Metadata with a script, as callers send it.
pub fn simulate(script: &str) -> Box<str> {
    format!(r#"{{"orderId":"42","simulate":"{script}"}}"#).into()
}

pub fn completed(said: Said) -> Said {
    of_outcome(said, ProviderOutcome::Completed)
}

pub fn accepted(said: Said) -> Said {
    of_outcome(said, ProviderOutcome::Accepted)
}

pub fn rejected(said: Said) -> (Said, Failure) {
    let said = of_outcome(said, ProviderOutcome::Failed);
    let why = said.failure.clone().expect("a reason");
    (said, why)
}

/// The code of an unknown outcome.
pub fn unknown(said: Said) -> Box<str> {
    of_outcome(said, ProviderOutcome::Unknown).failure.expect("a reason").code
}

pub fn of_outcome(said: Said, outcome: ProviderOutcome) -> Said {
    assert_eq!(said.outcome, outcome, "{said:?}");
    said
}
