//! A database file as it is copied elsewhere: table by table, in the order of the keys.

use super::SqliteStore;
use crate::StoreError;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use std::path::Path;

/// Every table and its key, those that others refer to first.
pub(crate) const TABLES: &[(&str, &[&str])] = &[
    ("accounts", &["no"]),
    ("api_keys", &["id"]),
    ("payments", &["scope", "id"]),
    ("refunds", &["scope", "id"]),
    ("keys", &["scope", "hash"]),
    ("events", &["scope", "id"]),
    ("postings", &["scope", "id"]),
    ("totals", &["scope", "currency", "code"]),
    ("webhook_endpoints", &["scope", "id"]),
    ("deliveries", &["scope", "id"]),
    ("delivery_bodies", &["no"]),
    ("delivery_attempts", &["scope", "delivery", "number"]),
    ("checkouts", &["scope", "id"]),
    ("invoices", &["scope", "id"]),
    ("invoice_numbers", &["scope"]),
    ("answers", &["scope", "hash"]),
];

/// Bytes of rows that are held at the same time, at least one row.
const BYTES: usize = 4 << 20;

/// What tells one state of the data from another: whatever changes a row moves one of these.
const STATE: &str = "SELECT (SELECT count(*) FROM events) || '/' || (SELECT count(*) FROM keys) \
     || '/' || (SELECT count(*) FROM postings) || '/' || (SELECT count(*) FROM delivery_attempts) \
     || '/' || (SELECT count(*) FROM deliveries) \
     || '/' || (SELECT count(*) FROM api_keys) || '/' || (SELECT count(*) FROM answers) || '/' || \
     (SELECT coalesce(max(created_at), 0) FROM accounts) || '/' || (SELECT coalesce(max(at), 0) FROM \
     (SELECT max(updated_at) AS at FROM payments UNION ALL SELECT max(updated_at) FROM refunds \
     UNION ALL SELECT max(updated_at) FROM deliveries UNION ALL SELECT max(updated_at) FROM checkouts \
     UNION ALL SELECT max(updated_at) FROM invoices UNION ALL SELECT max(visited_at) FROM checkouts \
     UNION ALL SELECT max(updated_at) FROM webhook_endpoints UNION ALL \
     SELECT max(last_used_at) FROM api_keys UNION ALL SELECT max(revoked_at) FROM api_keys))";

/// A database file that nobody writes to meanwhile.
pub(crate) struct Source {
    connection: Connection,
}

impl Source {
    /// Brings the schema up to date and keeps everybody else from writing.
    pub(crate) fn open(file: &Path) -> Result<Self, StoreError> {
        let connection = SqliteStore::migrate(file, None)?;
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' \
                   AND name NOT LIKE 'sqlite_%' AND name <> 'refinery_schema_history'";
        let tables: u32 = connection.query_row(sql, [], |row| row.get(0))?;
        if usize::try_from(tables) != Ok(TABLES.len()) {
            let why = format!("it has {tables} tables and {} are known", TABLES.len());
            return Err(StoreError::Inconsistent(why));
        }
        Ok(Self { connection })
    }

    /// Digits and slashes that change whenever the data does.
    pub(crate) fn state(&self) -> Result<String, StoreError> {
        Ok(self.connection.query_row(STATE, [], |row| row.get(0))?)
    }

    pub(crate) fn count(&self, table: &str) -> Result<u64, StoreError> {
        let sql = format!("SELECT count(*) FROM {table}");
        let count: i64 = self.connection.query_row(&sql, [], |row| row.get(0))?;
        u64::try_from(count).map_err(|_| crate::cells::inconsistent("a count"))
    }

    pub(crate) fn columns(&self, table: &str) -> Result<Vec<String>, StoreError> {
        let mut select =
            self.connection.prepare("SELECT name FROM pragma_table_info(?1) ORDER BY cid")?;
        let names = select.query_map([table], |row| row.get(0))?;
        let mut names: Vec<String> = names.collect::<Result<_, _>>()?;
        // The chains of refunds, which only a file has.
        names.retain(|name| !matches!(&**name, "last_refund" | "previous"));
        Ok(names)
    }

    /// The next rows behind a key, at most `limit` and within the memory that they may take.
    pub(crate) fn rows(
        &self,
        (table, key): (&str, &[&str]),
        columns: &[String],
        after: Option<&[Value]>,
        limit: usize,
    ) -> Result<Vec<Vec<Value>>, StoreError> {
        let (names, order) = (columns.join(", "), key.join(", "));
        let behind = after.map_or_else(String::new, |after| {
            let numbers: Vec<_> = (1..=after.len()).map(|n| format!("?{n}")).collect();
            format!("WHERE ({order}) > ({})", numbers.join(", "))
        });
        let sql = format!("SELECT {names} FROM {table} {behind} ORDER BY {order} LIMIT {limit}");
        let mut select = self.connection.prepare_cached(&sql)?;
        let mut found = select.query(params_from_iter(after.unwrap_or_default()))?;
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while bytes < BYTES {
            let Some(row) = found.next()? else { break };
            let row: Vec<Value> =
                (0..columns.len()).map(|at| row.get(at)).collect::<Result<_, _>>()?;
            bytes += row.iter().map(size).sum::<usize>();
            rows.push(row);
        }
        Ok(rows)
    }
}

fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Integer(_) | Value::Real(_) => size_of::<Value>(),
        Value::Text(text) => size_of::<Value>() + text.len(),
        Value::Blob(bytes) => size_of::<Value>() + bytes.len(),
    }
}
