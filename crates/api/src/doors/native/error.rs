//! Errors as the native door prints them, and the ones that say nothing about refunds.

use crate::admit::TooOften;
use crate::auth::{PLATFORM_ADMIN, Refused};
use crate::body::BodyError;
use crate::headers::TIMESTAMP;
use crate::invalid::Invalid;
use engine::access::ErrorProfile;
use http::StatusCode;
use serde::Serialize;
use std::borrow::Cow;

/// An answer that is an error.
#[derive(Debug)]
pub struct Problem {
    /// The status.
    pub status: StatusCode,
    /// The stable word that clients branch on.
    pub code: &'static str,
    /// What was wrong and what to do.
    pub message: Cow<'static, str>,
    /// The field it is about.
    pub field: Option<Cow<'static, str>>,
    /// What a program may want to know.
    pub details: Option<Details>,
    /// Seconds after which it makes sense to try again.
    pub retry_after_s: Option<u32>,
}

/// What a program may want to know about an error.
#[derive(Debug, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub enum Details {
    /// More was asked for than remains.
    OverRefund {
        /// Minor units.
        requested: i64,
        /// Minor units.
        refundable: i64,
        /// Of both.
        currency: String,
    },
    /// The balance is not the expected one.
    Balance {
        /// Minor units.
        expected: i64,
        /// Minor units.
        refundable: i64,
    },
    /// The refund that is in the way.
    Refund {
        /// Its id.
        refund_id: String,
    },
    /// The payment that is in the way.
    Payment {
        /// Its id.
        payment_id: String,
    },
    /// The currencies there are to choose from.
    Currencies {
        /// Their codes.
        currencies: Vec<String>,
    },
    /// The scope that is missing.
    Scope {
        /// Its name.
        scope: String,
    },
}

impl Problem {
    /// An error without field and details.
    pub fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        let message = message.into();
        Self { status, code, message, field: None, details: None, retry_after_s: None }
    }

    /// Something that does not exist for this account and mode.
    pub fn not_found(what: &str) -> Self {
        let message = format!(
            "no such {what} for this account and mode; check the id, and that the key is of the \
             account and mode it was made in"
        );
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// The same about one field.
    #[must_use]
    pub fn about(self, field: &'static str) -> Self {
        Self { field: Some(field.into()), ..self }
    }

    /// The same with something for programs.
    #[must_use]
    pub fn with(self, details: Details) -> Self {
        Self { details: Some(details), ..self }
    }

    /// Something of ours failed; the cause is in the log.
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal_error",
            "something failed on our side; nothing can be done but to report the request id",
        )
    }

    /// More was asked for than the rate limit allows. It makes sense to try again after `wait`.
    pub fn rate_limited(wait: std::time::Duration) -> Self {
        let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1);
        let message = format!("too many requests; send the next one in {seconds} s");
        let retry_after_s = Some(u32::try_from(seconds).unwrap_or(u32::MAX));
        Self { retry_after_s, ..Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message) }
    }

    /// Something that may pass.
    pub fn unavailable(message: &'static str) -> Self {
        let retry_after_s = Some(1);
        let code = "service_unavailable";
        Self { retry_after_s, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message) }
    }
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        let problem = Self::new(StatusCode::BAD_REQUEST, "validation_error", invalid.message);
        Self { field: invalid.field, ..problem }
    }
}

impl From<TooOften> for Problem {
    fn from(TooOften(wait): TooOften) -> Self {
        Self::rate_limited(wait)
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "payload_too_large",
                "the body is too large; send less",
            ),
            BodyError::TooSlow => Self::new(
                StatusCode::REQUEST_TIMEOUT,
                "request_timeout",
                "the body did not arrive in time; send it again",
            ),
            BodyError::Broken => Self::new(
                StatusCode::BAD_REQUEST,
                "validation_error",
                "the body broke off; send it again",
            ),
            BodyError::MediaType => Self::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "the body must be JSON in UTF-8; send Content-Type: application/json",
            ),
        }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let unauthorized =
            |code, message: Cow<'static, str>| Self::new(StatusCode::UNAUTHORIZED, code, message);
        match refused {
            Refused::Unauthorized(what) => unauthorized("unauthorized", what.into()),
            Refused::InvalidKey => unauthorized(
                "invalid_key",
                "there is no such key, or it was revoked; use another key".into(),
            ),
            Refused::InvalidSignature => unauthorized(
                "invalid_signature",
                "the signature does not fit the request; sign method, target, time, the SHA-256 of \
                 the body and the Idempotency-Key exactly as they are sent"
                    .into(),
            ),
            Refused::InvalidTimestamp => unauthorized(
                "invalid_timestamp",
                format!("send {} with the Unix time in seconds", TIMESTAMP.name()).into(),
            ),
            Refused::TimestampSkew { ahead_s } => unauthorized(
                "timestamp_skew",
                format!(
                    "the request was signed {} s {} our clock, more than 300 s; set your clock and \
                     sign again",
                    ahead_s.unsigned_abs(),
                    if ahead_s < 0 { "before" } else { "after" },
                )
                .into(),
            ),
            Refused::MissingScope(scope) => {
                let message = format!("this key lacks the scope {scope}; use a key that has it");
                let message = if scope == PLATFORM_ADMIN {
                    format!("{message}, or do not act on behalf of another account")
                } else {
                    message
                };
                Self::new(StatusCode::FORBIDDEN, "insufficient_scope", message)
                    .with(Details::Scope { scope })
            }
            Refused::UnknownAccount => Self::new(
                StatusCode::NOT_FOUND,
                "not_found",
                "there is no such account to act on behalf of; check its id, acc_…",
            ),
            Refused::Invalid(invalid) => invalid.into(),
            Refused::Engine(error) => Self::of_engine(&error, ErrorProfile::Node),
        }
    }
}
