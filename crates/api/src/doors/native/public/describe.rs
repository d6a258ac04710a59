//! The description of the buyer's operations.

use crate::doors::native::checkout_sessions::describe::{link, states};
use crate::doors::native::invoices::describe as invoices;
use crate::http::checkout::KINDS;
use crate::openapi::Chapter;
use crate::openapi::components;
use crate::openapi::components::envelope;
use crate::openapi::operation::{Answer, Example, Operation, Parameter};
use crate::openapi::problems;
use crate::openapi::schema::{Fields, Schema};
use domain::ids::InvoiceId;
use domain::invoice;
use http::Method;
use serde_json::json;

const TAG: &str = "Public checkout";

pub fn chapter() -> Chapter {
    Chapter {
        tags: vec![(
            TAG,
            "What a buyer's browser may do. No key is asked for: whoever knows the id, which nobody \
             can guess, may see and pay.",
        )],
        operations: operations(),
        schemas: vec![
            ("PublicSession", session()),
            ("PublicInvoice", invoice()),
            ("ChargeResult", charged()),
            ("PaymentMethod", method()),
            ("Branding", branding()),
        ],
        ..Chapter::default()
    }
}

fn operations() -> Vec<Operation> {
    let prefixes: Vec<_> = KINDS.iter().map(|kind| kind.prefix()).collect();
    let named = |operation: Operation| {
        operation.takes([Parameter::path("id", "The session.", components::id(&prefixes))])
    };
    let method = Schema::name(64).says("One of the session's methods.");
    let card: Example = ("card", "By card", json!({"method": "card"}));
    let charge = Operation::new(
        Method::POST,
        "/api/v1/public/checkout/sessions/{id}/charge",
        "chargePublicSession",
        TAG,
        "Pay a session",
    )
    .reads(true, Fields::new().must("method", method).open(), &[card]);
    let proof = link().says("Where the proof of the transfer can be seen.").or_null();
    let claim = Operation::new(
        Method::POST,
        "/api/v1/public/checkout/sessions/{id}/buyer-claim",
        "claimPublicSession",
        TAG,
        "Say that the money was sent by hand",
    )
    .reads(false, Fields::new().may("proofUrl", proof).open(), &[]);
    let show = Operation::new(
        Method::GET,
        "/api/v1/public/checkout/sessions/{id}",
        "showPublicSession",
        TAG,
        "Show a session to its buyer",
    );
    let show_invoice = Operation::new(
        Method::GET,
        "/api/v1/public/checkout/invoices/{id}",
        "showPublicInvoice",
        TAG,
        "Show an invoice to its buyer",
    )
    .takes([Parameter::path("id", "The invoice.", components::any_invoice_id())]);
    let acts = &[(409, "conflict"), (409, "state_conflict"), (415, "unsupported_media_type")];
    vec![
        answer(named(show), "The session.", "PublicSession", &[]),
        answer(named(charge), "What became of it, or what to do next.", "ChargeResult", acts),
        answer(named(claim), "The session.", "PublicSession", acts),
        answer(show_invoice, "The invoice.", "PublicInvoice", &[]),
    ]
}

/// An operation with its answers.
fn answer(operation: Operation, text: &str, data: &str, more: &[(u16, &'static str)]) -> Operation {
    let mut refusals = vec![
        (400, "validation_error"),
        (404, "not_found"),
        (408, "request_timeout"),
        (413, "payload_too_large"),
        (429, "rate_limited"),
        (500, "internal_error"),
        (503, "service_unavailable"),
    ];
    refusals.extend(more);
    let body = envelope(Schema::named(data), Schema::named("Meta"));
    let success = Answer::json(200, text, body).with_headers(&["X-Request-Id"]);
    problems::answers(refusals).into_iter().fold(operation.answers(success), Operation::answers)
}

fn method() -> Schema {
    Fields::new()
        .must("id", Schema::string().like("card"))
        .must("label", Schema::string().says("For people."))
        .must("group", Schema::string())
        .must("currency", components::currency())
        .closed()
        .says("A way to pay.")
}

fn branding() -> Schema {
    let nothing = || Schema::null().says("Not kept here.");
    Fields::new()
        .must("brandName", Schema::string().says("The merchant's name."))
        .must("brandLogoUrl", nothing())
        .must("brandAccentColor", nothing())
        .must("brandTagline", nothing())
        .closed()
        .says("Who asks to be paid.")
}

fn session() -> Schema {
    let prefixes: Vec<_> = KINDS.iter().map(|kind| kind.prefix()).collect();
    let shown = Fields::new()
        .must("id", components::id(&prefixes))
        .must("amount", Schema::integer(1).says("Minor units.").like(12_500))
        .must("currency", components::currency())
        .must("status", states())
        .must("mode", components::mode())
        .must("expiresAt", Schema::time().or_null())
        .must("successUrl", Schema::string().or_null())
        .must("cancelUrl", Schema::string().or_null())
        .must("lineItems", Schema::list(Schema::named("Item")))
        .must("hostedUrl", Schema::string().says("The page on which it is paid."))
        .closed();
    Fields::new()
        .must("session", shown)
        .must("methods", Schema::list(Schema::string()))
        .must("catalog", Schema::list(Schema::named("PaymentMethod")))
        .must("branding", Schema::named("Branding"))
        .must("activeAdapters", Schema::list(Schema::words(["simulator"])))
        .closed()
        .says("What a buyer sees of a session.")
}

fn charged() -> Schema {
    let account = Fields::new()
        .must("bankName", Schema::string())
        .must("accountNumber", Schema::string())
        .must("accountHolder", Schema::string())
        .closed();
    let instructions = Fields::new()
        .must("heading", Schema::string())
        .must("note", Schema::string())
        .must("bankAccounts", Schema::list(account))
        .must("amount", components::minor("To be sent."))
        .must("currency", components::currency())
        .closed();
    let text = |text: &str| Schema::string().says(text).or_null();
    Fields::new()
        .must("kind", Schema::words(["redirect", "instructions"]))
        .may("redirectUrl", Schema::string().says("Where to send the buyer; with `redirect`."))
        .may("instructions", instructions.says("How to pay by hand; with `instructions`."))
        .must("status", states())
        .must("actionRequired", Schema::boolean().says("The buyer must agree to it first."))
        .must("failureCode", text("Why it was declined."))
        .must("failureMessage", text("The same for people."))
        .closed()
        .says("What became of an attempt to pay.")
}

fn invoice() -> Schema {
    let at = || Schema::time().or_null();
    let states = Schema::words(invoice::State::ALL.iter().map(|state| state.as_str()));
    let shown = Fields::new()
        .must("id", components::id(&[InvoiceId::PREFIX]))
        .must("number", invoices::number())
        .must("status", states)
        .must("currency", components::currency())
        .must("subtotal", components::minor("Sum of the lines."))
        .must("discount", components::minor("Off the subtotal."))
        .must("tax", components::minor("On top."))
        .must("total", components::minor("What is asked for."))
        .must("amountPaid", components::minor("What was paid."))
        .must("amountDue", components::minor("What remains to be paid."))
        .must("issuedAt", at())
        .must("dueAt", at())
        .must("paidAt", at())
        .must("memo", Schema::string().or_null())
        .must("lines", Schema::list(Schema::named("InvoiceLine")))
        .must("hostedInvoiceUrl", Schema::string().says("The page on which it is paid."))
        .closed();
    Fields::new()
        .must("invoice", shown)
        .must("methods", Schema::list(Schema::string()))
        .must("catalog", Schema::list(Schema::named("PaymentMethod")))
        .must("branding", Schema::named("Branding"))
        .closed()
        .says("What a buyer sees of an invoice.")
}
