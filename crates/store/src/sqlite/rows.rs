//! Finding and writing rows as their tables declare them. The text of a statement is made once per
//! table, the statement is prepared once per batch, and values are bound by position.

use super::codec::first;
use crate::StoreError;
use crate::tables::{Column, FromRow, Put, Table};
use domain::tenant::Tenant;
use domain::view::{Change, Row};
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, params};

impl ToSql for Put<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let value = match self {
            Self::Int(value) => value.map(ValueRef::Integer),
            Self::Id(value) => value.as_ref().map(|id| ValueRef::Blob(id)),
            Self::Text(value) => value.map(|text| ValueRef::Text(text.as_bytes())),
            Self::Json(Ok(text)) => Some(ValueRef::Text(text.as_bytes())),
            Self::Json(Err(error)) => {
                return Err(rusqlite::Error::ToSqlConversionFailure(error.to_string().into()));
            }
            Self::Bytes(value) => value.map(ValueRef::Blob),
        };
        Ok(ToSqlOutput::Borrowed(value.unwrap_or(ValueRef::Null)))
    }
}

/// Finds rows of a table by scope and id.
pub(super) struct Finder<'c> {
    select: CachedStatement<'c>,
}

impl<'c> Finder<'c> {
    pub(super) fn new<T>(connection: &'c Connection, table: &Table<T>) -> Result<Self, StoreError> {
        Ok(Self { select: connection.prepare_cached(&table.texts().select)? })
    }

    pub(super) fn find<T: FromRow>(
        &mut self,
        (tenant, id): (Tenant, [u8; 16]),
    ) -> Result<Option<T>, StoreError> {
        first(&mut self.select, params![tenant.code(), id])
    }
}

/// Inserts and updates rows of a table.
pub(super) struct RowWriter<'c, T: 'static> {
    connection: &'c Connection,
    table: &'static Table<T>,
    insert: Option<CachedStatement<'c>>,
    update: Option<CachedStatement<'c>>,
}

impl<'c, T> RowWriter<'c, T> {
    pub(super) fn new(connection: &'c Connection, table: &'static Table<T>) -> Self {
        Self { connection, table, insert: None, update: None }
    }

    /// Saves a row if it changed.
    pub(super) fn save(&mut self, row: &Row<T>) -> Result<(), StoreError> {
        match row.change {
            Change::None => Ok(()),
            Change::Updated => self.update(&row.value, None),
            Change::Inserted => self.insert(&row.value, None),
        }
    }

    /// `chain` is the value of the table's chain column, where it has one.
    pub(super) fn insert(&mut self, row: &T, chain: Option<Put<'_>>) -> Result<(), StoreError> {
        let text = &self.table.texts().insert;
        let insert = prepared(&mut self.insert, self.connection, text)?;
        run(insert, self.table.inserted(), row, chain)?;
        Ok(())
    }

    /// Inserts a row in place of one that is there.
    pub(super) fn replace(&self, row: &T) -> Result<(), StoreError> {
        let text = format!("{} {}", self.table.texts().insert, self.table.or_replace());
        let mut replace = self.connection.prepare_cached(&text)?;
        run(&mut replace, self.table.inserted(), row, None)?;
        Ok(())
    }

    /// An update that finds no row is an error. `chain` is the value of the table's chain column, where
    /// it has one that changes.
    pub(super) fn update(&mut self, row: &T, chain: Option<Put<'_>>) -> Result<(), StoreError> {
        let text = &self.table.texts().update;
        let update = prepared(&mut self.update, self.connection, text)?;
        let changed = run(update, self.table.updated(), row, chain)?;
        expect_one(changed, self.table.name)
    }
}

/// Saves the rows that changed.
pub(super) fn save_rows<'a, T>(
    connection: &Connection,
    table: &'static Table<T>,
    rows: impl Iterator<Item = &'a Row<T>>,
) -> Result<(), StoreError> {
    let mut writer = RowWriter::new(connection, table);
    for row in rows {
        writer.save(row)?;
    }
    Ok(())
}

/// Inserts rows.
pub(super) fn append<T>(
    connection: &Connection,
    table: &'static Table<T>,
    rows: &[T],
) -> Result<(), StoreError> {
    let mut writer = RowWriter::new(connection, table);
    for row in rows {
        writer.insert(row, None)?;
    }
    Ok(())
}

fn prepared<'s, 'c>(
    slot: &'s mut Option<CachedStatement<'c>>,
    connection: &'c Connection,
    text: &str,
) -> Result<&'s mut CachedStatement<'c>, StoreError> {
    Ok(match slot {
        Some(statement) => statement,
        None => slot.insert(connection.prepare_cached(text)?),
    })
}

/// Binds the columns of a row and then the chain, runs the statement and counts the rows it changed.
fn run<T: 'static>(
    statement: &mut CachedStatement<'_>,
    columns: impl Iterator<Item = &'static Column<T>>,
    row: &T,
    chain: Option<Put<'_>>,
) -> Result<usize, StoreError> {
    let mut at = 0;
    for column in columns {
        at += 1;
        statement.raw_bind_parameter(at, column.value(row))?;
    }
    if let Some(chain) = chain {
        at += 1;
        statement.raw_bind_parameter(at, chain)?;
    }
    // A parameter that is not bound would keep the value of the row before.
    if at != statement.parameter_count() {
        return Err(rusqlite::Error::InvalidParameterCount(at, statement.parameter_count()).into());
    }
    Ok(statement.raw_execute()?)
}

/// The values of a row, with `replaced` in place of the value of the column `name`.
pub(super) fn values_but<'a, T: 'static>(
    columns: impl Iterator<Item = &'static Column<T>>,
    row: &'a T,
    name: &'static str,
    replaced: impl Fn() -> Put<'a>,
) -> impl Iterator<Item = Put<'a>> {
    columns.map(move |column| if column.name == name { replaced() } else { column.value(row) })
}

/// Turns an update that found no row into an error.
pub(super) fn expect_one(changed: usize, table: &str) -> Result<(), StoreError> {
    if changed == 1 {
        return Ok(());
    }
    Err(StoreError::Inconsistent(format!("an update of {table} changed {changed} rows")))
}
