//! Holds.

use super::wire::HoldWire;
use super::{LIST, LONGEST_REASON, LONGEST_REFERENCE};
use crate::doors::native::describe::Described;
use crate::openapi::{Chapter, Fields, Operation, Parameter, Printed, Schema, components};
use domain::ids::HoldId;
use serde_json::json;

const TAG: &str = "Holds";
const OF_PAYMENT: &str = "/api/v1/payments/{id}/holds";

pub fn chapter() -> Chapter {
    Chapter {
        tags: vec![(
            TAG,
            "Money that cannot be refunded for now, because a dispute is about it. A provider's \
             webhook about a dispute places and ends a hold by itself.",
        )],
        operations: operations(),
        schemas: vec![("Hold", HoldWire::schema()), ("NewHold", new_hold())],
        ..Chapter::default()
    }
}

fn operations() -> Vec<Operation> {
    let hold = || Schema::named("Hold");
    let id = || Parameter::path("holdId", "The hold.", components::id(&[HoldId::PREFIX]));
    let amount = components::amount(1)
        .says("Minor units that went back, where that is not the amount of the hold.")
        .or_null();
    vec![
        Described::post(OF_PAYMENT, "placeHold", TAG, "Hold money")
            .of(components::payment_id(), "The payment.")
            .says(
                "Keeps money of a payment from being refunded: as much of the amount as is free, and \
                 the rest (`amountHeldExcess`) as soon as a refund gives money free.",
            )
            .reads(
                Schema::named("NewHold"),
                &[(
                    "dispute",
                    "A buyer disputes a part",
                    json!({"amount": 2500, "reason": "chargeback", "reference": "dp_1"}),
                )],
            )
            .makes(
                "The hold.",
                hold(),
                &["Idempotent-Replayed"],
                &[("listHolds", "Lists the payment's holds.")],
            )
            .done(),
        Described::get(OF_PAYMENT, "listHolds", TAG, "List the holds of a payment")
            .of(components::payment_id(), "The payment.")
            .gives_pages("A page of holds.", &LIST, "Hold")
            .done(),
        Described::post(
            "/api/v1/payments/{id}/holds/{holdId}/release",
            "releaseHold",
            TAG,
            "Release a hold",
        )
        .of(components::payment_id(), "The payment.")
        .takes([id()])
        .says("The merchant keeps the money, which can be refunded again.")
        .may_read(Fields::new().closed())
        .gives(200, "The hold.", hold(), &["Idempotent-Replayed"])
        .refuses(&[(409, "state_conflict")])
        .done(),
        Described::post("/api/v1/payments/{id}/holds/{holdId}/book", "bookHold", TAG, "Book a hold")
            .of(components::payment_id(), "The payment.")
            .takes([id()])
            .says(
                "The money went back to the buyer. It is booked as a refund with the origin `external` \
                 and the reason `dispute`; what exceeds the captured amount is `amountExcess`.",
            )
            .may_read(Fields::new().may("amount", amount).closed())
            .gives(200, "The hold.", hold(), &["Idempotent-Replayed"])
            .refuses(&[(409, "state_conflict")])
            .done(),
    ]
}

fn new_hold() -> Schema {
    Fields::new()
        .must("amount", components::amount(1).says("Minor units."))
        .must("reason", Schema::name(LONGEST_REASON).says("Why, for people."))
        .may(
            "reference",
            Schema::name(LONGEST_REFERENCE)
                .says(
                    "The provider's id of the dispute, where there is one: money is held for it once, \
                     whoever tells of it first.",
                )
                .or_null(),
        )
        .closed()
        .says("Money to hold. A field that is not listed is refused; `null` means absent.")
}
