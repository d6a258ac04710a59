//! A session of somebody else that keeps every batch waiting, and one that tampers with rows.

use testkit::EngineRig;
use testkit::postgres::BlockingSession;

/// The finding of a verification about a row that breaks a rule of the schema.
pub const BROKEN_RULE: &str = "balance of payment";

/// Keeps every batch waiting. Given back when dropped.
pub struct WriteLock(BlockingSession);

impl WriteLock {
    pub fn take(rig: &EngineRig) -> Self {
        let session = BlockingSession::connect(rig.url());
        session.run("BEGIN; LOCK TABLE payments, refunds, keys IN EXCLUSIVE MODE");
        Self(session)
    }
}

impl Drop for WriteLock {
    fn drop(&mut self) {
        self.0.run("ROLLBACK");
    }
}

/// SQL as it is written for the other database, where ids are blobs.
fn translate(sql: &str) -> String {
    let mut text = String::new();
    let mut rest = sql;
    while let Some((before, after)) = rest.split_once("x'") {
        let (id, behind) = after.split_once('\'').expect("a whole literal");
        text.extend([before, "'", id, "'::uuid"]);
        rest = behind;
    }
    text + rest
}

/// Drops every rule of the schema that could be in the way.
const NO_CHECKS: &str = "DO $$ DECLARE rule record; BEGIN FOR rule IN \
     SELECT conrelid::regclass AS of, conname FROM pg_constraint \
     WHERE contype = 'c' AND connamespace = 'public'::regnamespace LOOP \
     EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', rule.of, rule.conname); \
     END LOOP; END $$";

/// Changes rows behind the engine's back.
pub fn tamper(rig: &EngineRig, sql: &str) {
    let session = BlockingSession::connect(rig.url());
    session.run(NO_CHECKS);
    assert_ne!(session.run(&translate(sql)), 0, "{sql} changed nothing");
}

/// Fills a total, so that nothing can be added to it any more.
pub fn fill_total(rig: &EngineRig, currency: &str) {
    let tenant = rig.tenant.code();
    let full = format!(
        "INSERT INTO totals (scope, currency, code, part, debits, credits)
         SELECT {tenant}, '{currency}', 1, part, 576460752303423487, 0
         FROM generate_series(0, 15) AS parts (part)"
    );
    BlockingSession::connect(rig.url()).run(&full);
}
