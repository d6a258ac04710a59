//! Errors in Refundry's own words. A door that follows another system translates them.

use crate::http::admit::RateLimited;
use crate::http::auth::{PLATFORM_ADMIN, Refused};
use crate::http::body::BodyError;
use crate::http::headers::TIMESTAMP;
use crate::http::invalid::Invalid;
use engine::access::ErrorProfile;
use http::StatusCode;
use serde::Serialize;
use std::borrow::Cow;

#[derive(Debug)]
pub struct Problem {
    pub status: StatusCode,
    /// The stable word that clients branch on.
    pub code: &'static str,
    /// Names the mistake and the remedy.
    pub message: Cow<'static, str>,
    pub field: Option<Cow<'static, str>>,
    /// Data for programs.
    pub details: Option<Box<Details>>,
    /// Seconds after which it makes sense to try again.
    pub retry_after_s: Option<u32>,
    /// Status and code in the error profile `go`, where they differ.
    pub(super) go: Option<(StatusCode, &'static str)>,
}

/// Data about an error for programs.
#[derive(Debug, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub enum Details {
    /// The amount exceeds the refundable balance.
    OverRefund {
        requested: i64,
        refundable: i64,
        currency: String,
    },
    /// The balance is not the expected one.
    Balance {
        expected: i64,
        refundable: i64,
    },
    /// The refund that is in the way.
    Refund {
        refund_id: String,
    },
    /// The payment that is in the way.
    Payment {
        payment_id: String,
    },
    /// The hold that is in the way.
    Hold {
        hold_id: String,
    },
    Currencies {
        currencies: Vec<String>,
    },
    /// The scope that the key lacks.
    MissingScope {
        #[serde(rename = "scope")]
        missing: String,
    },
}

impl Problem {
    pub fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        let message = message.into();
        Self { status, code, message, field: None, details: None, retry_after_s: None, go: None }
    }

    /// The resource does not exist for this account and mode.
    pub fn not_found(what: &str) -> Self {
        let message = format!(
            "no such {what} for this account and mode; check the id, and that the key is of the \
             account and mode it was made in"
        );
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    #[must_use]
    pub fn about(self, field: &'static str) -> Self {
        Self { field: Some(field.into()), ..self }
    }

    /// The same with data for programs.
    #[must_use]
    pub fn with(self, details: Details) -> Self {
        Self { details: Some(Box::new(details)), ..self }
    }

    /// The same with the status and code of the error table `profile`.
    #[must_use]
    pub fn in_profile(self, profile: ErrorProfile) -> Self {
        match (profile, self.go) {
            (ErrorProfile::Go, Some((status, code))) => Self { status, code, ..self },
            (ErrorProfile::Go, None) | (ErrorProfile::Node, _) => self,
        }
    }

    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal_error",
            "something failed on our side; nothing can be done but to report the request id",
        )
    }

    /// A temporary failure.
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

impl From<RateLimited> for Problem {
    fn from(limited: RateLimited) -> Self {
        let seconds = limited.seconds();
        let message = format!("too many requests; send the next one in {seconds} s");
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message);
        Self { retry_after_s: Some(seconds), ..problem }
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
            Refused::MissingScope(missing) => {
                let message = format!("this key lacks the scope {missing}; use a key that has it");
                let message = if missing == PLATFORM_ADMIN {
                    format!("{message}, or do not act on behalf of another account")
                } else {
                    message
                };
                Self::new(StatusCode::FORBIDDEN, "insufficient_scope", message)
                    .with(Details::MissingScope { missing })
            }
            Refused::UnknownAccount => Self::new(
                StatusCode::NOT_FOUND,
                "not_found",
                "there is no such account to act on behalf of; check its id, acc_…",
            ),
            Refused::Invalid(invalid) => invalid.into(),
            Refused::Engine(error) => error.into(),
        }
    }
}
