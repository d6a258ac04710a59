//! Creates refunds in this process with many tasks; each task waits for its answer before it sends
//! again.

use crate::batches::Count;
use crate::fixture::{REASON, Targets};
use crate::measure::{Latencies, SplitMix, Stopwatch, sleep, to_f64};
use anyhow::{Context, Result};
use domain::ids::PaymentId;
use domain::tenant::Tenant;
use engine::{Engine, IdempotencyKey, NewRefund};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

/// Result of one run.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadResult {
    /// Refunds per second.
    pub per_second: f64,
    /// Time from a request to its answer.
    pub latencies: Latencies,
    /// Commands in a batch, on average.
    pub batch: u64,
    /// Largest size of the write-ahead log, in bytes.
    pub wal_bytes: u64,
}

/// State that all tasks of a run share.
struct LoadState {
    engine: Engine,
    targets: Targets,
    counting: AtomicBool,
    over: AtomicBool,
    wal_bytes: AtomicU64,
}

/// Creates refunds with `clients` tasks for `duration`. A warm-up of a fifth of `duration` runs
/// first and is not counted.
pub async fn create_refunds(
    engine: &Engine,
    targets: &Targets,
    database: &Path,
    clients: u64,
    duration: Duration,
) -> Result<LoadResult> {
    let shared = Arc::new(LoadState {
        engine: engine.clone(),
        targets: targets.clone(),
        counting: AtomicBool::new(false),
        over: AtomicBool::new(false),
        wal_bytes: AtomicU64::new(0),
    });
    // The name of the run makes its idempotency keys differ from those of other runs.
    let run = engine.request_id().to_string();
    let mut tasks = JoinSet::new();
    for number in 0..clients {
        tasks.spawn(client(shared.clone(), format!("{run}-{number}"), number));
    }
    let watcher = watch_wal(shared.clone(), database);
    sleep(duration / 5).await;
    let before = Count::now();
    let stopwatch = Stopwatch::start();
    shared.counting.store(true, Ordering::Relaxed);
    sleep(duration).await;
    shared.counting.store(false, Ordering::Relaxed);
    let elapsed = stopwatch.elapsed();
    let batch = Count::now().mean_since(before);
    shared.over.store(true, Ordering::Relaxed);
    let mut micros = Vec::new();
    while let Some(task) = tasks.join_next().await {
        micros.extend(task.context("a task died")??);
    }
    watcher.join().map_err(|_| anyhow::anyhow!("the watcher of the log died"))?;
    let refunds = u64::try_from(micros.len()).unwrap_or(u64::MAX);
    Ok(LoadResult {
        per_second: to_f64(refunds) / elapsed.as_secs_f64(),
        latencies: Latencies::of(micros),
        batch,
        wal_bytes: shared.wal_bytes.load(Ordering::Relaxed),
    })
}

async fn client(shared: Arc<LoadState>, name: String, number: u64) -> Result<Vec<u32>> {
    let mut rng = SplitMix::new(number);
    let mut micros = Vec::new();
    let mut sent = 0_u64;
    while !shared.over.load(Ordering::Relaxed) {
        sent += 1;
        let key = IdempotencyKey { door: "native", value: format!("{name}-{sent}").into() };
        let payment = shared.targets.payments[shared.targets.pick(&mut rng)];
        let refund = refund(shared.targets.tenant, payment);
        let stopwatch = Stopwatch::start();
        shared.engine.create_refund(refund, Some(&key)).await.context("a refund was refused")?;
        if shared.counting.load(Ordering::Relaxed) {
            micros.push(stopwatch.micros());
        }
    }
    Ok(micros)
}

/// The refund that every task creates.
pub fn refund(tenant: Tenant, payment: PaymentId) -> NewRefund {
    NewRefund { amount: Some(1), reason: Some(REASON.into()), ..NewRefund::of(tenant, payment) }
}

fn watch_wal(shared: Arc<LoadState>, database: &Path) -> std::thread::JoinHandle<()> {
    let wal = wal_of(database);
    std::thread::spawn(move || {
        while !shared.over.load(Ordering::Relaxed) {
            let bytes = std::fs::metadata(&wal).map_or(0, |meta| meta.len());
            shared.wal_bytes.fetch_max(bytes, Ordering::Relaxed);
            crate::measure::sleep_blocking(Duration::from_millis(20));
        }
    })
}

/// Path of the write-ahead log of a database file.
pub fn wal_of(database: &Path) -> std::path::PathBuf {
    let mut wal = database.as_os_str().to_owned();
    wal.push("-wal");
    wal.into()
}
