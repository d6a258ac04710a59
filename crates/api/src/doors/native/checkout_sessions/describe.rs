//! Checkout sessions.

use super::{LIFETIME_S, LIST, LONGEST_S, MOST_METHODS, SHORTEST_S};
use crate::doors::native::describe::Described;
use crate::doors::native::line::{LONGEST_LINE, MOST_ITEMS};
use crate::http::body::LONGEST_URL;
use crate::http::payment_ref::LONGEST_ID;
use crate::openapi::Chapter;
use crate::openapi::components;
use crate::openapi::operation::{Answer, Operation, Parameter};
use crate::openapi::schema::{Fields, Schema};
use domain::checkout::State;
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
            ("CheckoutSession", session()),
            ("NewCheckoutSession", new_session()),
            ("Item", item()),
        ],
        ..Chapter::default()
    }
}

fn operations() -> Vec<Operation> {
    let session = || Schema::named("CheckoutSession");
    let named = |operation: Described| {
        operation.of(components::id(&[Kind::CheckoutSession.prefix()]), "The session.")
    };
    let act = |path, id, summary, text: &str| {
        named(Described::post(path, id, TAG, summary))
            .says(text)
            .reads_nothing()
            .gives(200, "The session.", session(), &["Idempotent-Replayed"])
            .refuses(&[(409, "state_conflict")])
            .done()
    };
    vec![
        create(),
        Described::get("/api/v1/checkout-sessions", "listCheckoutSessions", TAG, "List sessions")
            .takes([
                Parameter::query("status", "Only sessions with this status.", states()),
                Parameter::query("customerId", "Only of this customer.", Schema::string()),
            ])
            .gives_pages("A page of sessions.", &LIST, "CheckoutSession")
            .done(),
        named(Described::get(ONE, "getCheckoutSession", TAG, "Get a session"))
            .gives(200, "The session.", session(), &[])
            .done(),
        named(Described::new(
            Method::DELETE,
            ONE,
            "deleteCheckoutSession",
            TAG,
            "Delete a session",
        ))
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

/// Every status of a session.
pub fn states() -> Schema {
    Schema::words(State::ALL.iter().map(|state| state.as_str()))
}

/// A link that browsers are redirected to.
pub fn link() -> Schema {
    Schema::name(LONGEST_URL).with("pattern", "^https?://[^/?#@]+[^\"<>\\\\^`{|} ]*$")
}

fn item() -> Schema {
    Fields::new()
        .must("name", Schema::name(LONGEST_LINE).like("Chair"))
        .must("quantity", Schema::integer(1).with("maximum", MOST_ITEMS).like(1))
        .must("unitAmount", components::amount(0).says("Minor units for one.").like(12_500))
        .closed()
        .says("A line of a session.")
}

fn new_session() -> Schema {
    // Requests may have other fields, so this is not the closed schema of answers.
    let line = Fields::new()
        .must("name", Schema::name(LONGEST_LINE).says("What is sold."))
        .must("quantity", Schema::integer(1).with("maximum", MOST_ITEMS))
        .must("unitAmount", components::amount(0).says("Minor units for one."))
        .open();
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
        .may("lineItems", Schema::list(line).with("maxItems", MAX_LINES).or_null())
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

fn session() -> Schema {
    let text = |text: &str| Schema::string().says(text).or_null();
    let nothing = |text: &str| Schema::null().says(text);
    let at = |text: &str| Schema::time().says(text).or_null();
    let prefixes: Vec<_> = Kind::ALL.iter().map(|kind| kind.prefix()).collect();
    let arn = format!(
        "^arn:refundry:checkout-session:acc_[0-9A-Z]{{26}}:({})[0-9A-Z]{{26}}$",
        prefixes.join("|")
    );
    Fields::new()
        .must("id", components::id(&prefixes).like("cs_01KREAEM40E8TXW4VNC0XM1R2P"))
        .must("arn", Schema::matching(&arn))
        .must("accountId", components::account_id())
        .must("workspaceName", nothing("Not kept here."))
        .must("customerId", text("As it was sent.").like(json!(null)))
        .must("customer", nothing("Not kept here."))
        .must("mode", components::mode())
        .must("status", states())
        .must("amount", Schema::integer(1).says("Minor units.").like(12_500))
        .must("currency", components::currency())
        .must("methods", Schema::list(Schema::string()).like(json!(["card", "manual"])))
        .must("paymentMethod", text("How it was paid, or tried.").like(json!(null)))
        .must("adapter", Schema::words(["manual", "simulator"]).or_null())
        .must("lineItems", Schema::list(Schema::named("Item")))
        .must("successUrl", Schema::string().or_null().like("https://shop.example/thanks"))
        .must("cancelUrl", Schema::string().or_null().like("https://shop.example/cart"))
        .must("hostedUrl", Schema::string().says("The page to send the buyer to."))
        .must("expiresAt", at("When it can no longer be paid."))
        .must("completedAt", at("When it was paid."))
        .must("paymentId", text("The provider's id of the charge.").like(json!(null)))
        .must("failureCode", text("Why the last attempt was declined.").like(json!(null)))
        .must("failureMessage", text("The same for people.").like(json!(null)))
        .must(
            "proofUrl",
            text("What the buyer gave as proof of a payment by hand.").like(json!(null)),
        )
        .must("templateId", text("As it was sent.").like(json!(null)))
        .must("metadata", components::printed_metadata().like(json!(null)))
        .must("createdAt", Schema::time())
        .must("updatedAt", Schema::time())
        .closed()
        .says("A checkout session.")
}
