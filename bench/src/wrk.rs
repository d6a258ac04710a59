//! Runs wrk, the load generator, and reads its result.

use crate::fixture::{HOT, HOT_ONE_IN, Targets};
use crate::measure::{Latencies, to_f64};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const REFUNDS: &str = concat!(include_str!("../wrk/refund.lua"), include_str!("../wrk/done.lua"));

const LISTS: &str = concat!(include_str!("../wrk/list.lua"), include_str!("../wrk/done.lua"));

const THREADS: u32 = 2;

/// The scripts of wrk and the file of payments that they read.
pub struct Wrk {
    folder: tempfile::TempDir,
    refunds: PathBuf,
    lists: PathBuf,
    payments: PathBuf,
    count: usize,
}

/// Settings of one run of wrk.
pub struct WrkLoad<'a> {
    /// Host and port.
    pub address: &'a str,
    /// Path of the POSTs. The script for lists sets its own path.
    pub path: &'a str,
    pub bearer: &'a str,
    /// Number of connections.
    pub connections: u32,
    pub duration: Duration,
    /// Whether some payments are refunded much more often than others.
    pub hot: bool,
}

/// Result of one run of wrk.
#[derive(Clone, Copy, Debug)]
pub struct WrkResult {
    /// Answers per second.
    pub per_second: f64,
    pub latencies: Latencies,
    /// Answers with a status of 400 or more, and requests without an answer.
    pub errors: u64,
}

impl WrkResult {
    /// Combines two runs: adds the rates and the errors, and takes the worse latencies.
    pub const fn with(self, other: Self) -> Self {
        let (a, b) = (self.latencies, other.latencies);
        Self {
            per_second: self.per_second + other.per_second,
            latencies: Latencies {
                p50_ms: a.p50_ms.max(b.p50_ms),
                p99_ms: a.p99_ms.max(b.p99_ms),
                max_ms: a.max_ms.max(b.max_ms),
            },
            errors: self.errors + other.errors,
        }
    }
}

#[derive(Deserialize)]
struct Line {
    requests: u64,
    micros: u64,
    refused: u64,
    failed: u64,
    p50: u32,
    p99: u32,
    max: u32,
}

impl Wrk {
    /// Writes the scripts and the file of payments to a temporary folder.
    pub fn new(targets: &Targets) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("refundry-wrk-").tempdir()?;
        let (refunds, lists) = (folder.path().join("refund.lua"), folder.path().join("list.lua"));
        std::fs::write(&refunds, REFUNDS)?;
        std::fs::write(&lists, LISTS)?;
        let payments = folder.path().join("payments");
        let ids: Vec<String> = targets.payments.iter().map(ToString::to_string).collect();
        std::fs::write(&payments, ids.join("\n"))?;
        Ok(Self { folder, refunds, lists, payments, count: ids.len() })
    }

    /// Creates refunds. The idempotency keys of a run start with the name of a new folder, so that
    /// no two runs share a key.
    pub fn run(&self, wrk_load: &WrkLoad<'_>) -> Result<WrkResult> {
        let run = tempfile::Builder::new().prefix("run-").tempdir_in(self.folder.path())?;
        let name = run.path().file_name().unwrap_or_default();
        let mut command = command(&self.refunds, wrk_load);
        command
            .args([wrk_load.path, wrk_load.address, wrk_load.bearer])
            .arg(name)
            .arg(&self.payments);
        // When all payments are in the hot group, none is hot.
        let hot = if wrk_load.hot { HOT } else { self.count };
        found(command.args([hot.to_string(), HOT_ONE_IN.to_string()]))
    }

    /// Lists the newest refunds of the account, or those of one payment after another.
    pub fn list(&self, wrk_load: &WrkLoad<'_>, by_payment: bool) -> Result<WrkResult> {
        let payments = if by_payment { &self.payments } else { Path::new("-") };
        found(
            command(&self.lists, wrk_load).args([wrk_load.address, wrk_load.bearer]).arg(payments),
        )
    }

    /// A temporary folder that is removed when this value is dropped.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn command(script: &Path, wrk_load: &WrkLoad<'_>) -> Command {
    let mut command = Command::new("wrk");
    command
        .arg(format!("--threads={THREADS}"))
        .arg(format!("--connections={}", wrk_load.connections))
        .arg(format!("--duration={}s", wrk_load.duration.as_secs().max(1)))
        .arg("--timeout=30s")
        .arg("--script")
        .arg(script)
        .arg(format!("http://{}", wrk_load.address))
        .arg("--");
    command
}

fn found(command: &mut Command) -> Result<WrkResult> {
    let output = command.output();
    let output = output.context("wrk cannot be started: scripts/install-tools installs it")?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("wrk failed: {text}{}", String::from_utf8_lossy(&output.stderr));
    }
    read(&text).with_context(|| format!("unexpected output of wrk: {text}"))
}

fn read(text: &str) -> Result<WrkResult> {
    let line = text.lines().find_map(|line| line.strip_prefix("RESULT "));
    let line: Line = serde_json::from_str(line.context("there is no RESULT line")?)?;
    let ms = |micros: u32| f64::from(micros) / 1000.0;
    Ok(WrkResult {
        per_second: to_f64(line.requests) / (to_f64(line.micros) / 1e6),
        latencies: Latencies { p50_ms: ms(line.p50), p99_ms: ms(line.p99), max_ms: ms(line.max) },
        errors: line.refused + line.failed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_line_is_found_between_the_lines_of_wrk() {
        let text = "Running 1s test\n  2 threads\n\nRESULT {\"requests\":500,\"micros\":250000,\
                    \"refused\":1,\"failed\":2,\"p50\":1500,\"p99\":9000,\"max\":20000}\n";
        let found = read(text).unwrap();
        assert_eq!(found.errors, 3);
        assert!((found.per_second - 2000.0).abs() < 0.1);
        assert!((found.latencies.p99_ms - 9.0).abs() < 0.001);
        assert!(read("Running").is_err());
    }
}
