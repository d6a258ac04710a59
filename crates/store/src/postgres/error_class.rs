//! Sorts errors of the database by what the caller can do about them.

use super::value::fault;
use crate::{Fault, PostgresError, StoreError};
use std::time::Duration;
use tokio_postgres::Error;
use tokio_postgres::error::Severity;

/// Why a transaction failed.
#[derive(Debug)]
pub(super) enum TxFailure {
    /// Another node changed the same rows. Nothing was saved; the transaction can run again with
    /// rows loaded afresh.
    Conflict(StoreError),
    /// The database is away. Nothing was saved; the transaction can run again a little later.
    Away(StoreError),
    /// The database is away, and noticing it took long. One more try at most, since the caller is
    /// waiting.
    Slow(StoreError),
    /// Another transaction held a lock for too long. Nothing was saved.
    Locked(StoreError),
    /// Another try would fail too.
    Final(StoreError),
}

impl TxFailure {
    pub(super) fn into_error(self) -> StoreError {
        match self {
            Self::Conflict(error)
            | Self::Away(error)
            | Self::Slow(error)
            | Self::Locked(error)
            | Self::Final(error) => error,
        }
    }
}

/// Sorts an error of the server or of the connection.
pub(super) fn classify(error: Error) -> TxFailure {
    let guard = |error| StoreError::Guard(Fault::Postgres(PostgresError(error)));
    let Some(code) = error.code().map(|code| code.code().to_owned()) else {
        // The error is not from the server: the connection failed or could not be made.
        return TxFailure::Away(StoreError::Away(PostgresError(error).to_string()));
    };
    match code.as_str() {
        // Serialization failure, deadlock, and a key that another transaction inserted first.
        "40001" | "40P01" => TxFailure::Conflict(fault(error)),
        "23505" => TxFailure::Conflict(guard(error)),
        // An update divides by zero when a row is missing.
        "22012" => TxFailure::Final(StoreError::Inconsistent("a row to be updated is gone".into())),
        // A sum that does not fit its column.
        "22003" => TxFailure::Final(guard(error)),
        "55P03" => TxFailure::Locked(StoreError::Locked(PostgresError(error).to_string())),
        // A statement took too long. The caller has waited long enough, too.
        "57014" => TxFailure::Final(StoreError::Away(PostgresError(error).to_string())),
        other if other.starts_with("23") => TxFailure::Final(guard(error)),
        // Lost connections, missing resources, a shutdown by an operator, a standby that cannot
        // write, and a session that timed out.
        other if ["08", "53", "57", "58"].iter().any(|class| other.starts_with(class)) => {
            TxFailure::Away(StoreError::Away(PostgresError(error).to_string()))
        }
        "25006" | "25P03" => TxFailure::Away(StoreError::Away(PostgresError(error).to_string())),
        _ => TxFailure::Final(fault(error)),
    }
}

/// True when the transaction may have been committed although its commit had this reply. Only an
/// ordinary error of the server rules a commit out, and so does the end of a transaction that was
/// idle for too long. A server that shuts down reports a more severe error, and `PgBouncer` reports
/// class 08 to any statement when it lost the server.
pub(super) fn may_have_committed(error: &Error) -> bool {
    let Some(said) = error.as_db_error() else { return true };
    let code = said.code().code();
    if code == "25P03" {
        return false;
    }
    said.parsed_severity() != Some(Severity::Error) || code == "40003" || code.starts_with("08")
}

/// Counts how often a batch may still be tried.
pub(super) struct RetryBudget {
    conflicts: u32,
    losses: u32,
}

impl RetryBudget {
    /// Conflicts after which the last one is reported.
    const CONFLICTS: u32 = 8;

    /// Losses of the database after which it counts as away.
    const LOSSES: u32 = 3;

    pub(super) const fn new() -> Self {
        Self { conflicts: 0, losses: 0 }
    }

    /// Waits before the next try, or returns the error when the budget is used up. The random
    /// number `lot` spreads nodes that conflicted, so that they do not conflict again.
    pub(super) async fn again(&mut self, failure: TxFailure, lot: u64) -> Result<(), StoreError> {
        let longest_ms = match failure {
            TxFailure::Conflict(_) if self.conflicts < Self::CONFLICTS => {
                metrics::counter!("refundry_store_conflicts_total").increment(1);
                self.conflicts += 1;
                2_u64 << self.conflicts
            }
            TxFailure::Away(_) if self.losses < Self::LOSSES => {
                self.losses += 1;
                25_u64 << self.losses
            }
            TxFailure::Slow(_) if self.losses == 0 => {
                self.losses = Self::LOSSES;
                25
            }
            other => return Err(other.into_error()),
        };
        rest(Duration::from_millis(longest_ms / 2 + lot % (longest_ms / 2 + 1))).await;
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "a pause between two tries, bounded in number")]
async fn rest(time: Duration) {
    tokio::time::sleep(time).await;
}
