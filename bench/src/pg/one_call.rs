//! Creates refunds with one function call each, driven by pgbench.

use super::PostgresDatabase;
use crate::fixture::{HOT, HOT_ONE_IN, PAYMENTS};
use anyhow::{Context, Result, bail};
use std::time::Duration;

/// Numbers of pgbench clients to try; the best rate counts.
const CLIENTS: [u32; 4] = [1, 8, 32, 64];

/// SQL that creates the function and its payments.
pub const FUNCTION: &str = include_str!("../../sql/one_refund.sql");

/// The best number of clients and its rate, in calls per second.
pub fn best_rate(database: &PostgresDatabase, duration: Duration) -> Result<(u32, f64)> {
    database.run(FUNCTION, &[("payments", PAYMENTS.to_string())])?;
    database.run("VACUUM ANALYZE payments; CHECKPOINT", &[])?;
    let script = format!(
        "\\set hot random(1, {HOT_ONE_IN})\n\\set one random(1, {HOT})\n\
         \\set any random(1, {PAYMENTS})\n\
         \\set n CASE WHEN :hot = 1 THEN :one ELSE :any END\nSELECT one_refund(:scope, :n);\n"
    );
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("one.sql");
    std::fs::write(&file, script)?;
    let mut best = (0, 0.0);
    for clients in CLIENTS {
        let mut command = database.program("pgbench");
        command
            .args(["--no-vacuum", "--protocol=prepared", "--jobs=2"])
            .arg(format!("--client={clients}"))
            .arg(format!("--time={}", duration.as_secs().max(1)))
            .arg(format!("--define=scope={}", database.targets.tenant.code()))
            .arg("--file")
            .arg(&file);
        let output = command.output().context("pgbench cannot be started")?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            bail!("pgbench failed: {text}{}", String::from_utf8_lossy(&output.stderr));
        }
        let rate = read(&text).with_context(|| format!("pgbench said: {text}"))?;
        if rate > best.1 {
            best = (clients, rate);
        }
    }
    Ok(best)
}

fn read(text: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix("tps = "))?;
    line.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn the_rate_is_found_between_the_lines_of_pgbench() {
        let text = "number of clients: 8\ntps = 4250.5 (without initial connection time)\n";
        assert_eq!(read(text), Some(4250.5));
        assert_eq!(read("pgbench (15.1)"), None);
    }
}
