//! Errors as this door prints them. The documentation of that system says what is refused and not in
//! which words, so the table is Refundry's own; `docs/elasticpay.md` lists it.

use super::wire::state_word;
use crate::http::admit::RateLimited;
use crate::http::auth::Refused;
use crate::http::body::BodyError;
use crate::http::invalid::Invalid;
use crate::http::problem;
use domain::checkout::State;
use domain::decide::Refusal;
use domain::payment::{Kind, Status};
use http::StatusCode;
use std::borrow::Cow;

/// An answer that is an error. The words are Refundry's own where this door has no others.
#[derive(Debug)]
pub struct Problem(pub problem::Problem);

/// Everything that any operation refuses, and when.
pub const CODES: &[(u16, &str, &str)] = &[
    (400, "validation_error", "part of the request cannot be accepted; `field` names it"),
    (401, "unauthorized", "no credentials, or none of a kind that is known"),
    (401, "invalid_key", "there is no such key, or it was revoked"),
    (401, "invalid_signature", "the signature does not fit the request"),
    (401, "invalid_timestamp", "a signed request without a readable time"),
    (401, "timestamp_skew", "signed more than 300 seconds away from the server's clock"),
    (403, "insufficient_scope", "the key may not do this"),
    (404, "not_found", "nothing of that name exists for the account and mode of the key"),
    (408, "request_timeout", "the body did not arrive in time"),
    (409, "idempotency_conflict", "the Idempotency-Key was used for another request"),
    (409, "idempotency_in_progress", "a request with this Idempotency-Key is being processed"),
    (409, "payment_intent_not_succeeded", "only an intent that is succeeded can be refunded"),
    (
        409,
        "nothing_refundable",
        "everything is on its way back in refunds that are pending, or is held",
    ),
    (409, "payment_intent_unexpected_state", "the intent is not in a state that allows it"),
    (413, "payload_too_large", "the body is too large"),
    (415, "unsupported_media_type", "the body is not said to be `application/json` in UTF-8"),
    (422, "amount_too_large", "more was asked for than can be refunded"),
    (429, "rate_limited", "too many requests; `Retry-After` says when to send the next one"),
    (500, "internal_error", "something failed on the server; report the request id"),
    (503, "service_unavailable", "the answer is not known: send the same request again"),
];

/// The error type that goes with a status.
pub const fn type_of(status: u16) -> &'static str {
    match status {
        401 => "authentication",
        403 => "permission",
        404 => "not_found",
        409 => "conflict",
        429 => "rate_limit",
        500.. => "server",
        _ => "validation",
    }
}

impl Problem {
    pub fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(problem::Problem::new(status, code, message))
    }

    #[must_use]
    pub fn about(self, field: &'static str) -> Self {
        Self(self.0.about(field))
    }

    pub fn internal() -> Self {
        Self(problem::Problem::internal())
    }

    /// No such intent exists.
    pub fn no_intent() -> Self {
        Self(problem::Problem::not_found("payment intent"))
    }

    /// The intent cannot be refunded as it is.
    pub fn not_succeeded(status: &str) -> Self {
        let hint = match status {
            "refunded" => "everything that was charged has been refunded",
            "canceled" => "nothing was charged",
            _ => "confirm it and wait until it is succeeded",
        };
        Self::new(
            StatusCode::CONFLICT,
            "payment_intent_not_succeeded",
            format!(
                "the payment intent is {status}, and only one that is succeeded can be refunded; \
                 {hint}"
            ),
        )
    }

    /// The state of the intent does not allow the operation.
    pub fn unexpected_state(status: &str) -> Self {
        let hint = match status {
            "succeeded" => "refund it instead",
            _ => "read it again",
        };
        Self::new(
            StatusCode::CONFLICT,
            "payment_intent_unexpected_state",
            format!("the payment intent is {status}, and then this cannot be done; {hint}"),
        )
    }

    fn of_refusal(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::PaymentNotFound | Refusal::CheckoutNotFound => Self::no_intent(),
            // An unpaid invoice is not an intent.
            Refusal::NotPaid { kind: Kind::Invoice, .. } => Self::no_intent(),
            Refusal::NotPaid { status, .. } => {
                let state = State::from_text(status);
                Self::not_succeeded(state.map_or("not paid", state_word))
            }
            Refusal::CheckoutIs { state, .. } => Self::unexpected_state(state_word(*state)),
            Refusal::KeyReused => Self::new(
                StatusCode::CONFLICT,
                "idempotency_conflict",
                "this Idempotency-Key was used for another request; use a new key for a new request",
            )
            .about("Idempotency-Key"),
            Refusal::OverRefund { status: Status::Refunded | Status::Reversed, .. }
            | Refusal::NothingRefundable { status: Status::Refunded | Status::Reversed } => {
                Self::not_succeeded("refunded")
            }
            Refusal::OverRefund { requested, refundable, status: Status::Succeeded } => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "amount_too_large",
                format!(
                    "{} was asked for and {} can be refunded, counting refunds that are pending; \
                     ask for less, or leave amount_cents out to refund all that remains",
                    requested.minor, refundable.minor
                ),
            )
            .about("amount_cents"),
            Refusal::NothingRefundable { status: Status::Succeeded } => Self::new(
                StatusCode::CONFLICT,
                "nothing_refundable",
                "everything that was charged is on its way back in refunds that are pending, or is \
                 held because of a dispute; list the refunds to see them",
            ),
            // These refusals have no words of their own in this door.
            Refusal::RefundNotFound
            | Refusal::InvoiceNotFound
            | Refusal::EndpointNotFound
            | Refusal::DeliveryNotFound
            | Refusal::TooManyEndpoints
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
            | Refusal::ProviderNotConfigured(_)
            | Refusal::NotPossible { .. }
            | Refusal::CannotResolve(_)
            | Refusal::NoProof
            | Refusal::ProviderRefundTaken(_)
            | Refusal::HoldNotFound
            | Refusal::DisputeHeld(_)
            | Refusal::HoldEnded(_)
            | Refusal::TooLarge => Self(problem::Problem::of_refusal(refusal)),
        }
    }
}

impl From<engine::Error> for Problem {
    fn from(error: engine::Error) -> Self {
        match error {
            engine::Error::Refused(refusal) => Self::of_refusal(&refusal),
            engine::Error::ProviderAccount(_)
            | engine::Error::Invalid { .. }
            | engine::Error::Busy
            | engine::Error::InProgress
            | engine::Error::NotTakenBack
            | engine::Error::TimedOut
            | engine::Error::Store(_) => Self(error.into()),
        }
    }
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        Self(invalid.into())
    }
}

impl From<RateLimited> for Problem {
    fn from(limited: RateLimited) -> Self {
        Self(limited.into())
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        Self(error.into())
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        if let Refused::UnknownAccount = refused {
            let message = "there is no such biller to act for; check its id, biller_…";
            return Self::new(StatusCode::NOT_FOUND, "not_found", message)
                .about("X-Biller-Account");
        }
        Self(refused.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::checkout::Fact;
    use domain::money::{Currency, Money};

    #[test]
    fn every_refusal_of_a_refund_has_its_words() {
        let usd = |minor| Money::new(minor, Currency::parse("USD").expect("a currency"));
        let over = |status| Refusal::OverRefund { requested: usd(5), refundable: usd(3), status };
        let nothing_left = |status| Refusal::NothingRefundable { status };
        let open = || Refusal::NotPaid { kind: Kind::PaymentIntent, status: "open" };
        let draft = || Refusal::NotPaid { kind: Kind::Invoice, status: "draft" };
        let state = || Refusal::CheckoutIs { state: State::Canceled, fact: Fact::Started };
        for (refusal, expected) in [
            (over(Status::Succeeded), "422 validation amount_too_large amount_cents"),
            (over(Status::Refunded), "409 conflict payment_intent_not_succeeded "),
            (over(Status::Reversed), "409 conflict payment_intent_not_succeeded "),
            (nothing_left(Status::Succeeded), "409 conflict nothing_refundable "),
            (nothing_left(Status::Refunded), "409 conflict payment_intent_not_succeeded "),
            (open(), "409 conflict payment_intent_not_succeeded "),
            (draft(), "404 not_found not_found "),
            (state(), "409 conflict payment_intent_unexpected_state "),
            (Refusal::PaymentNotFound, "404 not_found not_found "),
            (Refusal::KeyReused, "409 conflict idempotency_conflict Idempotency-Key"),
            (Refusal::TooLarge, "400 validation validation_error "),
        ] {
            let Problem(problem) = Problem::from(engine::Error::from(refusal));
            assert!(problem.message.len() > 20, "{}", problem.message);
            let (status, field) = (problem.status.as_u16(), problem.field.unwrap_or_default());
            assert_eq!(format!("{status} {} {} {field}", type_of(status), problem.code), expected);
        }
    }

    #[test]
    fn messages_say_how_the_intent_stands() {
        let open = Refusal::NotPaid { kind: Kind::PaymentIntent, status: "open" };
        let message = Problem::from(engine::Error::from(open)).0.message;
        assert!(message.contains("requires_payment_method"), "{message}");
    }
}
