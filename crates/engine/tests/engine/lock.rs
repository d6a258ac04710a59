//! A second process that holds the database's write lock, and one that tampers with it.

use rusqlite::Connection;
use testkit::EngineRig;

/// The finding of a verification about a row that breaks a rule of the schema.
pub const BROKEN_RULE: &str = "database file";

/// The write lock of a rig's database. Given back when dropped.
pub struct WriteLock(Connection);

impl WriteLock {
    pub fn take(rig: &EngineRig) -> Self {
        let connection = open(rig);
        connection.execute_batch("BEGIN IMMEDIATE").expect("the lock is free");
        Self(connection)
    }
}

impl Drop for WriteLock {
    fn drop(&mut self) {
        let _ = self.0.execute_batch("ROLLBACK");
    }
}

/// A connection that is bound by no rule of the schema that it can avoid.
fn open(rig: &EngineRig) -> Connection {
    let connection = Connection::open(rig.database()).expect("the database opens");
    connection.busy_timeout(testkit::LIMIT).expect("a limit");
    connection.execute_batch("PRAGMA ignore_check_constraints = ON").expect("no checks");
    connection
}

/// Changes rows behind the engine's back.
pub fn tamper(rig: &EngineRig, sql: &str) {
    let connection = open(rig);
    connection.execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    assert_ne!(connection.changes(), 0, "{sql} changed nothing");
}

/// Fills a total, so that nothing can be added to it any more.
pub fn fill_total(rig: &EngineRig, currency: &str) {
    let full = format!(
        "INSERT INTO totals (scope, currency, code, debits, credits)
         VALUES ({}, '{currency}', 1, 9223372036854775807, 0)",
        rig.tenant.code()
    );
    tamper(rig, &full);
}
