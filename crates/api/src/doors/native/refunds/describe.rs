//! Refunds and their timelines.

use super::{LIST, LONGEST_REASON, LONGEST_REFERENCE, TIMELINE};
use crate::doors::native::describe::{Described, example};
use crate::http::payment_ref::LONGEST_ID;
use crate::openapi::Chapter;
use crate::openapi::components;
use crate::openapi::operation::{Operation, Parameter};
use crate::openapi::schema::{Fields, Schema};
use domain::event::Type;
use domain::payment::Kind;
use domain::refund::{Origin, State, Status};
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
        schemas: vec![("Refund", refund()), ("NewRefund", new_refund()), ("TimelineEntry", step())],
        ..Chapter::default()
    }
}

fn operations() -> Vec<Operation> {
    let named = |operation: Described| {
        operation.of(
            components::any_refund_id(),
            "The refund. `rf_` and `re_` name the same one as `rfd_`.",
        )
    };
    let refund = || Schema::named("Refund");
    vec![
        create(),
        Described::get("/api/v1/refunds", "listRefunds", TAG, "List refunds")
            .takes([
                Parameter::query(
                    "status",
                    "Only refunds with this status.",
                    words(Status::ALL.iter().map(|s| s.as_str())),
                ),
                source_filter("sourceId"),
                source_filter("chargeId"),
                source_filter("paymentId"),
            ])
            .gives_pages("A page of refunds.", &LIST, "Refund")
            .done(),
        named(Described::get("/api/v1/refunds/{id}", "getRefund", TAG, "Get a refund"))
            .gives(200, "The refund.", refund(), &[])
            .done(),
        named(Described::post(
            "/api/v1/refunds/{id}/cancel",
            "cancelRefund",
            TAG,
            "Cancel a refund",
        ))
        .says(
            "Withdraws a refund that was not sent to the provider yet. One that was, or may \
                 have been, is refused with `state_conflict`.",
        )
        .reads_nothing()
        .gives(200, "The canceled refund.", refund(), &["Idempotent-Replayed"])
        .refuses(&[(409, "state_conflict")])
        .done(),
        named(Described::get(
            "/api/v1/refunds/{id}/timeline",
            "getRefundTimeline",
            TAG,
            "Get a refund's timeline",
        ))
        .says(
            "Everything that happened to a refund and who said so, oldest first. Where events are no \
             longer kept, `meta.pruned` says how many, and what is known all the same.",
        )
        .gives_pages("A page of the timeline.", &TIMELINE, "TimelineEntry")
        .done(),
    ]
}

fn create() -> Operation {
    Described::post("/api/v1/refunds", "createRefund", TAG, "Create a refund")
        .says(
            "Refunds a payment, in full or in part. The answer goes out once the refund is durable \
             and before the provider is asked, so it says `pending`; `Prefer: wait=N` waits for the \
             provider. The sum of a payment's refunds never exceeds what was captured.",
        )
        .says(
            "Name the payment in one of three ways: `sourceType` with `sourceId`, `chargeId`, or \
             `paymentId`. Where several are given they must mean the same payment.",
        )
        .takes([Parameter::Named("Prefer")])
        .reads(
            Schema::named("NewRefund"),
            &[
                example(
                    "part",
                    "A part of a payment of the demo",
                    json!({"chargeId": "sim_ch_usd", "amount": 2500, "reason": "requested_by_customer"}),
                ),
                example("rest", "All that remains", json!({"chargeId": "sim_ch_jpy"})),
                example(
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
                ("cancelRefund", "Withdraws it, if it was not sent yet."),
                ("getRefundTimeline", "Tells what became of it."),
            ],
        )
        .refuses(&[(409, "state_conflict"), (422, "over_refund")])
        .done()
}

fn words<'a>(words: impl Iterator<Item = &'a str>) -> Schema {
    Schema::words(words)
}

fn source_filter(name: &'static str) -> Parameter {
    Parameter::query(
        name,
        "Only refunds of this payment, by any of its ids. One that means nothing lists nothing.",
        Schema::string(),
    )
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
        .may("chargeId", Schema::name(LONGEST_ID).says("The provider's id of the charge, or any id of the payment.").or_null())
        .may("paymentId", Schema::name(LONGEST_ID).says("Any id of the payment.").or_null())
        .may(
            "amount",
            components::amount(1)
                .says("Minor units, written without fraction or exponent. Without it all that remains.")
                .or_null(),
        )
        .may("currency", components::currency().says("ISO 4217; must be the payment's.").or_null())
        .may(
            "expectedRefundable",
            components::amount(0).says("Refuse when another amount is refundable by now.").or_null(),
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

fn refund() -> Schema {
    let text = |text: &str| Schema::string().says(text).or_null();
    Fields::new()
        .must("id", components::refund_id())
        .must("arn", components::arn("refund", "rfd_"))
        .must("accountId", components::account_id())
        .must("mode", components::mode())
        .must("amount", Schema::integer(1).says("Minor units.").like(2500))
        .must("currency", components::currency())
        .must("status", words(Status::ALL.iter().map(|status| status.as_str())))
        .must(
            "statusDetail",
            words(State::ALL.iter().map(|state| state.as_str())).says("Where it really is."),
        )
        .must("reason", text("As it was sent.").like("requested_by_customer"))
        .must("sourceType", components::kind().says("What the payment paid for."))
        .must("sourceId", components::source_id())
        .must("paymentId", components::payment_id())
        .must(
            "chargeId",
            Schema::string().says("The provider's id of the charge.").like("sim_ch_usd"),
        )
        .must(
            "invoiceId",
            components::id(&[Kind::Invoice.prefix()])
                .says("The invoice, where it was one.")
                .or_null()
                .like(json!(null)),
        )
        .must("failureReason", text("The same as `failureMessage`.").like(json!(null)))
        .must("failureCode", text("The provider's word for the failure.").like(json!(null)))
        .must("failureMessage", text("Why it failed.").like(json!(null)))
        .must("late", Schema::boolean().says("It failed after it had succeeded.").like(false))
        .must(
            "origin",
            words(Origin::ALL.iter().map(|origin| origin.as_str()))
                .says("`external`: made at the provider itself and adopted."),
        )
        .must("providerRefundId", text("The provider's id of the refund.").like(json!(null)))
        .must("reference", text("As it was sent.").like(json!(null)))
        .must("metadata", components::printed_metadata().like(json!(null)))
        .must("createdAt", Schema::time())
        .must("updatedAt", Schema::time())
        .closed()
        .says("A refund.")
}

fn step() -> Schema {
    let text = |text: &str| Schema::string().says(text).or_null();
    Fields::new()
        .must(
            "seq",
            Schema::integer(1).says("Counts the refund's events from 1 without a gap.").like(1),
        )
        .must("eventId", components::event_id())
        .must("type", words(Type::ALL.iter().map(|event| event.as_str())).like("refund.created"))
        .must("occurredAt", Schema::time())
        .must("status", words(Status::ALL.iter().map(|status| status.as_str())).or_null())
        .must("statusDetail", words(State::ALL.iter().map(|state| state.as_str())).or_null())
        .must("source", text("Where the evidence came from.").like(json!(null)))
        .must("providerAt", Schema::time().says("The provider's own time of it.").or_null())
        .must(
            "providerRefundId",
            text("The provider's id of the refund by then.").like(json!(null)),
        )
        .must("failureCode", text("Failure code by then.").like(json!(null)))
        .must("failureMessage", text("Failure sentence by then.").like(json!(null)))
        .closed()
        .says("What became of a refund, when, and who said so.")
}
