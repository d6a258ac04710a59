//! SQLite: one writer thread, a few readers, and checkpoints off the hot path.
//!
//! The file is in WAL mode with `synchronous=FULL`: a commit returns after the log is fsynced.

mod api_keys;
mod batch;
mod codec;
mod copy_source;
mod idempotent_work;
mod next_endpoints;
mod payment_cache;
mod prune;
#[cfg(test)]
mod query_plans;
mod replay;
mod rows;
mod stored_responses;
mod trust;
mod verify;
mod webhooks;
mod writer;

pub(crate) use copy_source::SqliteFile;

use crate::StoreError;
use crate::queries::{Query, Report, payments};
use crate::tables::FromRow;
use codec::all;
use domain::ids::PaymentId;
use domain::payment::Payment;
use domain::tenant::Tenant;
use domain::view::{RowKeys, View};
use payment_cache::Payments;
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;
use trust::{Trust, commit};
use writer::Writer;

refinery::embed_migrations!("migrations/sqlite");

/// How many queries read at the same time.
const READERS: usize = 4;

/// How long a connection waits for a lock held by another process.
const BUSY_TIMEOUT_MS: u64 = 5_000;

/// A SQLite database. Cheap to clone; closed when the last clone is dropped.
#[derive(Clone)]
pub struct SqliteStore {
    path: Arc<PathBuf>,
    writer: Writer,
    payments: Arc<Mutex<Payments>>,
    readers: Arc<Readers>,
    trust: Arc<Trust>,
}

struct Readers {
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl SqliteStore {
    /// Opens the database file, creates it if need be and brings its schema up to date.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = Self::migrate(path, None)?;
        // 16 MiB of pages at most. At many a commit SQLite walks every page it holds, so more is slower.
        connection.pragma_update(None, "cache_size", -16_384)?;
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        make_recovered_durable(&connection)?;
        let trust = Arc::new(Trust::default());
        let writer = Writer::start(connection, path, &trust)?;
        let readers =
            Readers { permits: Arc::new(Semaphore::new(READERS)), idle: Mutex::default() };
        let (path, payments) = (Arc::new(path.to_owned()), Arc::default());
        Ok(Self { path, writer, payments, readers: Arc::new(readers), trust })
    }

    /// Calls `hook` once when the file cannot be trusted any more and the process must end.
    pub fn on_fatal(&self, hook: impl Fn(&StoreError) + Send + Sync + 'static) {
        self.trust.on_loss(Box::new(hook));
    }

    /// Brings the schema of a database file up to date, up to `version`; creates it if need be.
    pub fn migrate(path: &Path, version: Option<i32>) -> Result<Connection, StoreError> {
        let mut connection = Connection::open(path)?;
        configure(&connection)?;
        // The page size applies to a new file. Most pages that a batch changes hold one changed
        // row, and SQLite writes each page to the log as a whole.
        connection.pragma_update(None, "page_size", 2_048)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        let mut runner = migrations::runner();
        if let Some(version) = version {
            runner = runner.set_target(refinery::Target::Version(version));
        }
        let done = runner.run(&mut connection);
        done.map_err(|error| StoreError::Migration(error.to_string()))?;
        Ok(connection)
    }

    /// Runs a batch, see [`Store::run_batch`](crate::Store::run_batch).
    pub async fn run_batch<T: Send + 'static>(
        &self,
        wanted: RowKeys,
        mut decide: impl FnMut(&mut View) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let payments = self.payments.clone();
        self.writer
            .run(move |connection| {
                let transaction = connection
                    .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
                let at_hand = || payments.lock().unwrap_or_else(PoisonError::into_inner);
                // After an error the cache stays empty, since it may hold changes that were rolled
                // back.
                let mut payments = std::mem::take(&mut *at_hand());
                payments.renew(&transaction)?;
                let mut view = batch::load(&transaction, wanted, &mut payments)?;
                let answer = decide(&mut view);
                batch::save(&transaction, &view, &mut payments)?;
                commit(transaction)?;
                *at_hand() = payments;
                Ok(answer)
            })
            .await
    }

    /// Writes a number into the head of the file that nobody reads, and so commits a page.
    pub(crate) async fn probe(&self) -> Result<(), StoreError> {
        self.writer
            .run(|connection| {
                let transaction = connection
                    .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
                transaction.pragma_update(None, "user_version", 1)?;
                commit(transaction)
            })
            .await
    }

    /// The payment with this id.
    pub async fn find_payment(
        &self,
        tenant: Tenant,
        id: PaymentId,
    ) -> Result<Option<Payment>, StoreError> {
        Ok(self.all(payments::find(tenant, id)).await?.pop())
    }

    /// All rows of a query.
    pub(crate) async fn all<T: FromRow + Send + 'static>(
        &self,
        query: Query<T>,
    ) -> Result<Vec<T>, StoreError> {
        self.read(move |connection| all(connection, &query)).await
    }

    /// Runs a statement in a transaction of its own.
    pub(crate) async fn write<T: FromRow + Send + 'static>(
        &self,
        statement: Query<T>,
    ) -> Result<Vec<T>, StoreError> {
        self.writer
            .run(move |connection| {
                let transaction = connection
                    .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
                let rows = all(&transaction, &statement)?;
                commit(transaction)?;
                Ok(rows)
            })
            .await
    }

    /// Runs a query on one of the readers.
    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.trust.check()?;
        let readers = self.readers.clone();
        let path = self.path.clone();
        let permits = readers.permits.clone();
        let permit = permits.acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let pool = readers.clone();
        let run = move || {
            let idle = pool.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = match idle {
                Some(connection) => connection,
                None => open_reader(&path)?,
            };
            let answer = query(&connection);
            pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            // The query holds the permit: its caller may stop waiting before the query ends.
            drop(permit);
            answer
        };
        let answer = tokio::task::spawn_blocking(run).await.map_err(|_| StoreError::Closed)?;
        // The query may have read a transaction as taken back that the file has.
        self.trust.check()?;
        answer
    }

    /// Copies the state of the database at one moment into a new file. Writers continue during the
    /// copy.
    pub async fn backup(&self, file: &Path) -> Result<(), StoreError> {
        let file = file.to_owned();
        self.read(move |c| backup(c, &file)).await
    }

    /// Derives every balance and the whole ledger again and compares.
    pub async fn verify(&self) -> Result<Report, StoreError> {
        self.read(verify::verify).await
    }

    /// The location of the database, for people.
    pub fn location(&self) -> String {
        format!("{}, log of {} KiB", self.path.display(), self.wal_bytes() / 1024)
    }

    /// Size of the write-ahead log in bytes.
    pub fn wal_bytes(&self) -> u64 {
        let mut wal = self.path.as_os_str().to_owned();
        wal.push("-wal");
        std::fs::metadata(wal).map_or(0, |meta| meta.len())
    }
}

fn configure(connection: &Connection) -> Result<(), StoreError> {
    connection.busy_timeout(std::time::Duration::from_millis(BUSY_TIMEOUT_MS))?;
    connection.set_prepared_statement_cache_capacity(128);
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // Otherwise SQLite prepares a statement anew each time a value is bound to its LIMIT.
    connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// The last process may have ended because an fsync failed. The system may then have the log in its
/// memory only: it reads as written and is lost with the machine. A checkpoint copies the log into the
/// file, which is fsynced, before anything is done on the strength of it.
fn make_recovered_durable(connection: &Connection) -> Result<(), StoreError> {
    Ok(connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?)
}

fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    configure(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "cache_size", -4_096)?;
    Ok(connection)
}

/// `VACUUM INTO` reads one snapshot, so the copy is of one moment however long it takes.
fn backup(connection: &Connection, file: &Path) -> Result<(), StoreError> {
    let at = |source| StoreError::File { path: file.display().to_string(), source };
    if file.exists() {
        return Err(at(std::io::Error::from(std::io::ErrorKind::AlreadyExists)));
    }
    connection.pragma_update(None, "query_only", false)?;
    let copied = connection.execute("VACUUM INTO ?1", [file.to_string_lossy()]);
    connection.pragma_update(None, "query_only", true)?;
    copied?;
    std::fs::File::open(file).and_then(|copy| copy.sync_all()).map_err(at)
}
