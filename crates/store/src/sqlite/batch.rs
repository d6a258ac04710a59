//! Loads the rows of a batch and saves what became of them.

use super::checkouts;
use super::codec::Columns;
use super::payments::Payments;
use super::webhooks;
use crate::StoreError;
use crate::cells::{Cells, inconsistent};
use domain::account::Scope;
use domain::event::{Event, Subject};
use domain::ids::{InvoiceId, PaymentId, RefundId};
use domain::keys::{Key, KeyHash, Target};
use domain::ledger::Posting;
use domain::outcome::Failure;
use domain::payment::{Capture, Kind, Payment};
use domain::refund::{Origin, Refund, State};
use domain::time::Timestamp;
use domain::view::{Change, Row, RowKeys, View};
use rusqlite::{CachedStatement, Connection, params};
use std::sync::Arc;

pub(crate) const PAYMENT_COLUMNS: &str = "scope, id, kind, captured, currency, refunded, reserved, \
     held, excess, reversed, last_seq, updated_at, captured_at, settled_at, provider, \
     provider_payment_id, reference, metadata";

pub(crate) const REFUND_COLUMNS: &str = "scope, id, payment, amount, currency, state, origin, late, \
     before_settlement, checks, last_seq, pruned, updated_at, due_at, evidence_at, reason, reference, \
     metadata, provider_refund_id, failure_code, failure_message";

const SELECT_REFUND: &str = "SELECT scope, id, payment, amount, currency, state, origin, late, \
     before_settlement, checks, last_seq, pruned, updated_at, due_at, evidence_at, reason, reference, \
     metadata, provider_refund_id, failure_code, failure_message \
     FROM refunds WHERE scope = ?1 AND id = ?2";

const INSERT_REFUND: &str = "INSERT INTO refunds (scope, id, payment, amount, currency, state, \
     status, origin, late, before_settlement, checks, last_seq, updated_at, due_at, evidence_at, \
     reason, reference, metadata, provider_refund_id, failure_code, failure_message, previous) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, \
     ?20, ?21, ?22)";

const UPDATE_REFUND: &str = "UPDATE refunds SET state = ?3, status = ?4, late = ?5, checks = ?6, \
     last_seq = ?7, updated_at = ?8, due_at = ?9, evidence_at = ?10, provider_refund_id = ?11, \
     failure_code = ?12, failure_message = ?13 WHERE scope = ?1 AND id = ?2";

const SELECT_KEY: &str = "SELECT scope, hash, request, target, id, state, expires_at FROM keys \
     WHERE scope = ?1 AND hash = ?2";

const INSERT_KEY: &str = "INSERT INTO keys (scope, hash, request, target, id, state, expires_at) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

const UPDATE_KEY: &str = "UPDATE keys SET request = ?3, target = ?4, id = ?5, state = ?6, \
     expires_at = ?7, answer = NULL WHERE scope = ?1 AND hash = ?2";

const INSERT_EVENT: &str = "INSERT INTO events (scope, id, type, payment, refund, state, seq, \
     detail, checkout, invoice, endpoint) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";

const INSERT_POSTING: &str = "INSERT INTO postings (scope, id, reason, source_type, source, \
     payment, amount, currency) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

const ADD_TOTALS: &str = "INSERT INTO totals (scope, currency, code, debits, credits) \
     VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (scope, currency, code) \
     DO UPDATE SET debits = debits + excluded.debits, credits = credits + excluded.credits";

const FORGET_KEYS: &str = "DELETE FROM keys WHERE (scope, hash) IN \
     (SELECT scope, hash FROM keys WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)";

/// Loads names first, since they lead to further refunds and payments.
pub(super) fn load(
    connection: &Connection,
    mut wanted: RowKeys,
    payments: &mut Payments,
) -> Result<View, StoreError> {
    let mut view = View::default();
    let mut select = connection.prepare_cached(SELECT_KEY)?;
    for (scope, hash) in std::mem::take(&mut wanted.keys) {
        let Some(key) = select_key(&mut select, scope, hash)? else { continue };
        match key.target {
            Target::Refund | Target::Cancel => {
                wanted.refunds.insert((scope, RefundId::from_ulid(key.id)));
            }
            Target::Payment => {
                wanted.payments.insert((scope, PaymentId::from_ulid(key.id)));
            }
            Target::Checkout => {
                wanted.checkouts.insert((scope, PaymentId::from_ulid(key.id)));
            }
            Target::Invoice => {
                wanted.invoices.insert((scope, InvoiceId::from_ulid(key.id)));
            }
            Target::Answer => {}
        }
        view.keys.insert((scope, hash), Row::loaded(key));
    }
    let mut select = connection.prepare_cached(SELECT_REFUND)?;
    for (scope, id) in std::mem::take(&mut wanted.refunds) {
        if let Some(refund) = select_refund(&mut select, scope, id)? {
            wanted.payments.insert((scope, refund.payment));
            view.refunds.insert((scope, id), Row::loaded(refund));
        }
    }
    checkouts::load(connection, &wanted, &mut view)?;
    webhooks::load(connection, &wanted, &mut view)?;
    payments.load(connection, wanted.payments, &mut view)?;
    Ok(view)
}

/// Saves every changed row of the view.
pub(super) fn save(
    connection: &Connection,
    view: &View,
    payments: &mut Payments,
) -> Result<(), StoreError> {
    let links = payments.save(connection, view)?;
    save_refunds(connection, view, links)?;
    save_keys(connection, view)?;
    checkouts::save(connection, view)?;
    webhooks::save(connection, view)?;
    let mut insert = connection.prepare_cached(INSERT_EVENT)?;
    for event in &view.new_rows.events {
        save_event(&mut insert, event)?;
    }
    let mut insert = connection.prepare_cached(INSERT_POSTING)?;
    for posting in &view.new_rows.postings {
        insert.execute(params![
            posting.scope.code(),
            posting.id.bytes(),
            posting.reason.code(),
            posting.source_type.code(),
            posting.source.to_bytes(),
            posting.payment.bytes(),
            posting.amount,
            posting.currency.as_str(),
        ])?;
    }
    let mut add = connection.prepare_cached(ADD_TOTALS)?;
    for ((scope, currency, code), totals) in &view.new_rows.totals {
        let row =
            params![scope.code(), currency.as_str(), code.code(), totals.debits, totals.credits];
        add.execute(row)?;
    }
    Ok(())
}

/// `links` are what the new refunds are linked to, in the view's order.
fn save_refunds(
    connection: &Connection,
    view: &View,
    links: Vec<Option<RefundId>>,
) -> Result<(), StoreError> {
    let mut links = links.into_iter();
    let mut update = connection.prepare_cached(UPDATE_REFUND)?;
    let mut insert = connection.prepare_cached(INSERT_REFUND)?;
    for row in view.refunds.values() {
        let refund = &row.value;
        let failure = refund.failure.as_ref();
        match row.change {
            Change::None => {}
            Change::Updated => {
                let changed = update.execute(params![
                    refund.scope.code(),
                    refund.id.bytes(),
                    refund.state.code(),
                    refund.state.status().code(),
                    refund.late,
                    refund.checks,
                    refund.last_seq,
                    refund.updated_at.0,
                    refund.due_at.map(|at| at.0),
                    refund.evidence_at.map(|at| at.0),
                    refund.provider_refund_id,
                    failure.map(|f| &f.code),
                    failure.map(|f| &f.message),
                ])?;
                expect_one(changed, "refunds")?;
            }
            Change::Inserted => {
                insert.execute(params![
                    refund.scope.code(),
                    refund.id.bytes(),
                    refund.payment.bytes(),
                    refund.amount,
                    refund.currency.as_str(),
                    refund.state.code(),
                    refund.state.status().code(),
                    refund.origin.code(),
                    refund.late,
                    refund.before_settlement,
                    refund.checks,
                    refund.last_seq,
                    refund.updated_at.0,
                    refund.due_at.map(|at| at.0),
                    refund.evidence_at.map(|at| at.0),
                    refund.reason,
                    refund.reference,
                    refund.metadata,
                    refund.provider_refund_id,
                    failure.map(|f| &f.code),
                    failure.map(|f| &f.message),
                    links.next().flatten().map(RefundId::bytes),
                ])?;
            }
        }
    }
    Ok(())
}

fn save_keys(connection: &Connection, view: &View) -> Result<(), StoreError> {
    let mut update = connection.prepare_cached(UPDATE_KEY)?;
    let mut insert = connection.prepare_cached(INSERT_KEY)?;
    for row in view.keys.values() {
        let statement = match row.change {
            Change::None => continue,
            Change::Updated => &mut update,
            Change::Inserted => &mut insert,
        };
        let key = &row.value;
        statement.execute(params![
            key.scope.code(),
            key.hash.0,
            key.request,
            key.target.code(),
            key.id.to_bytes(),
            key.state.map(State::code),
            key.expires_at.map(|at| at.0),
        ])?;
    }
    Ok(())
}

fn save_event(insert: &mut CachedStatement<'_>, event: &Event) -> Result<(), StoreError> {
    let (mut payment, mut refund, mut checkout, mut invoice) = (None, None, None, None);
    let mut endpoint = None;
    let state = match event.subject {
        Subject::Payment(id) => {
            payment = Some(id.bytes());
            None
        }
        Subject::Refund(id, state) => {
            refund = Some(id.bytes());
            Some(state.code())
        }
        Subject::Checkout(id, state) => {
            checkout = Some(id.bytes());
            Some(state.code())
        }
        Subject::Invoice(id, state) => {
            invoice = Some(id.bytes());
            Some(state.code())
        }
        Subject::Endpoint(id) => {
            endpoint = Some(id.bytes());
            None
        }
    };
    let detail = match &event.detail {
        Some(detail) => Some(
            serde_json::to_string(detail)
                .map_err(|_| StoreError::Inconsistent("an event cannot be written".into()))?,
        ),
        None => None,
    };
    insert.execute(params![
        event.scope.code(),
        event.id.bytes(),
        event.event_type.code(),
        payment,
        refund,
        state,
        event.seq,
        detail,
        checkout,
        invoice,
        endpoint,
    ])?;
    Ok(())
}

/// Turns an update that found no row into an error instead of silence.
pub(super) fn expect_one(changed: usize, table: &str) -> Result<(), StoreError> {
    if changed == 1 {
        return Ok(());
    }
    Err(StoreError::Inconsistent(format!("an update of {table} changed {changed} rows")))
}

pub(super) fn load_key(
    connection: &Connection,
    scope: Scope,
    hash: KeyHash,
) -> Result<Option<Key>, StoreError> {
    select_key(&mut connection.prepare_cached(SELECT_KEY)?, scope, hash)
}

fn select_key(
    select: &mut CachedStatement<'_>,
    scope: Scope,
    hash: KeyHash,
) -> Result<Option<Key>, StoreError> {
    let mut rows = select.query(params![scope.code(), hash.0])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    read_key(&mut Columns::new(row)).map(Some)
}

/// Reads the columns of a name: scope, hash, request, target, id, state, when it runs out.
pub(crate) fn read_key(c: &mut impl Cells) -> Result<Key, StoreError> {
    Ok(Key {
        scope: c.scope()?,
        hash: KeyHash(c.take()?),
        request: c.take()?,
        target: c.code(Target::from_code, "keys.target")?,
        id: c.ulid()?,
        state: match c.take::<Option<i64>>()? {
            Some(code) => Some(State::from_code(code).ok_or_else(|| inconsistent("keys.state"))?),
            None => None,
        },
        expires_at: c.take::<Option<i64>>()?.map(Timestamp),
    })
}

fn select_refund(
    select: &mut CachedStatement<'_>,
    scope: Scope,
    id: RefundId,
) -> Result<Option<Refund>, StoreError> {
    let mut rows = select.query(params![scope.code(), id.bytes()])?;
    rows.next()?.map(|row| read_refund(&mut Columns::new(row))).transpose()
}

/// Reads the columns [`PAYMENT_COLUMNS`].
pub(crate) fn read_payment(c: &mut impl Cells) -> Result<Payment, StoreError> {
    let scope = c.scope()?;
    let id = PaymentId::from_ulid(c.ulid()?);
    let kind = c.code(Kind::from_code, "payments.kind")?;
    let captured = c.take()?;
    let currency = c.currency()?;
    let (refunded, reserved, held, excess) = (c.take()?, c.take()?, c.take()?, c.take()?);
    let (reversed, last_seq, updated_at) = (c.take()?, c.take()?, Timestamp(c.take()?));
    let captured_at = Timestamp(c.take()?);
    let settled_at = c.take::<Option<i64>>()?.map(Timestamp);
    let facts = Capture {
        scope,
        id,
        kind,
        captured,
        currency,
        provider: c.required_text()?,
        provider_payment_id: c.required_text()?,
        captured_at,
        reference: c.text()?,
        metadata: c.text()?,
    };
    Ok(Payment {
        facts: Arc::new(facts),
        settled_at,
        refunded,
        reserved,
        held,
        excess,
        reversed,
        last_seq,
        updated_at,
    })
}

/// Reads the columns [`REFUND_COLUMNS`].
pub(crate) fn read_refund(c: &mut impl Cells) -> Result<Refund, StoreError> {
    Ok(Refund {
        scope: c.scope()?,
        id: RefundId::from_ulid(c.ulid()?),
        payment: PaymentId::from_ulid(c.ulid()?),
        amount: c.take()?,
        currency: c.currency()?,
        state: c.code(State::from_code, "refunds.state")?,
        origin: c.code(Origin::from_code, "refunds.origin")?,
        late: c.take()?,
        before_settlement: c.take()?,
        checks: c.take()?,
        last_seq: c.take()?,
        pruned: c.take()?,
        updated_at: Timestamp(c.take()?),
        due_at: c.take::<Option<i64>>()?.map(Timestamp),
        evidence_at: c.take::<Option<i64>>()?.map(Timestamp),
        reason: c.text()?,
        reference: c.text()?,
        metadata: c.text()?,
        provider_refund_id: c.text()?,
        failure: match (c.text()?, c.text()?) {
            (Some(code), Some(message)) => Some(Failure { code, message }),
            _ => None,
        },
    })
}

pub(super) fn forget_keys(
    connection: &Connection,
    now: Timestamp,
    limit: u32,
) -> Result<usize, StoreError> {
    Ok(connection.prepare_cached(FORGET_KEYS)?.execute(params![now.0, limit])?)
}

/// Reads the columns of a posting: scope, id, reason, source type, source, payment, amount, currency.
pub(crate) fn read_posting(c: &mut impl Cells) -> Result<Posting, StoreError> {
    Ok(Posting {
        scope: c.scope()?,
        id: domain::ids::PostingId::from_ulid(c.ulid()?),
        reason: c.code(domain::ledger::Reason::from_code, "postings.reason")?,
        source_type: c.code(domain::ledger::SourceType::from_code, "postings.source_type")?,
        source: c.ulid()?,
        payment: PaymentId::from_ulid(c.ulid()?),
        amount: c.take()?,
        currency: c.currency()?,
    })
}
