//! (a), (b), (c), and (e) over HTTP: wrk against the axum-only server and against Refundry.

use crate::axum_only;
use crate::database::SqliteDatabase;
use crate::measure::{Latencies, Stopwatch, median, sleep_blocking, to_f64};
use crate::process::{Server, free_address, get};
use crate::wrk::{Wrk, WrkLoad, WrkResult};
use anyhow::{Context, Result, bail};
use std::process::Command;
use std::time::Duration;

/// Every run starts with a warm-up of this length, which is not counted.
const WARM_UP: Duration = Duration::from_secs(1);

/// Results of all rounds of one load.
#[derive(Default)]
pub struct Rounds(Vec<WrkResult>);

impl Rounds {
    /// Runs one more round: a warm-up, then the measured run.
    pub fn round(&mut self, wrk: &Wrk, wrk_load: &WrkLoad<'_>) -> Result<()> {
        self.round_of(wrk_load.duration, |duration| wrk.run(&WrkLoad { duration, ..*wrk_load }))
    }

    /// Runs one more round of any load.
    pub fn round_of(
        &mut self,
        duration: Duration,
        load: impl Fn(Duration) -> Result<WrkResult>,
    ) -> Result<()> {
        load(WARM_UP)?;
        self.0.push(load(duration)?);
        Ok(())
    }

    /// True when no round was run.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Median rate, in requests per second.
    pub fn rate(&self) -> f64 {
        median(self.0.iter().map(|found| found.per_second).collect())
    }

    /// Median of each percentile over all rounds; for the maximum, the largest of all rounds.
    pub fn latencies(&self) -> Latencies {
        let of = |pick: fn(&Latencies) -> f64| self.0.iter().map(move |f| pick(&f.latencies));
        Latencies {
            p50_ms: median(of(|l| l.p50_ms).collect()),
            p99_ms: median(of(|l| l.p99_ms).collect()),
            max_ms: of(|l| l.max_ms).fold(0.0, f64::max),
        }
    }

    /// Requests that failed in any round.
    pub fn errors(&self) -> u64 {
        self.0.iter().map(|found| found.errors).sum()
    }
}

/// Starts this program again as the axum-only server.
pub fn serve_axum_only(wrk: &Wrk) -> Result<Server> {
    let address = free_address()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("axum-only").args(["--listen", &address.to_string()]);
    Server::start(command, address, &wrk.folder().join("axum-only.log"))
}

/// A load that creates refunds. The axum-only server answers under the same path.
pub fn wrk_load<'a>(
    address: &'a str,
    bearer: &'a str,
    connections: u32,
    duration: Duration,
) -> WrkLoad<'a> {
    WrkLoad { address, path: axum_only::PATH, bearer, connections, duration, hot: true }
}

/// Result of (c).
pub struct Completed {
    /// Refunds that succeeded.
    pub refunds: u64,
    /// Seconds from the first request to the last success.
    pub seconds: f64,
    /// Seconds from the last request to the last success.
    pub tail_seconds: f64,
    /// Requests that failed.
    pub errors: u64,
}

impl Completed {
    /// Completed refunds per second.
    pub fn rate(&self) -> f64 {
        to_f64(self.refunds) / self.seconds
    }
}

/// (c): creates refunds over 64 connections while Refundry sends them to the simulator, and waits
/// until all of them have succeeded.
pub fn run_to_completion(
    database: &SqliteDatabase,
    wrk: &Wrk,
    duration: Duration,
) -> Result<Completed> {
    const TIME_LIMIT: Duration = Duration::from_mins(10);
    let server = database.serve(true)?;
    let address = server.address.to_string();
    let stopwatch = Stopwatch::start();
    let found = wrk.run(&wrk_load(&address, database.bearer(), 64, duration))?;
    let asked = stopwatch.elapsed();
    while refunds_pending(&server, database)? {
        if stopwatch.elapsed() > TIME_LIMIT {
            bail!("refunds are still pending after {} s", TIME_LIMIT.as_secs());
        }
        sleep_blocking(Duration::from_millis(20));
    }
    let elapsed = stopwatch.elapsed();
    server.stop()?;
    let refunds = database.verify().context("the books after (c)")?;
    Ok(Completed {
        refunds,
        seconds: elapsed.as_secs_f64(),
        tail_seconds: (elapsed.saturating_sub(asked)).as_secs_f64(),
        errors: found.errors,
    })
}

/// True while a refund is pending.
pub fn refunds_pending(server: &Server, database: &SqliteDatabase) -> Result<bool> {
    let target = "/api/v1/refunds?status=pending&limit=1";
    let (status, body) = get(server.address, target, database.bearer())?;
    let answer: serde_json::Value = serde_json::from_str(&body)?;
    match (status, answer["data"].as_array()) {
        (200, Some(refunds)) => Ok(!refunds.is_empty()),
        _ => bail!("the list of pending refunds: {status} {body}"),
    }
}
