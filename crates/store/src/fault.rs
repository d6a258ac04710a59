//! Errors of the databases.

use rusqlite::ErrorCode;
use tokio_postgres::error::SqlState;

/// An error of one of the databases.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Postgres(#[from] PostgresError),
}

/// Prints the server's message and code; the driver prints no more than "db error".
#[derive(Debug)]
pub struct PostgresError(pub(crate) tokio_postgres::Error);

impl std::fmt::Display for PostgresError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some(said) = self.0.as_db_error() else {
            write!(f, "{}", self.0)?;
            let source = std::error::Error::source(&self.0);
            return source.map_or(Ok(()), |source| write!(f, ": {source}"));
        };
        write!(f, "{} ({})", said.message(), said.code().code())?;
        said.constraint().map_or(Ok(()), |name| write!(f, ", constraint {name}"))
    }
}

impl std::error::Error for PostgresError {}

impl Fault {
    /// True when the fault is about the content of a statement or a row, and not about the database
    /// as a whole.
    pub(crate) fn is_about_content(&self) -> bool {
        match self {
            Self::Sqlite(rusqlite::Error::SqliteFailure(failure, _)) => matches!(
                failure.code,
                ErrorCode::ConstraintViolation
                    | ErrorCode::ParameterOutOfRange
                    | ErrorCode::TooBig
                    | ErrorCode::TypeMismatch
                    | ErrorCode::Unknown
            ),
            // A value that cannot be bound or read.
            Self::Sqlite(_) => true,
            Self::Postgres(error) => {
                let code = error.0.code().map(SqlState::code);
                code.is_none_or(|code| !OF_THE_SERVER.iter().any(|class| code.starts_with(class)))
            }
        }
    }
}

/// Classes of the server's errors that hit every statement alike: lost connections, conflicts,
/// missing resources, an operator, the system.
const OF_THE_SERVER: &[&str] = &["08", "40", "53", "57", "58"];

impl From<rusqlite::Error> for crate::StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(Fault::Sqlite(error))
    }
}
