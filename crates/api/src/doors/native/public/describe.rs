//! The description of the buyer's operations.

use super::{Branding, Charged, Offer, PublicInvoice, PublicSession, session_id};
use crate::doors::native::checkout_sessions::describe::link;
use crate::openapi::{
    Answer, Chapter, Example, Fields, Operation, Parameter, Printed, Schema, components, problems,
};
use http::Method;
use serde_json::json;

const TAG: &str = "Public checkout";

pub fn chapter() -> Chapter {
    Chapter {
        tags: vec![(
            TAG,
            "What a buyer's browser may do. No key is asked for: whoever knows the id, which \
             nobody can guess, may see and pay.",
        )],
        operations: operations(),
        schemas: vec![
            ("PublicSession", PublicSession::schema().says("What a buyer sees of a session.")),
            ("PublicInvoice", PublicInvoice::schema().says("What a buyer sees of an invoice.")),
            ("ChargeResult", Charged::schema().says("What became of an attempt to pay.")),
            ("PaymentMethod", Offer::schema()),
            ("Branding", Branding::schema().says("Who asks to be paid.")),
        ],
        ..Chapter::default()
    }
}

fn operations() -> Vec<Operation> {
    let named = |operation: Operation| {
        operation.takes([Parameter::path("id", "The session.", session_id())])
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
fn answer(operation: Operation, text: &str, data: &str, more: &[(u16, &'static str)]) -> Operation {
    let mut refusals = problems::WITHOUT_KEY.to_vec();
    refusals.extend(more);
    let body = components::envelope(Schema::named(data), Schema::named("Meta"));
    let success = Answer::json(200, text, body).with_headers(&["X-Request-Id"]);
    problems::answers(refusals).into_iter().fold(operation.answers(success), Operation::answers)
}
