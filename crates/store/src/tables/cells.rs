//! Values on their way out of a row of either database. A value that the domain does not know is an
//! inconsistency, not a panic.

use crate::StoreError;
use domain::money::Currency;
use domain::tenant::Tenant;
use domain::time::Timestamp;
use serde::de::DeserializeOwned;
use ulid::Ulid;

pub(crate) fn inconsistent(what: &str) -> StoreError {
    StoreError::Inconsistent(format!("{what} holds a value that means nothing"))
}

/// A type that both databases can read from a cell.
pub(crate) trait Cell: rusqlite::types::FromSql {
    fn from_postgres(row: &tokio_postgres::Row, at: usize) -> Result<Self, StoreError>;
}

/// A value that is read from the cells of a row.
pub(crate) trait FromRow: Sized {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError>;
}

/// The row of a statement whose rows are only counted.
impl FromRow for () {
    fn from_row(_: &mut impl Cells) -> Result<Self, StoreError> {
        Ok(())
    }
}

/// The cells of one row, read from left to right.
pub(crate) trait Cells {
    /// Passes over cells.
    fn skip(&mut self, count: usize);

    fn take<T: Cell>(&mut self) -> Result<T, StoreError>;

    fn text(&mut self) -> Result<Option<Box<str>>, StoreError>;

    fn currency(&mut self) -> Result<Currency, StoreError>;

    fn required_text(&mut self) -> Result<Box<str>, StoreError> {
        self.text()?.ok_or_else(|| inconsistent("a text column"))
    }

    fn ulid(&mut self) -> Result<Ulid, StoreError> {
        Ok(Ulid::from_bytes(self.take::<[u8; 16]>()?))
    }

    fn time(&mut self) -> Result<Timestamp, StoreError> {
        self.take().map(Timestamp)
    }

    fn maybe_time(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.take::<Option<i64>>()?.map(Timestamp))
    }

    fn tenant(&mut self) -> Result<Tenant, StoreError> {
        Tenant::from_code(self.take()?).ok_or_else(|| inconsistent("scope"))
    }

    /// A value of an enum that is stored as a number.
    fn code<T>(&mut self, from_code: fn(i64) -> Option<T>, what: &str) -> Result<T, StoreError> {
        from_code(self.take()?).ok_or_else(|| inconsistent(what))
    }

    fn json<T: DeserializeOwned>(&mut self, what: &str) -> Result<T, StoreError> {
        serde_json::from_str(&self.required_text()?).map_err(|_| inconsistent(what))
    }
}
