//! The description of this door in its OpenAPI document.

use super::door::{CANCEL, CONFIRM, INTENT, INTENTS, REFUNDS, Refusal};
use super::error::{CODES, type_of};
use super::intents::{LIMIT, LONGEST_CUSTOMER, LONGEST_METHOD, METHODS};
use super::refunds::{LONGEST_REASON, REASONS};
use super::wire::{IntentWire, METHOD_PREFIX, RefundAnswer, RefundItem};
use crate::http::call::LONGEST_KEY;
use crate::http::query::MAX_LIMIT;
use crate::openapi::{
    Answer, Chapter, Document, Fields, Operation, Parameter, Printed, Schema, components,
};
use http::Method;
use serde_json::json;
use std::collections::BTreeMap;

pub const DOCUMENT: Document = Document {
    name: "elasticpay",
    title: "Refundry ElasticPay",
    summary: "Payment intents and refunds in the shape of ElasticPay.",
    introduction: INTRODUCTION,
    chapters,
};

const INTRODUCTION: &str = "\
Payment intents and their refunds, for clients that are written against the ElasticPay API. It is one of the doors of
Refundry: what is paid and refunded here is the same money that the native API shows.

**Answers** are bare objects with status 200. Errors, from status 400 on, are `{success: false, error}`, where
`error.code` is stable and `error.message` is for people. `X-Request-Id` names the request.

**Intents** are everything that somebody is asked to pay or has paid, through whichever door: `pi_…` here is `cs_…`
and `pay_…` there. An intent that was registered under an id of its own, `pi_…`, keeps it.

**Money** is a whole number of the smallest units: 1250 is 12.50 AUD. Intents say `amount`, refunds `amount_cents`.

**Lists** come in pages of up to 100 items, newest first. While `has_more` is true, pass the last item's `id` as
`starting_after`.

**Requests** may carry fields and parameters that are not listed here; they are ignored. A known field may appear once.
";

const PAYING: &str = "Payment intents";
const REFUNDING: &str = "Refunds";

const BEARER: &str = "`Authorization: Bearer <key>`: `sk_sandbox_…` and `sk_live_…`, as \
`refundry keys create --format elasticpay` makes them, or any other key of Refundry. A platform's key, `oa_sandbox_…` \
or `oa_live_…`, says with each request for whom it acts, in `X-Biller-Account`.";

/// Codes of certain operations only.
const SPECIAL: &[&str] = &[
    "idempotency_conflict",
    "idempotency_in_progress",
    "payment_intent_not_succeeded",
    "nothing_refundable",
    "payment_intent_unexpected_state",
    "amount_too_large",
    "unsupported_media_type",
];

/// Codes of everything that writes.
const WRITES: &[&str] =
    &["idempotency_conflict", "idempotency_in_progress", "unsupported_media_type"];

fn chapters() -> Vec<Chapter> {
    vec![Chapter {
        tags: vec![
            (PAYING, "Asking somebody to pay, and taking the money."),
            (REFUNDING, "Giving it back, in full or in parts."),
        ],
        operations: operations(),
        schemas: schemas(),
        parameters: parameters(),
        headers: components::headers(),
        security: vec![(
            "bearer",
            json!({"type": "http", "scheme": "bearer", "description": BEARER}),
        )],
        ..Chapter::default()
    }]
}

fn operations() -> Vec<Operation> {
    let intent = || Answer::json(200, "The intent.", Schema::named("PaymentIntent"));
    let post = |path, id, tag, summary| Operation::new(Method::POST, path, id, tag, summary);
    let get = |path, id, tag, summary| Operation::new(Method::GET, path, id, tag, summary);
    let paid = json!({"payment_method": "pm_card"});
    vec![
        write(
            post(INTENTS, "createPaymentIntent", PAYING, "Create a payment intent").reads(
                true,
                Schema::named("NewPaymentIntent"),
                &[("simple", "20.00 AUD", json!({"amount": 2000, "currency": "AUD"}))],
            ),
            intent(),
            &[],
        ),
        read(
            get(INTENTS, "listPaymentIntents", PAYING, "List payment intents")
                .says("Those that were made through this door, newest first.")
                .takes([Parameter::query(
                    "customer_id",
                    "Only those of this customer.",
                    Schema::string(),
                )])
                .takes(paging(components::id(&["pi_"]))),
            page("A page of intents.", Schema::named("PaymentIntent")),
        ),
        read(named(get(INTENT, "getPaymentIntent", PAYING, "Get a payment intent")), intent()),
        write(
            named(post(CONFIRM, "confirmPaymentIntent", PAYING, "Confirm a payment intent"))
                .says(
                    "Pays it. What became of that is in `status`; while it is `requires_action`, \
                     the customer approves the payment at `hosted_url`.",
                )
                .takes([Parameter::Named("ClientSecret")])
                .reads(
                    true,
                    Schema::named("NewConfirmation"),
                    &[("card", "By a card that works", paid)],
                ),
            intent(),
            &["payment_intent_unexpected_state"],
        ),
        write(
            named(post(CANCEL, "cancelPaymentIntent", PAYING, "Cancel a payment intent"))
                .says("Withdraws an intent that was not paid.")
                .reads(false, Fields::new().open().says("Nothing in it is read."), &[]),
            intent(),
            &["payment_intent_unexpected_state"],
        ),
        create_refund(post(
            REFUNDS,
            "createPaymentIntentRefund",
            REFUNDING,
            "Refund a payment intent",
        )),
        read(
            named(get(
                REFUNDS,
                "listPaymentIntentRefunds",
                REFUNDING,
                "List the refunds of a payment intent",
            ))
            .says("Newest first, through whichever door they were made.")
            .takes(paging(components::id(&["re_", "rfd_", "rf_"]))),
            page("A page of refunds.", Schema::named("Refund")),
        ),
    ]
}

fn create_refund(operation: Operation) -> Operation {
    let operation = named(operation)
        .says(
            "Answers when the provider has; where that takes longer than 10 seconds, or what is \
             configured, with `pending`. A refund that the provider refuses is an answer too: \
             `success` is false and `status` is `failed`.",
        )
        .says(
            "The sum of an intent's refunds never exceeds what was charged, counting refunds that \
             are pending. Once everything went back the intent is `refunded`.",
        )
        .takes([Parameter::Named("Prefer")])
        .reads(
            false,
            Schema::named("NewRefund"),
            &[
                ("full", "All that remains", json!({"reason": "customer_request"})),
                ("part", "A part", json!({"amount_cents": 2000, "reason": "duplicate"})),
            ],
        );
    let answer = Answer::json(200, "The refund.", Schema::named("RefundResult"));
    let refuses = ["payment_intent_not_succeeded", "nothing_refundable", "amount_too_large"];
    write(operation, answer, &refuses)
}

/// An operation about the intent in its path.
fn named(operation: Operation) -> Operation {
    let id = Schema::name(200).like("pi_01KREAEM40E8TXW4VNC0XM1R2P");
    operation.takes([Parameter::path(
        "id",
        "The intent: `pi_…`, the id under which another door knows it, or the provider's.",
        id,
    )])
}

fn read(operation: Operation, answer: Answer) -> Operation {
    finish(operation, answer, &[])
}

fn write(operation: Operation, answer: Answer, refuses: &[&'static str]) -> Operation {
    let refuses: Vec<_> = WRITES.iter().chain(refuses).copied().collect();
    let operation = operation.takes([Parameter::Named("IdempotencyKey")]);
    finish(operation, answer.with_headers(&["Idempotent-Replayed"]), &refuses)
}

/// Headers about the account's share of requests.
const SHARE: &[&str] = &["X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"];

fn finish(operation: Operation, answer: Answer, refuses: &[&'static str]) -> Operation {
    let answer = answer.with_headers(&["X-Request-Id"]).with_headers(SHARE);
    let operation = operation.takes([Parameter::Named("BillerAccount")]).answers(answer);
    let mut by_status: BTreeMap<u16, Vec<(&str, &str)>> = BTreeMap::new();
    for (status, code, text) in CODES {
        if !SPECIAL.contains(code) || refuses.contains(code) {
            by_status.entry(*status).or_default().push((code, text));
        }
    }
    by_status
        .into_iter()
        .fold(operation, |operation, (status, codes)| operation.answers(refusal(status, &codes)))
}

fn refusal(status: u16, codes: &[(&str, &str)]) -> Answer {
    let text: Vec<_> = codes.iter().map(|(code, text)| format!("- `{code}`: {text}.")).collect();
    let error = Fields::new()
        .may("type", Schema::words([type_of(status)]))
        .may("code", Schema::words(codes.iter().map(|(code, _)| *code)))
        .open();
    let narrowed = Fields::new().may("error", error).open();
    let body = Schema::all_of([Schema::named("Error"), narrowed]);
    let headers: &[&str] = match status {
        401 => &["X-Request-Id", "WWW-Authenticate"],
        409 | 429 | 503 => &["X-Request-Id", "Retry-After"],
        _ => &["X-Request-Id"],
    };
    Answer::json(status, text.join("\n"), body).with_headers(headers)
}

fn page(text: &str, item: Schema) -> Answer {
    let body = Fields::new()
        .must("data", Schema::list(item).with("maxItems", MAX_LIMIT))
        .must("has_more", Schema::boolean().says("There is a next page."))
        .closed();
    Answer::json(200, text, body)
}

fn paging(id: Schema) -> [Parameter; 2] {
    let limit = Schema::integer(1).with("maximum", MAX_LIMIT).with("default", LIMIT);
    [
        Parameter::query("limit", "Items per page.", limit),
        Parameter::query("starting_after", "The `id` of the last item of the page before.", id),
    ]
}

fn parameters() -> Vec<(&'static str, Parameter)> {
    vec![
        (
            "IdempotencyKey",
            Parameter::header(
                "Idempotency-Key",
                "Names this request within the account and mode: sent again with the same key and \
                 the same content nothing is done twice, and the answer says \
                 `Idempotent-Replayed: true`.",
                Schema::matching("^[ -~]+$").with("minLength", 1).with("maxLength", LONGEST_KEY),
            ),
        ),
        (
            "BillerAccount",
            Parameter::header(
                "X-Biller-Account",
                "The account to act for; platforms' keys only, and those always.",
                components::id(&["biller_", "acc_"]),
            ),
        ),
        (
            "ClientSecret",
            Parameter::header(
                "X-Client-Secret",
                "The intent's `client_secret`. It need not be sent; another one is refused.",
                Schema::string(),
            ),
        ),
        (
            "Prefer",
            Parameter::header(
                "Prefer",
                "`wait=N` (RFC 7240) waits up to N seconds for the provider's answer.",
                Schema::string().like("wait=5"),
            ),
        ),
    ]
}

fn schemas() -> Vec<(&'static str, Schema)> {
    vec![
        ("PaymentIntent", IntentWire::schema()),
        ("NewPaymentIntent", new_intent()),
        ("NewConfirmation", new_confirmation()),
        ("RefundResult", RefundAnswer::schema().says("What became of a refund.")),
        ("Refund", RefundItem::schema()),
        ("NewRefund", new_refund()),
        ("Error", Refusal::schema().says("What is answered with every status from 400 on.")),
    ]
}

fn new_intent() -> Schema {
    Fields::new()
        .must("amount", components::amount(1).says("Smallest units."))
        .must("currency", components::currency().says("ISO 4217."))
        .may(
            "customer_id",
            Schema::name(LONGEST_CUSTOMER).says("Your id of the customer.").or_null(),
        )
        .may("metadata", components::metadata())
        .open()
        .says("An intent to make. Fields that are not listed are ignored; `null` means absent.")
}

fn new_confirmation() -> Schema {
    let known = METHODS.map(|id| format!("`{METHOD_PREFIX}{id}`")).join(", ");
    let method = Schema::name(LONGEST_METHOD).with("pattern", format!("^{METHOD_PREFIX}"));
    let says = format!(
        "One of {known}. In the sandbox `pm_card_declined`, `pm_card_action`, `pm_card_processing` \
         and `pm_card_timeout` do what they say."
    );
    Fields::new()
        .must("payment_method", method.says(&says))
        .open()
        .says("How to pay. Fields that are not listed are ignored.")
}

fn new_refund() -> Schema {
    let known = REASONS.map(|reason| format!("`{reason}`")).join(", ");
    let reason = format!("Why: {known}, or, unless the server is strict, anything else.");
    Fields::new()
        .may(
            "amount_cents",
            components::amount(1).says("Smallest units. Without it all that remains.").or_null(),
        )
        .may("reason", Schema::text(LONGEST_REASON).says(&reason).or_null())
        .may("metadata", components::metadata())
        .open()
        .says("A refund to make. Fields that are not listed are ignored; `null` means absent.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_said_once_and_the_special_ones_exist() {
        let mut codes: Vec<_> = CODES.iter().map(|(_, code, _)| *code).collect();
        assert!(SPECIAL.iter().chain(WRITES).all(|code| codes.contains(code)));
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), CODES.len());
    }
}
