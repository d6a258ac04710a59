//! A PostgreSQL database that several nodes share. The benchmark starts the PostgreSQL server with
//! default settings.

use crate::database::{DemoFile, in_runtime, new_folder, serve};
use crate::fixture::{self, HOT, HOT_ONE_IN, Targets};
use crate::measure::SystemClock;
use crate::process::Server;
use anyhow::{Context, Result, bail};
use domain::time::Clock as _;
use engine::PostgresStore;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use testkit::postgres::{Cluster, programs};

/// A database with payments, and the folder of one node that serves the database.
pub struct PostgresDatabase {
    cluster: Arc<Cluster>,
    folder: tempfile::TempDir,
    under: PathBuf,
    binary: PathBuf,
    name: String,
    bearer: String,
    /// The payments that the benchmark refunds.
    pub targets: Targets,
}

impl PostgresDatabase {
    /// Starts a PostgreSQL server under `under`, makes a demo in a database and adds payments.
    pub fn new(under: &Path, binary: &Path) -> Result<Self> {
        let under = fs::canonicalize(under)?;
        let cluster = Arc::new(Cluster::start_under(&under));
        let url = in_runtime(async { Ok(cluster.database().await) })?;
        let folder = new_folder(&under)?;
        serve(binary, folder.path(), false, Some(&url))?.stop()?;
        let demo = DemoFile::read(folder.path())?;
        let targets = in_runtime(async {
            let store = PostgresStore::open(&url).await?;
            demo.register_payments(&fixture::start_engine(store, folder.path())?).await
        })?;
        let name = url.rsplit('/').next().and_then(|rest| rest.split('?').next());
        let name = name.context("the address names no database")?.to_owned();
        let (binary, bearer) = (binary.to_owned(), demo.test.bearer);
        Ok(Self { cluster, folder, under, binary, name, bearer, targets })
    }

    /// Copies the database and makes a node for the copy. No client may be connected.
    pub fn copy(&self, name: &str) -> Result<Self> {
        let make = format!("CREATE DATABASE {name} TEMPLATE {}", self.name);
        psql(&self.cluster, "postgres", &make, &[])?;
        psql(&self.cluster, "postgres", "CHECKPOINT", &[])?;
        Ok(Self { name: name.to_owned(), ..self.join()? })
    }

    pub fn remove(self) -> Result<()> {
        psql(&self.cluster, "postgres", &format!("DROP DATABASE {}", self.name), &[])
    }

    /// Makes another node on the same database.
    pub fn join(&self) -> Result<Self> {
        let folder = new_folder(&self.under)?;
        fs::copy(self.folder.path().join("demo.json"), folder.path().join("demo.json"))?;
        Ok(Self {
            cluster: self.cluster.clone(),
            folder,
            under: self.under.clone(),
            binary: self.binary.clone(),
            name: self.name.clone(),
            bearer: self.bearer.clone(),
            targets: self.targets.clone(),
        })
    }

    /// Starts the node. New refunds stay queued.
    pub fn serve(&self) -> Result<Server> {
        let url = self.cluster.url(&self.name);
        serve(&self.binary, self.folder.path(), false, Some(&url))
    }

    pub fn bearer(&self) -> &str {
        &self.bearer
    }

    /// Runs SQL with psql. psql replaces `variables` and `:scope` in the text.
    pub fn run(&self, sql: &str, variables: &[(&str, String)]) -> Result<()> {
        let tenant = ("scope", self.targets.tenant.code().to_string());
        psql(&self.cluster, &self.name, sql, &[variables, &[tenant]].concat())
    }

    /// Adds `count` refunds with dates in the past.
    pub fn fill(&self, count: u64) -> Result<()> {
        let variables = [
            ("count", count.to_string()),
            ("until", SystemClock.now().0.to_string()),
            ("hot", HOT.to_string()),
            ("hot_one_in", HOT_ONE_IN.to_string()),
        ];
        self.run(include_str!("../../sql/past.sql"), &variables)
    }

    /// A command that runs a PostgreSQL program on the database.
    pub fn program(&self, name: &str) -> Command {
        program(&self.cluster, &self.name, name)
    }

    /// Verifies the database and returns the number of refunds. A difference is an error.
    pub fn verify(&self) -> Result<u64> {
        let url = self.cluster.url(&self.name);
        let report = in_runtime(async { Ok(PostgresStore::open(&url).await?.verify().await?) })?;
        if let Some(difference) = report.differences.first() {
            bail!("{} differences, the first: {difference}", report.differences.len());
        }
        Ok(report.refunds)
    }

    /// Size of all files of the PostgreSQL server's databases, in bytes.
    pub fn bytes(&self) -> Result<u64> {
        fn size(folder: &Path) -> std::io::Result<u64> {
            let entries = fs::read_dir(folder)?.map(|entry| {
                let (entry, meta) = entry.and_then(|e| Ok((e.path(), e.metadata()?)))?;
                if meta.is_dir() { size(&entry) } else { Ok(meta.len()) }
            });
            entries.sum()
        }
        Ok(size(&self.cluster.folder().join("data/base"))?)
    }
}

fn program(cluster: &Cluster, database: &str, name: &str) -> Command {
    let mut command = Command::new(programs().join(name));
    command.arg("--host").arg(cluster.folder()).args(["--username=refundry"]);
    command.env("PGDATABASE", database).env("PGCONNECT_TIMEOUT", "10");
    command
}

fn psql(cluster: &Cluster, database: &str, sql: &str, sets: &[(&str, String)]) -> Result<()> {
    let mut command = program(cluster, database, "psql");
    command.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]);
    for (name, value) in sets {
        command.arg(format!("--set={name}={value}"));
    }
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().context("psql cannot be started")?;
    let input = child.stdin.take();
    input.context("psql has no input")?.write_all(sql.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("psql failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::tenant::{Mode, Tenant};
    use engine::IdempotencyKey;

    /// A database with `payments` payments. There is no demo in its folder, so no node can serve
    /// it.
    fn without_demo(payments: usize) -> PostgresDatabase {
        let cluster = Arc::new(Cluster::start());
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("demo.json"), "{}").unwrap();
        let url = in_runtime(async { Ok(cluster.database().await) }).unwrap();
        let targets = in_runtime(async {
            let store = PostgresStore::open(&url).await?;
            let engine = fixture::start_engine(store, folder.path())?;
            let account = engine.create_account("Benchmark").await?;
            fixture::register_payments(&engine, Tenant::new(account.number, Mode::Test), payments)
                .await
        });
        PostgresDatabase {
            cluster,
            under: folder.path().to_owned(),
            folder,
            binary: PathBuf::new(),
            name: "test_0".into(),
            bearer: String::new(),
            targets: targets.unwrap(),
        }
    }

    #[test]
    fn the_books_balance_after_a_prefill() {
        let database = without_demo(50);
        database.fill(2_000).unwrap();
        assert_eq!(database.verify().unwrap(), 2_000);
    }

    /// Number of non-null values per column, in the tables that creating a refund writes.
    fn contents(database: &PostgresDatabase) -> String {
        let count = |table| {
            format!(
                "SELECT '{table}', key, count(*) FROM {table} t, jsonb_each(to_jsonb(t)) \
                 WHERE value <> 'null' GROUP BY key ORDER BY key;"
            )
        };
        let sql: String = ["refunds", "keys", "events", "postings"].map(count).concat();
        let output = database.program("psql").args(["--tuples-only", "--command", &sql]).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn the_function_writes_the_rows_and_columns_that_creating_refunds_writes() {
        let database = without_demo(20);
        let other = database.copy("other").unwrap();
        let url = database.cluster.url(&database.name);
        let created = in_runtime(async {
            let store = PostgresStore::open(&url).await?;
            let engine = fixture::start_engine(store, database.folder.path())?;
            for number in 0..20 {
                let payment = database.targets.payments[number];
                let key = IdempotencyKey { door: "native", value: number.to_string().into() };
                let refund = crate::load::refund(database.targets.tenant, payment);
                engine.create_refund(refund, Some(&key)).await?;
            }
            Ok(())
        });
        created.unwrap();
        other.run(super::super::one_call::FUNCTION, &[("payments", "20".into())]).unwrap();
        other.run("SELECT one_refund(:scope, n) FROM generate_series(1, 20) AS n", &[]).unwrap();
        // The comparison leaves out the payments that the function made for itself.
        other.run("DELETE FROM payments WHERE provider_payment_id LIKE 'one_%'", &[]).unwrap();
        assert_eq!(contents(&other), contents(&database));
    }
}
