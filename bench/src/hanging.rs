//! (j): refunds at one provider while another one answers nothing and has a backlog.

use crate::fixture;
use crate::load::refund;
use crate::measure::{Latencies, Stopwatch, SystemClock, sleep};
use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use domain::ids::PaymentId;
use domain::outcome::{Failure, ProviderOutcome, Said};
use domain::payment::Capture;
use domain::provider::{Idempotency, Pace, Traits};
use domain::refund::State;
use domain::tenant::{Mode, Tenant};
use domain::time::Timestamp;
use engine::{Engine, EngineConfig, MasterKey, NewPayment, Parts, Registry, SqliteStore};
use providers::{
    Call, Inbound, InboundWebhook, Listed, Lookup, PaymentReport, Provider, RefundInstruction,
    WebhookRefused,
};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Refunds of the healthy provider that are measured, one after another.
const MEASURED: usize = 300;

/// Payments that the refunds of the backlog are spread over.
const PAYMENTS: usize = 10_000;

/// Leases that one step takes, as in the server.
const LEASES: u32 = 128;

/// A provider that answers nothing, or one that answers at once.
struct Psp {
    name: &'static str,
    answers: bool,
}

#[async_trait]
impl Provider for Psp {
    fn name(&self) -> &'static str {
        self.name
    }

    fn traits(&self) -> Traits {
        let day = 24 * 3_600_000;
        Traits {
            idempotency: Idempotency::Key { kept_ms: Some(day), replays_errors: false },
            pace: Pace { per_second: 10_000, burst: 10_000, at_once: 1_000 },
            ..Traits::UNKNOWN
        }
    }

    fn check(&self, _: &RefundInstruction, _: Timestamp) -> Result<(), Failure> {
        Ok(())
    }

    async fn submit(&self, instruction: &RefundInstruction, _: Call) -> Said {
        if !self.answers {
            return std::future::pending().await;
        }
        Said {
            provider_refund_id: Some(instruction.key.as_str().into()),
            money: Some(instruction.money),
            ..Said::new(ProviderOutcome::Completed)
        }
    }

    async fn lookup(&self, _: &RefundInstruction, _: Call) -> Lookup {
        std::future::pending().await
    }

    async fn list(&self, _: &Capture, _: Option<&str>, _: Call) -> Result<Listed, Failure> {
        std::future::pending().await
    }

    async fn payment(&self, _: Tenant, _: &str, _: Call) -> Result<Option<PaymentReport>, Failure> {
        Ok(None)
    }

    async fn receive(&self, _: &InboundWebhook, _: Call) -> Result<Inbound, WebhookRefused> {
        Err(WebhookRefused::Forged)
    }
}

/// Result of (j).
pub struct Hanging {
    /// From the request to the success, with the other provider idle.
    pub usual: Latencies,
    /// The same while the other provider hangs with its backlog.
    pub beside: Latencies,
}

fn start(database: &Path, at_once: bool) -> Result<Engine> {
    let stuck = Psp { name: "stuck", answers: false };
    let healthy = Psp { name: "healthy", answers: true };
    Ok(Engine::start(Parts {
        store: SqliteStore::open(database).context("the database cannot be opened")?.into(),
        registry: Registry::new().with(Arc::new(stuck)).with(Arc::new(healthy)),
        master_key: MasterKey::from_bytes([7; 32]),
        clock: Arc::new(SystemClock),
        seed: fixture::seed(),
        config: EngineConfig { dispatch_at_once: at_once, ..EngineConfig::default() },
    }))
}

async fn pay(engine: &Engine, tenant: Tenant, provider: &str, number: usize) -> Result<PaymentId> {
    let new = NewPayment { provider: provider.into(), ..fixture::payment(tenant, number)? };
    Ok(engine.register_payment(new, None).await?.value.capture.id)
}

/// The loop of the server that works on due refunds.
async fn work(engine: Engine) {
    loop {
        let leased = engine.lease_due(LEASES).await.unwrap_or_default();
        if !leased.is_empty() {
            for leased in leased {
                let worker = engine.clone();
                engine.spawn(async move { worker.work(leased).await });
            }
            continue;
        }
        let next = engine.next_work().await.unwrap_or_default();
        let wait = match next.at {
            Some(due) if due <= engine.now() => 20,
            Some(due) => due.ms_since(engine.now()).min(1_000),
            None => 1_000,
        };
        let wait = Duration::from_millis(u64::try_from(wait).unwrap_or(0));
        tokio::select! {
            () = sleep(wait) => {}
            () = engine.work_arrived() => {}
            () = engine.room_made(), if next.waits_for_room => {}
        }
    }
}

async fn measure(engine: &Engine, tenant: Tenant, payment: PaymentId) -> Result<Latencies> {
    let mut micros = Vec::with_capacity(MEASURED);
    for _ in 0..MEASURED {
        let stopwatch = Stopwatch::start();
        let made = engine.create_refund(refund(tenant, payment), None).await?;
        let id = made.value.refund.id;
        let done = engine.wait_for_refund(tenant, id, Duration::from_mins(1)).await?;
        let state = done.context("the refund is gone")?.refund.state;
        if state != State::Succeeded {
            bail!("a refund at the healthy provider is {}", state.as_str());
        }
        micros.push(stopwatch.micros());
    }
    Ok(Latencies::of(micros))
}

/// Measures refunds at a healthy provider without and with `backlog` due refunds at one that hangs.
pub async fn run(folder: &Path, backlog: usize) -> Result<Hanging> {
    let database = folder.join("hanging.db");
    let quiet = start(&database, false)?;
    let account = quiet.create_account("bench").await?;
    let tenant = Tenant::new(account.number, Mode::Test);
    let healthy = pay(&quiet, tenant, "healthy", PAYMENTS).await?;
    drop(quiet);
    let usual = {
        let engine = start(&database, true)?;
        let worker = tokio::spawn(work(engine.clone()));
        let usual = measure(&engine, tenant, healthy).await?;
        worker.abort();
        engine.drain(Duration::from_secs(30)).await;
        usual
    };
    let quiet = start(&database, false)?;
    fill(&quiet, tenant, backlog).await?;
    drop(quiet);
    let engine = start(&database, true)?;
    let worker = tokio::spawn(work(engine.clone()));
    // Until the provider that hangs has all the calls that it may have.
    sleep(Duration::from_secs(2)).await;
    let beside = measure(&engine, tenant, healthy).await?;
    worker.abort();
    Ok(Hanging { usual, beside })
}

/// Creates the refunds that hang. They wait in the queue.
async fn fill(engine: &Engine, tenant: Tenant, backlog: usize) -> Result<()> {
    const AT_A_TIME: usize = 256;
    let mut payments = Vec::with_capacity(PAYMENTS);
    for number in 0..PAYMENTS.min(backlog) {
        payments.push(pay(engine, tenant, "stuck", number).await?);
    }
    let payments: Arc<[PaymentId]> = payments.into();
    let mut tasks = JoinSet::new();
    for first in 0..AT_A_TIME {
        let (engine, payments) = (engine.clone(), payments.clone());
        tasks.spawn(async move {
            for number in (first..backlog).step_by(AT_A_TIME) {
                let payment = payments[number % payments.len()];
                engine.create_refund(refund(tenant, payment), None).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.context("a task died")??;
    }
    Ok(())
}
