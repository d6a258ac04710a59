//! Errors of the databases.

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

impl From<rusqlite::Error> for crate::StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(Fault::Sqlite(error))
    }
}
