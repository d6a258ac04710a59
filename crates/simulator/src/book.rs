//! The PSP's book: its refunds, the payments that it knows, and its scheduled tasks.
//!
//! The book reads and writes rows; `psp` decides what they mean. Except for the statements about
//! charges in `charge`, this is the only file of the simulator with SQL. Everything runs on the
//! worker's thread, inside the transaction of a whole batch.

use crate::rows::{
    Refund, Task, TaskKind, currency, out_of_range, parse_id, read_refund, read_task,
};
use crate::wire::RawAnswer;
use crate::{SimulatorConfig, SimulatorError};
use domain::ids::Ids;
use domain::money::Money;
use domain::tenant::Tenant;
use domain::time::{Clock, Timestamp};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use rusqlite::{
    Connection, ErrorCode, OptionalExtension, Params, Result, Row, TransactionBehavior, params,
};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use ulid::Ulid;

/// The layouts of the book, each as an addition to the layout before it.
const LAYOUTS: [&str; 5] = [SCHEMA, CHARGES, CALLS, FAULTS, CHANGES];

/// How long a process waits for another one that holds a shared book.
const TURN: Duration = Duration::from_secs(5);

/// Attempts to switch a new file to write-ahead logging.
const SWITCHES: u32 = 10;

/// The pause between two looks into a shared book for tasks of other processes.
const LOOK_EVERY_MS: i64 = 1_000;

/// Keys and ids begin with a time, so both big indexes grow at their right edge.
const SCHEMA: &str = "
CREATE TABLE simulator (secret BLOB NOT NULL, openings INTEGER NOT NULL) STRICT;
CREATE TABLE payment (
    scope INTEGER NOT NULL,
    id TEXT NOT NULL,
    captured INTEGER NOT NULL,
    currency TEXT NOT NULL,
    PRIMARY KEY (scope, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE refund (
    id BLOB NOT NULL PRIMARY KEY,
    scope INTEGER NOT NULL,
    key TEXT,
    payment TEXT NOT NULL,
    asked INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    currency TEXT NOT NULL,
    status INTEGER NOT NULL,
    at INTEGER NOT NULL,
    booked_at INTEGER NOT NULL,
    paid_at INTEGER,
    returned_at INTEGER,
    code TEXT,
    message TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX refund_by_key ON refund (scope, key) WHERE key IS NOT NULL;
CREATE INDEX refund_by_payment ON refund (scope, payment);
CREATE TABLE unbooked_call (
    scope INTEGER NOT NULL,
    key TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE task (
    number INTEGER PRIMARY KEY,
    due_at INTEGER,
    kind INTEGER NOT NULL,
    scope INTEGER NOT NULL,
    refund BLOB NOT NULL,
    tries INTEGER NOT NULL,
    body BLOB
) STRICT;
CREATE INDEX task_by_due_at ON task (due_at) WHERE due_at IS NOT NULL;
";

const CHARGES: &str = "
CREATE TABLE charge (
    scope INTEGER NOT NULL,
    key TEXT NOT NULL,
    id BLOB NOT NULL,
    amount INTEGER NOT NULL,
    currency TEXT NOT NULL,
    status INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;
";

const CALLS: &str = "ALTER TABLE refund ADD COLUMN calls INTEGER NOT NULL DEFAULT 1";

/// Refund 4 is one that is held.
const FAULTS: &str = "
ALTER TABLE refund ADD COLUMN booked_as INTEGER NOT NULL DEFAULT 1;
ALTER TABLE refund ADD COLUMN visible_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE refund ADD COLUMN quirk INTEGER NOT NULL DEFAULT 0;
CREATE INDEX refund_that_is_held ON refund (scope, id) WHERE status = 4;
ALTER TABLE unbooked_call ADD COLUMN calls INTEGER NOT NULL DEFAULT 1;
CREATE TABLE replayed_error (
    scope INTEGER NOT NULL,
    key TEXT NOT NULL,
    at INTEGER NOT NULL,
    status INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;
";

/// When a refund last changed: one that is being processed (5) is booked when it becomes visible.
const CHANGES: &str = "
CREATE INDEX refund_by_change
ON refund (scope, (CASE status WHEN 5 THEN visible_at ELSE at END), id);
";

/// Calls under a key that booked nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnbookedCalls {
    pub(crate) last_at: Timestamp,
    pub(crate) count: u32,
}

const BY_ID: &str = "SELECT * FROM refund WHERE id = ?1 AND scope = ?2";

pub(crate) struct Book {
    db: Connection,
    ids: Ids<ChaCha20Rng>,
    clock: Arc<dyn Clock>,
    pub(crate) config: SimulatorConfig,
    /// True after a task was added, deleted or moved. The worker clears the flag.
    pub(crate) tasks_changed: bool,
}

impl Book {
    /// Opens or creates the book, and returns the secret that signs its webhooks.
    pub(crate) fn open(
        path: &Path,
        config: SimulatorConfig,
        clock: Arc<dyn Clock>,
        seed: [u8; 32],
    ) -> Result<(Self, [u8; 32]), SimulatorError> {
        let mut db = Connection::open(path)?;
        set_up(&db, config.shared)?;
        let (secret, opening) = sign_in(&mut db, seed)?;
        // Each opening draws from its own stream, so two runs of one seed make different ids.
        let mut rng = ChaCha20Rng::from_seed(seed);
        rng.set_stream(opening);
        Ok((Self { db, ids: Ids::new(rng), clock, config, tasks_changed: false }, secret))
    }

    /// Runs `work` in one durable transaction.
    pub(crate) fn in_transaction<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        self.execute("BEGIN IMMEDIATE", [])?;
        let done = work(self).and_then(|value| self.execute("COMMIT", []).map(|()| value));
        // SQLite has already rolled back after some failures, such as a full disk.
        if done.is_err() && !self.db.is_autocommit() {
            self.execute("ROLLBACK", [])?;
        }
        done
    }

    pub(crate) fn execute(&self, sql: &str, values: impl Params) -> Result<()> {
        self.db.prepare_cached(sql)?.execute(values).map(|_| ())
    }

    pub(crate) fn find<T>(
        &self,
        sql: &str,
        values: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        self.db.prepare_cached(sql)?.query_row(values, read).optional()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) const fn is_shared(&self) -> bool {
        self.config.shared
    }

    pub(crate) fn new_id(&mut self, now: Timestamp) -> Ulid {
        self.ids.ulid(now)
    }

    pub(crate) fn find_payment(&self, tenant: Tenant, id: &str) -> Result<Option<Money>> {
        const SQL: &str = "SELECT captured, currency FROM payment WHERE scope = ?1 AND id = ?2";
        self.find(SQL, params![tenant.code(), id], |row| {
            Ok(Money::new(row.get(0)?, currency(row, 1)?))
        })
    }

    pub(crate) fn insert_payment(&self, tenant: Tenant, id: &str, captured: Money) -> Result<()> {
        const SQL: &str =
            "INSERT INTO payment (scope, id, captured, currency) VALUES (?1, ?2, ?3, ?4)";
        let values = params![tenant.code(), id, captured.minor, captured.currency.as_str()];
        self.execute(SQL, values)
    }

    /// The first refund under a key.
    pub(crate) fn find_by_key(&self, tenant: Tenant, key: &str) -> Result<Option<Refund>> {
        const SQL: &str = "SELECT * FROM refund WHERE scope = ?1 AND key = ?2 ORDER BY id LIMIT 1";
        self.find_now(SQL, params![tenant.code(), key])
    }

    /// The newest refund that a call with this key made.
    pub(crate) fn find_asked(&self, tenant: Tenant, key: &str) -> Result<Option<Refund>> {
        const SQL: &str = "
            SELECT * FROM refund WHERE scope = ?1 AND key = ?2 AND calls > 0
            ORDER BY id DESC LIMIT 1";
        self.find_now(SQL, params![tenant.code(), key])
    }

    /// The refund as it is stored. One whose time has come may still be `processing`.
    pub(crate) fn find_row(&self, tenant: Tenant, id: Ulid) -> Result<Option<Refund>> {
        self.find(BY_ID, params![id.to_bytes(), tenant.code()], read_refund)
    }

    fn find_now(&self, sql: &str, values: impl Params) -> Result<Option<Refund>> {
        let now = self.now();
        Ok(self.find(sql, values, read_refund)?.map(|refund| refund.seen_at(now)))
    }

    /// The refund with this id, or the first one under this key.
    pub(crate) fn find_refund(&self, tenant: Tenant, id_or_key: &str) -> Result<Option<Refund>> {
        match parse_id(id_or_key) {
            Some(id) => self.find_now(BY_ID, params![id.to_bytes(), tenant.code()]),
            None => self.find_by_key(tenant, id_or_key),
        }
    }

    /// Refunds of a payment, newest first, from behind the refund `after`.
    pub(crate) fn newest_of_payment(
        &self,
        tenant: Tenant,
        payment_id: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Refund>> {
        const SQL: &str = "
            SELECT * FROM refund WHERE scope = ?1 AND payment = ?2 AND id < ?3
            ORDER BY id DESC LIMIT ?4";
        let before = after.and_then(parse_id).map_or([0xff; 16], |id| id.to_bytes());
        let now = self.now();
        self.db
            .prepare_cached(SQL)?
            .query_map(params![tenant.code(), payment_id, before, at_most(limit)], |row| {
                Ok(read_refund(row)?.seen_at(now))
            })?
            .collect()
    }

    /// Refunds by the time of their last change, from behind the change `after`.
    pub(crate) fn changed_refunds(
        &self,
        tenant: Tenant,
        (at, id): (Timestamp, Ulid),
        limit: usize,
    ) -> Result<Vec<Refund>> {
        const SQL: &str = "
            SELECT * FROM refund
            WHERE scope = ?1 AND (CASE status WHEN 5 THEN visible_at ELSE at END, id) > (?2, ?3)
            ORDER BY CASE status WHEN 5 THEN visible_at ELSE at END, id LIMIT ?4";
        let now = self.now();
        self.db
            .prepare_cached(SQL)?
            .query_map(params![tenant.code(), at.0, id.to_bytes(), at_most(limit)], |row| {
                Ok(read_refund(row)?.seen_at(now))
            })?
            .collect()
    }

    /// Refunds that wait for the merchant's money, oldest first.
    pub(crate) fn held_refunds(&self, tenant: Tenant, limit: usize) -> Result<Vec<Refund>> {
        const SQL: &str = "
            SELECT * FROM refund WHERE scope = ?1 AND status = 4 ORDER BY id LIMIT ?2";
        self.db
            .prepare_cached(SQL)?
            .query_map(params![tenant.code(), at_most(limit)], read_refund)?
            .collect()
    }

    /// Inserts a refund, or updates the columns that change with its status.
    pub(crate) fn save_refund(&self, refund: &Refund) -> Result<()> {
        const SQL: &str = "
            INSERT INTO refund
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
                ?18)
            ON CONFLICT (id) DO UPDATE SET status = excluded.status, at = excluded.at,
                booked_at = excluded.booked_at, paid_at = excluded.paid_at, returned_at = excluded.returned_at,
                code = excluded.code, message = excluded.message";
        let values = params![
            refund.id.to_bytes(),
            refund.tenant.code(),
            refund.key,
            refund.payment_id,
            refund.asked,
            refund.money.minor,
            refund.money.currency.as_str(),
            refund.status,
            refund.at.0,
            refund.booked_at.0,
            refund.paid_at.map(|at| at.0),
            refund.returned_at.map(|at| at.0),
            refund.code,
            refund.message,
            refund.calls,
            refund.booked_as,
            refund.visible_at.0,
            refund.quirk,
        ];
        self.execute(SQL, values)
    }

    pub(crate) fn count_call(&self, refund: &Refund) -> Result<()> {
        const SQL: &str = "UPDATE refund SET calls = calls + 1 WHERE id = ?1";
        self.execute(SQL, [refund.id.to_bytes()])
    }

    pub(crate) fn find_unbooked_calls(
        &self,
        tenant: Tenant,
        key: &str,
    ) -> Result<Option<UnbookedCalls>> {
        const SQL: &str = "SELECT at, calls FROM unbooked_call WHERE scope = ?1 AND key = ?2";
        self.find(SQL, params![tenant.code(), key], |row| {
            Ok(UnbookedCalls { last_at: Timestamp(row.get(0)?), count: row.get(1)? })
        })
    }

    pub(crate) fn count_unbooked_call(
        &self,
        tenant: Tenant,
        key: &str,
        at: Timestamp,
    ) -> Result<()> {
        const SQL: &str = "
            INSERT INTO unbooked_call (scope, key, at) VALUES (?1, ?2, ?3)
            ON CONFLICT (scope, key) DO UPDATE SET at = max(at, excluded.at), calls = calls + 1";
        self.execute(SQL, params![tenant.code(), key, at.0])
    }

    /// The error that a repeated key gets again, and the time of the call that got it first.
    pub(crate) fn find_replayed_error(
        &self,
        tenant: Tenant,
        key: &str,
    ) -> Result<Option<(Timestamp, RawAnswer)>> {
        const SQL: &str =
            "SELECT at, status, body FROM replayed_error WHERE scope = ?1 AND key = ?2";
        self.find(SQL, params![tenant.code(), key], |row| {
            let answer = RawAnswer { status: row.get(1)?, retry_after_s: None, body: row.get(2)? };
            Ok((Timestamp(row.get(0)?), answer))
        })
    }

    pub(crate) fn insert_replayed_error(
        &self,
        tenant: Tenant,
        key: &str,
        at: Timestamp,
        answer: &RawAnswer,
    ) -> Result<()> {
        const SQL: &str = "
            INSERT INTO replayed_error (scope, key, at, status, body) VALUES (?1, ?2, ?3, ?4, ?5)";
        self.execute(SQL, params![tenant.code(), key, at.0, answer.status, answer.body])
    }

    pub(crate) fn forget_replayed_error(&self, tenant: Tenant, key: &str) -> Result<()> {
        const SQL: &str = "DELETE FROM replayed_error WHERE scope = ?1 AND key = ?2";
        self.execute(SQL, params![tenant.code(), key])
    }

    /// Adds a task and returns its number.
    pub(crate) fn insert_task(
        &mut self,
        refund: &Refund,
        due_at: Timestamp,
        kind: TaskKind,
        body: Option<&[u8]>,
    ) -> Result<i64> {
        const SQL: &str = "
            INSERT INTO task (due_at, kind, scope, refund, tries, body)
            VALUES (?1, ?2, ?3, ?4, 0, ?5)";
        let values = params![due_at.0, kind, refund.tenant.code(), refund.id.to_bytes(), body];
        self.tasks_changed = true;
        self.db.prepare_cached(SQL)?.insert(values)
    }

    /// Due tasks, the longest overdue first.
    pub(crate) fn due_tasks(&self, now: Timestamp, limit: usize) -> Result<Vec<Task>> {
        const SQL: &str = "
            SELECT number, kind, scope, refund, tries, body FROM task
            WHERE due_at <= ?1 ORDER BY due_at, number LIMIT ?2";
        self.db.prepare_cached(SQL)?.query_map(params![now.0, at_most(limit)], read_task)?.collect()
    }

    /// The time of the next due task. For a shared book, the result is at most `LOOK_EVERY_MS` from
    /// now, because other processes add tasks without notice.
    pub(crate) fn next_due(&self) -> Result<Option<Timestamp>> {
        const SQL: &str = "SELECT min(due_at) FROM task WHERE due_at IS NOT NULL";
        let due_at: Option<i64> = self.db.prepare_cached(SQL)?.query_row([], |row| row.get(0))?;
        let look_at = self.config.shared.then(|| self.now().plus_ms(LOOK_EVERY_MS));
        Ok(due_at.map(Timestamp).into_iter().chain(look_at).min())
    }

    pub(crate) fn delete_task(&mut self, number: i64) -> Result<()> {
        const SQL: &str = "DELETE FROM task WHERE number = ?1";
        self.tasks_changed = true;
        self.execute(SQL, [number])
    }

    /// Postpones a webhook. Without a time, the webhook is kept and not sent any more.
    pub(crate) fn put_off(
        &mut self,
        number: i64,
        tries: u32,
        due_at: Option<Timestamp>,
    ) -> Result<()> {
        const SQL: &str = "UPDATE task SET tries = ?2, due_at = ?3 WHERE number = ?1";
        self.tasks_changed = true;
        let values = params![number, tries, due_at.map(|at| at.0)];
        self.execute(SQL, values)
    }

    /// Schedules the kept webhooks again.
    pub(crate) fn revive_webhooks(&mut self, tenant: Tenant, due_at: Timestamp) -> Result<usize> {
        const SQL: &str = "
            UPDATE task SET tries = 0, due_at = ?2 WHERE scope = ?1 AND due_at IS NULL";
        self.tasks_changed = true;
        self.db.prepare_cached(SQL)?.execute(params![tenant.code(), due_at.0])
    }
}

fn set_up(db: &Connection, shared: bool) -> Result<(), SimulatorError> {
    if shared {
        db.busy_timeout(TURN)?;
    } else {
        // The process keeps the lock as long as it runs. This saves the shared memory of the log
        // and a read of the file's header for every transaction.
        db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        db.busy_timeout(Duration::from_millis(500))?;
    }
    write_ahead(db)?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "wal_autocheckpoint", 4_000)?;
    db.pragma_update(None, "cache_size", -32_000)?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// Switches to write-ahead logging. SQLite does not wait for another process that switches the same
/// new file, so we wait by taking a write lock, for which SQLite does wait.
fn write_ahead(db: &Connection) -> Result<()> {
    let switch = || db.pragma_update(None, "journal_mode", "WAL");
    for _ in 0..SWITCHES {
        match switch() {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                db.execute_batch("BEGIN IMMEDIATE; COMMIT")?;
            }
            done => return done,
        }
    }
    switch()
}

/// Creates or extends the tables and counts the opening. Returns the secret and the count.
fn sign_in(db: &mut Connection, seed: [u8; 32]) -> Result<([u8; 32], u64), SimulatorError> {
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i64 = tx.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = usize::try_from(version).ok().and_then(|version| LAYOUTS.get(version..));
    for added in known.ok_or(SimulatorError::UnknownVersion(version))? {
        tx.execute_batch(added)?;
    }
    if version == 0 {
        let mut secret = [0; 32];
        ChaCha20Rng::from_seed(seed).fill_bytes(&mut secret);
        tx.execute("INSERT INTO simulator (secret, openings) VALUES (?1, 0)", [secret])?;
    }
    tx.pragma_update(None, "user_version", at_most(LAYOUTS.len()))?;
    tx.execute("UPDATE simulator SET openings = openings + 1", [])?;
    let row = tx.query_row("SELECT secret, openings FROM simulator", [], |row| {
        let opening = u64::try_from(row.get::<_, i64>(1)?).map_err(|_| out_of_range(row, 1))?;
        Ok((row.get(0)?, opening))
    })?;
    tx.commit()?;
    Ok(row)
}

fn at_most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub struct StillClock;

    impl Clock for StillClock {
        fn now(&self) -> Timestamp {
            Timestamp(1_000)
        }
    }

    #[test]
    fn a_book_of_an_older_version_is_brought_up_to_date() {
        for version in 1..LAYOUTS.len() {
            let dir = tempfile::tempdir().expect("a directory");
            let path = dir.path().join("simulator.sqlite");
            let db = Connection::open(&path).expect("a file");
            for added in &LAYOUTS[..version] {
                db.execute_batch(added).expect("a layout");
            }
            db.execute("INSERT INTO simulator (secret, openings) VALUES (?1, 1)", [[5_u8; 32]])
                .expect("a secret");
            db.pragma_update(None, "user_version", at_most(version)).expect("a version");
            drop(db);
            for opening in [2, 3] {
                let config = SimulatorConfig::default();
                let (book, secret) =
                    Book::open(&path, config, Arc::new(StillClock), [7; 32]).expect("a book");
                assert_eq!(secret, [5; 32]);
                let of = |sql: &str| book.db.query_row(sql, [], |row| row.get::<_, i64>(0));
                assert_eq!(of("SELECT openings FROM simulator"), Ok(opening));
                assert_eq!(of("SELECT count(quirk) FROM refund"), Ok(0));
                assert_eq!(of("PRAGMA user_version"), Ok(at_most(LAYOUTS.len())));
            }
        }
    }

    #[test]
    fn a_commit_is_on_disk_before_it_returns() {
        let dir = tempfile::tempdir().expect("a directory");
        let db = Connection::open(dir.path().join("simulator.sqlite")).expect("a file");
        let pragma = |name: &str| {
            db.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0))
        };
        for (shared, locking) in [(true, "normal"), (false, "exclusive")] {
            set_up(&db, shared).expect("set up");
            assert_eq!(pragma("journal_mode"), Ok("wal".to_owned().into()));
            assert_eq!(pragma("synchronous"), Ok(2.into()), "2 is FULL");
            assert_eq!(pragma("locking_mode"), Ok(locking.to_owned().into()));
        }
    }
}
