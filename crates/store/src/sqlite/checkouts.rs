//! Checkouts: loading, saving, listing. Invoices are loaded and saved with them.

use super::batch::expect_one;
use super::codec::Columns;
use super::invoices::{find_invoice, insert_invoice, update_invoice};
use super::reads::Query;
use crate::StoreError;
use crate::cells::{Cells, write_json};
use crate::lists::checkouts_query;
use crate::query::{CheckoutFilter, Page, PageQuery};
use domain::account::Scope;
use domain::checkout::{self, Checkout, PaymentAttempt};
use domain::ids::PaymentId;
use domain::outcome::Failure;
use domain::payment::Kind;
use domain::time::Timestamp;
use domain::view::{Change, Row, RowKeys, View};
use rusqlite::{Connection, params};
use std::sync::Arc;

pub(crate) const CHECKOUT_COLUMNS: &str = "scope, id, kind, amount, currency, state, flight, attempts, checks, \
     deleted, last_seq, updated_at, due_at, expires_at, completed_at, methods, lines, method, \
     provider_payment_id, failure_code, failure_message, proof_url, success_url, cancel_url, \
     customer, template, metadata, extra, visited_at";

const INSERT_CHECKOUT: &str = "INSERT INTO checkouts (scope, id, kind, amount, currency, state, \
     flight, attempts, checks, deleted, last_seq, updated_at, due_at, expires_at, completed_at, \
     methods, lines, method, provider_payment_id, failure_code, failure_message, proof_url, \
     success_url, cancel_url, customer, template, metadata, extra, visited_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, \
     ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, \
     ?27, ?28, ?29)";

const UPDATE_CHECKOUT: &str = "UPDATE checkouts SET state = ?3, flight = ?4, attempts = ?5, \
     checks = ?6, deleted = ?7, last_seq = ?8, updated_at = ?9, due_at = ?10, completed_at = ?11, \
     method = ?12, provider_payment_id = ?13, failure_code = ?14, failure_message = ?15, \
     proof_url = ?16, visited_at = ?17 WHERE scope = ?1 AND id = ?2";

/// Loads what a batch wants of checkouts and invoices.
pub(super) fn load(
    connection: &Connection,
    wanted: &RowKeys,
    view: &mut View,
) -> Result<(), StoreError> {
    for &(scope, id) in &wanted.checkouts {
        if let Some(checkout) = find_checkout(connection, scope, id)? {
            view.checkouts.insert((scope, id), Row::loaded(checkout));
        }
    }
    for &(scope, id) in &wanted.invoices {
        if let Some(invoice) = find_invoice(connection, scope, id)? {
            view.invoices.insert((scope, id), Row::loaded(invoice));
        }
    }
    for &scope in &wanted.invoice_numbers {
        let mut select =
            connection.prepare_cached("SELECT last FROM invoice_numbers WHERE scope = ?1")?;
        let mut rows = select.query([scope.code()])?;
        if let Some(row) = rows.next()? {
            view.invoice_numbers.insert(scope, Row::loaded(row.get(0)?));
        }
    }
    Ok(())
}

/// Saves every changed checkout, invoice and invoice number.
pub(super) fn save(connection: &Connection, view: &View) -> Result<(), StoreError> {
    for row in view.checkouts.values() {
        match row.change {
            Change::None => {}
            Change::Updated => update_checkout(connection, &row.value)?,
            Change::Inserted => insert_checkout(connection, &row.value)?,
        }
    }
    for row in view.invoices.values() {
        match row.change {
            Change::None => {}
            Change::Updated => update_invoice(connection, &row.value)?,
            Change::Inserted => insert_invoice(connection, &row.value)?,
        }
    }
    for (scope, row) in &view.invoice_numbers {
        if row.change != Change::None {
            let set = "INSERT INTO invoice_numbers (scope, last) VALUES (?1, ?2) \
                       ON CONFLICT (scope) DO UPDATE SET last = excluded.last";
            connection.prepare_cached(set)?.execute(params![scope.code(), row.value])?;
        }
    }
    Ok(())
}

fn insert_checkout(connection: &Connection, checkout: &Checkout) -> Result<(), StoreError> {
    let facts = &*checkout.facts;
    let failure = checkout.failure.as_ref();
    connection.prepare_cached(INSERT_CHECKOUT)?.execute(params![
        facts.scope.code(),
        facts.id.bytes(),
        facts.kind.code(),
        facts.amount,
        facts.currency.as_str(),
        checkout.state.code(),
        checkout.flight.code(),
        checkout.attempts,
        checkout.checks,
        checkout.deleted,
        checkout.last_seq,
        checkout.updated_at.0,
        checkout.due_at.map(|at| at.0),
        facts.expires_at.map(|at| at.0),
        checkout.completed_at.map(|at| at.0),
        write_json(&facts.methods)?,
        write_json(&facts.lines)?,
        checkout.method,
        checkout.provider_payment_id,
        failure.map(|f| &f.code),
        failure.map(|f| &f.message),
        checkout.proof_url,
        facts.success_url,
        facts.cancel_url,
        facts.customer,
        facts.template,
        facts.metadata,
        facts.extra,
        checkout.visited_at.map(|at| at.0),
    ])?;
    Ok(())
}

fn update_checkout(connection: &Connection, checkout: &Checkout) -> Result<(), StoreError> {
    let failure = checkout.failure.as_ref();
    let changed = connection.prepare_cached(UPDATE_CHECKOUT)?.execute(params![
        checkout.facts.scope.code(),
        checkout.facts.id.bytes(),
        checkout.state.code(),
        checkout.flight.code(),
        checkout.attempts,
        checkout.checks,
        checkout.deleted,
        checkout.last_seq,
        checkout.updated_at.0,
        checkout.due_at.map(|at| at.0),
        checkout.completed_at.map(|at| at.0),
        checkout.method,
        checkout.provider_payment_id,
        failure.map(|f| &f.code),
        failure.map(|f| &f.message),
        checkout.proof_url,
        checkout.visited_at.map(|at| at.0),
    ])?;
    expect_one(changed, "checkouts")
}

pub(super) fn find_checkout(
    connection: &Connection,
    scope: Scope,
    id: PaymentId,
) -> Result<Option<Checkout>, StoreError> {
    let sql = format!("SELECT {CHECKOUT_COLUMNS} FROM checkouts WHERE scope = ?1 AND id = ?2");
    let mut select = connection.prepare_cached(&sql)?;
    let mut rows = select.query(params![scope.code(), id.bytes()])?;
    rows.next()?.map(|row| read_checkout(&mut Columns::new(row))).transpose()
}

/// The checkout with this id, whoever's it is.
pub(super) fn find_checkout_anywhere(
    connection: &Connection,
    id: PaymentId,
) -> Result<Option<Checkout>, StoreError> {
    let sql = format!("SELECT {CHECKOUT_COLUMNS} FROM checkouts WHERE id = ?1");
    let mut select = connection.prepare_cached(&sql)?;
    let mut rows = select.query(params![id.bytes()])?;
    rows.next()?.map(|row| read_checkout(&mut Columns::new(row))).transpose()
}

pub(super) fn list_checkouts(
    connection: &Connection,
    scope: Scope,
    filter: &CheckoutFilter,
    page: PageQuery,
) -> Result<Page<Checkout>, StoreError> {
    let query: Query = checkouts_query(scope, filter, page);
    query.run(connection, page.limit, |c| read_checkout(c))
}

pub(super) fn due_checkouts(
    connection: &Connection,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<(Scope, PaymentId)>, StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT scope, id FROM checkouts WHERE due_at <= ?1 ORDER BY due_at LIMIT ?2",
    )?;
    let mut rows = select.query(params![now.0, limit])?;
    let mut due = Vec::new();
    while let Some(row) = rows.next()? {
        let mut c = Columns::new(row);
        due.push((c.scope()?, PaymentId::from_ulid(c.ulid()?)));
    }
    Ok(due)
}

/// When the next checkout or invoice is due.
pub(super) fn next_due(connection: &Connection) -> Result<Option<Timestamp>, StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT min(at) FROM (SELECT min(due_at) AS at FROM checkouts WHERE due_at IS NOT NULL \
         UNION ALL SELECT min(wake_at) FROM invoices WHERE wake_at IS NOT NULL)",
    )?;
    let at: Option<i64> = select.query_row([], |row| row.get(0))?;
    Ok(at.map(Timestamp))
}

/// Reads the columns [`CHECKOUT_COLUMNS`].
pub(crate) fn read_checkout(c: &mut impl Cells) -> Result<Checkout, StoreError> {
    let (scope, id) = (c.scope()?, PaymentId::from_ulid(c.ulid()?));
    let kind = c.code(Kind::from_code, "checkouts.kind")?;
    let (amount, currency) = (c.take()?, c.currency()?);
    let state = c.code(checkout::State::from_code, "checkouts.state")?;
    let flight = c.code(PaymentAttempt::from_code, "checkouts.flight")?;
    let (attempts, checks, deleted) = (c.take()?, c.take()?, c.take()?);
    let (last_seq, updated_at) = (c.take()?, Timestamp(c.take()?));
    let due_at = c.take::<Option<i64>>()?.map(Timestamp);
    let expires_at = c.take::<Option<i64>>()?.map(Timestamp);
    let completed_at = c.take::<Option<i64>>()?.map(Timestamp);
    let methods = c.json("checkouts.methods")?;
    let lines = c.json("checkouts.lines")?;
    let (method, provider_payment_id) = (c.text()?, c.text()?);
    let failure = match (c.text()?, c.text()?) {
        (Some(code), Some(message)) => Some(Failure { code, message }),
        _ => None,
    };
    let proof_url = c.text()?;
    let facts = checkout::Terms {
        scope,
        id,
        kind,
        amount,
        currency,
        methods,
        success_url: c.text()?,
        cancel_url: c.text()?,
        lines,
        customer: c.text()?,
        template: c.text()?,
        metadata: c.text()?,
        extra: c.text()?,
        expires_at,
    };
    Ok(Checkout {
        facts: Arc::new(facts),
        state,
        method,
        attempts,
        flight,
        checks,
        provider_payment_id,
        failure,
        proof_url,
        visited_at: c.take::<Option<i64>>()?.map(Timestamp),
        completed_at,
        due_at,
        deleted,
        last_seq,
        updated_at,
    })
}
