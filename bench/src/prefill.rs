//! Stores many refunds at once, as if they had succeeded over the last weeks, each with its
//! idempotency key, events and transfer. The books balance afterwards.

use crate::fixture::{REASON, Targets};
use crate::measure::{SplitMix, SystemClock};
use anyhow::{Context, Result};
use domain::event::Type;
use domain::ledger::{Reason, SourceType};
use domain::refund::{Origin, State};
use domain::time::Clock as _;
use domain::unique_keys::KeyTarget;
use rusqlite::{Connection, Transaction, params};
use std::path::Path;
use std::time::Duration;
use ulid::Ulid;

/// Refunds per transaction.
const CHUNK: u64 = 50_000;

/// Milliseconds between the creation of one refund and of the next.
const APART_MS: u64 = 2_000;

/// Adds `count` succeeded refunds of 1 minor unit each. No other process may have the file open.
pub fn fill(database: &Path, targets: &Targets, count: u64) -> Result<()> {
    let mut connection = Connection::open(database).context("the database cannot be opened")?;
    connection.busy_timeout(Duration::from_secs(5))?;
    // SQLite writes without a journal here: the benchmark throws the file away if this is
    // interrupted.
    connection.pragma_update(None, "journal_mode", "DELETE")?;
    connection.pragma_update(None, "journal_mode", "OFF")?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.pragma_update(None, "cache_size", -1_048_576)?;
    let started = SystemClock.now().0.unsigned_abs().saturating_sub(count * APART_MS);
    let mut past = PastRefunds {
        targets,
        rng: SplitMix::new(29),
        started,
        number: 0,
        spent: Vec::new(),
        last: Vec::new(),
    };
    past.spent.resize(targets.payments.len(), (0, 0));
    past.last.resize(targets.payments.len(), None);
    while past.number < count {
        let transaction = connection.transaction()?;
        past.write(&transaction, CHUNK.min(count - past.number))?;
        transaction.commit()?;
    }
    let transaction = connection.transaction()?;
    past.update_payments_and_totals(&transaction)?;
    transaction.commit()?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.close().map_err(|(_, error)| error).context("the database cannot be closed")
}

struct PastRefunds<'t> {
    targets: &'t Targets,
    rng: SplitMix,
    started: u64,
    number: u64,
    /// Per payment: the number of refunds, and of events about the payment itself.
    spent: Vec<(i64, i64)>,
    /// Per payment: the id of the last refund.
    last: Vec<Option<[u8; 16]>>,
}

impl PastRefunds<'_> {
    fn write(&mut self, transaction: &Transaction<'_>, count: u64) -> Result<()> {
        let mut refunds = transaction.prepare(
            "INSERT INTO refunds (scope, id, payment, amount, currency, state, status, origin, late, \
             before_settlement, checks, last_seq, updated_at, evidence_at, reason, \
             provider_refund_id, previous) \
             VALUES (?1, ?2, ?3, 1, 'USD', ?4, ?5, ?6, 0, 0, 0, 2, ?7, ?7, ?8, ?9, ?10)",
        )?;
        let mut keys = transaction.prepare(
            "INSERT INTO keys (scope, hash, request, target, id, state) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        let mut events = transaction.prepare(
            "INSERT INTO events (scope, id, type, payment, refund, state, seq, detail) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        let mut transfers = transaction.prepare(
            "INSERT INTO postings (scope, id, reason, source_type, source, payment, amount, \
             currency) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, 'USD')",
        )?;
        let tenant = self.targets.tenant.code();
        let (sending, done) = (State::Sending.code(), State::Succeeded);
        for _ in 0..count {
            let at = self.started + self.number * APART_MS;
            self.number += 1;
            let first = Ulid::from_parts(at, u128::from(self.rng.next() >> 1)).0;
            let id = |nth: u128| Ulid(first + nth).to_bytes();
            let payment = self.targets.pick(&mut self.rng);
            let spent = &mut self.spent[payment];
            *spent = (spent.0 + 1, spent.1 + 1);
            let payment_seq = 1 + spent.1;
            let refund = id(0);
            let previous = self.last[payment].replace(refund);
            let payment = self.targets.payments[payment].bytes();
            let provider_refund = format!("re_{}", Ulid(first));
            refunds.execute(params![
                tenant,
                refund,
                payment,
                done.code(),
                done.status().code(),
                Origin::Api.code(),
                i64::try_from(at)?,
                REASON,
                provider_refund,
                previous,
            ])?;
            let (hash, request) = (self.rng.bytes(), self.rng.bytes());
            keys.execute(params![
                tenant,
                hash,
                request,
                KeyTarget::Refund.code(),
                refund,
                sending
            ])?;
            let absent: Option<&[u8]> = None;
            let nothing: Option<&str> = None;
            let created = Type::RefundCreated.code();
            events.execute(params![tenant, id(1), created, absent, refund, sending, 1, nothing])?;
            let arrived = format!(
                r#"{{"providerRefundId":"{provider_refund}","source":"submit","providerAt":{at}}}"#
            );
            let succeeded = Type::RefundSucceeded.code();
            events.execute(params![
                tenant,
                id(2),
                succeeded,
                absent,
                refund,
                done.code(),
                2,
                arrived
            ])?;
            let balance = format!(r#"{{"refunded":{}}}"#, spent.0);
            let partly = Type::PaymentPartiallyRefunded.code();
            let state: Option<i64> = None;
            events.execute(params![
                tenant,
                id(3),
                partly,
                payment,
                absent,
                state,
                payment_seq,
                balance
            ])?;
            let (reason, kind) = (Reason::Refund.code(), SourceType::Refund.code());
            transfers.execute(params![tenant, id(4), reason, kind, refund, payment])?;
        }
        Ok(())
    }

    /// Updates the payments and the ledger's totals.
    fn update_payments_and_totals(&self, transaction: &Transaction<'_>) -> Result<()> {
        let tenant = self.targets.tenant.code();
        let mut update = transaction.prepare(
            "UPDATE payments SET refunded = refunded + ?3, last_seq = last_seq + ?4, \
             last_refund = coalesce(?5, last_refund) WHERE scope = ?1 AND id = ?2",
        )?;
        let spent = self.spent.iter().zip(&self.last);
        for (payment, ((refunded, events), last)) in self.targets.payments.iter().zip(spent) {
            update.execute(params![tenant, payment.bytes(), refunded, events, last])?;
        }
        let mut add = transaction.prepare(
            "INSERT INTO totals (scope, currency, code, debits, credits) \
             VALUES (?1, 'USD', ?2, ?3, ?4) ON CONFLICT (scope, currency, code) \
             DO UPDATE SET debits = debits + excluded.debits, credits = credits + excluded.credits",
        )?;
        let moved = i64::try_from(self.number)?;
        let (debit, credit) = Reason::Refund.legs();
        add.execute(params![tenant, debit.code(), moved, 0])?;
        add.execute(params![tenant, credit.code(), 0, moved])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::{in_runtime, wait_until_closed};
    use crate::fixture;
    use domain::tenant::{Mode, Tenant};

    #[test]
    fn the_books_balance_after_a_prefill() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("refundry.db");
        let payments = in_runtime(async {
            let engine = fixture::open_engine(&database, folder.path())?;
            let account = engine.create_account("Benchmark").await?;
            fixture::register_payments(&engine, Tenant::new(account.number, Mode::Test), 50).await
        });
        wait_until_closed(&database).unwrap();
        fill(&database, &payments.unwrap(), 2_000).unwrap();
        let verify = async { Ok(engine::SqliteStore::open(&database)?.verify().await?) };
        let report = in_runtime(verify).unwrap();
        assert_eq!((report.payments, report.refunds, report.transfers), (50, 2_000, 2_050));
        assert_eq!(report.differences, []);
    }
}
