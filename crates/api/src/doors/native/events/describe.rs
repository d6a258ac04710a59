//! Events.

use super::LIST;
use super::replay::{EVENTS, ReplayWire, TriggerWire};
use super::wire::{EventWire, types};
use crate::doors::native::describe::Described;
use crate::doors::native::provider_accounts::wire::ToldProviderAccountWire;
use crate::doors::native::sending::wire::ToldSendingWire;
use crate::doors::native::webhooks::wire::DisabledWire;
use crate::openapi::{Chapter, Fields, Operation, Printed, Schema, components};
use serde_json::json;

const TAG: &str = "Events";

pub fn chapter() -> Chapter {
    let mut operations = vec![
        Described::get("/api/v1/events", "listEvents", TAG, "List events")
            .gives_pages("A page of events.", &LIST, "Event")
            .done(),
        Described::get("/api/v1/events/types", "listEventTypes", TAG, "List event types")
            .gives(200, "Every type of event.", Schema::list(types()), &[])
            .done(),
        Described::get("/api/v1/events/{id}", "getEvent", TAG, "Get an event")
            .of(components::event_id(), "The event.")
            .gives(200, "The event.", Schema::named("Event"), &[])
            .done(),
    ];
    operations.extend([replay(), trigger()]);
    Chapter {
        tags: vec![(TAG, "What happened, in order per subject.")],
        operations,
        schemas: vec![
            ("Event", EventWire::schema()),
            ("DisabledEndpoint", DisabledWire::schema()),
            ("ProviderAccountInEvent", ToldProviderAccountWire::schema()),
            ("SendingInEvent", ToldSendingWire::schema()),
            ("TriggeredEvent", TriggerWire::schema()),
        ],
        ..Chapter::default()
    }
}

fn replay() -> Operation {
    let ids = Schema::list(Schema::text(EVENTS.longest))
        .with("minItems", 1)
        .with("maxItems", EVENTS.most);
    let body = Fields::new().must("eventIds", ids).open();
    let count = Schema::list(ReplayWire::schema());
    let one = json!({"eventIds": ["evt_01KREAEM40E8TXW4VNC0XM1R2P"]});
    Described::post("/api/v1/events/replay", "replayEvents", TAG, "Replay events")
        .says(
            "Tells events again, as new deliveries with the same event ids, to every active \
             endpoint that wants them now. All or nothing.",
        )
        .reads(body, &[("one", "One event", one)])
        .gives(200, "What was queued, in the order asked for.", count, &["Idempotent-Replayed"])
        .done()
}

fn trigger() -> Operation {
    let body = Fields::new()
        .must("type", Schema::text(200).says("`refund.*` or `payment.*`, in either format."))
        .must("aggregateId", Schema::text(200).says("The refund or payment to tell of."))
        .may("data", Fields::new().open().says("Added to the event's `data`.").or_null())
        .open();
    let told = Schema::named("TriggeredEvent");
    let one = json!({"type": "refund.failed", "aggregateId": "rfd_01KREAEM40E8TXW4VNC0XM1R2P"});
    Described::post("/api/v1/events/trigger", "triggerEvent", TAG, "Trigger an event")
        .says(
            "Test mode only. Tells every active endpoint that wants it of an event that did not \
             happen. It has an id of its own, `seq` 0 and `metadata.source` `trigger`; it is in \
             the delivery log and not among the events, and changes nothing.",
        )
        .reads(body, &[("failed", "As if a refund had failed", one)])
        .gives(201, "The event as it was told.", told, &["Idempotent-Replayed"])
        .refuses(&[(403, "test_mode_only")])
        .done()
}
