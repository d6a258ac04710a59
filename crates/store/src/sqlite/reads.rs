//! Read queries: pages that stay on one index however much is stored.

use super::batch::{PAYMENT_COLUMNS, REFUND_COLUMNS, read_payment, read_posting, read_refund};
use super::checkouts::find_checkout;
use super::codec::Columns;
use super::invoices::find_invoice;
use crate::StoreError;
use crate::backlog::{self, Backlog, read_backlog};
use crate::cells::{Cells, inconsistent};
use crate::lists::{self, Arg, Query as _, events_query, payments_query, postings_query};
use crate::query::{
    Balance, DueRefund, EventFilter, Order, Page, PageQuery, PostingFilter, RefundFilter,
};
use domain::account::Scope;
use domain::checkout;
use domain::event::{Detail, Event, Subject, Type};
use domain::event_view::{EventSubject, EventView};
use domain::ids::{EndpointId, EventId, InvoiceId, PaymentId, RefundId};
use domain::invoice;
use domain::ledger::{Code, Posting, Totals};
use domain::payment::Payment;
use domain::refund::{RefundView, State, Status};
use domain::time::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, params};
use std::fmt::Write as _;
use ulid::Ulid;

pub(crate) const POSTING_COLUMNS: &str =
    "scope, id, reason, source_type, source, payment, amount, currency";

/// A query that is being put together.
pub(super) struct Query {
    sql: String,
    values: Vec<Value>,
}

impl lists::Query for Query {
    fn of(select: &str, (column, scope): (&str, Scope)) -> Self {
        let sql = format!("{select} WHERE {column} = ?1");
        Self { sql, values: vec![Value::Integer(scope.code())] }
    }

    fn push(&mut self, text: &str) {
        self.sql.push_str(text);
    }

    fn and(&mut self, condition: &str, value: Arg) {
        self.values.push(match value {
            Arg::Number(number) => Value::Integer(number),
            Arg::Ulid(id) => ulid(id),
            Arg::Text(text) => Value::Text(text.into()),
        });
        let number = format!("?{}", self.values.len());
        self.sql.push_str(" AND ");
        self.sql.push_str(&condition.replace('?', &number));
    }

    fn and_one_of(&mut self, column: &str, numbers: Vec<i64>) {
        let numbers: Vec<String> = numbers.iter().map(i64::to_string).collect();
        let _ = write!(self.sql, " AND {column} IN ({})", numbers.join(", "));
    }

    fn finish(&mut self, order: &str, limit: u32) {
        self.values.push(Value::Integer(i64::from(limit) + 1));
        let number = self.values.len();
        let _ = write!(self.sql, " ORDER BY {order} LIMIT ?{number}");
    }

    fn table(name: &str, index: Option<&str>) -> String {
        let hint = index.map(|index| format!(" INDEXED BY {index}")).unwrap_or_default();
        format!("{name}{hint}")
    }

    /// `CROSS JOIN` keeps the refunds in front, so that a page is read off one index in order.
    fn select_refunds(index: Option<&str>) -> String {
        format!(
            "SELECT {}, {} FROM {} CROSS JOIN payments p ON p.scope = r.scope AND p.id = r.payment",
            of("r", REFUND_COLUMNS),
            of("p", PAYMENT_COLUMNS),
            Self::table("refunds r", index)
        )
    }

    fn select_events(index: Option<&str>) -> String {
        format!(
            "SELECT e.scope, e.id, e.type, e.payment, e.refund, e.state, e.seq, e.detail, \
             e.checkout, e.invoice, e.endpoint, {}, {} FROM {} \
             LEFT JOIN refunds r ON r.scope = e.scope AND r.id = e.refund \
             LEFT JOIN payments p ON p.scope = e.scope AND p.id = coalesce(e.payment, r.payment)",
            of("p", PAYMENT_COLUMNS),
            of("r", REFUND_COLUMNS),
            Self::table("events e", index)
        )
    }
}

impl Query {
    /// How the database would go about it.
    #[cfg(test)]
    pub(super) fn plan(&self, connection: &Connection) -> rusqlite::Result<String> {
        let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {}", self.sql))?;
        let lines =
            explain.query_map(rusqlite::params_from_iter(&self.values), |row| row.get(3))?;
        Ok(lines.collect::<Result<Vec<String>, _>>()?.join("; "))
    }

    /// Runs the query and reads at most `limit` rows.
    pub(super) fn run<T>(
        &self,
        connection: &Connection,
        limit: u32,
        read: impl Fn(&mut Columns<'_, '_>) -> Result<T, StoreError>,
    ) -> Result<Page<T>, StoreError> {
        let mut select = connection.prepare_cached(&self.sql)?;
        let mut rows = select.query(rusqlite::params_from_iter(&self.values))?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut items = Vec::new();
        while let Some(row) = rows.next()? {
            if items.len() == limit {
                return Ok(Page { items, more: true });
            }
            items.push(read(&mut Columns::new(row))?);
        }
        Ok(Page { items, more: false })
    }
}

pub(super) fn ulid(ulid: Ulid) -> Value {
    Value::Blob(ulid.to_bytes().to_vec())
}

/// The smallest id that can be made at `at`.
pub(crate) fn first_at(at: Timestamp) -> Ulid {
    Ulid::from_parts(u64::try_from(at.0).unwrap_or(0), 0)
}

/// `columns` with `alias.` before each.
pub(crate) fn of(alias: &str, columns: &str) -> String {
    let names: Vec<String> =
        columns.split(',').map(|name| format!("{alias}.{}", name.trim())).collect();
    names.join(", ")
}

pub(super) fn list_payments(
    connection: &Connection,
    scope: Scope,
    page: PageQuery,
) -> Result<Page<Payment>, StoreError> {
    let query: Query = payments_query(scope, page);
    query.run(connection, page.limit, |c| read_payment(c))
}

pub(crate) fn read_refund_view(c: &mut impl Cells) -> Result<RefundView, StoreError> {
    Ok(RefundView { refund: read_refund(c)?, payment: read_payment(c)?.facts })
}

pub(super) fn find_refund(
    connection: &Connection,
    scope: Scope,
    id: RefundId,
) -> Result<Option<RefundView>, StoreError> {
    let mut query = Query::of(&Query::select_refunds(None), ("r.scope", scope));
    query.and("r.id = ?", Arg::Ulid(id.ulid()));
    Ok(query.run(connection, 1, |c| read_refund_view(c))?.items.pop())
}

pub(super) fn list_refunds(
    connection: &Connection,
    scope: Scope,
    filter: RefundFilter,
    page: PageQuery,
) -> Result<Page<RefundView>, StoreError> {
    refunds_query(scope, filter, page).run(connection, page.limit, |c| read_refund_view(c))
}

pub(super) fn refunds_query(scope: Scope, filter: RefundFilter, page: PageQuery) -> Query {
    match filter.payment {
        Some(payment) => chain_query(scope, payment, filter.status, page),
        None => lists::refunds_query(scope, filter, page),
    }
}

/// The refunds of one payment, along their chain. Newest first the walk ends with the page; oldest
/// first it starts at the newest all the same.
fn chain_query(scope: Scope, payment: PaymentId, status: Option<Status>, page: PageQuery) -> Query {
    const LAST: &str = "(SELECT last_refund FROM payments WHERE scope = ?1 AND id = ?2)";
    const BEFORE: &str =
        "(SELECT previous FROM refunds WHERE scope = ?1 AND id = ?3 AND payment = ?2)";
    let newest_first = page.order == Order::Descending;
    let start = if newest_first && page.after.is_some() { BEFORE } else { LAST };
    let end = if !newest_first && page.after.is_some() { "AND r.id <> ?3" } else { "" };
    let sql = format!(
        "WITH RECURSIVE chain (id, previous, place) AS (
             SELECT r.id, r.previous, 0 FROM refunds r WHERE r.scope = ?1 AND r.id = {start} {end}
             UNION ALL
             SELECT r.id, r.previous, c.place + 1 FROM chain c CROSS JOIN refunds r
             WHERE r.scope = ?1 AND r.id = c.previous {end}
         )
         SELECT {}, {} FROM chain c CROSS JOIN refunds r ON r.id = c.id
         CROSS JOIN payments p ON p.scope = r.scope AND p.id = ?2",
        of("r", REFUND_COLUMNS),
        of("p", PAYMENT_COLUMNS)
    );
    let mut query = Query::of(&sql, ("r.scope", scope));
    query.values.push(ulid(payment.ulid()));
    if let Some(after) = page.after {
        query.values.push(ulid(after));
    }
    if let Some(status) = status {
        query.and("r.status = ?", Arg::Number(status.code()));
    }
    if let Some(from) = page.from {
        query.and("r.id >= ?", Arg::Ulid(first_at(from)));
    }
    if let Some(until) = page.until {
        query.and("r.id < ?", Arg::Ulid(first_at(until)));
    }
    query.values.push(Value::Integer(i64::from(page.limit) + 1));
    let order = if newest_first { "" } else { " ORDER BY c.place DESC" };
    let _ = write!(query.sql, "{order} LIMIT ?{}", query.values.len());
    query
}

/// An event as it is read, with the rows that were joined to it. Checkouts and invoices are still to
/// be looked up.
pub(crate) enum Joined {
    /// Everything is there.
    Whole(EventView),
    /// Its checkout is missing.
    Checkout(Event, PaymentId),
    /// Its invoice is missing.
    Invoice(Event, InvoiceId),
}

/// Reads what [`select_events`] selects.
pub(crate) fn read_joined(c: &mut impl Cells) -> Result<Joined, StoreError> {
    let scope = c.scope()?;
    let id = EventId::from_ulid(c.ulid()?);
    let event_type = c.code(Type::from_code, "events.type")?;
    let payment = c.take::<Option<[u8; 16]>>()?.map(PaymentId::from_bytes);
    let refund = c.take::<Option<[u8; 16]>>()?.map(RefundId::from_bytes);
    let state = c.take::<Option<i64>>()?;
    let seq = c.take()?;
    let detail: Option<Box<Detail>> = match c.text()? {
        Some(text) => Some(serde_json::from_str(&text).map_err(|_| inconsistent("events.detail"))?),
        None => None,
    };
    let checkout = c.take::<Option<[u8; 16]>>()?.map(PaymentId::from_bytes);
    let invoice = c.take::<Option<[u8; 16]>>()?.map(InvoiceId::from_bytes);
    let endpoint = c.take::<Option<[u8; 16]>>()?.map(EndpointId::from_bytes);
    let broken = || inconsistent("events");
    let code = state.unwrap_or_default();
    let event = |subject| Event { scope, id, event_type, subject, seq, detail };
    Ok(match (payment, refund, checkout, invoice) {
        (Some(id), None, None, None) => {
            let now = EventSubject::Payment(Box::new(read_payment(c)?));
            Joined::Whole(EventView::of(event(Subject::Payment(id)), now))
        }
        (None, Some(id), None, None) => {
            let state = State::from_code(code).ok_or_else(broken)?;
            let payment = read_payment(c)?.facts;
            let refund = read_refund(c)?;
            let now = EventSubject::Refund(Box::new(RefundView { refund, payment }));
            Joined::Whole(EventView::of(event(Subject::Refund(id, state)), now))
        }
        (None, None, Some(id), None) => {
            let state = checkout::State::from_code(code).ok_or_else(broken)?;
            Joined::Checkout(event(Subject::Checkout(id, state)), id)
        }
        (None, None, None, Some(id)) => {
            let state = invoice::State::from_code(code).ok_or_else(broken)?;
            Joined::Invoice(event(Subject::Invoice(id, state)), id)
        }
        (None, None, None, None) => {
            let id = endpoint.ok_or_else(broken)?;
            let now = EventSubject::Endpoint(Box::default());
            Joined::Whole(EventView::of(event(Subject::Endpoint(id)), now))
        }
        _ => return Err(broken()),
    })
}

fn read_stored_event(
    connection: &Connection,
    c: &mut Columns<'_, '_>,
) -> Result<EventView, StoreError> {
    let broken = || inconsistent("events");
    Ok(match read_joined(c)? {
        Joined::Whole(whole) => whole,
        Joined::Checkout(event, id) => {
            let found = find_checkout(connection, event.scope, id)?.ok_or_else(broken)?;
            EventView::of(event, EventSubject::Checkout(Box::new(found)))
        }
        Joined::Invoice(event, id) => {
            let found = find_invoice(connection, event.scope, id)?.ok_or_else(broken)?;
            EventView::of(event, EventSubject::Invoice(Box::new(found)))
        }
    })
}

pub(super) fn list_events(
    connection: &Connection,
    scope: Scope,
    filter: EventFilter,
    page: PageQuery,
) -> Result<Page<EventView>, StoreError> {
    let query: Query = events_query(scope, filter, page);
    query.run(connection, page.limit, |c| read_stored_event(connection, c))
}

pub(super) fn find_event(
    connection: &Connection,
    scope: Scope,
    id: EventId,
) -> Result<Option<EventView>, StoreError> {
    let mut query = Query::of(&Query::select_events(None), ("e.scope", scope));
    query.and("e.id = ?", Arg::Ulid(id.ulid()));
    Ok(query.run(connection, 1, |c| read_stored_event(connection, c))?.items.pop())
}

pub(super) fn list_postings(
    connection: &Connection,
    scope: Scope,
    filter: PostingFilter,
    page: PageQuery,
) -> Result<Page<Posting>, StoreError> {
    let query: Query = postings_query(scope, filter, page);
    query.run(connection, page.limit, |c| read_posting(c))
}

pub(super) fn balances(connection: &Connection, scope: Scope) -> Result<Vec<Balance>, StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT code, currency, debits, credits FROM totals WHERE scope = ?1 \
         ORDER BY currency, code",
    )?;
    let mut rows = select.query([scope.code()])?;
    let mut balances = Vec::new();
    while let Some(row) = rows.next()? {
        balances.push(read_balance(&mut Columns::new(row))?);
    }
    Ok(balances)
}

/// Reads code, currency, debits, credits.
pub(crate) fn read_balance(c: &mut impl Cells) -> Result<Balance, StoreError> {
    Ok(Balance {
        code: c.code(Code::from_code, "totals.code")?,
        currency: c.currency()?,
        totals: Totals { debits: c.take()?, credits: c.take()? },
    })
}

/// Reads scope, refund, payment, since when it is due.
pub(crate) fn read_due(c: &mut impl Cells) -> Result<DueRefund, StoreError> {
    Ok(DueRefund {
        scope: c.scope()?,
        refund: RefundId::from_ulid(c.ulid()?),
        payment: PaymentId::from_ulid(c.ulid()?),
        due_at: Timestamp(c.take()?),
    })
}

pub(super) fn due_refunds(
    connection: &Connection,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<DueRefund>, StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT scope, id, payment, due_at FROM refunds WHERE due_at <= ?1 \
         ORDER BY due_at LIMIT ?2",
    )?;
    let mut rows = select.query(params![now.0, limit])?;
    let mut due = Vec::new();
    while let Some(row) = rows.next()? {
        due.push(read_due(&mut Columns::new(row))?);
    }
    Ok(due)
}

pub(super) fn next_due(connection: &Connection) -> Result<Option<Timestamp>, StoreError> {
    let mut select = connection.prepare_cached(
        "SELECT due_at FROM refunds WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1",
    )?;
    let mut rows = select.query([])?;
    Ok(rows.next()?.map(|row| row.get(0)).transpose()?.map(Timestamp))
}

pub(super) fn backlog(connection: &Connection, before: Timestamp) -> Result<Backlog, StoreError> {
    let mut select = connection.prepare_cached(backlog::COUNT)?;
    let mut rows = select.query(params![before.0, Backlog::MOST])?;
    let row = rows.next()?.ok_or_else(|| inconsistent("a count"))?;
    read_backlog(&mut Columns::new(row))
}
