//! Reasons to refuse a caller.

use crate::http::invalid::Invalid;

/// The reason why a request is not authenticated or not authorized.
#[derive(Debug)]
pub enum Refused {
    /// No credentials of a kind we know.
    Unauthorized(&'static str),
    /// No such key, or it was revoked.
    InvalidKey,
    /// The signature is not the one of this request under this key.
    InvalidSignature,
    /// The signing time is missing or cannot be read.
    InvalidTimestamp,
    /// The signing time is too far from now.
    TimestampSkew {
        /// How many seconds the caller's clock is ahead.
        ahead_s: i64,
    },
    /// The key lacks this scope.
    MissingScope(String),
    /// The account to act for does not exist.
    UnknownAccount,
    /// A header cannot be accepted.
    Invalid(Invalid),
    /// Keys could not be looked up.
    Engine(engine::Error),
}

impl Refused {
    /// True when the request could not be attributed to a key.
    pub const fn is_of_nobody(&self) -> bool {
        match self {
            Self::Unauthorized(_)
            | Self::InvalidKey
            | Self::InvalidSignature
            | Self::InvalidTimestamp
            | Self::TimestampSkew { .. } => true,
            Self::MissingScope(_) | Self::UnknownAccount | Self::Invalid(_) | Self::Engine(_) => {
                false
            }
        }
    }
}

impl From<Invalid> for Refused {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

impl From<engine::Error> for Refused {
    fn from(error: engine::Error) -> Self {
        Self::Engine(error)
    }
}
