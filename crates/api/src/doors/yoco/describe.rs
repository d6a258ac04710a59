//! The description of this door in its OpenAPI document.

use super::checkouts::{
    CheckoutWire, Item, LONGEST_DESCRIPTION, LONGEST_NAME, MOST_ITEMS, link, reference, sum,
};
use super::error::Body;
use super::refunds::{Accepted, RefundList};
use super::webhooks::{self, Subscriptions, WebhookWire};
use crate::http::call::LONGEST_KEY;
use crate::openapi::{
    Answer, Chapter, Document, Fields, Operation, Parameter, Printed, Schema, components,
};
use domain::line_item::MAX_LINES;
use http::Method;
use serde_json::json;

const TAG: &str = "Yoco";

const BEARER: &str = "`Authorization: Bearer <key>`: the secret key of an account, `sk_test_…` or \
`sk_live_…`, or any other key of Refundry.";

pub const DOCUMENT: Document = Document {
    name: "yoco",
    title: "Refundry Yoco",
    summary: "Checkouts, refunds and reversals in the shape of Yoco.",
    introduction: INTRODUCTION,
    chapters,
};

const INTRODUCTION: &str = "\
Checkouts, their refunds and reversals, for clients that are written against the Yoco Checkout API. It is one of the
doors of Refundry: what is paid and refunded here is the same money that the native API shows.

**Answers** are bare objects. Errors, from status 400 on, carry their text in `description`, a stable word in
`errorCode`, and no other answer has either. A missing or wrong key is answered with 403. `X-Request-Id` names the
request.

**Money** is a whole number of cents.

**Idempotency**: every POST takes an `Idempotency-Key` of at most 255 printable characters and is answered from store
for 24 hours, refusals included, with `Idempotent-Replayed: true`. The same key with another method, path or body is
answered with 422, and with 409 while the first request is still running.

**Requests** may carry fields that are not listed here; they are ignored. A known field may appear once.
";

fn chapters() -> Vec<Chapter> {
    vec![Chapter {
        tags: vec![(
            TAG,
            "The Checkout API of Yoco. Secret keys go into `Authorization: Bearer`; errors carry \
             their text in `description`.",
        )],
        operations: operations(),
        schemas: vec![
            ("YocoCheckout", CheckoutWire::schema()),
            ("NewYocoCheckout", new_checkout()),
            ("YocoLineItem", Item::schema().says("What is sold.")),
            ("YocoRefund", Accepted::schema()),
            ("YocoRefundList", RefundList::schema()),
            ("YocoWebhook", WebhookWire::fields().without(&["secret"]).closed()),
            ("YocoNewWebhook", WebhookWire::fields().always(&["secret"]).closed()),
            ("YocoError", Body::schema().says("What is answered with every status from 400 on.")),
        ],
        parameters: vec![(
            "YocoIdempotencyKey",
            Parameter::header(
                "Idempotency-Key",
                "Names this request for 24 hours: sent again it is answered as the first time, \
                 refusals included, with `Idempotent-Replayed: true`.",
                Schema::matching("^[ -~]+$").with("minLength", 1).with("maxLength", LONGEST_KEY),
            ),
        )],
        headers: components::headers(),
        security: vec![(
            "bearer",
            json!({"type": "http", "scheme": "bearer", "description": BEARER}),
        )],
        ..Chapter::default()
    }]
}

/// Describes the refusals that every operation can answer, and `more` of them.
fn refuses(operation: Operation, more: &[(u16, &'static str)]) -> Operation {
    let everywhere = [
        (400, "Part of the request cannot be accepted, or the refund cannot be made."),
        (403, "No key, a wrong one, or one that lacks the scope."),
        (404, "Nothing of that name exists for the account and mode of the key."),
        (408, "The body did not arrive in time."),
        (413, "The body is too large."),
        (500, "Something failed on the server."),
    ];
    let says = |operation: Operation, (status, text): &(u16, &'static str)| {
        let answer = Answer::json(*status, *text, Schema::named("YocoError"));
        let headers: &[_] = match status {
            409 | 429 | 503 => &["X-Request-Id", "Retry-After"],
            422 | 403 | 500 | 408 | 413 => &["X-Request-Id"],
            _ => &["X-Request-Id", "Idempotent-Replayed"],
        };
        operation.answers(answer.with_headers(headers))
    };
    let waits = [
        (429, "Too many requests; `Retry-After` says when to send the next one."),
        (503, "Nothing was done, or the answer is not known yet: send the same request again."),
    ];
    everywhere.iter().chain(more).chain(&waits).fold(operation, says)
}

/// The same for one that honours `Idempotency-Key`.
fn keyed(operation: Operation) -> Operation {
    let more = [
        (409, "A request with this Idempotency-Key is being processed."),
        (422, "This Idempotency-Key came with another method, path or body."),
    ];
    refuses(operation.takes([Parameter::Named("YocoIdempotencyKey")]), &more)
}

fn gives(status: u16, text: &str, schema: &str) -> Answer {
    Answer::json(status, text, Schema::named(schema))
        .with_headers(&["X-Request-Id", "Idempotent-Replayed"])
}

fn operations() -> Vec<Operation> {
    let new = |method, path, id, summary| Operation::new(method, path, id, TAG, summary);
    let checkout_id = || Parameter::path("id", "The checkout.", components::id(&["ch_"]));
    vec![
        keyed(
            new(Method::POST, "/api/checkouts", "createYocoCheckout", "Create a checkout")
                .says("Send the buyer to its `redirectUrl`.")
                .reads(
                    true,
                    Schema::named("NewYocoCheckout"),
                    &[(
                        "basket",
                        "Two items",
                        json!({
                            "amount": 900, "currency": "ZAR",
                            "successUrl": "https://shop.example/thanks",
                            "lineItems": [{
                                "displayName": "Rooibos", "quantity": 2,
                                "pricingDetails": {"price": 450},
                            }],
                        }),
                    )],
                )
                .answers(gives(200, "The checkout.", "YocoCheckout")),
        ),
        refuses(
            new(Method::GET, "/api/checkouts/{id}", "getYocoCheckout", "Get a checkout")
                .says(
                    "`created`: nobody has opened its page. `started`: somebody has. \
                     `processing`: a payment is under way. `completed`: paid, also where a part \
                     went back. `refunded`: everything went back. `reversed`: the same, asked \
                     for before the payment settled.",
                )
                .takes([checkout_id()])
                .answers(gives(200, "The checkout.", "YocoCheckout")),
            &[],
        ),
        keyed(
            new(Method::POST, "/api/checkouts/{id}/refund", "refundYocoCheckout", "Refund")
                .says(
                    "Refunds everything that is left, or `amount` of it. The answer waits a \
                     moment for the provider; the outcome is in the status of the checkout, in \
                     the list of the payment's refunds and in the webhooks `refund.succeeded` and \
                     `refund.failed`.",
                )
                .takes([checkout_id()])
                .reads(
                    false,
                    refund_request(),
                    &[(
                        "part",
                        "A part, with a note",
                        json!({"amount": 450, "metadata": {"ticket": "42"}}),
                    )],
                )
                .answers(gives(202, "The refund was accepted.", "YocoRefund")),
        ),
        refuses(
            new(
                Method::GET,
                "/api/payments/{id}/refunds",
                "listYocoRefunds",
                "List the refunds of a payment",
            )
            .takes([
                Parameter::path("id", "The `paymentId` of a checkout.", components::id(&["p_"])),
                Parameter::query(
                    "cursor",
                    "The `nextCursor` of the page before.",
                    components::id(&["rfd_"]),
                ),
            ])
            .answers(gives(200, "The refunds, oldest first.", "YocoRefundList")),
            &[],
        ),
        keyed(
            new(Method::POST, "/api/webhooks", "createYocoWebhook", "Create a webhook")
                .says(
                    "Told of `payment.succeeded`, `refund.succeeded` and `refund.failed`, signed \
                     as Standard Webhooks.",
                )
                .reads(true, new_webhook(), &[])
                .answers(gives(200, "The webhook with its secret.", "YocoNewWebhook")),
        ),
        refuses(
            new(Method::GET, "/api/webhooks", "listYocoWebhooks", "List webhooks").answers(
                Answer::json(200, "The webhooks, newest first.", Subscriptions::schema())
                    .with_headers(&["X-Request-Id"]),
            ),
            &[],
        ),
        refuses(
            new(Method::DELETE, "/api/webhooks/{id}", "deleteYocoWebhook", "Delete a webhook")
                .takes([Parameter::path("id", "The webhook.", components::id(&["whep_"]))])
                .answers(Answer::empty(204, "It is gone.").with_headers(&["X-Request-Id"])),
            &[],
        ),
    ]
}

fn new_item() -> Schema {
    let pricing = Fields::new()
        .must("price", components::amount(0).says("Minor units for one."))
        .may("taxAmount", components::amount(0).or_null())
        .may("discountAmount", components::amount(0).or_null());
    Fields::new()
        .must("displayName", Schema::name(LONGEST_NAME))
        .must("quantity", Schema::integer(1).with("maximum", MOST_ITEMS))
        .must("pricingDetails", pricing.open())
        .may("description", Schema::text(LONGEST_DESCRIPTION).or_null())
        .open()
        .says("What is sold.")
}

fn new_checkout() -> Schema {
    Fields::new()
        .must("amount", components::amount(1).says("Minor units."))
        .must("currency", Schema::matching("^[A-Z]{3}$").says("ISO 4217."))
        .may("successUrl", link())
        .may("cancelUrl", link())
        .may("failureUrl", link())
        .may("metadata", Schema::map(Schema::string()).or_null())
        .may("totalDiscount", sum("Shown only."))
        .may("totalTaxAmount", sum("Shown only."))
        .may("subtotalAmount", sum("Shown only."))
        .may("lineItems", Schema::list(new_item()).with("maxItems", MAX_LINES).or_null())
        .may("externalId", reference())
        .may("clientReferenceId", reference())
        .open()
        .says("A checkout to make. Fields that are not listed are ignored; `null` means absent.")
}

fn refund_request() -> Schema {
    Fields::new()
        .may(
            "amount",
            components::amount(1)
                .says("Minor units; everything that is left when absent.")
                .or_null(),
        )
        .may("metadata", Schema::map(Schema::string()).or_null())
        .open()
        .says("What to refund. It can be left out.")
}

fn new_webhook() -> Schema {
    Fields::new()
        .must("name", Schema::name(webhooks::LONGEST_NAME))
        .must("url", Schema::name(webhooks::LONGEST_URL))
        .open()
}
