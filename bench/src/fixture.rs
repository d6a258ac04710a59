//! Starts an engine in this process and registers the payments that the benchmark refunds.

use crate::measure::{SplitMix, SystemClock};
use anyhow::{Context, Result, bail};
use domain::ids::PaymentId;
use domain::money::Currency;
use domain::payment::Kind;
use domain::tenant::Tenant;
use engine::{Engine, EngineConfig, MasterKey, NewPayment, Parts, Registry, SqliteStore, Store};
use simulator::{Simulator, SimulatorConfig};
use std::path::Path;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Number of payments that the refunds are spread over.
pub const PAYMENTS: usize = 20_000;

/// Number of payments that are refunded more often than the others.
pub const HOT: usize = 10;

/// One refund in this many is for a hot payment.
pub const HOT_ONE_IN: usize = 20;

/// Amount of each payment: enough for all refunds of all runs.
pub const CAPTURED: i64 = 1_000_000_000_000;

/// The reason of every refund.
pub const REASON: &str = "requested_by_customer";

/// The payments that the benchmark refunds.
#[derive(Clone)]
pub struct Targets {
    pub tenant: Tenant,
    /// Ids of the payments, the hot ones first.
    pub payments: Arc<[PaymentId]>,
}

impl Targets {
    /// Draws the index of the next payment to refund.
    pub fn pick(&self, rng: &mut SplitMix) -> usize {
        let hot = HOT.min(self.payments.len());
        if rng.below(HOT_ONE_IN) == 0 { rng.below(hot) } else { rng.below(self.payments.len()) }
    }
}

/// Starts an engine on the SQLite file. New refunds stay queued.
pub fn open_engine(database: &Path, scratch: &Path) -> Result<Engine> {
    start_engine(SqliteStore::open(database).context("the database cannot be opened")?, scratch)
}

/// Starts an engine on a SQLite or PostgreSQL store. New refunds stay queued.
pub fn start_engine(store: impl Into<Store>, scratch: &Path) -> Result<Engine> {
    let clock = Arc::new(SystemClock);
    let book = scratch.join("simulator-of-the-benchmark.db");
    let simulator = Simulator::open(&book, SimulatorConfig::default(), clock.clone(), [5; 32])
        .context("the simulator cannot be started")?;
    Ok(Engine::start(Parts {
        store: store.into(),
        registry: Registry::new().with(simulator.clone()).with_payment_provider(simulator),
        master_key: MasterKey::from_bytes([7; 32]),
        clock,
        seed: seed(),
        config: EngineConfig { dispatch_at_once: false, ..EngineConfig::default() },
    }))
}

/// Seeds the ids, so that they differ from those of an earlier engine on the same file.
pub fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    seed[..16].copy_from_slice(&clock_nanos().to_be_bytes());
    seed
}

#[expect(clippy::disallowed_methods, reason = "seeds the ids of a benchmark")]
fn clock_nanos() -> u128 {
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos()
}

/// Registers `count` payments that are large enough for all refunds.
pub async fn register_payments(engine: &Engine, tenant: Tenant, count: usize) -> Result<Targets> {
    const AT_A_TIME: usize = 256;
    let mut tasks = JoinSet::new();
    for first in 0..AT_A_TIME.min(count) {
        let engine = engine.clone();
        tasks.spawn(async move {
            let mut ids = Vec::new();
            for number in (first..count).step_by(AT_A_TIME) {
                let registered = engine.register_payment(payment(tenant, number)?, None).await?;
                ids.push(registered.value.capture.id);
            }
            anyhow::Ok(ids)
        });
    }
    let mut payments = Vec::with_capacity(count);
    while let Some(ids) = tasks.join_next().await {
        payments.extend(ids.context("a task died")??);
    }
    if payments.len() != count {
        bail!("{} of {count} payments were registered", payments.len());
    }
    // Payments registered one after another share database pages. Shuffle them, since real refunds
    // come in no such order.
    let mut rng = SplitMix::new(11);
    for at in (1..payments.len()).rev() {
        payments.swap(at, rng.below(at + 1));
    }
    Ok(Targets { tenant, payments: payments.into() })
}

/// A payment that is large enough for all refunds of all runs.
pub fn payment(tenant: Tenant, number: usize) -> Result<NewPayment> {
    Ok(NewPayment {
        tenant,
        kind: Kind::Payment,
        captured: CAPTURED,
        currency: Currency::parse("USD")?,
        provider: "simulator".into(),
        provider_account: None,
        provider_data: None,
        provider_payment_id: format!("bench_{number:08}").into(),
        captured_at: None,
        settled_at: None,
        reference: None,
        metadata: None,
    })
}
