//! What an error of the database means for whoever runs into it.

use super::value::fault;
use crate::{Fault, PostgresError, StoreError};
use std::time::Duration;
use tokio_postgres::Error;
use tokio_postgres::error::Severity;

/// Why a transaction did not happen.
#[derive(Debug)]
pub(super) enum TxFailure {
    /// Another node was in the way. Nothing was saved; again, with rows loaded afresh.
    Conflict(StoreError),
    /// The database is away. Nothing was saved; again, a little later.
    Away(StoreError),
    /// The same, and it took long to find out. Once more at most, since whoever asked is waiting.
    Slow(StoreError),
    /// Trying again changes nothing.
    Final(StoreError),
}

impl TxFailure {
    pub(super) fn into_error(self) -> StoreError {
        match self {
            Self::Conflict(error) | Self::Away(error) | Self::Slow(error) | Self::Final(error) => {
                error
            }
        }
    }
}

/// What the server, or the loss of it, means.
pub(super) fn classify(error: Error) -> TxFailure {
    let guard = |error| StoreError::Guard(Fault::Postgres(PostgresError(error)));
    let Some(code) = error.code().map(|code| code.code().to_owned()) else {
        // No answer of the server: the connection, or what it takes to make one.
        return TxFailure::Away(StoreError::Away(PostgresError(error).to_string()));
    };
    match code.as_str() {
        // Serialization, deadlock, and a key that somebody else was faster to take.
        "40001" | "40P01" => TxFailure::Conflict(fault(error)),
        "23505" => TxFailure::Conflict(guard(error)),
        // A division by zero is how an update says that a row is missing.
        "22012" => TxFailure::Final(StoreError::Inconsistent("a row to be updated is gone".into())),
        // A number that does not fit where it is to be added to.
        "22003" => TxFailure::Final(guard(error)),
        // Waited for a lock or a statement for too long. Who asked has waited long enough, too.
        "55P03" | "57014" => TxFailure::Final(StoreError::Away(PostgresError(error).to_string())),
        other if other.starts_with("23") => TxFailure::Final(guard(error)),
        // Connections, resources, an operator's doing, a standby that cannot write, and what is
        // left of a session that timed out.
        other if ["08", "53", "57", "58"].iter().any(|class| other.starts_with(class)) => {
            TxFailure::Away(StoreError::Away(PostgresError(error).to_string()))
        }
        "25006" | "25P03" => TxFailure::Away(StoreError::Away(PostgresError(error).to_string())),
        _ => TxFailure::Final(fault(error)),
    }
}

/// True when a transaction may have been committed whose commit was sent and which was answered like
/// this. Only an ordinary error of the server ends one for certain, and that the transaction stood idle
/// for too long. A server that goes down says something worse, and so does whoever stands between and
/// lost it: `PgBouncer`, class 08, to any of the statements before the commit.
pub(super) fn may_have_committed(error: &Error) -> bool {
    let Some(said) = error.as_db_error() else { return true };
    let code = said.code().code();
    if code == "25P03" {
        return false;
    }
    said.parsed_severity() != Some(Severity::Error) || code == "40003" || code.starts_with("08")
}

/// How often a batch is tried.
pub(super) struct RetryBudget {
    conflicts: u32,
    losses: u32,
}

impl RetryBudget {
    /// Conflicts after which the last one is reported.
    const CONFLICTS: u32 = 8;

    /// Losses of the database after which it is taken to be away.
    const LOSSES: u32 = 3;

    pub(super) const fn new() -> Self {
        Self { conflicts: 0, losses: 0 }
    }

    /// Waits until it is time to try again; the error when it is not worth it any more. `lot` keeps
    /// nodes that got into each other's way from doing so again.
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
