//! Invoices: reading, writing, listing.

use super::batch::expect_one;
use super::codec::Columns;
use super::reads::Query;
use crate::StoreError;
use crate::cells::{Cells, write_json};
use crate::lists::invoices_query;
use crate::query::{InvoiceFilter, Page, PageQuery};
use domain::account::Scope;
use domain::ids::InvoiceId;
use domain::invoice::{self, Invoice, Totals};
use domain::time::Timestamp;
use rusqlite::{Connection, params};
use std::sync::Arc;

pub(crate) const INVOICE_COLUMNS: &str = "scope, id, number, currency, subtotal, discount, tax, total, state, \
     charged, attempts, last_seq, updated_at, due_at, wake_at, issued_at, paid_at, voided_at, \
     customer, lines, subscription, template, memo, metadata";

const INSERT_INVOICE: &str = "INSERT INTO invoices (scope, id, number, currency, subtotal, \
     discount, tax, total, state, charged, attempts, last_seq, updated_at, due_at, wake_at, \
     issued_at, paid_at, voided_at, customer, lines, subscription, template, memo, metadata) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, \
     ?20, ?21, ?22, ?23, ?24)";

const UPDATE_INVOICE: &str = "UPDATE invoices SET state = ?3, charged = ?4, attempts = ?5, \
     last_seq = ?6, updated_at = ?7, wake_at = ?8, issued_at = ?9, paid_at = ?10, voided_at = ?11 \
     WHERE scope = ?1 AND id = ?2";

pub(super) fn insert_invoice(connection: &Connection, invoice: &Invoice) -> Result<(), StoreError> {
    let facts = &*invoice.facts;
    connection.prepare_cached(INSERT_INVOICE)?.execute(params![
        facts.scope.code(),
        facts.id.bytes(),
        facts.number,
        facts.currency.as_str(),
        facts.totals.subtotal,
        facts.totals.discount,
        facts.totals.tax,
        facts.totals.total,
        invoice.state.code(),
        invoice.charged,
        invoice.attempts,
        invoice.last_seq,
        invoice.updated_at.0,
        facts.due_at.map(|at| at.0),
        invoice.wake_at.map(|at| at.0),
        invoice.issued_at.map(|at| at.0),
        invoice.paid_at.map(|at| at.0),
        invoice.voided_at.map(|at| at.0),
        facts.customer,
        write_json(&facts.lines)?,
        facts.subscription,
        facts.template,
        facts.memo,
        facts.metadata,
    ])?;
    Ok(())
}

pub(super) fn update_invoice(connection: &Connection, invoice: &Invoice) -> Result<(), StoreError> {
    let changed = connection.prepare_cached(UPDATE_INVOICE)?.execute(params![
        invoice.facts.scope.code(),
        invoice.facts.id.bytes(),
        invoice.state.code(),
        invoice.charged,
        invoice.attempts,
        invoice.last_seq,
        invoice.updated_at.0,
        invoice.wake_at.map(|at| at.0),
        invoice.issued_at.map(|at| at.0),
        invoice.paid_at.map(|at| at.0),
        invoice.voided_at.map(|at| at.0),
    ])?;
    expect_one(changed, "invoices")
}

pub(super) fn find_invoice(
    connection: &Connection,
    scope: Scope,
    id: InvoiceId,
) -> Result<Option<Invoice>, StoreError> {
    let sql = format!("SELECT {INVOICE_COLUMNS} FROM invoices WHERE scope = ?1 AND id = ?2");
    let mut select = connection.prepare_cached(&sql)?;
    let mut rows = select.query(params![scope.code(), id.bytes()])?;
    rows.next()?.map(|row| read_invoice(&mut Columns::new(row))).transpose()
}

/// The invoice with this id, whoever's it is.
pub(super) fn find_invoice_anywhere(
    connection: &Connection,
    id: InvoiceId,
) -> Result<Option<Invoice>, StoreError> {
    let sql = format!("SELECT {INVOICE_COLUMNS} FROM invoices WHERE id = ?1");
    let mut select = connection.prepare_cached(&sql)?;
    let mut rows = select.query(params![id.bytes()])?;
    rows.next()?.map(|row| read_invoice(&mut Columns::new(row))).transpose()
}

pub(super) fn list_invoices(
    connection: &Connection,
    scope: Scope,
    filter: &InvoiceFilter,
    page: PageQuery,
) -> Result<Page<Invoice>, StoreError> {
    let query: Query = invoices_query(scope, filter, page);
    query.run(connection, page.limit, |c| read_invoice(c))
}

pub(super) fn due_invoices(
    connection: &Connection,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<(Scope, InvoiceId)>, StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT scope, id FROM invoices WHERE wake_at <= ?1 ORDER BY wake_at LIMIT ?2",
    )?;
    let mut rows = select.query(params![now.0, limit])?;
    let mut due = Vec::new();
    while let Some(row) = rows.next()? {
        let mut c = Columns::new(row);
        due.push((c.scope()?, InvoiceId::from_ulid(c.ulid()?)));
    }
    Ok(due)
}

/// Reads the columns [`INVOICE_COLUMNS`].
pub(crate) fn read_invoice(c: &mut impl Cells) -> Result<Invoice, StoreError> {
    let (scope, id) = (c.scope()?, InvoiceId::from_ulid(c.ulid()?));
    let (number, currency) = (c.take()?, c.currency()?);
    let totals =
        Totals { subtotal: c.take()?, discount: c.take()?, tax: c.take()?, total: c.take()? };
    let state = c.code(invoice::State::from_code, "invoices.state")?;
    let (charged, attempts) = (c.take()?, c.take()?);
    let (last_seq, updated_at) = (c.take()?, Timestamp(c.take()?));
    let mut time = || Ok::<_, StoreError>(c.take::<Option<i64>>()?.map(Timestamp));
    let (due_at, wake_at, issued_at) = (time()?, time()?, time()?);
    let (paid_at, voided_at) = (time()?, time()?);
    let customer = c.required_text()?;
    let lines = c.json("invoices.lines")?;
    let facts = invoice::Terms {
        scope,
        id,
        number,
        customer,
        subscription: c.text()?,
        template: c.text()?,
        memo: c.text()?,
        metadata: c.text()?,
        currency,
        lines,
        totals,
        due_at,
    };
    Ok(Invoice {
        facts: Arc::new(facts),
        state,
        issued_at,
        paid_at,
        voided_at,
        charged,
        attempts,
        wake_at,
        last_seq,
        updated_at,
    })
}
