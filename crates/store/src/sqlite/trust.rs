//! Whether the file can still be trusted.
//!
//! When the fsync of a commit fails, SQLite takes the transaction back, but its end is in the log, and
//! the next process to open the file may find it there and take it for committed. And the system
//! reports the failure once: the next fsync succeeds, whether or not the pages came to the disk. So
//! from then on nothing may be acknowledged, and nothing be read as if it were taken back, until
//! another process has recovered the file.

use crate::{Fault, StoreError};
use rusqlite::{ErrorCode, Transaction, ffi};
use std::sync::OnceLock;

/// Ends the process, or notes that it must end.
type Hook = Box<dyn Fn(&StoreError) + Send + Sync>;

/// Trust in the file, lost once and for good.
#[derive(Default)]
pub(super) struct Trust {
    lost: OnceLock<String>,
    hook: OnceLock<Hook>,
}

impl Trust {
    /// An error when trust is lost.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.lost.get().map_or(Ok(()), |why| Err(StoreError::Broken(why.clone())))
    }

    /// Calls `hook` when trust is lost, or at once when it is lost already. Only the first hook
    /// counts.
    pub(super) fn on_loss(&self, hook: Hook) {
        let hook = self.hook.get_or_init(|| hook);
        if let Err(error) = self.check() {
            hook(&error);
        }
    }

    /// The error as callers may see it. Loses trust when it is a reason to.
    pub(super) fn judge(&self, error: StoreError) -> StoreError {
        match error {
            StoreError::Broken(why) => self.lose(why),
            StoreError::Database(Fault::Sqlite(fault)) if is_corrupt(&fault) => {
                self.lose(explain(&fault))
            }
            other => other,
        }
    }

    fn lose(&self, why: String) -> StoreError {
        let is_first = self.lost.set(why.clone()).is_ok();
        let error = StoreError::Broken(why);
        if is_first && let Some(hook) = self.hook.get() {
            hook(&error);
        }
        error
    }
}

/// Commits. When it fails in a way that leaves open whether the file has the transaction, the error is
/// [`StoreError::Broken`].
pub(super) fn commit(transaction: Transaction<'_>) -> Result<(), StoreError> {
    transaction.commit().map_err(|fault| in_commit(&fault).unwrap_or_else(|| fault.into()))
}

/// The error of a commit or of a checkpoint after which the file cannot be trusted.
pub(super) fn in_commit(fault: &rusqlite::Error) -> Option<StoreError> {
    (is_corrupt(fault) || may_be_in_file(fault)).then(|| StoreError::Broken(explain(fault)))
}

/// SQLite's text has no code, and calls every failure of the system "disk I/O error".
fn explain(fault: &rusqlite::Error) -> String {
    let code = fault.sqlite_error().map_or(0, |failure| failure.extended_code);
    format!("{fault} (SQLite error {code})")
}

/// The file or its log is damaged.
fn is_corrupt(fault: &rusqlite::Error) -> bool {
    let code = fault.sqlite_error_code();
    matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// An error of the system after which a commit may be in the file although it failed.
///
/// After a failed write, which is how a full disk or a limit shows, it is not: the write that failed
/// was needed to make the commit valid. A failed read or allocation comes before any write.
fn may_be_in_file(fault: &rusqlite::Error) -> bool {
    let rusqlite::Error::SqliteFailure(failure, _) = fault else { return false };
    let before_the_end = [ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_IOERR_READ, ffi::SQLITE_IOERR_NOMEM];
    failure.code == ErrorCode::SystemIoFailure && !before_the_end.contains(&failure.extended_code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn fault(code: i32) -> rusqlite::Error {
        rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)
    }

    #[test]
    fn a_commit_that_may_be_in_the_file_breaks_trust_and_a_full_disk_does_not() {
        for code in [
            ffi::SQLITE_IOERR,
            ffi::SQLITE_IOERR_FSYNC,
            ffi::SQLITE_IOERR_DIR_FSYNC,
            ffi::SQLITE_IOERR_TRUNCATE,
            ffi::SQLITE_IOERR_SHMSIZE,
            ffi::SQLITE_IOERR_SHMMAP,
            ffi::SQLITE_IOERR_SHMLOCK,
            ffi::SQLITE_IOERR_SHORT_READ,
            ffi::SQLITE_CORRUPT,
            ffi::SQLITE_CORRUPT_INDEX,
            ffi::SQLITE_NOTADB,
        ] {
            assert!(matches!(in_commit(&fault(code)), Some(StoreError::Broken(_))), "{code}");
        }
        for code in [
            ffi::SQLITE_FULL,
            ffi::SQLITE_IOERR_WRITE,
            ffi::SQLITE_IOERR_NOMEM,
            ffi::SQLITE_NOMEM,
            ffi::SQLITE_BUSY,
            ffi::SQLITE_BUSY_SNAPSHOT,
            ffi::SQLITE_CONSTRAINT_CHECK,
            ffi::SQLITE_READONLY,
        ] {
            assert!(in_commit(&fault(code)).is_none(), "{code}");
        }
    }

    #[test]
    fn outside_of_a_commit_only_a_damaged_file_breaks_trust_and_the_hook_is_called_once() {
        let (trust, called) = (Trust::default(), Arc::new(AtomicU32::new(0)));
        let count = called.clone();
        trust.on_loss(Box::new(move |_| _ = count.fetch_add(1, Ordering::SeqCst)));
        trust.judge(fault(ffi::SQLITE_IOERR_READ).into());
        trust.judge(fault(ffi::SQLITE_IOERR_FSYNC).into());
        assert!(trust.check().is_ok() && called.load(Ordering::SeqCst) == 0);
        for code in [ffi::SQLITE_CORRUPT_VTAB, ffi::SQLITE_NOTADB] {
            assert!(matches!(trust.judge(fault(code).into()), StoreError::Broken(_)));
            assert!(matches!(trust.check(), Err(StoreError::Broken(_))));
        }
        assert_eq!(called.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_hook_that_comes_late_is_called_at_once() {
        let (trust, called) = (Trust::default(), Arc::new(AtomicU32::new(0)));
        trust.judge(fault(ffi::SQLITE_CORRUPT).into());
        let count = called.clone();
        trust.on_loss(Box::new(move |_| _ = count.fetch_add(1, Ordering::SeqCst)));
        assert_eq!(called.load(Ordering::SeqCst), 1);
    }
}
