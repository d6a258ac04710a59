//! What the OpenAPI document says about this door.

use crate::openapi::Chapter;
use crate::openapi::operation::{Answer, Operation, Parameter};
use crate::openapi::schema::{Fields, Schema};
use domain::account::Mode;
use domain::money::MAX_AMOUNT;
use engine::simulator::RefundStatus;
use http::Method;
use serde_json::json;

const TAG: &str = "Simulator";

/// This door's part of the document.
pub fn chapter() -> Chapter {
    Chapter {
        tags: vec![(
            TAG,
            "What staff and merchants would do in a provider's own dashboard, for the built-in \
             simulated provider. It is served only where the simulator is configured and asks for \
             no key. Errors are `{\"error\": \"…\"}`.",
        )],
        operations: vec![show_payment(), make_refund(), change("fail"), change("complete")],
        schemas: vec![
            ("SimulatorPayment", payment()),
            ("SimulatorRefund", refund()),
            ("SimulatorRefusal", Fields::new().must("error", Schema::string()).closed()),
        ],
        ..Chapter::default()
    }
}

fn show_payment() -> Operation {
    Operation::new(
        Method::GET,
        "/simulator/payments/{charge}",
        "showSimulatorPayment",
        TAG,
        "Show the simulator's book of a payment",
    )
    .takes([charge()])
    .takes(whose())
    .answers(Answer::json(200, "Its book.", Schema::named("SimulatorPayment")))
    .answers(refusal(400, "A parameter cannot be accepted."))
    .answers(refusal(404, "Nobody knows such a payment, or there is no such account."))
    .answers(refusal(503, "The book cannot be read."))
}

fn make_refund() -> Operation {
    let body = Fields::new()
        .must("amount", Schema::integer(1).with("maximum", MAX_AMOUNT).says("Minor units."))
        .may(
            "currency",
            Schema::matching("^[A-Z]{3}$").says("The payment's when absent.").or_null(),
        )
        .may("accountId", Schema::text(64).says("Whose payment it is.").or_null())
        .may("mode", mode().says("In which mode it was made.").or_null())
        .open();
    Operation::new(
        Method::POST,
        "/simulator/payments/{charge}/refunds",
        "makeSimulatorRefund",
        TAG,
        "Make a refund at the provider",
    )
    .says("Behind Refundry's back, as a merchant would in the provider's dashboard.")
    .takes([charge()])
    .reads(true, body, &[("part", "A part of a payment", json!({"amount": 500}))])
    .answers(Answer::json(201, "The refund was made.", Schema::named("SimulatorRefund")))
    .answers(refusal(400, "Part of the request cannot be accepted."))
    .answers(refusal(404, "No payment is registered with this id, or there is no such account."))
    .answers(refusal(409, "Several payments are registered with this id."))
    .answers(refusal(413, "The body is too large."))
    .answers(refusal(415, "The body is not said to be `application/json` in UTF-8."))
    .answers(refusal(503, "The book cannot be written."))
}

fn change(what: &str) -> Operation {
    let (path, id, summary, text) = match what {
        "fail" => (
            "/simulator/refunds/{refund}/fail",
            "failSimulatorRefund",
            "Fail a refund at the provider",
            "A refund that had succeeded is taken back.",
        ),
        _ => (
            "/simulator/refunds/{refund}/complete",
            "completeSimulatorRefund",
            "Complete a refund at the provider",
            "A refund that is pending is paid out.",
        ),
    };
    Operation::new(Method::POST, path, id, TAG, summary)
        .says(text)
        .takes([Parameter::path(
            "refund",
            "The simulator's id of the refund, or the key it came with.",
            Schema::string(),
        )])
        .takes(whose())
        .answers(Answer::json(200, "The refund.", Schema::named("SimulatorRefund")))
        .answers(refusal(400, "A parameter cannot be accepted."))
        .answers(refusal(404, "There is no such refund or account."))
        .answers(refusal(409, "The refund's status does not allow it."))
        .answers(refusal(503, "The book cannot be written."))
}

fn charge() -> Parameter {
    let text = "The provider's id of the charge.";
    Parameter::path("charge", text, Schema::string().like("sim_ch_usd"))
}

/// The parameters that say whose payment is meant where the charge alone does not tell.
fn whose() -> [Parameter; 2] {
    [
        Parameter::query("accountId", "Only of this account.", Schema::string()),
        Parameter::query("mode", "Only in this mode.", mode()),
    ]
}

fn mode() -> Schema {
    Schema::words(Mode::ALL.iter().map(|mode| mode.as_str()))
}

fn refusal(status: u16, text: &str) -> Answer {
    Answer::json(status, text, Schema::named("SimulatorRefusal"))
}

fn key() -> Schema {
    Schema::string().says("The idempotency key it came with; `null` when made by hand.").or_null()
}

fn refund() -> Schema {
    Fields::new()
        .must("id", Schema::string())
        .must("key", key())
        .must("amount", Schema::integer(1).says("Minor units.").like(500))
        .must("currency", Schema::matching("^[A-Z]{3}$").like("USD"))
        .must("status", Schema::words(RefundStatus::ALL.iter().map(|status| status.as_str())))
        .must("at", Schema::time())
        .must("calls", Schema::integer(0).says("How many calls asked for it.").like(1))
        .closed()
        .says("A refund in the simulator's book.")
}

fn payment() -> Schema {
    let payout = Fields::new()
        .must("key", key())
        .must("amount", Schema::integer(1).says("Minor units.").like(500))
        .must("currency", Schema::matching("^[A-Z]{3}$").like("USD"))
        .must("at", Schema::time())
        .must("returnedAt", Schema::time().says("When it was taken back.").or_null())
        .closed();
    Fields::new()
        .must("providerPaymentId", Schema::string().like("sim_ch_usd"))
        .must("refunds", Schema::list(Schema::named("SimulatorRefund")))
        .must("payouts", Schema::list(payout).says("The money that really left."))
        .must("truncated", Schema::boolean().says("There are more refunds than are shown."))
        .closed()
        .says("The simulator's own book of one payment.")
}
