//! `cargo xtask sim`: builds the simulation, optimised, and runs it.

use std::path::Path;
use std::process::Command;

/// Builds and runs; `arguments` go to the simulation.
pub fn run(root: &Path, arguments: &[String]) -> Result<(), String> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root).args([
        "run",
        "--release",
        "--quiet",
        "--package",
        "refundry-sim",
        "--",
    ]);
    match cargo.args(arguments).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("the simulation ended with {status}")),
        Err(error) => Err(format!("cargo cannot be started: {error}")),
    }
}
