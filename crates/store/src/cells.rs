//! Between rows and what they mean, in either database. A row that means nothing is an
//! inconsistency, not a panic.

use crate::StoreError;
use domain::account::Scope;
use domain::money::Currency;
use serde::de::DeserializeOwned;
use ulid::Ulid;

pub(crate) fn inconsistent(what: &str) -> StoreError {
    StoreError::Inconsistent(format!("{what} holds a value that means nothing"))
}

/// A value as both databases hold it.
pub(crate) trait Cell: rusqlite::types::FromSql {
    /// Reads it from a row of `PostgreSQL`.
    fn from_postgres(row: &tokio_postgres::Row, at: usize) -> Result<Self, StoreError>;
}

/// The cells of one row, read from left to right.
pub(crate) trait Cells {
    /// The next cell as whatever fits.
    fn take<T: Cell>(&mut self) -> Result<T, StoreError>;

    /// The next cell as text, or nothing.
    fn text(&mut self) -> Result<Option<Box<str>>, StoreError>;

    /// The next cell as a currency.
    fn currency(&mut self) -> Result<Currency, StoreError>;

    /// The next cell as text.
    fn required_text(&mut self) -> Result<Box<str>, StoreError> {
        self.text()?.ok_or_else(|| inconsistent("a text column"))
    }

    /// The next cell as a ULID.
    fn ulid(&mut self) -> Result<Ulid, StoreError> {
        Ok(Ulid::from_bytes(self.take::<[u8; 16]>()?))
    }

    /// The next cell as a scope.
    fn scope(&mut self) -> Result<Scope, StoreError> {
        Scope::from_code(self.take()?).ok_or_else(|| inconsistent("scope"))
    }

    /// The next cell as one of a fixed set.
    fn code<T>(&mut self, from_code: fn(i64) -> Option<T>, what: &str) -> Result<T, StoreError> {
        from_code(self.take()?).ok_or_else(|| inconsistent(what))
    }

    /// The next cell as JSON.
    fn json<T: DeserializeOwned>(&mut self, what: &str) -> Result<T, StoreError> {
        serde_json::from_str(&self.required_text()?).map_err(|_| inconsistent(what))
    }
}

/// JSON to store.
pub(crate) fn write_json<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|_| StoreError::Inconsistent("a list cannot be written".into()))
}
