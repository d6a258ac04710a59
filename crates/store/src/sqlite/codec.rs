//! Reading rows of `SQLite`.

use crate::StoreError;
use crate::tables::{Cell, Cells, inconsistent};
use domain::money::Currency;
use rusqlite::{CachedStatement, Connection, Params, Row};

/// Reads the columns of one row from left to right.
pub(super) struct SqliteCells<'a, 'r> {
    row: &'a Row<'r>,
    next: usize,
}

impl<'a, 'r> SqliteCells<'a, 'r> {
    pub(super) fn new(row: &'a Row<'r>) -> Self {
        Self { row, next: 0 }
    }

    fn step(&mut self) -> usize {
        self.next += 1;
        self.next - 1
    }
}

impl Cells for SqliteCells<'_, '_> {
    fn take<T: Cell>(&mut self) -> Result<T, StoreError> {
        let at = self.step();
        Ok(self.row.get(at)?)
    }

    fn text(&mut self) -> Result<Option<Box<str>>, StoreError> {
        let at = self.step();
        Ok(self.row.get_ref(at)?.as_str_or_null().map_err(rusqlite::Error::from)?.map(Box::from))
    }

    fn currency(&mut self) -> Result<Currency, StoreError> {
        let at = self.step();
        let code = self.row.get_ref(at)?;
        Currency::parse(code.as_str().map_err(rusqlite::Error::from)?)
            .map_err(|_| inconsistent("currency"))
    }
}

/// Runs a query and reads its first row.
pub(super) fn one<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&mut SqliteCells<'_, '_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    first(&mut connection.prepare_cached(sql)?, params, read)
}

/// Runs a query and reads all its rows.
pub(super) fn list<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl Fn(&mut SqliteCells<'_, '_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query(params)?;
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        items.push(read(&mut SqliteCells::new(row))?);
    }
    Ok(items)
}

/// Runs a prepared query and reads its first row.
pub(super) fn first<T>(
    select: &mut CachedStatement<'_>,
    params: impl Params,
    read: impl FnOnce(&mut SqliteCells<'_, '_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let mut rows = select.query(params)?;
    rows.next()?.map(|row| read(&mut SqliteCells::new(row))).transpose()
}
