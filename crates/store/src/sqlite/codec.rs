//! Parameters of queries and cells of rows of `SQLite`.

use crate::StoreError;
use crate::queries::{Arg, Query};
use crate::tables::{Cell, Cells, FromRow, inconsistent};
use domain::money::Currency;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, Params, Row, params_from_iter};

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
    fn skip(&mut self, count: usize) {
        self.next += count;
    }

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

/// Runs a query and reads all its rows.
pub(super) fn all<T: FromRow>(
    connection: &Connection,
    query: &Query<T>,
) -> Result<Vec<T>, StoreError> {
    let mut select = connection.prepare_cached(&query.sql)?;
    let mut rows = select.query(params_from_iter(&query.args))?;
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        items.push(T::from_row(&mut SqliteCells::new(row))?);
    }
    Ok(items)
}

/// Runs a query that has one row at most.
pub(super) fn one<T: FromRow>(
    connection: &Connection,
    query: &Query<T>,
) -> Result<Option<T>, StoreError> {
    Ok(all(connection, query)?.pop())
}

/// Runs a prepared query and reads its first row.
pub(super) fn first<T: FromRow>(
    select: &mut CachedStatement<'_>,
    params: impl Params,
) -> Result<Option<T>, StoreError> {
    let mut rows = select.query(params)?;
    rows.next()?.map(|row| T::from_row(&mut SqliteCells::new(row))).transpose()
}

impl ToSql for Arg {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let value = match self {
            Self::Int(value) => value.map_or(ValueRef::Null, ValueRef::Integer),
            Self::Id(id) => ValueRef::Blob(id),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
            // A list is a JSON array, in which an id is a text of hexadecimal digits.
            Self::Ints(numbers) => return Ok(format!("{numbers:?}").into()),
            Self::Ids(ids) => {
                let hex = |id: &[u8; 16]| format!("{:032x}", u128::from_be_bytes(*id));
                return Ok(format!("{:?}", ids.iter().map(hex).collect::<Vec<_>>()).into());
            }
        };
        Ok(ToSqlOutput::Borrowed(value))
    }
}
