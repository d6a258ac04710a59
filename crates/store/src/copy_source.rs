//! The rows that a copy into another database reads.

use crate::StoreError;
pub(crate) use rusqlite::types::Value as CopiedCell;

/// A database that nobody writes to during the copy.
pub(crate) trait CopySource: Send {
    /// A text of digits and slashes that differs after any change of the data.
    fn state(&self) -> Result<String, StoreError>;

    /// The number of rows of a table.
    fn count(&self, table: &str) -> Result<u64, StoreError>;

    /// The columns of a table that both databases have.
    fn columns(&self, table: &str) -> Result<Vec<String>, StoreError>;

    /// The next rows behind a key, at most `limit` of them and a few MiB in all.
    fn rows(
        &self,
        table: (&str, &[&str]),
        columns: &[String],
        after: Option<&[CopiedCell]>,
        limit: usize,
    ) -> Result<Vec<Vec<CopiedCell>>, StoreError>;
}
