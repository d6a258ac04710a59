//! SQLite databases for the benchmark: the folder of a demo with many payments, and copies of that
//! folder.

use crate::fixture::{self, PAYMENTS, Targets};
use crate::measure::{Stopwatch, sleep_blocking};
use crate::prefill;
use crate::process::{Server, free_address};
use anyhow::{Context, Result, bail};
use domain::tenant::{Mode, Tenant};
use engine::{Engine, SqliteStore};
use serde::Deserialize;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Nodes that share a database share this key. The key protects nothing in the benchmark.
const MASTER_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// A folder that `refundry demo` made, with more payments in its database.
pub struct SqliteDatabase {
    folder: tempfile::TempDir,
    binary: PathBuf,
    bearer: String,
    /// The payments that the benchmark refunds.
    pub targets: Targets,
}

/// The file `demo.json`, which the demo writes.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DemoFile {
    account_id: String,
    pub test: DemoKey,
}

#[derive(Deserialize)]
pub struct DemoKey {
    pub bearer: String,
}

impl DemoFile {
    /// Reads the file of the demo in `folder`.
    pub fn read(folder: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(folder.join("demo.json"))?;
        serde_json::from_str(&text).context("demo.json")
    }

    /// Registers payments of the demo's account.
    pub async fn register_payments(&self, engine: &Engine) -> Result<Targets> {
        let accounts = engine.list_accounts().await?;
        let account = accounts.iter().find(|account| account.id.to_string() == self.account_id);
        let account = account.context("the demo's account is not in its database")?;
        let tenant = Tenant::new(account.number, Mode::Test);
        fixture::register_payments(engine, tenant, PAYMENTS).await
    }
}

impl SqliteDatabase {
    /// Makes a demo folder under `under` with the server's binary and adds payments.
    pub fn new(under: &Path, binary: &Path) -> Result<Self> {
        let folder = new_folder(under)?;
        serve(binary, folder.path(), false, None)?.stop()?;
        let demo = DemoFile::read(folder.path())?;
        let database = folder.path().join("refundry.db");
        let targets = in_runtime(async {
            demo.register_payments(&fixture::open_engine(&database, folder.path())?).await
        })?;
        wait_until_closed(&database)?;
        Ok(Self { folder, binary: binary.to_owned(), bearer: demo.test.bearer, targets })
    }

    /// Copies the folder. No process may have the database open.
    pub fn copy(&self, under: &Path) -> Result<Self> {
        let folder = new_folder(under)?;
        for entry in std::fs::read_dir(self.folder.path())? {
            let entry = entry?;
            copy_by_pages(&entry.path(), &folder.path().join(entry.file_name()))?;
        }
        let (binary, bearer) = (self.binary.clone(), self.bearer.clone());
        Ok(Self { folder, binary, bearer, targets: self.targets.clone() })
    }

    /// Adds `count` refunds with dates in the past.
    pub fn fill(&self, count: u64) -> Result<()> {
        prefill::fill(&self.file(), &self.targets, count)?;
        sync(&self.file())
    }

    pub fn file(&self) -> PathBuf {
        self.folder.path().join("refundry.db")
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The Bearer token of the account's test key.
    pub fn bearer(&self) -> &str {
        &self.bearer
    }

    /// Starts the server on this folder.
    pub fn serve(&self, dispatch: bool) -> Result<Server> {
        serve(&self.binary, self.folder.path(), dispatch, None)
    }

    /// Verifies the database and returns the number of refunds. A difference is an error.
    pub fn verify(&self) -> Result<u64> {
        let report = in_runtime(async { Ok(SqliteStore::open(&self.file())?.verify().await?) })?;
        wait_until_closed(&self.file())?;
        if let Some(difference) = report.differences.first() {
            bail!("{} differences, the first: {difference}", report.differences.len());
        }
        Ok(report.refunds)
    }
}

/// Copies a file in steps of a database page. With larger steps, the page cache of the system would
/// hold the copy in larger pieces, and every small write into the copy would be slower than a write
/// into a file that SQLite wrote.
fn copy_by_pages(from: &Path, to: &Path) -> Result<()> {
    let (mut from, mut copy) = (File::open(from)?, File::create(to)?);
    let mut page = [0; 4096];
    loop {
        match from.read(&mut page)? {
            0 => return Ok(copy.sync_all()?),
            read => copy.write_all(&page[..read])?,
        }
    }
}

/// Flushes a file to disk, so that the system does not flush it during a measurement.
fn sync(file: &Path) -> Result<()> {
    Ok(File::open(file)?.sync_all()?)
}

/// Makes a new temporary folder under `under`.
pub fn new_folder(under: &Path) -> Result<tempfile::TempDir> {
    Ok(tempfile::Builder::new().prefix("refundry-bench-").tempdir_in(under)?)
}

/// Starts `refundry demo` on a folder. With `postgres_url`, the database is on PostgreSQL.
pub fn serve(
    binary: &Path,
    folder: &Path,
    dispatch: bool,
    postgres_url: Option<&str>,
) -> Result<Server> {
    let address = free_address()?;
    let mut command = Command::new(binary);
    command
        .arg("demo")
        .args(["--listen", &address.to_string()])
        .arg("--data")
        .arg(folder)
        .env("REFUNDRY_DISPATCH", if dispatch { "on" } else { "off" });
    if let Some(url) = postgres_url {
        command.env("REFUNDRY_DATABASE_URL", url).env("REFUNDRY_MASTER_KEY", MASTER_KEY);
    }
    Server::start(command, address, &folder.join("server.log"))
}

/// Runs `work` on a runtime like the server's, then ends all tasks of that runtime.
pub fn in_runtime<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    let answer = runtime.block_on(work);
    runtime.shutdown_timeout(Duration::from_secs(30));
    answer
}

/// Waits until this process has closed the database. The store's threads close it after its last
/// owner is dropped, with a checkpoint that would disturb the next measurement.
pub fn wait_until_closed(database: &Path) -> Result<()> {
    let stopwatch = Stopwatch::start();
    while is_open(database)? {
        if stopwatch.elapsed() > Duration::from_mins(1) {
            bail!("{} is still in use after a minute", database.display());
        }
        sleep_blocking(Duration::from_millis(5));
    }
    Ok(())
}

/// True while this process has the database, its write-ahead log or its index open.
fn is_open(database: &Path) -> Result<bool> {
    let name = database.to_string_lossy();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        // A descriptor that was closed since the listing has no link; skip it.
        let open = std::fs::read_link(entry?.path()).unwrap_or_default();
        if open.to_string_lossy().starts_with(&*name) {
            return Ok(true);
        }
    }
    Ok(false)
}
