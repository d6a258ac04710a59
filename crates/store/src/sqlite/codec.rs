//! Rows of `SQLite`.

use crate::StoreError;
use crate::cells::{Cell, Cells, inconsistent};
use domain::money::Currency;
use rusqlite::Row;

/// Reads the columns of one row from left to right.
pub(super) struct Columns<'a, 'r> {
    row: &'a Row<'r>,
    next: usize,
}

impl<'a, 'r> Columns<'a, 'r> {
    pub(super) fn new(row: &'a Row<'r>) -> Self {
        Self { row, next: 0 }
    }

    fn step(&mut self) -> usize {
        self.next += 1;
        self.next - 1
    }
}

impl Cells for Columns<'_, '_> {
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
