//! Refunds and their timelines.

use super::wire::{AttemptWire, RefundWire, TimelineWire};
use super::{LIST, LONGEST_REASON, LONGEST_REFERENCE, TIMELINE, resolve};
use crate::doors::native::describe::Described;
use crate::http::payment_ref::LONGEST_ID;
use crate::openapi::{Chapter, Fields, Operation, Parameter, Printed, Schema, components};
use serde_json::json;

const TAG: &str = "Refunds";

pub fn chapter() -> Chapter {
    Chapter {
        tags: vec![(
            TAG,
            "Giving money back. A refund is `pending` until there is evidence of what became of \
             it; `statusDetail` says where it really is. A lost answer leaves it pending with \
             `unknown`, never failed.",
        )],
        operations: operations(),
        schemas: vec![
            ("Refund", RefundWire::schema()),
            ("NewRefund", new_refund()),
            (
                "RefundAttempt",
                AttemptWire::schema().says("One call that asked the provider for a refund."),
            ),
            (
                "TimelineEntry",
                TimelineWire::schema().says("What became of a refund, when, and who said so."),
            ),
        ],
        ..Chapter::default()
    }
}

fn operations() -> Vec<Operation> {
    let id = components::any_refund_id;
    let one = "The refund. `rf_` and `re_` name the same one as `rfd_`.";
    let refund = || Schema::named("Refund");
    vec![
        create(),
        Described::get("/api/v1/refunds", "listRefunds", TAG, "List refunds")
            .gives_pages("A page of refunds.", &LIST, "Refund")
            .done(),
        Described::get("/api/v1/refunds/{id}", "getRefund", TAG, "Get a refund")
            .of(id(), one)
            .gives(200, "The refund.", refund(), &[])
            .done(),
        Described::post("/api/v1/refunds/{id}/cancel", "cancelRefund", TAG, "Cancel a refund")
            .of(id(), one)
            .says(
                "Withdraws a refund that was not sent to the provider yet. One that waits there is \
                 taken back if the provider does that. Any other, and one that may have been sent, is \
                 refused with `state_conflict`.",
            )
            .reads_nothing()
            .gives(200, "The canceled refund.", refund(), &["Idempotent-Replayed"])
            .refuses(&[(409, "state_conflict")])
            .done(),
        resolve_by_hand(),
        Described::get(
            "/api/v1/refunds/{id}/attempts",
            "listRefundAttempts",
            TAG,
            "List the calls for a refund",
        )
        .of(id(), one)
        .says(
            "Every call that asked the provider for this refund, oldest first: when the intent was \
             on disk, when an answer came, and what it was. At most the first 1,000 and the last.",
        )
        .gives(200, "The calls.", Schema::list(Schema::named("RefundAttempt")), &[])
        .done(),
        Described::get(
            "/api/v1/refunds/{id}/timeline",
            "getRefundTimeline",
            TAG,
            "Get a refund's timeline",
        )
        .of(id(), one)
        .says(
            "Everything that happened to a refund and who said so, oldest first. Where events are \
             no longer kept, `meta.pruned` says how many, and what is known all the same. Calls to \
             the provider are no events: `listRefundAttempts` has them.",
        )
        .gives_pages("A page of the timeline.", &TIMELINE, "TimelineEntry")
        .done(),
    ]
}

fn resolve_by_hand() -> Operation {
    let proof = json!({"providerRefundId": "sim_re_7", "text": "dashboard, 12 May"});
    let absent = json!({"text": "searched the dashboard for the key and the payment, 12 May"});
    Described::post(
        "/api/v1/refunds/{id}/resolve",
        "resolveRefund",
        TAG,
        "Resolve a refund by hand",
    )
    .of(components::any_refund_id(), "The refund. `rf_` and `re_` name the same one as `rfd_`.")
    .says(
        "Records what a person found out about a refund that nothing else settles: one that is \
             `unknown`, `needs_review` or waits at the provider, or one that is decided and has \
             `needsAttention`. Any other is refused with `state_conflict`.",
    )
    .says(
        "A refund of a payment with the provider `manual` is sent nowhere and waits in \
             `needs_review` for this decision: it is paid by hand and `succeeded`, or it `failed`. \
             `send_again` is refused.",
    )
    .reads(
        resolve::body(),
        &[
            ("paid", "It is there", json!({"outcome": "succeeded", "proof": proof})),
            ("absent", "It is not there", json!({"outcome": "send_again", "proof": absent})),
        ],
    )
    .gives(200, "The refund.", Schema::named("Refund"), &["Idempotent-Replayed"])
    .refuses(&[(409, "state_conflict")])
    .done()
}

fn create() -> Operation {
    Described::post("/api/v1/refunds", "createRefund", TAG, "Create a refund")
        .says(
            "Refunds a payment, in full or in part. The answer goes out once the refund is \
             durable and before the provider is asked, so it says `pending`; `Prefer: wait=N` \
             waits for the provider. The sum of a payment's refunds never exceeds what was \
             captured.",
        )
        .says(
            "A refund of a payment that was taken by hand, with the provider `manual`, is not sent \
             but waits in `needs_review` until `resolveRefund` says how it was paid.",
        )
        .says(
            "Name the payment in one of three ways: `sourceType` with `sourceId`, `chargeId`, or \
             `paymentId`. Where several are given they must mean the same payment.",
        )
        .takes([Parameter::Named("Prefer")])
        .reads(
            Schema::named("NewRefund"),
            &[
                (
                    "part",
                    "A part of a payment of the demo",
                    json!({
                        "chargeId": "sim_ch_usd", "amount": 2500,
                        "reason": "requested_by_customer",
                    }),
                ),
                ("rest", "All that remains", json!({"chargeId": "sim_ch_jpy"})),
                (
                    "lost",
                    "The simulated provider books it and its answer is lost",
                    json!({
                        "chargeId": "sim_ch_usd", "amount": 100,
                        "metadata": {"simulate": "timeout_after_booking"},
                    }),
                ),
            ],
        )
        .makes(
            "The refund was made.",
            Schema::named("Refund"),
            &["Location", "Idempotent-Replayed", "Preference-Applied"],
            &[
                ("getRefund", "Reads the refund."),
                (
                    "cancelRefund",
                    "Withdraws it, if it was not sent yet or the provider takes it back.",
                ),
                ("getRefundTimeline", "Tells what became of it."),
                ("listRefundAttempts", "Tells how the provider was asked for it."),
            ],
        )
        .refuses(&[(409, "state_conflict"), (422, "over_refund")])
        .done()
}

fn new_refund() -> Schema {
    // Any of these fields names a payment; `null` names none.
    let one_of = ["sourceId", "chargeId", "paymentId"]
        .map(|name| Fields::new().must(name, Schema::string()).open());
    Fields::new()
        .may("sourceType", components::kind().says("What `sourceId` names.").or_null())
        .may(
            "sourceId",
            Schema::name(LONGEST_ID)
                .says(
                    "The id of what was paid for, such as `cs_…`, `inv_…` or `pay_…`. With the \
                     `sourceType` `payment` also the provider's id of the charge.",
                )
                .or_null(),
        )
        .may(
            "chargeId",
            Schema::name(LONGEST_ID)
                .says("The provider's id of the charge, or any id of the payment.")
                .or_null(),
        )
        .may("paymentId", Schema::name(LONGEST_ID).says("Any id of the payment.").or_null())
        .may(
            "amount",
            components::amount(1)
                .says(
                    "Minor units, written without fraction or exponent. Without it all that \
                     remains.",
                )
                .or_null(),
        )
        .may("currency", components::currency().says("ISO 4217; must be the payment's.").or_null())
        .may(
            "expectedRefundable",
            components::amount(0)
                .says("Refuse when another amount is refundable by now.")
                .or_null(),
        )
        .may("reason", Schema::text(LONGEST_REASON).says("Why, for people.").or_null())
        .may(
            "reference",
            Schema::name(LONGEST_REFERENCE)
                .says("The caller's own id. It names one refund per account and mode, forever.")
                .or_null(),
        )
        .may("metadata", components::metadata())
        .open()
        .with("anyOf", one_of.map(serde_json::Value::from).to_vec())
        .says("A refund to make. Fields that are not listed are ignored; `null` means absent.")
}
