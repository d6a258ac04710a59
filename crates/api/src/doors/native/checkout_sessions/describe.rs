//! Checkout sessions.

use super::wire::{ItemWire, SessionWire};
use super::{LIFETIME_S, LIST, LONGEST_S, MOST_METHODS, SHORTEST_S};
use crate::doors::native::describe::Described;
use crate::doors::native::line::new_line;
use crate::http::body::LONGEST_URL;
use crate::http::payment_ref::LONGEST_ID;
use crate::openapi::{Answer, Chapter, Fields, Operation, Printed, Schema, components};
use domain::line_item::MAX_LINES;
use domain::payment::Kind;
use engine::method_ids;
use http::Method;
use serde_json::json;

const TAG: &str = "Checkout sessions";
const ONE: &str = "/api/v1/checkout-sessions/{id}";

pub fn chapter() -> Chapter {
    Chapter {
        tags: vec![(
            TAG,
            "Asking somebody to pay on a hosted page. A completed session is a payment that can be \
             refunded.",
        )],
        operations: operations(),
        schemas: vec![
            ("CheckoutSession", SessionWire::schema()),
            ("NewCheckoutSession", new_session()),
            ("Item", ItemWire::schema()),
        ],
        ..Chapter::default()
    }
}

fn operations() -> Vec<Operation> {
    let session = || Schema::named("CheckoutSession");
    let id = || components::id(&[Kind::CheckoutSession.prefix()]);
    let act = |path, name, summary, text: &str| {
        Described::post(path, name, TAG, summary)
            .of(id(), "The session.")
            .says(text)
            .reads_nothing()
            .gives(200, "The session.", session(), &["Idempotent-Replayed"])
            .refuses(&[(409, "state_conflict")])
            .done()
    };
    vec![
        create(),
        Described::get("/api/v1/checkout-sessions", "listCheckoutSessions", TAG, "List sessions")
            .gives_pages("A page of sessions.", &LIST, "CheckoutSession")
            .done(),
        Described::get(ONE, "getCheckoutSession", TAG, "Get a session")
            .of(id(), "The session.")
            .gives(200, "The session.", session(), &[])
            .done(),
        Described::new(Method::DELETE, ONE, "deleteCheckoutSession", TAG, "Delete a session")
            .of(id(), "The session.")
            .says("Removes a session that was not paid and is not being paid.")
            .keyed()
            .reads_nothing()
            .answers(Answer::empty(204, "It is gone.").with_headers(&["Idempotent-Replayed"]))
            .refuses(&[(409, "state_conflict")])
            .done(),
        act(
            "/api/v1/checkout-sessions/{id}/cancel",
            "cancelCheckoutSession",
            "Cancel a session",
            "Withdraws a session that was not paid.",
        ),
        act(
            "/api/v1/checkout-sessions/{id}/confirm",
            "confirmCheckoutSession",
            "Confirm a session",
            "Says that the money which was sent by hand has come: the session is completed.",
        ),
    ]
}

fn create() -> Operation {
    Described::post("/api/v1/checkout-sessions", "createCheckoutSession", TAG, "Create a session")
        .says("Send the buyer to its `hostedUrl`.")
        .reads(
            Schema::named("NewCheckoutSession"),
            &[(
                "card",
                "By card or bank transfer",
                json!({
                    "amount": 12500, "currency": "USD", "methods": ["card", "manual"],
                    "successUrl": "https://shop.example/thanks",
                    "cancelUrl": "https://shop.example/cart",
                    "lineItems": [{"name": "Chair", "quantity": 1, "unitAmount": 12500}],
                }),
            )],
        )
        .makes(
            "The session.",
            Schema::named("CheckoutSession"),
            &["Location", "Idempotent-Replayed"],
            &[
                ("getCheckoutSession", "Reads the session."),
                ("cancelCheckoutSession", "Withdraws it."),
                ("deleteCheckoutSession", "Removes it."),
                ("confirmCheckoutSession", "Confirms a payment made by hand."),
                ("showPublicSession", "Shows what the buyer sees."),
                ("chargePublicSession", "Pays it."),
                ("claimPublicSession", "Says that it was paid by hand."),
            ],
        )
        .done()
}

/// A link that browsers are redirected to.
pub fn link() -> Schema {
    Schema::name(LONGEST_URL).with("pattern", "^https?://[^/?#@]+[^\"<>\\\\^`{|} ]*$")
}

fn new_session() -> Schema {
    let methods = Schema::list(Schema::string().with("maxLength", LONGEST_ID).says(&format!(
        "One of {}.",
        method_ids().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ")
    )));
    let lifetime = Schema::integer(SHORTEST_S).with("maximum", LONGEST_S);
    let id = |text: &str| Schema::name(LONGEST_ID).says(text).or_null();
    Fields::new()
        .must("amount", components::amount(1).says("Minor units."))
        .must("currency", components::currency().says("ISO 4217."))
        .must("methods", methods.with("minItems", 1).with("maxItems", MOST_METHODS))
        .must("successUrl", link().says("Where the buyer goes after paying."))
        .must("cancelUrl", link().says("Where the buyer goes instead."))
        .may("lineItems", Schema::list(new_line("name")).with("maxItems", MAX_LINES).or_null())
        .may("customerId", id("The caller's id of the customer."))
        .may("templateId", id("Kept and printed."))
        .may(
            "expiresInSec",
            lifetime.says("For how long it can be paid.").or_null().with("default", LIFETIME_S),
        )
        .may("metadata", components::metadata())
        .open()
        .says("A session to make. Fields that are not listed are ignored; `null` means absent.")
}
