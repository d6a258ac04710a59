//! The SQL of lists for `SQLite`.

use super::codec::SqliteCells;
use crate::StoreError;
use crate::queries::{
    Arg, ListQuery, Page, PageQuery, RefundFilter, SortOrder, first_at, refund_view_columns,
    refunds_query,
};
use domain::account::Tenant;
use domain::ids::PaymentId;
use domain::refund::Status;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use std::fmt::Write as _;
use ulid::Ulid;

/// A query under construction.
pub(super) struct SqliteQuery {
    sql: String,
    values: Vec<Value>,
}

impl ListQuery for SqliteQuery {
    fn of(select: &str, (column, tenant): (&str, Tenant)) -> Self {
        let sql = format!("{select} WHERE {column} = ?1");
        Self { sql, values: vec![Value::Integer(tenant.code())] }
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
        let _ = write!(self.sql, " ORDER BY {order}");
        self.limit(limit);
    }

    fn table(name: &str, index: Option<&str>) -> String {
        let hint = index.map(|index| format!(" INDEXED BY {index}")).unwrap_or_default();
        format!("{name}{hint}")
    }

    /// `CROSS JOIN` keeps the refunds in front, so that a page is read off one index in order.
    fn refunds_with_payments(index: Option<&str>) -> String {
        let refunds = Self::table("refunds r", index);
        format!("{refunds} CROSS JOIN payments p ON p.scope = r.scope AND p.id = r.payment")
    }

    fn events_with_subjects(index: Option<&str>) -> String {
        format!(
            "{} LEFT JOIN refunds r ON r.scope = e.scope AND r.id = e.refund \
             LEFT JOIN payments p ON p.scope = e.scope AND p.id = coalesce(e.payment, r.payment)",
            Self::table("events e", index)
        )
    }
}

impl SqliteQuery {
    /// The plan that the database makes for the query.
    #[cfg(test)]
    pub(super) fn plan(&self, connection: &Connection) -> rusqlite::Result<String> {
        let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {}", self.sql))?;
        let lines = explain.query_map(params_from_iter(&self.values), |row| row.get(3))?;
        Ok(lines.collect::<Result<Vec<String>, _>>()?.join("; "))
    }

    /// One row more than `limit`, which shows whether there is another page.
    fn limit(&mut self, limit: u32) {
        self.values.push(Value::Integer(i64::from(limit) + 1));
        let _ = write!(self.sql, " LIMIT ?{}", self.values.len());
    }

    /// Runs the query and reads at most `limit` rows.
    pub(super) fn run<T>(
        &self,
        connection: &Connection,
        limit: u32,
        read: impl Fn(&mut SqliteCells<'_, '_>) -> Result<T, StoreError>,
    ) -> Result<Page<T>, StoreError> {
        let mut select = connection.prepare_cached(&self.sql)?;
        let mut rows = select.query(params_from_iter(&self.values))?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut items = Vec::new();
        while let Some(row) = rows.next()? {
            if items.len() == limit {
                return Ok(Page { items, more: true });
            }
            items.push(read(&mut SqliteCells::new(row))?);
        }
        Ok(Page { items, more: false })
    }
}

fn ulid(ulid: Ulid) -> Value {
    Value::Blob(ulid.to_bytes().to_vec())
}

/// Refunds of all payments are read off an index, those of one payment along their chain.
pub(super) fn list_refunds(tenant: Tenant, filter: RefundFilter, page: PageQuery) -> SqliteQuery {
    match filter.payment {
        Some(payment) => chain_query(tenant, payment, filter.status, page),
        None => refunds_query(tenant, filter, page),
    }
}

/// The refunds of one payment, along their chain. Newest first, the walk ends with the page; oldest
/// first, it starts at the newest refund too.
fn chain_query(
    tenant: Tenant,
    payment: PaymentId,
    status: Option<Status>,
    page: PageQuery,
) -> SqliteQuery {
    const LAST: &str = "(SELECT last_refund FROM payments WHERE scope = ?1 AND id = ?2)";
    const BEFORE: &str =
        "(SELECT previous FROM refunds WHERE scope = ?1 AND id = ?3 AND payment = ?2)";
    let newest_first = page.order == SortOrder::Descending;
    let start = if newest_first && page.after.is_some() { BEFORE } else { LAST };
    let end = if !newest_first && page.after.is_some() { "AND r.id <> ?3" } else { "" };
    let sql = format!(
        "WITH RECURSIVE chain (id, previous, place) AS (
             SELECT r.id, r.previous, 0 FROM refunds r WHERE r.scope = ?1 AND r.id = {start} {end}
             UNION ALL
             SELECT r.id, r.previous, c.place + 1 FROM chain c CROSS JOIN refunds r
             WHERE r.scope = ?1 AND r.id = c.previous {end}
         )
         SELECT {} FROM chain c CROSS JOIN refunds r ON r.id = c.id
         CROSS JOIN payments p ON p.scope = r.scope AND p.id = ?2",
        refund_view_columns()
    );
    let mut query = SqliteQuery::of(&sql, ("r.scope", tenant));
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
    if !newest_first {
        query.push(" ORDER BY c.place DESC");
    }
    query.limit(page.limit);
    query
}
