//! Between rows and what they mean. A row that means nothing is an inconsistency, not a panic.

use crate::StoreError;
use domain::account::Scope;
use domain::money::Currency;
use rusqlite::Row;
use ulid::Ulid;

pub(super) fn inconsistent(what: &str) -> StoreError {
    StoreError::Inconsistent(format!("{what} holds a value that means nothing"))
}

/// Reads the columns of one row from left to right.
pub(super) struct Columns<'a, 'r> {
    row: &'a Row<'r>,
    next: usize,
}

impl<'a, 'r> Columns<'a, 'r> {
    pub(super) fn new(row: &'a Row<'r>) -> Self {
        Self { row, next: 0 }
    }

    /// The next column as whatever fits.
    pub(super) fn take<T: rusqlite::types::FromSql>(&mut self) -> Result<T, StoreError> {
        let at = self.next;
        self.next += 1;
        Ok(self.row.get(at)?)
    }

    /// The next column as text, or nothing.
    pub(super) fn text(&mut self) -> Result<Option<Box<str>>, StoreError> {
        let at = self.next;
        self.next += 1;
        Ok(self.row.get_ref(at)?.as_str_or_null().map_err(rusqlite::Error::from)?.map(Box::from))
    }

    /// The next column as text.
    pub(super) fn required_text(&mut self) -> Result<Box<str>, StoreError> {
        self.text()?.ok_or_else(|| inconsistent("a text column"))
    }

    /// The next column as a ULID.
    pub(super) fn ulid(&mut self) -> Result<Ulid, StoreError> {
        Ok(Ulid::from_bytes(self.take::<[u8; 16]>()?))
    }

    /// The next column as a scope.
    pub(super) fn scope(&mut self) -> Result<Scope, StoreError> {
        Scope::from_code(self.take()?).ok_or_else(|| inconsistent("scope"))
    }

    /// The next column as a currency.
    pub(super) fn currency(&mut self) -> Result<Currency, StoreError> {
        let at = self.next;
        self.next += 1;
        let code = self.row.get_ref(at)?;
        Currency::parse(code.as_str().map_err(rusqlite::Error::from)?)
            .map_err(|_| inconsistent("currency"))
    }

    /// The next column as one of a fixed set.
    pub(super) fn code<T>(
        &mut self,
        from_code: fn(i64) -> Option<T>,
        what: &str,
    ) -> Result<T, StoreError> {
        from_code(self.take()?).ok_or_else(|| inconsistent(what))
    }
}
