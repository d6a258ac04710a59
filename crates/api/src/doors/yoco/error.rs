//! Errors as this door prints them. Clients read different fields, so all of them have the same
//! text. Only errors have a `description`.

use crate::http::admit::RateLimited;
use crate::http::auth::Refused;
use crate::http::body::BodyError;
use crate::http::invalid::Invalid;
use crate::http::problem;
use crate::openapi::{Schema, printed};
use domain::decide::Refusal;
use domain::payment::Status;
use http::StatusCode;
use std::borrow::Cow;

/// Text for a missing or wrong key.
pub const KEY_REQUIRED: &str = "A key is required, but has not been specified.";
/// Text while the first request under an idempotency key is in progress.
pub const CONFLICT: &str = "Conflict";
/// Text for an idempotency key that was used for another request.
pub const MISMATCH: &str =
    "The request payload (method, path, parameters) does not match the original request.";
/// Text for a payment without a refundable balance; shop systems treat it as a success.
pub const REFUNDED: &str = "Payment has already been refunded.";

const TYPES: [&str; 5] = [
    "invalid_request_error",
    "authentication_error",
    "idempotency_error",
    "refund_error",
    "api_error",
];

#[derive(Debug)]
pub struct Problem {
    pub status: StatusCode,
    /// The stable word that clients branch on.
    pub code: &'static str,
    pub description: Cow<'static, str>,
    /// A longer text that says what to do.
    pub message: Option<Cow<'static, str>>,
    /// Seconds after which it makes sense to try again.
    pub retry_after_s: Option<u32>,
}

printed! {
    #[serde(rename_all = "camelCase")]
    pub struct Body<'a> {
        error_type: &'static str = Schema::words(TYPES),
        error_code: &'static str = Schema::string().says("The stable word to branch on."),
        error_message: &'a str = Schema::string().says("What was wrong and what to do."),
        display_message: &'a str = Schema::string().says("What was wrong."),
        message: &'a str = Schema::string().says("The same as `errorMessage`."),
        description: &'a str = Schema::string()
            .says("The same as `displayMessage`. No other answer has it."),
    }
}

impl Problem {
    pub fn new(
        status: StatusCode,
        code: &'static str,
        description: impl Into<Cow<'static, str>>,
    ) -> Self {
        let description = description.into();
        Self { status, code, description, message: None, retry_after_s: None }
    }

    /// The same with a text that says what to do.
    #[must_use]
    pub fn says(self, message: impl Into<Cow<'static, str>>) -> Self {
        Self { message: Some(message.into()), ..self }
    }

    /// The resource does not exist for the account and mode of the key.
    pub fn not_found(what: &str) -> Self {
        let text = format!(
            "no such {what}; check the id, and that the key is of the account and mode it was made \
             in"
        );
        Self::new(StatusCode::NOT_FOUND, "not_found", text)
    }

    /// A refund that cannot be made.
    pub fn refund(code: &'static str, description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, description)
    }

    /// Nothing is left to refund.
    pub fn already_refunded() -> Self {
        Self::refund("already_refunded", REFUNDED)
    }

    /// The first request under the key is being processed.
    pub fn running() -> Self {
        let problem = Self::new(StatusCode::CONFLICT, "idempotency_in_progress", CONFLICT);
        Self { retry_after_s: Some(1), ..problem }.says(
            "a request with this Idempotency-Key is being processed; send it again later, or use \
             another key",
        )
    }

    /// The key came before with another request.
    pub fn mismatch() -> Self {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Self::new(status, "idempotency_mismatch", MISMATCH)
            .says("this Idempotency-Key was used for another request; use a new key for this one")
    }

    pub fn internal() -> Self {
        let text = "something failed on our side; report the X-Request-Id of this answer";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", text)
    }
    pub fn body(&self) -> Vec<u8> {
        let message = self.message.as_deref().unwrap_or(&self.description);
        let body = Body {
            error_type: self.kind(),
            error_code: self.code,
            error_message: message,
            display_message: &self.description,
            message,
            description: &self.description,
        };
        // Strings always print; an empty body would still carry the status.
        serde_json::to_vec(&body).unwrap_or_default()
    }

    fn kind(&self) -> &'static str {
        match (self.status.as_u16(), self.code) {
            (403, _) => "authentication_error",
            (409 | 422, _) => "idempotency_error",
            (500.., _) => "api_error",
            (400, code) if code != INVALID => "refund_error",
            _ => "invalid_request_error",
        }
    }
}

/// The code of a request that cannot be accepted as it is.
const INVALID: &str = "invalid_request";

impl From<problem::Problem> for Problem {
    fn from(problem: problem::Problem) -> Self {
        let code = if problem.code == "validation_error" { INVALID } else { problem.code };
        let retry_after_s = problem.retry_after_s;
        Self { retry_after_s, ..Self::new(problem.status, code, problem.message) }
    }
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        problem::Problem::from(invalid).into()
    }
}

impl From<RateLimited> for Problem {
    fn from(limited: RateLimited) -> Self {
        problem::Problem::from(limited).into()
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        problem::Problem::from(error).into()
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let no_key = |code, text: &'static str| {
            Self::new(StatusCode::FORBIDDEN, code, KEY_REQUIRED).says(text)
        };
        match refused {
            Refused::Unauthorized(_) => {
                no_key("api_key_missing", "send Authorization: Bearer <secret key>")
            }
            Refused::InvalidKey
            | Refused::InvalidSignature
            | Refused::InvalidTimestamp
            | Refused::TimestampSkew { .. } => no_key(
                "wrong_api_key",
                "there is no such key, or it was revoked; send another in Authorization: Bearer \
                 <secret key>",
            ),
            Refused::MissingScope(scope) => {
                let text = format!("this key lacks the scope {scope}; use a key that has it");
                Self::new(StatusCode::FORBIDDEN, "insufficient_scope", text)
            }
            Refused::UnknownAccount => Self::not_found("account"),
            Refused::Invalid(invalid) => invalid.into(),
            Refused::Engine(error) => error.into(),
        }
    }
}

impl Problem {
    fn nothing_left(status: Status) -> Self {
        match status {
            Status::Refunded | Status::Reversed => Self::already_refunded(),
            Status::Succeeded => Self::refund(
                "refund_in_progress",
                "a refund of everything that is left is being processed, or a dispute holds the rest; \
                 wait for the outcome",
            ),
        }
    }
}

impl From<engine::Error> for Problem {
    fn from(error: engine::Error) -> Self {
        match error {
            engine::Error::Refused(refusal) => refusal.into(),
            engine::Error::InProgress => Self::running(),
            engine::Error::ProviderAccount(_)
            | engine::Error::Invalid { .. }
            | engine::Error::Busy
            | engine::Error::NotTakenBack
            | engine::Error::TimedOut
            | engine::Error::Store(_) => problem::Problem::from(error).into(),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::PaymentNotFound | Refusal::CheckoutNotFound => Self::not_found("checkout"),
            Refusal::RefundNotFound => Self::not_found("refund"),
            Refusal::EndpointNotFound => Self::not_found("webhook"),
            Refusal::KeyReused => Self::mismatch(),
            Refusal::NotPaid { .. } => Self::refund(
                "not_paid",
                "the checkout is not paid; only a completed checkout can be refunded",
            ),
            Refusal::OverRefund { refundable, status, .. } if refundable.minor == 0 => {
                Self::nothing_left(status)
            }
            Refusal::OverRefund { requested, refundable, .. } => Self::refund(
                "amount_too_large",
                format!(
                    "amount is {} and {} is refundable; ask for at most that",
                    requested.minor, refundable.minor
                ),
            ),
            Refusal::NothingRefundable { status } => Self::nothing_left(status),
            Refusal::TooManyEndpoints => {
                Self::new(StatusCode::BAD_REQUEST, INVALID, format!("{refusal}; delete one"))
            }
            Refusal::ProviderNotConfigured(_) => problem::Problem::of_refusal(&refusal).into(),
            Refusal::InvoiceNotFound
            | Refusal::NotPossible { .. }
            | Refusal::CannotResolve(_)
            | Refusal::NoProof
            | Refusal::ProviderRefundTaken(_)
            | Refusal::HoldNotFound
            | Refusal::DisputeHeld(_)
            | Refusal::HoldEnded(_)
            | Refusal::DeliveryNotFound
            | Refusal::AlreadyQueued
            | Refusal::EndpointDisabled
            | Refusal::ReferenceTaken(_)
            | Refusal::ChargeTaken(_)
            | Refusal::PaymentExists(_)
            | Refusal::CurrencyMismatch { .. }
            | Refusal::BalanceChanged { .. }
            | Refusal::TooLateToCancel(_)
            | Refusal::NotDue
            | Refusal::Impossible { .. }
            | Refusal::NoAmount
            | Refusal::InvoiceIs { .. }
            | Refusal::InvoiceCannotBeSent(_)
            | Refusal::AttemptInFlight
            | Refusal::TooLarge
            | Refusal::CheckoutIs { .. } => {
                Self::new(StatusCode::BAD_REQUEST, INVALID, refusal.to_string())
            }
        }
    }
}
