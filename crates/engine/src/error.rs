//! Why the engine did not do what a door asked for.

use domain::decide::Refusal;
use domain::provider_account;
use std::sync::Arc;
use store::StoreError;

/// Why a use-case changed nothing, or may have.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A rule refused it. Nothing changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A provider account cannot be changed like that. Nothing changed.
    #[error(transparent)]
    ProviderAccount(#[from] provider_account::Refusal),
    /// A field cannot be what it is. Nothing changed.
    #[error("{field}: {message}")]
    Invalid {
        /// The field, in the words of `domain` (`provider`, `amount`, ...).
        field: &'static str,
        /// The fault, and how to mend it.
        message: String,
    },
    /// The queue is full, or another transaction keeps a row locked. Nothing changed; try again later.
    #[error("the server is busy")]
    Busy,
    /// A request with the same idempotency key is still being processed.
    #[error("a request with this idempotency key is still being processed")]
    InProgress,
    /// The provider could not be asked to take a refund back, or did not say whether it did.
    #[error("the provider was not asked, or did not say, whether it takes the refund back")]
    NotTakenBack,
    /// The answer did not come in time. Repeat the request to learn its outcome, with
    /// the same idempotency key.
    #[error("the database did not answer in time")]
    TimedOut,
    /// The database failed. Nothing was acknowledged.
    #[error("the database is not available")]
    Store(#[source] Arc<StoreError>),
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Locked(_) => Self::Busy,
            other => Self::Store(Arc::new(other)),
        }
    }
}

impl Error {
    /// The engine is shutting down.
    pub(crate) fn closed() -> Self {
        Self::from(StoreError::Closed)
    }

    /// The same error, for the next command of a failed batch.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Store(error) => Self::Store(error.clone()),
            Self::TimedOut => Self::TimedOut,
            Self::Refused(_)
            | Self::ProviderAccount(_)
            | Self::Invalid { .. }
            | Self::Busy
            | Self::InProgress
            | Self::NotTakenBack => Self::closed(),
        }
    }
}
