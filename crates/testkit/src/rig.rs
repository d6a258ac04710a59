//! An engine with everything that it needs in a test.

use crate::{ManualClock, Node, eventually};
use async_trait::async_trait;
use domain::event::Type;
use domain::ids::{PaymentId, RefundId};
use domain::ledger::Code;
use domain::money::{Currency, Money};
use domain::payment::{Kind, Payment};
use domain::refund::{Origin, Refund, State, Status};
use domain::tenant::{Mode, Tenant};
use domain::time::Clock;
use engine::{
    Direction, Engine, EngineConfig, EventFilter, EventSubject, EventView, InboundWebhook,
    MasterKey, NewPayment, PageQuery, Parts, PostgresStore, RefundFilter, Registry, SortOrder,
    SqliteStore, Store, TransferFilter,
};
use providers::Provider;
use simulator::{
    DashboardRefund, PaymentBook, Payout, Simulator, SimulatorConfig, Step, WebhookSink,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// Rounds after which a run counts as endless.
const ROUNDS: usize = 10_000;

const PER_ROUND: u32 = 64;

#[derive(Clone, Debug)]
pub struct Setup {
    /// The engine does not dispatch new refunds at once unless a test asks for that, so that
    /// nothing happens between two lines of a test.
    pub engine: EngineConfig,
    pub simulator: SimulatorConfig,
    /// Keeps the files in memory where the system has a place for that.
    pub in_memory: bool,
}

impl Default for Setup {
    fn default() -> Self {
        let engine = EngineConfig { dispatch_at_once: false, ..EngineConfig::default() };
        Self { engine, simulator: SimulatorConfig::default(), in_memory: false }
    }
}

/// A leg of the ledger: account code, side and amount in minor units.
pub type Leg = (Code, Direction, i64);

/// Refunded, reserved and excess amount of a payment, in minor units.
pub fn amounts(payment: &Payment) -> (i64, i64, i64) {
    (payment.refunded, payment.reserved, payment.excess)
}

/// The database that a rig uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

impl Backend {
    /// Reads `REFUNDRY_TEST_STORE` (`sqlite` or `postgres`). Without this variable, test targets
    /// with a name that starts with `postgres` use PostgreSQL, all others SQLite.
    pub fn of_these_tests() -> Self {
        let name = std::env::var("REFUNDRY_TEST_STORE").unwrap_or_else(|_| {
            let target = std::env::current_exe().expect("a test program");
            let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.starts_with("postgres") { "postgres".into() } else { "sqlite".into() }
        });
        match name.as_str() {
            "sqlite" => Self::Sqlite,
            "postgres" => Self::Postgres,
            other => panic!("REFUNDRY_TEST_STORE is {other:?} instead of sqlite or postgres"),
        }
    }
}

/// An engine on a real database with the provider simulator and a clock that the test moves.
pub struct EngineRig {
    /// The clock of the engine and the simulator.
    pub clock: Arc<ManualClock>,
    pub store: Store,
    pub simulator: Arc<Simulator>,
    pub engine: Engine,
    /// The account and mode of everything in the rig.
    pub tenant: Tenant,
    config: EngineConfig,
    engines: AtomicU8,
    charges: AtomicU32,
    dir: TempDir,
    /// The database on SQLite.
    file: PathBuf,
    copies: AtomicU32,
    url: Option<String>,
}

impl EngineRig {
    /// Opens a rig with the default setup.
    pub async fn open() -> Self {
        Self::open_with(Setup::default()).await
    }

    /// Opens a rig whose engine dispatches new refunds at once, as a server does.
    pub async fn dispatching() -> Self {
        let mut setup = Setup::default();
        setup.engine.dispatch_at_once = true;
        Self::open_with(setup).await
    }

    pub async fn open_with(setup: Setup) -> Self {
        let dir = folder(setup.in_memory);
        let file = dir.path().join("refundry.db");
        let clock = ManualClock::new();
        let (store, url) = match Backend::of_these_tests() {
            Backend::Sqlite => (SqliteStore::open(&file).expect("a database").into(), None),
            Backend::Postgres => {
                let url = Box::pin(crate::postgres::cluster().database()).await;
                (PostgresStore::attach(&url).expect("a database").into(), Some(url))
            }
        };
        let book = dir.path().join("simulator.db");
        let simulator =
            Simulator::open(&book, setup.simulator, clock.clone(), [7; 32]).expect("a simulator");
        let config = setup.engine;
        let registry = Registry::new().with(simulator.clone());
        let own = Store::clone(&store);
        let engine = Engine::start(parts(own, &simulator, &clock, registry, &config, 0));
        let account = engine.create_account("Test merchant").await.expect("an account");
        Self {
            tenant: Tenant::new(account.number, Mode::Test),
            clock,
            store,
            simulator,
            engine,
            config,
            engines: AtomicU8::new(1),
            charges: AtomicU32::new(0),
            dir,
            file,
            copies: AtomicU32::new(0),
            url,
        }
    }

    /// The URL of the database on PostgreSQL.
    pub fn url(&self) -> &str {
        self.url.as_deref().expect("a database on a server")
    }

    /// The database file on SQLite, for tests that read or change it from outside.
    pub fn database(&self) -> PathBuf {
        self.file.clone()
    }

    /// Copies the database on SQLite as it is now. Returns the copy's file.
    pub async fn copy_database(&self) -> PathBuf {
        let file = self.new_file();
        self.store.backup(&file).await.expect("a copy");
        file
    }

    /// Goes on with a copy of the database, as after a failover to a standby that was behind. Engines
    /// that run already stay with the database that they have.
    pub fn fail_over_to(&mut self, copy: &Path) {
        self.file = self.new_file();
        std::fs::copy(copy, &self.file).expect("a copy of the copy");
        self.store = SqliteStore::open(&self.file).expect("a database").into();
    }

    fn new_file(&self) -> PathBuf {
        let number = self.copies.fetch_add(1, Ordering::SeqCst);
        self.dir.path().join(format!("copy-{number}.db"))
    }

    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    pub fn config(&self) -> &EngineConfig {
        &self.config
    }

    /// Parts of another engine on the same database, with a seed of its own.
    pub fn parts(&self, provider: Arc<dyn Provider>) -> Parts {
        self.parts_with(Registry::new().with(provider), &self.config)
    }

    /// Parts of another engine with these providers and this configuration.
    pub fn parts_with(&self, registry: Registry, config: &EngineConfig) -> Parts {
        let number = self.engines.fetch_add(1, Ordering::SeqCst);
        // A node of its own needs connections of its own.
        let store = match &self.url {
            Some(url) => PostgresStore::attach(url).expect("a database").into(),
            None => self.store.clone(),
        };
        parts(store, &self.simulator, &self.clock, registry, config, number)
    }

    /// Starts a second node that dispatches new refunds at once through `provider`.
    pub fn start_node(&self, provider: Arc<dyn Provider>) -> Node {
        let config = EngineConfig { dispatch_at_once: true, ..self.config.clone() };
        Node::start(self.parts_with(Registry::new().with(provider), &config))
    }

    /// Replaces the rig's engine with a new one, as a restart does.
    pub fn restart(&mut self) {
        self.engine = Engine::start(self.parts(self.simulator.clone()));
    }

    /// Registers a captured payment with a new charge id.
    pub async fn pay(&self, captured: i64, currency: &str) -> Payment {
        let number = self.charges.fetch_add(1, Ordering::SeqCst);
        let new = self.new_payment(&format!("ch_{number}"), captured, currency);
        self.engine.register_payment(new, None).await.expect("the payment is accepted").value
    }

    /// A captured payment that is not registered yet.
    pub fn new_payment(&self, charge: &str, captured: i64, currency: &str) -> NewPayment {
        NewPayment {
            tenant: self.tenant,
            kind: Kind::Payment,
            captured,
            currency: Currency::parse(currency).expect("a currency"),
            provider: "simulator".into(),
            provider_account: None,
            provider_data: None,
            provider_payment_id: charge.into(),
            captured_at: None,
            settled_at: None,
            reference: None,
            metadata: None,
        }
    }

    pub async fn payment(&self, id: PaymentId) -> Payment {
        let found = self.engine.find_payment(self.tenant, id).await.expect("a read");
        found.expect("the payment exists")
    }

    /// Reads the refunded, reserved and excess amount of the payment.
    pub async fn amounts(&self, payment: &Payment) -> (i64, i64, i64) {
        amounts(&self.payment(payment.capture.id).await)
    }

    /// Reads the refund again.
    pub async fn reload(&self, refund: &Refund) -> Refund {
        self.find(refund.id).await.expect("the refund exists")
    }

    /// Reads the refund with this id.
    pub async fn find(&self, id: RefundId) -> Option<Refund> {
        let found = self.engine.find_refund(self.tenant, id).await.expect("a read");
        found.map(|view| view.refund)
    }

    /// All refunds of the payment, oldest first.
    pub async fn refunds_of(&self, payment: &Payment) -> Vec<Refund> {
        let filter = RefundFilter { payment: Some(payment.capture.id), ..RefundFilter::default() };
        let page = self.engine.list_refunds(self.tenant, filter, everything()).await;
        page.expect("a read").items.into_iter().map(|view| view.refund).collect()
    }

    /// All states of the refund, read from its events. Checks the sequence numbers of the events.
    pub async fn states(&self, refund: &Refund) -> Vec<State> {
        let filter = EventFilter { event_type: None, refund: Some(refund.id) };
        let page = self.engine.list_events(self.tenant, filter, everything()).await;
        let mut states = Vec::new();
        for (before, event) in (0_u32..).zip(page.expect("a read").items) {
            assert_eq!(event.event.seq, before + 1, "events count from 1 without a gap");
            match event.subject {
                // That a person is told is no change of state.
                EventSubject::Refund(_)
                    if event.event.event_type == Type::RefundAttentionRequired => {}
                EventSubject::Refund(view) => states.push(view.refund.state),
                other => panic!("{other:?} in a timeline"),
            }
        }
        states
    }

    /// All events, oldest first.
    pub async fn events(&self) -> Vec<EventView> {
        let all = EventFilter::default();
        self.engine.list_events(self.tenant, all, everything()).await.expect("a read").items
    }

    /// All legs of the refund in the ledger, oldest first.
    pub async fn legs(&self, refund: &Refund) -> Vec<Leg> {
        let filter = TransferFilter { source: Some(refund.id.ulid()), ..TransferFilter::default() };
        let page = self.engine.list_entries(self.tenant, filter, everything()).await;
        let leg = |entry: engine::Entry| (entry.code, entry.direction, entry.transfer.amount);
        page.expect("a read").items.into_iter().map(leg).collect()
    }

    /// The simulator's record of the payment.
    pub async fn book(&self, payment: &Payment) -> PaymentBook {
        let charge = &payment.capture.provider_payment_id;
        self.simulator.payment_book(self.tenant, charge).await.expect("a book")
    }

    /// Sum of the provider's payouts that were not returned, in minor units.
    pub async fn paid_out(&self, payment: &Payment) -> i64 {
        self.book(payment).await.paid_out()
    }

    /// Makes a refund at the provider, outside of Refundry.
    pub async fn refund_in_dashboard(&self, payment: &Payment, minor: i64) -> DashboardRefund {
        let money = Money::new(minor, payment.capture.currency);
        let charge = &payment.capture.provider_payment_id;
        let made = self.simulator.dashboard_refund(self.tenant, charge, money).await;
        made.expect("the dashboard makes it")
    }

    /// Delivers the simulator's due webhooks to the engine.
    pub async fn step_simulator(&self) -> Step {
        self.simulator.step(&Inbox(&self.engine), 64).await
    }

    /// Does all work that is due in the engine and the simulator once. False when nothing was due.
    pub async fn turn(&self) -> bool {
        assert!(self.engine.drain(crate::LIMIT).await, "calls to the provider did not end in time");
        let worked = self.engine.step_due(PER_ROUND).await.expect("a step");
        let step = self.step_simulator().await;
        worked > 0 || !step.is_idle()
    }

    /// Repeats [`EngineRig::turn`] until nothing is due at this time.
    pub async fn run_now(&self) {
        for _ in 0..ROUNDS {
            if !self.turn().await {
                return;
            }
        }
        panic!("work was still due after all rounds at {:?}", self.clock.now());
    }

    /// Advances the clock by `ms` and does all work that becomes due on the way.
    pub async fn run_for(&self, ms: i64) {
        let end = self.clock.now().plus_ms(ms);
        self.run_now().await;
        while let Some(due) = self.next_due().await.filter(|due| *due <= end) {
            self.clock.advance_to(due);
            self.run_now().await;
        }
        self.clock.advance_to(end);
        self.run_now().await;
    }

    /// Advances the clock until the refund is decided or needs a person, and returns it.
    pub async fn run_until_decided(&self, refund: &Refund) -> Refund {
        for _ in 0..ROUNDS {
            self.run_now().await;
            let now = self.reload(refund).await;
            if now.state.status() != Status::Pending || now.state == State::NeedsReview {
                return now;
            }
            let due = self.next_due().await;
            self.clock.advance_to(due.unwrap_or_else(|| panic!("{now:?} waits for nothing")));
        }
        panic!("{} is not decided: {:?}", refund.id, self.states(refund).await);
    }

    /// Advances the clock until nothing is due any more.
    pub async fn run_until_quiet(&self) {
        for _ in 0..ROUNDS {
            self.run_now().await;
            match self.next_due().await {
                Some(due) => self.clock.advance_to(due),
                None => return,
            }
        }
        panic!("work is still due after all rounds");
    }

    /// Time of the next work of the engine or the simulator.
    async fn next_due(&self) -> Option<domain::time::Timestamp> {
        let ours = self.engine.next_work().await.expect("a read").at;
        ours.into_iter().chain(self.simulator.next_due()).min()
    }

    /// Waits in real time until the refund is in `state`, for engines that run their own loops.
    pub async fn wait_for(&self, refund: &Refund, state: State) -> Refund {
        eventually(&format!("{} to be {state}", refund.id), async || {
            Some(self.reload(refund).await).filter(|refund| refund.state == state)
        })
        .await
    }

    /// Waits until every call to a provider is recorded.
    pub async fn drain(&self) {
        assert!(self.engine.drain(Duration::from_secs(20)).await, "a call is still under way");
    }

    /// Verifies the database and asserts that there are no differences.
    pub async fn verify_clean(&self) {
        let report = self.store.verify().await.expect("a verification");
        assert!(report.differences.is_empty(), "{:#?}", report.differences);
    }

    /// Asserts that the provider paid each of our refunds at most once, and that its payouts for
    /// this payment equal the refunded amount. Returns that amount.
    pub async fn verify_paid_as_booked(&self, payment: &Payment) -> i64 {
        let book = self.book(payment).await;
        assert_paid_once(&book.payouts);
        let paid = book.paid_out();
        let booked = self.payment(payment.capture.id).await;
        assert_eq!(paid, booked.refunded, "paid out for {}", payment.capture.id);
        for refund in self.refunds_of(payment).await {
            let key = refund.provider_key();
            let paid = book.payouts_of(&key).find(|payout| payout.is_kept());
            let paid = paid.map(|payout| payout.amount);
            let booked = (refund.state == State::Succeeded).then_some(refund.amount);
            if refund.origin == Origin::Api {
                assert_eq!(paid, booked, "paid out for {} in state {}", refund.id, refund.state);
            }
        }
        paid
    }
}

/// Asserts that no key was paid out twice.
fn assert_paid_once(payouts: &[Payout]) {
    let mut times: BTreeMap<&str, u32> = BTreeMap::new();
    for key in payouts.iter().filter_map(|payout| payout.key.as_deref()) {
        *times.entry(key).or_default() += 1;
    }
    assert!(times.values().all(|&paid| paid == 1), "paid more than once: {times:?}");
}

/// A folder that is deleted with the rig.
fn folder(in_memory: bool) -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if in_memory && memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    made.expect("a folder")
}

/// A page large enough for everything in a test, oldest first.
fn everything() -> PageQuery {
    PageQuery { limit: 10_000, after: None, order: SortOrder::Ascending, from: None, until: None }
}

fn parts(
    store: Store,
    simulator: &Arc<Simulator>,
    clock: &Arc<ManualClock>,
    registry: Registry,
    config: &EngineConfig,
    number: u8,
) -> Parts {
    // Engines with the same seed would make the same ids.
    let mut seed = [1; 32];
    seed[0] = number;
    Parts {
        store,
        registry: registry.with_payment_provider(simulator.clone()),
        master_key: MasterKey::from_bytes([9; 32]),
        clock: clock.clone(),
        seed,
        config: config.clone(),
    }
}

/// Delivers the simulator's webhooks to the engine, as a server does.
struct Inbox<'a>(&'a Engine);

#[async_trait]
impl WebhookSink for Inbox<'_> {
    async fn deliver(&self, tenant: Tenant, webhook: InboundWebhook) -> bool {
        self.0.receive_webhook(tenant, "simulator", None, webhook).await.is_ok()
    }
}
