//! Refusals of the engine in Refundry's own words.
//!
//! The two references of the native API disagree about the codes of refused refunds; an error
//! profile selects one of the tables. [`code_of`] has both tables.

use super::print::camel_case;
use super::problem::{Details, Problem};
use crate::http::invalid::Invalid;
use domain::decide::{ACCOUNT_DELETED, Refusal};
use domain::ids::{PaymentId, RefundId};
use domain::invoice;
use domain::money::Money;
use domain::payment::Kind;
use domain::provider_account;
use engine::access::ErrorProfile;
use http::StatusCode;

const STATE: (StatusCode, &str) = (StatusCode::CONFLICT, "state_conflict");

/// The status and code of a refusal in the caller's error profile.
fn code_of(refusal: &Refusal, profile: ErrorProfile) -> (StatusCode, &'static str) {
    const INVALID: (StatusCode, &str) = (StatusCode::BAD_REQUEST, "validation_error");
    const NOT_FOUND: (StatusCode, &str) = (StatusCode::NOT_FOUND, "not_found");
    const CONFLICT: (StatusCode, &str) = (StatusCode::CONFLICT, "conflict");
    const OVER: (StatusCode, &str) = (StatusCode::UNPROCESSABLE_ENTITY, "over_refund");
    match (refusal, profile) {
        (Refusal::OverRefund { .. }, ErrorProfile::Node) => OVER,
        (Refusal::NothingRefundable { .. }, ErrorProfile::Node) => STATE,
        (Refusal::OverRefund { .. } | Refusal::NothingRefundable { .. }, ErrorProfile::Go) => {
            INVALID
        }
        (
            Refusal::PaymentNotFound
            | Refusal::RefundNotFound
            | Refusal::CheckoutNotFound
            | Refusal::InvoiceNotFound
            | Refusal::HoldNotFound
            | Refusal::EndpointNotFound
            | Refusal::DeliveryNotFound,
            _,
        ) => NOT_FOUND,
        (Refusal::NotPossible { code: ACCOUNT_DELETED, .. }, _)
        | (Refusal::NotPaid { .. }, ErrorProfile::Node) => STATE,
        (Refusal::NotPaid { .. }, ErrorProfile::Go) => NOT_FOUND,
        (
            Refusal::CurrencyMismatch { .. }
            | Refusal::NoAmount
            | Refusal::TooLarge
            | Refusal::NotPossible { .. }
            | Refusal::NoProof,
            _,
        ) => INVALID,
        (
            Refusal::KeyReused
            | Refusal::ReferenceTaken(_)
            | Refusal::ChargeTaken(_)
            | Refusal::PaymentExists(_)
            | Refusal::ProviderRefundTaken(_)
            | Refusal::DisputeHeld(_)
            | Refusal::CheckoutIs { .. },
            _,
        ) => CONFLICT,
        (
            Refusal::BalanceChanged { .. }
            | Refusal::TooLateToCancel(_)
            | Refusal::CannotResolve(_)
            | Refusal::HoldEnded(_)
            | Refusal::NotDue
            | Refusal::Impossible { .. }
            | Refusal::InvoiceIs { .. }
            | Refusal::InvoiceCannotBeSent(_)
            | Refusal::AttemptInFlight
            | Refusal::TooManyEndpoints,
            _,
        ) => STATE,
        (Refusal::ProviderNotConfigured(_), _) => {
            (StatusCode::SERVICE_UNAVAILABLE, "service_unavailable")
        }
        (Refusal::AlreadyQueued, _) => (StatusCode::CONFLICT, "already_queued"),
        (Refusal::EndpointDisabled, _) => (StatusCode::CONFLICT, "endpoint_disabled"),
    }
}

impl From<engine::Error> for Problem {
    fn from(error: engine::Error) -> Self {
        match error {
            engine::Error::Refused(refusal) => Self::of_refusal(&refusal),
            engine::Error::ProviderAccount(refusal) => of_provider_account(refusal),
            engine::Error::Invalid { field, message } => {
                // The engine names fields as `domain` does.
                Invalid::field(camel_case(field), message).into()
            }
            engine::Error::InProgress => Self {
                retry_after_s: Some(1),
                ..Self::new(
                    StatusCode::CONFLICT,
                    "idempotency_in_progress",
                    "a request with this Idempotency-Key is still being processed; send it again \
                     in a second",
                )
            },
            engine::Error::NotTakenBack => Self::new(
                STATE.0,
                STATE.1,
                "the provider could not be asked to take the refund back, or did not say whether it did; \
                 read the refund again, and cancel it again if it still waits",
            ),
            engine::Error::Busy => {
                Self::unavailable("the server is busy and nothing was done; try again")
            }
            engine::Error::TimedOut => Self::unavailable(
                "the database did not answer in time; send the request again with the same \
                 Idempotency-Key to learn what became of it",
            ),
            engine::Error::Store(cause) => {
                tracing::error!(error = %cause, cause = ?std::error::Error::source(&*cause), "the database failed");
                Self::unavailable("the database is not available; try again")
            }
        }
    }
}

impl Problem {
    pub fn of_refusal(refusal: &Refusal) -> Self {
        let (status, code) = code_of(refusal, ErrorProfile::Node);
        let go = Some(code_of(refusal, ErrorProfile::Go));
        let says = |message: String| Self { go, ..Self::new(status, code, message) };
        match *refusal {
            Refusal::PaymentNotFound => Self::not_found("payment"),
            Refusal::RefundNotFound => Self::not_found("refund"),
            Refusal::HoldNotFound => Self::not_found("hold"),
            Refusal::TooManyEndpoints => says(format!("{refusal}; delete one")),
            Refusal::AlreadyQueued => {
                says(format!("{refusal}; wait for its next attempt, nextRetryAt"))
            }
            Refusal::EndpointDisabled => {
                says(format!("{refusal}; activate it with PATCH first"))
            }
            Refusal::CheckoutNotFound => Self::not_found("checkout session"),
            Refusal::InvoiceNotFound => Self::not_found("invoice"),
            Refusal::EndpointNotFound => Self::not_found("webhook endpoint"),
            Refusal::DeliveryNotFound => Self::not_found("delivery"),
            Refusal::KeyReused => says(
                "this Idempotency-Key was used for another request; use a new key for a new request"
                    .to_owned(),
            ),
            Refusal::ReferenceTaken(refund) => reference_taken(says, refund),
            Refusal::ChargeTaken(payment) => says(format!(
                "this providerPaymentId is registered as {payment} with other facts; use \
                 {payment}, or send the same facts"
            ))
            .about("providerPaymentId")
            .with(Details::Payment { payment_id: payment.to_string() }),
            Refusal::PaymentExists(payment) => payment_exists(says, payment),
            Refusal::CurrencyMismatch { expected, given } => says(format!(
                "the payment is in {expected}, not {given}; send {expected} or leave currency out"
            ))
            .about("currency"),
            Refusal::OverRefund { requested, refundable, .. } => {
                over_refund(says, requested, refundable)
            }
            Refusal::NothingRefundable { .. } => says(
                "amount exceeds refundable balance: nothing remains, the payment is refunded, its \
                 refunds are under way or its money is held; list its refunds and holds to see them"
                    .to_owned(),
            ),
            Refusal::BalanceChanged { expected, refundable } => says(format!(
                "{expected} was expected to be refundable and {refundable} is; read the payment \
                 again and decide anew"
            ))
            .about("expectedRefundable")
            .with(Details::Balance { expected, refundable }),
            Refusal::TooLateToCancel(state) => says(format!(
                "a refund that is {state} cannot be canceled; only one that was not sent to the \
                 provider can, or one that waits there and that the provider takes back"
            )),
            Refusal::CannotResolve(state) => says(format!(
                "a refund that is {state} cannot be resolved by hand; only one whose outcome is in \
                 doubt or disputed can"
            )),
            Refusal::NoProof => says(
                "send_again needs proof that the provider does not have this refund: say in \
                 proof.text where you looked and what you saw; a refund that the provider has given \
                 an id is there and is never sent again"
                    .to_owned(),
            )
            .about("proof"),
            Refusal::ProviderRefundTaken(refund) => {
                says(format!("proof.providerRefundId belongs to {refund}; look at that refund"))
                    .about("proof")
                    .with(Details::Refund { refund_id: refund.to_string() })
            }
            Refusal::DisputeHeld(hold) => says(format!(
                "money is held for this dispute already, as {hold} and with other facts; a reference \
                 names one dispute"
            ))
            .about("reference")
            .with(Details::Hold { hold_id: hold.to_string() }),
            Refusal::HoldEnded(state) => says(format!(
                "a hold that is {state} has ended; only an open one can be released or booked"
            )),
            Refusal::ProviderNotConfigured(ref provider) => says(format!(
                "the payment is held by {provider}, which is not configured here; nothing was done"
            )),
            Refusal::NotPossible { code: "paid_by_hand", ref message } => {
                says(message.clone()).about("outcome")
            }
            Refusal::NotPossible { code: ACCOUNT_DELETED, ref message } => says(message.clone()),
            Refusal::NotPossible { ref message, .. } => says(message.clone()).about("amount"),
            Refusal::CheckoutIs { state, .. } => says(format!(
                "the session is {state}, and then this cannot be done; read it again"
            )),
            Refusal::InvoiceIs { state, .. } => says(invoice_is(state)),
            Refusal::InvoiceCannotBeSent(state) => {
                says(format!("an invoice that is {state} cannot be sent; finalize it first"))
            }
            Refusal::AttemptInFlight => says(
                "a payment attempt is under way and must end first; try again in a moment".to_owned(),
            ),
            Refusal::NotPaid { kind, status } => says(not_paid(kind, status)),
            Refusal::NotDue
            | Refusal::Impossible { .. }
            | Refusal::NoAmount
            | Refusal::TooLarge => says(refusal.to_string()),
        }
    }
}

fn of_provider_account(refusal: provider_account::Refusal) -> Problem {
    let conflict = |message| Problem::new(StatusCode::CONFLICT, "state_conflict", message);
    match refusal {
        provider_account::Refusal::NotFound => Problem::not_found("provider account"),
        provider_account::Refusal::Deleted => {
            conflict(format!("{refusal}; create another in its place"))
        }
        provider_account::Refusal::TooMany => conflict(format!("{refusal}; delete one")),
    }
}

fn invoice_is(state: invoice::State) -> String {
    let hint = match state {
        invoice::State::Draft => "finalize it first",
        invoice::State::Paid => "refund it instead",
        invoice::State::Open
        | invoice::State::PastDue
        | invoice::State::Void
        | invoice::State::Uncollectible => "read it again",
    };
    format!("the invoice is {state}, and then this cannot be done; {hint}")
}

fn not_paid(kind: Kind, status: &str) -> String {
    if kind == Kind::Invoice && status == invoice::State::Paid.as_str() {
        return "the invoice was paid elsewhere, so there is no charge that could be refunded; give \
                the money back the way it came"
            .to_owned();
    }
    format!("the {kind} is {status} and not paid, so there is nothing to refund")
}

fn reference_taken(says: impl Fn(String) -> Problem, refund: RefundId) -> Problem {
    says(format!(
        "this reference belongs to refund {refund}, which was another request; a reference names \
         one refund forever"
    ))
    .about("reference")
    .with(Details::Refund { refund_id: refund.to_string() })
}

fn payment_exists(says: impl Fn(String) -> Problem, payment: PaymentId) -> Problem {
    says(format!("{payment} exists already; use it"))
        .with(Details::Payment { payment_id: payment.to_string() })
}

fn over_refund(says: impl Fn(String) -> Problem, asked: Money, left: Money) -> Problem {
    let (requested, refundable) = (asked.minor, left.minor);
    says(format!(
        "amount exceeds refundable balance: {requested} ({asked}) was asked for and {refundable} \
         ({left}) is refundable; ask for less, or leave amount out to refund all that remains"
    ))
    .about("amount")
    .with(Details::OverRefund { requested, refundable, currency: asked.currency.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::money::Currency;
    use domain::payment;
    use domain::refund::{Fact, State};

    fn usd() -> Currency {
        Currency::parse("USD").expect("a currency")
    }

    fn over(requested: i64, refundable: i64) -> Refusal {
        Refusal::OverRefund {
            requested: Money::new(requested, usd()),
            refundable: Money::new(refundable, usd()),
            status: payment::Status::Succeeded,
        }
    }

    fn nothing_left() -> Refusal {
        Refusal::NothingRefundable { status: payment::Status::Succeeded }
    }

    fn table(profile: ErrorProfile) -> Vec<String> {
        let refund = RefundId::from_bytes([1; 16]);
        let payment = PaymentId::from_bytes([2; 16]);
        [
            over(5, 3),
            nothing_left(),
            Refusal::PaymentNotFound,
            Refusal::RefundNotFound,
            Refusal::KeyReused,
            Refusal::ReferenceTaken(refund),
            Refusal::ChargeTaken(payment),
            Refusal::PaymentExists(payment),
            Refusal::CurrencyMismatch { expected: usd(), given: usd() },
            Refusal::BalanceChanged { expected: 5, refundable: 3 },
            Refusal::TooLateToCancel(State::Sending),
            Refusal::NotDue,
            Refusal::Impossible { state: State::Failed, fact: Fact::Approved },
            Refusal::NoAmount,
            Refusal::TooLarge,
        ]
        .into_iter()
        .map(|refusal| {
            let problem = Problem::of_refusal(&refusal).in_profile(profile);
            assert!(!problem.message.is_empty());
            let field = problem.field.unwrap_or_default();
            format!("{} {} {field}", problem.status.as_u16(), problem.code)
        })
        .collect()
    }

    #[test]
    fn every_refusal_has_the_code_of_its_page() {
        let both = [
            "404 not_found ",
            "404 not_found ",
            "409 conflict ",
            "409 conflict reference",
            "409 conflict providerPaymentId",
            "409 conflict ",
            "400 validation_error currency",
            "409 state_conflict expectedRefundable",
            "409 state_conflict ",
            "409 state_conflict ",
            "409 state_conflict ",
            "400 validation_error ",
            "400 validation_error ",
        ];
        let node = table(ErrorProfile::Node);
        assert_eq!(node[..2], ["422 over_refund amount", "409 state_conflict "]);
        assert_eq!(node[2..], both);
        let go = table(ErrorProfile::Go);
        assert_eq!(go[..2], ["400 validation_error amount", "400 validation_error "]);
        assert_eq!(go[2..], both);
    }

    #[test]
    fn messages_about_the_balance_hold_the_words_that_go_clients_look_for() {
        for refusal in [over(500, 300), nothing_left()] {
            let problem = Problem::of_refusal(&refusal).in_profile(ErrorProfile::Go);
            assert!(problem.message.contains("amount exceeds refundable balance"));
        }
    }

    #[test]
    fn details_print_as_documented() {
        for (refusal, expected) in [
            (over(500, 300), r#"{"requested":500,"refundable":300,"currency":"USD"}"#),
            (
                Refusal::BalanceChanged { expected: 500, refundable: 300 },
                r#"{"expected":500,"refundable":300}"#,
            ),
            (
                Refusal::ReferenceTaken(RefundId::from_bytes([0; 16])),
                r#"{"refundId":"rfd_00000000000000000000000000"}"#,
            ),
        ] {
            let problem = Problem::of_refusal(&refusal);
            let details = serde_json::to_string(&problem.details).expect("details print");
            assert_eq!(details, expected);
        }
    }

    #[test]
    fn engine_fields_are_printed_as_the_wire_names_them() {
        let error = engine::Error::Invalid { field: "provider_payment_id", message: "no".into() };
        let problem = Problem::from(error);
        assert_eq!(problem.field.as_deref(), Some("providerPaymentId"));
        assert_eq!(problem.status, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn a_refund_that_may_have_been_taken_back_is_a_conflict_of_states_in_both_profiles() {
        let problem = Problem::from(engine::Error::NotTakenBack);
        assert_eq!((problem.status, problem.code), (StatusCode::CONFLICT, "state_conflict"));
        assert_eq!((problem.go, problem.field), (None, None));
        assert!(problem.message.contains("read the refund again"), "{}", problem.message);
    }

    #[test]
    fn what_may_pass_says_when_to_try_again() {
        for (error, status) in [
            (engine::Error::Busy, 503),
            (engine::Error::TimedOut, 503),
            (engine::Error::InProgress, 409),
        ] {
            let problem = Problem::from(error);
            assert_eq!((problem.status.as_u16(), problem.retry_after_s), (status, Some(1)));
        }
    }
}
