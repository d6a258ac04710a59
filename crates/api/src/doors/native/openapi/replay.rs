//! Events told once more, and events tried out.

use super::events::{TAG, fields};
use super::{Described, example};
use crate::doors::native::replay::EVENTS;
use crate::openapi::components;
use crate::openapi::operation::Operation;
use crate::openapi::schema::{Fields, Schema};
use serde_json::json;

/// Both operations.
pub fn operations() -> [Operation; 2] {
    [replay(), trigger()]
}

fn replay() -> Operation {
    let ids = Schema::list(Schema::text(EVENTS.longest))
        .with("minItems", 1)
        .with("maxItems", EVENTS.most);
    let body = Fields::new().must("eventIds", ids).open();
    let one = json!({"eventIds": ["evt_01KREAEM40E8TXW4VNC0XM1R2P"]});
    let count = Fields::new()
        .must("eventId", components::event_id())
        .must("deliveries", Schema::integer(0).says("How many endpoints are told again."))
        .closed();
    Described::post("/api/v1/events/replay", "replayEvents", TAG, "Replay events")
        .says(
            "Tells events again, as new deliveries with the same event ids, to every active endpoint \
             that wants them now. All or nothing.",
        )
        .reads(body, &[example("one", "One event", one)])
        .gives(200, "What was queued, in the order asked for.", Schema::list(count), &["Idempotent-Replayed"])
        .done()
}

fn trigger() -> Operation {
    let body = Fields::new()
        .must("type", Schema::text(200).says("`refund.*` or `payment.*`, in either format."))
        .must("aggregateId", Schema::text(200).says("The refund or payment to tell of."))
        .may("data", Fields::new().open().says("Added to the event's `data`.").or_null())
        .open();
    let one = json!({"type": "refund.failed", "aggregateId": "rfd_01KREAEM40E8TXW4VNC0XM1R2P"});
    Described::post("/api/v1/events/trigger", "triggerEvent", TAG, "Trigger an event")
        .says(
            "Test mode only. Tells every active endpoint that wants it of an event that did not \
             happen. It has an id of its own, `seq` 0 and `metadata.source` `trigger`; it is in the \
             delivery log and not among the events, and changes nothing.",
        )
        .reads(body, &[example("failed", "As if a refund had failed", one)])
        .gives(201, "The event as it was told.", Schema::named("TriggeredEvent"), &["Idempotent-Replayed"])
        .refuses(&[(403, "test_mode_only")])
        .done()
}

/// The event of a trigger.
pub fn triggered() -> Schema {
    fields(0)
        .must("deliveries", Schema::integer(0).says("How many endpoints are told."))
        .closed()
        .says("An event that did not happen.")
}
