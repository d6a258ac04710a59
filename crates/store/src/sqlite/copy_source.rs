//! A database file that is copied into another database: table by table, in the order of the keys.

use super::SqliteStore;
use crate::StoreError;
use crate::copy_source::{CopiedCell, CopySource};
use crate::tables::{self, PAYMENTS, REFUNDS, inconsistent};
use rusqlite::{Connection, params_from_iter};
use std::path::Path;

/// Size of the rows that one call returns; a single row may be larger.
const BYTES: usize = 4 << 20;

/// A text that differs after any change: every change of a row moves one of these counts or times.
const STATE: &str = "SELECT (SELECT count(*) FROM events) || '/' || (SELECT count(*) FROM keys) \
     || '/' || (SELECT count(*) FROM postings) || '/' || (SELECT count(*) FROM delivery_attempts) \
     || '/' || (SELECT count(*) FROM deliveries) \
     || '/' || (SELECT count(*) FROM api_keys) || '/' || (SELECT count(*) FROM answers) || '/' || \
     (SELECT coalesce(max(created_at), 0) FROM accounts) || '/' || (SELECT coalesce(max(at), 0) FROM \
     (SELECT max(updated_at) AS at FROM payments UNION ALL SELECT max(updated_at) FROM refunds \
     UNION ALL SELECT max(updated_at) FROM deliveries UNION ALL SELECT max(updated_at) FROM checkouts \
     UNION ALL SELECT max(updated_at) FROM invoices UNION ALL SELECT max(visited_at) FROM checkouts \
     UNION ALL SELECT max(updated_at) FROM webhook_endpoints UNION ALL \
     SELECT max(updated_at) FROM provider_accounts UNION ALL SELECT max(updated_at) FROM sending UNION ALL \
     SELECT max(last_used_at) FROM api_keys UNION ALL SELECT max(revoked_at) FROM api_keys))";

/// A database file that nobody writes to during the copy.
pub(crate) struct SqliteFile {
    connection: Connection,
}

impl SqliteFile {
    /// Brings the schema up to date and locks the file, so that nobody else writes to it.
    pub(crate) fn open(file: &Path) -> Result<Self, StoreError> {
        let connection = SqliteStore::migrate(file, None)?;
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let sql = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' \
                   AND name NOT LIKE 'sqlite_%' AND name <> 'refinery_schema_history'";
        let tables: u32 = connection.query_row(sql, [], |row| row.get(0))?;
        if usize::try_from(tables) != Ok(tables::ALL.len()) {
            let why = format!("it has {tables} tables and {} are known", tables::ALL.len());
            return Err(StoreError::Inconsistent(why));
        }
        Ok(Self { connection })
    }
}

impl CopySource for SqliteFile {
    fn state(&self) -> Result<String, StoreError> {
        Ok(self.connection.query_row(STATE, [], |row| row.get(0))?)
    }

    fn count(&self, table: &str) -> Result<u64, StoreError> {
        let sql = format!("SELECT count(*) FROM {table}");
        let count: i64 = self.connection.query_row(&sql, [], |row| row.get(0))?;
        u64::try_from(count).map_err(|_| inconsistent("a count"))
    }

    fn columns(&self, table: &str) -> Result<Vec<String>, StoreError> {
        let mut select =
            self.connection.prepare("SELECT name FROM pragma_table_info(?1) ORDER BY cid")?;
        let names = select.query_map([table], |row| row.get(0))?;
        let mut names: Vec<String> = names.collect::<Result<_, _>>()?;
        // Only a file has the chains of refunds.
        let chains = [PAYMENTS.chain.name(), REFUNDS.chain.name()];
        names.retain(|name| !chains.contains(&Some(&**name)));
        Ok(names)
    }

    fn rows(
        &self,
        (table, key): (&str, &[&str]),
        columns: &[String],
        after: Option<&[CopiedCell]>,
        limit: usize,
    ) -> Result<Vec<Vec<CopiedCell>>, StoreError> {
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
            let row: Vec<CopiedCell> =
                (0..columns.len()).map(|at| row.get(at)).collect::<Result<_, _>>()?;
            bytes += row.iter().map(size).sum::<usize>();
            rows.push(row);
        }
        Ok(rows)
    }
}

fn size(value: &CopiedCell) -> usize {
    match value {
        CopiedCell::Null | CopiedCell::Integer(_) | CopiedCell::Real(_) => size_of::<CopiedCell>(),
        CopiedCell::Text(text) => size_of::<CopiedCell>() + text.len(),
        CopiedCell::Blob(bytes) => size_of::<CopiedCell>() + bytes.len(),
    }
}
