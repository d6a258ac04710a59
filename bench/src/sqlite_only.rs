//! SQLite alone: one thread writes the rows that creating refunds writes, with the store's
//! statements and settings. The thread does not load, decide or answer. The committer's rate is
//! compared with this rate.

use crate::fixture::{REASON, Targets};
use crate::load::LoadResult;
use crate::measure::{Latencies, SplitMix, Stopwatch, SystemClock, to_f64};
use anyhow::{Context, Result, anyhow};
use domain::event::Type;
use domain::ids::PaymentId;
use domain::refund::{Origin, State};
use domain::time::Clock as _;
use domain::unique_keys::KeyTarget;
use rusqlite::types::Null as Absent;
use rusqlite::{Connection, Statement, params};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc;
use std::time::Duration;
use ulid::Ulid;

const INSERT_REFUND: &str = "INSERT INTO refunds (scope, id, payment, amount, currency, state, \
     status, origin, late, before_settlement, checks, last_seq, updated_at, due_at, evidence_at, \
     reason, reference, metadata, provider_refund_id, failure_code, failure_message, previous) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, \
     ?20, ?21, ?22)";

const INSERT_KEY: &str = "INSERT INTO keys (scope, hash, request, target, id, state, expires_at) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

const INSERT_EVENT: &str = "INSERT INTO events (scope, id, type, payment, refund, state, seq, \
     detail, checkout, invoice, endpoint) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";

const UPDATE_PAYMENT: &str = "UPDATE payments SET refunded = ?3, reserved = ?4, held = ?5, \
     excess = ?6, reversed = ?7, last_seq = ?8, updated_at = ?9, settled_at = ?10, \
     last_refund = ?11 WHERE scope = ?1 AND id = ?2";

/// Equal to the constant of this name in the store.
const STEP_PAGES: i32 = 16_000;

/// Equal to the constant of this name in the store.
const LIMIT_PAGES: i32 = 48_000;

/// Equal to the constant of this name in the store.
const REST_PAGES: i32 = 500;

/// Equal to the constant of this name in the store.
const SMALLER_STEPS: u32 = 4;

/// Opens a migrated database with the settings of the store's writer.
fn open(database: &Path) -> Result<Connection> {
    let connection = Connection::open(database).context("the database cannot be opened")?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -16_384)?;
    connection.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    Ok(connection)
}

/// Writes `batch` refunds per transaction for `duration`. A warm-up of a fifth of `duration` runs
/// first and is not counted.
pub fn run(
    database: &Path,
    targets: &Targets,
    batch: u64,
    duration: Duration,
) -> Result<LoadResult> {
    let mut connection = open(database)?;
    let log = CheckpointedLog::watch(&mut connection, database)?;
    let mut rows = Rows::new(&connection, targets)?;
    let mut begin = connection.prepare("BEGIN IMMEDIATE")?;
    let mut commit = connection.prepare("COMMIT")?;
    let warm_up = Stopwatch::start();
    let mut counted = Stopwatch::start();
    let mut micros = Vec::new();
    let mut warm = false;
    let mut wal_bytes = 0;
    loop {
        if !warm && warm_up.elapsed() >= duration / 5 {
            warm = true;
            counted = Stopwatch::start();
            micros.clear();
        }
        if warm && counted.elapsed() >= duration {
            break;
        }
        let stopwatch = Stopwatch::start();
        begin.execute([])?;
        rows.write(batch)?;
        commit.execute([])?;
        log.after_commit(&connection);
        micros.push(stopwatch.micros());
        wal_bytes = wal_bytes.max(log.bytes());
    }
    let elapsed = counted.elapsed();
    log.end()?;
    let batches = u64::try_from(micros.len()).unwrap_or(u64::MAX);
    Ok(LoadResult {
        per_second: to_f64(batches.saturating_mul(batch)) / elapsed.as_secs_f64(),
        latencies: Latencies::of(micros),
        batch,
        wal_bytes,
    })
}

struct Rows<'c> {
    targets: Targets,
    balances: Vec<Balance>,
    rng: SplitMix,
    last: u128,
    refund: Statement<'c>,
    key: Statement<'c>,
    event: Statement<'c>,
    payment: Statement<'c>,
}

impl<'c> Rows<'c> {
    fn new(connection: &'c Connection, targets: &Targets) -> Result<Self> {
        Ok(Self {
            targets: targets.clone(),
            balances: balances(connection, targets)?,
            rng: SplitMix::new(SystemClock.now().0.unsigned_abs()),
            last: 0,
            refund: connection.prepare(INSERT_REFUND)?,
            key: connection.prepare(INSERT_KEY)?,
            event: connection.prepare(INSERT_EVENT)?,
            payment: connection.prepare(UPDATE_PAYMENT)?,
        })
    }

    /// Makes a ULID that is greater than all earlier ones.
    fn id(&mut self, now: i64) -> [u8; 16] {
        let now = u64::try_from(now).unwrap_or(0);
        self.last = if Ulid(self.last).timestamp_ms() >= now {
            self.last + 1
        } else {
            Ulid::from_parts(now, u128::from(self.rng.next() >> 1)).0
        };
        Ulid(self.last).to_bytes()
    }

    /// Writes the rows of `batch` refunds. As in the store, each table is written in key order and
    /// each payment once.
    fn write(&mut self, batch: u64) -> Result<()> {
        let now = SystemClock.now().0;
        let mut new = Vec::new();
        let mut touched = BTreeMap::new();
        for _ in 0..batch {
            let payment = self.targets.pick(&mut self.rng);
            self.balances[payment].reserved += 1;
            touched.insert(self.targets.payments[payment], payment);
            let (refund, event) = (self.id(now), self.id(now));
            let previous = self.balances[payment].last_refund.replace(refund);
            new.push(RefundRows { refund, event, payment, previous, hash: self.rng.bytes() });
        }
        for (id, payment) in touched {
            self.write_payment(id, self.balances[payment], now)?;
        }
        for new in &new {
            self.write_refund(new, now)?;
        }
        new.sort_unstable_by_key(|new| new.hash);
        for new in &new {
            self.write_key(new)?;
        }
        new.sort_unstable_by_key(|new| new.event);
        for new in &new {
            self.write_event(new)?;
        }
        Ok(())
    }

    fn write_payment(&mut self, id: PaymentId, balance: Balance, now: i64) -> Result<()> {
        let Balance { refunded, reserved, last_seq, last_refund } = balance;
        let (tenant, id) = (self.targets.tenant.code(), id.bytes());
        let (held, excess, reversed, settled_at) = (0, 0, false, Absent);
        self.payment.execute(params![
            tenant,
            id,
            refunded,
            reserved,
            held,
            excess,
            reversed,
            last_seq,
            now,
            settled_at,
            last_refund
        ])?;
        Ok(())
    }

    fn write_refund(&mut self, new: &RefundRows, now: i64) -> Result<()> {
        let state = State::Queued;
        self.refund.execute(params![
            self.targets.tenant.code(),
            new.refund,
            self.targets.payments[new.payment].bytes(),
            1, // amount
            "USD",
            state.code(),
            state.status().code(),
            Origin::Api.code(),
            false, // late
            false, // before settlement
            0,     // checks
            1,     // last sequence number
            now,   // updated
            now,   // due
            Absent,
            REASON,
            Absent,
            Absent,
            Absent,
            Absent,
            Absent,
            new.previous,
        ])?;
        Ok(())
    }

    fn write_key(&mut self, new: &RefundRows) -> Result<()> {
        let (tenant, request) = (self.targets.tenant.code(), self.rng.bytes());
        let (target, state) = (KeyTarget::Refund.code(), State::Queued.code());
        self.key.execute(params![tenant, new.hash, request, target, new.refund, state, Absent])?;
        Ok(())
    }

    fn write_event(&mut self, new: &RefundRows) -> Result<()> {
        self.event.execute(params![
            self.targets.tenant.code(),
            new.event,
            Type::RefundCreated.code(),
            Absent, // payment
            new.refund,
            State::Queued.code(),
            1,      // sequence number
            Absent, // detail
            Absent, // checkout
            Absent, // invoice
            Absent, // endpoint
        ])?;
        Ok(())
    }
}

/// The rows of one refund.
struct RefundRows {
    refund: [u8; 16],
    event: [u8; 16],
    /// Index of the payment.
    payment: usize,
    /// The previous refund of the payment.
    previous: Option<[u8; 16]>,
    hash: [u8; 16],
}

/// The columns of a payment that change.
#[derive(Clone, Copy)]
struct Balance {
    refunded: i64,
    reserved: i64,
    last_seq: i64,
    last_refund: Option<[u8; 16]>,
}

fn balances(connection: &Connection, targets: &Targets) -> Result<Vec<Balance>> {
    let mut select = connection.prepare(
        "SELECT refunded, reserved, last_seq, last_refund FROM payments \
         WHERE scope = ?1 AND id = ?2",
    )?;
    let mut balances = Vec::with_capacity(targets.payments.len());
    for payment in &*targets.payments {
        let balance = select.query_row(params![targets.tenant.code(), payment.bytes()], |row| {
            let (refunded, reserved) = (row.get(0)?, row.get(1)?);
            Ok(Balance { refunded, reserved, last_seq: row.get(2)?, last_refund: row.get(3)? })
        })?;
        balances.push(balance);
    }
    Ok(balances)
}

/// The write-ahead log. As in the store, a second thread runs its checkpoints.
struct CheckpointedLog {
    pages: Arc<AtomicI32>,
    finish: Arc<AtomicBool>,
    wake: mpsc::SyncSender<()>,
    thread: std::thread::JoinHandle<()>,
    path: std::path::PathBuf,
}

impl CheckpointedLog {
    fn watch(connection: &mut Connection, database: &Path) -> Result<Self> {
        let (wake, woken) = mpsc::sync_channel(1);
        let (pages, finish) = (Arc::<AtomicI32>::default(), Arc::<AtomicBool>::default());
        let shared = pages.clone();
        connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, now| {
            shared.store(now, Ordering::Relaxed);
            Ok(())
        }))?;
        let beside = open(database)?;
        let shared = (pages.clone(), finish.clone());
        let thread = std::thread::spawn(move || step(&beside, &woken, &shared.0, &shared.1));
        Ok(Self { pages, finish, wake, thread, path: crate::load::wal_of(database) })
    }

    /// Stops the checkpoint thread.
    fn end(self) -> Result<()> {
        drop(self.wake);
        self.thread.join().map_err(|_| anyhow!("the checkpoint thread died"))
    }

    fn after_commit(&self, connection: &Connection) {
        if self.finish.swap(false, Ordering::AcqRel) {
            checkpoint(connection);
        }
        if self.pages.load(Ordering::Relaxed) > STEP_PAGES {
            // A full channel means that the thread is awake already.
            let _ = self.wake.try_send(());
        }
    }

    fn bytes(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |meta| meta.len())
    }
}

fn step(beside: &Connection, woken: &mpsc::Receiver<()>, pages: &AtomicI32, finish: &AtomicBool) {
    let mut done = 0;
    while woken.recv().is_ok() {
        let now = pages.load(Ordering::Relaxed);
        if now < done {
            done = 0;
        }
        if finish.load(Ordering::Acquire) || now - done < STEP_PAGES && now < LIMIT_PAGES {
            continue;
        }
        checkpoint(beside);
        done = now;
        if now >= LIMIT_PAGES {
            for _ in 0..SMALLER_STEPS {
                let now = pages.load(Ordering::Relaxed);
                if now - done < REST_PAGES {
                    break;
                }
                checkpoint(beside);
                done = now;
            }
            finish.store(true, Ordering::Release);
        }
    }
}

fn checkpoint(connection: &Connection) {
    // The next checkpoint makes up for a failed one.
    let _ = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::{in_runtime, wait_until_closed};
    use crate::fixture;
    use crate::load;
    use domain::tenant::{Mode, Tenant};
    use engine::IdempotencyKey;

    /// For each table, the number of rows and of non-null values per column.
    fn contents(database: &Path) -> BTreeMap<String, Vec<(String, i64)>> {
        let connection = Connection::open(database).unwrap();
        let names = |sql: &str| -> Vec<String> {
            let mut select = connection.prepare(sql).unwrap();
            select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        };
        let tables = names("SELECT name FROM sqlite_schema WHERE type = 'table'");
        let count = |table: &String| {
            let columns = names(&format!("SELECT name FROM pragma_table_info('{table}')"));
            let count = |column: String| {
                let sql = format!("SELECT count(\"{column}\") FROM \"{table}\"");
                (column, connection.query_row(&sql, [], |row| row.get(0)).unwrap())
            };
            columns.into_iter().map(count).collect()
        };
        tables.iter().map(|table| (table.clone(), count(table))).collect()
    }

    #[test]
    fn it_writes_the_rows_and_columns_that_creating_refunds_writes() {
        const REFUNDS: usize = 40;
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("refundry.db");
        let targets = in_runtime(async {
            let engine = fixture::open_engine(&database, folder.path())?;
            let account = engine.create_account("Benchmark").await?;
            // A single payment, so that both chains of refunds have the same length.
            fixture::register_payments(&engine, Tenant::new(account.number, Mode::Test), 1).await
        });
        let targets = targets.unwrap();
        wait_until_closed(&database).unwrap();
        let other = folder.path().join("other.db");
        std::fs::copy(&database, &other).unwrap();

        let created = in_runtime(async {
            let engine = fixture::open_engine(&database, folder.path())?;
            let mut rng = SplitMix::new(1);
            for number in 0..REFUNDS {
                let payment = targets.payments[targets.pick(&mut rng)];
                let key = IdempotencyKey { door: "native", value: number.to_string().into() };
                engine.create_refund(load::refund(targets.tenant, payment), Some(&key)).await?;
            }
            Ok(())
        });
        created.unwrap();
        wait_until_closed(&database).unwrap();
        let connection = Connection::open(&other).unwrap();
        let mut rows = Rows::new(&connection, &targets).unwrap();
        rows.write(u64::try_from(REFUNDS).unwrap()).unwrap();

        assert_eq!(contents(&other), contents(&database));
    }
}
