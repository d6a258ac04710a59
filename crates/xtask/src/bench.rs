//! `cargo xtask bench`: builds the server and the benchmark, optimised, and runs the benchmark.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds and runs; `arguments` go to the benchmark.
pub fn run(root: &Path, arguments: &[String]) -> Result<(), String> {
    check_wrk()?;
    let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.current_dir(root).args(["build", "--release", "--quiet"]);
    build.args(["--package", "refundry", "--package", "refundry-bench"]);
    succeed(&mut build)?;
    let release = target(root).join("release");
    let mut bench = Command::new(release.join("refundry-bench"));
    bench.arg("run").arg("--server").arg(release.join("refundry")).args(arguments);
    succeed(&mut bench)
}

fn check_wrk() -> Result<(), String> {
    // It prints its usage and fails, which is enough to know that it is there.
    match Command::new("wrk").arg("--version").output() {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("wrk is not installed ({error}): run scripts/install-tools")),
    }
}

/// Where cargo builds to.
fn target(root: &Path) -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root.join(folder),
        None => root.join("target"),
    }
}

fn succeed(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{program} ended with {status}")),
        Err(error) => Err(format!("{program} cannot be started: {error}")),
    }
}
