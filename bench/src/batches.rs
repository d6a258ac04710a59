//! The size of the committer's batches, read from the metric `refundry_batch_commands`.

use anyhow::{Result, anyhow};
use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const METRIC: &str = "refundry_batch_commands";

static BATCHES: AtomicU64 = AtomicU64::new(0);
static COMMANDS: AtomicU64 = AtomicU64::new(0);

/// Installs the recorder. A second call in one process fails.
pub fn listen() -> Result<()> {
    metrics::set_global_recorder(Listener).map_err(|_| anyhow!("another recorder listens already"))
}

/// Batches and commands since the start of the process.
#[derive(Clone, Copy, Default)]
pub struct Count {
    batches: u64,
    commands: u64,
}

impl Count {
    pub fn now() -> Self {
        Self {
            batches: BATCHES.load(Ordering::Relaxed),
            commands: COMMANDS.load(Ordering::Relaxed),
        }
    }

    /// Commands per batch since `earlier`, at least 1.
    pub fn mean_since(self, earlier: Self) -> u64 {
        let batches = self.batches.saturating_sub(earlier.batches).max(1);
        (self.commands.saturating_sub(earlier.commands) / batches).max(1)
    }
}

struct Listener;

struct Batches;

impl HistogramFn for Batches {
    fn record(&self, value: f64) {
        // A batch holds a small whole number of commands.
        #[expect(
            clippy::as_conversions,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the metric holds counts of commands, which speak floating point only here"
        )]
        let commands = value as u64;
        BATCHES.fetch_add(1, Ordering::Relaxed);
        COMMANDS.fetch_add(commands, Ordering::Relaxed);
    }
}

impl Recorder for Listener {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        if key.name() == METRIC {
            Histogram::from_arc(Arc::new(Batches))
        } else {
            Histogram::noop()
        }
    }
}
