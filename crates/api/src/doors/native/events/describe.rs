//! Events.

use super::LIST;
use super::replay::EVENTS;
use crate::doors::native::describe::{Described, example};
use crate::openapi::Chapter;
use crate::openapi::components;
use crate::openapi::operation::{Operation, Parameter};
use crate::openapi::schema::{Fields, Schema};
use domain::event::Type;
use domain::ids::{EndpointId, RefundId};
use domain::payment::Kind;
use serde_json::json;

const TAG: &str = "Events";

pub fn chapter() -> Chapter {
    let mut operations = vec![
        Described::get("/api/v1/events", "listEvents", TAG, "List events")
            .takes([Parameter::query("type", "Only events of this type.", types())])
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
            ("Event", event()),
            ("DisabledEndpoint", disabled()),
            ("TriggeredEvent", triggered()),
        ],
        ..Chapter::default()
    }
}

pub fn types() -> Schema {
    Schema::words(Type::ALL.iter().map(|event| event.as_str()))
}

fn event() -> Schema {
    fields(1).closed().says("Something that happened, with its subject.")
}

/// The types of resources that events are about.
fn subjects() -> impl Iterator<Item = &'static str> {
    let kinds = Kind::ALL.iter().map(|kind| kind.as_str());
    ["refund", "webhook_endpoint"].into_iter().chain(kinds)
}

/// The fields of an event whose number is at least `least_seq`.
fn fields(least_seq: i64) -> Fields {
    let mut prefixes = vec![RefundId::PREFIX, EndpointId::PREFIX];
    prefixes.extend(Kind::ALL.iter().map(|kind| kind.prefix()));
    let data = Fields::new()
        .must(
            "object",
            Schema::any_of([
                Schema::named("Refund"),
                Schema::named("Payment"),
                Schema::named("CheckoutSession"),
                Schema::named("Invoice"),
                Schema::named("DisabledEndpoint"),
            ])
            .says("The subject as it was right after the event."),
        )
        .must("aggregateType", Schema::words(subjects()).like("refund"))
        .must("aggregateId", components::id(&prefixes))
        .closed();
    let metadata = Fields::new()
        .must("source", Schema::string().says("Where the evidence came from."))
        .must("providerAt", Schema::time().says("The provider's own time of it.").or_null())
        .closed();
    Fields::new()
        .must("id", components::event_id())
        .must("type", types().like("refund.created"))
        .must("accountId", components::account_id())
        .must("mode", components::mode())
        .must("occurredAt", Schema::time())
        .must(
            "seq",
            Schema::integer(least_seq)
                .says("Counts the subject's events from 1 without a gap.")
                .like(1),
        )
        .must("data", data)
        .must(
            "metadata",
            metadata
                .says("The evidence that made it happen; `null` where there was none.")
                .or_null(),
        )
        .must("createdAt", Schema::time())
        .must("publishedAt", Schema::time())
}

/// A webhook endpoint in the event that it was disabled.
fn disabled() -> Schema {
    Fields::new()
        .must("id", components::id(&[EndpointId::PREFIX]))
        .must("url", Schema::string())
        .must("mode", components::mode())
        .must("active", Schema::boolean().like(false))
        .must("disabledAt", Schema::time())
        .must("disabledReason", Schema::string())
        .must("consecutiveFailures", Schema::integer(0))
        .must("failingSince", Schema::time().or_null())
        .closed()
        .says("A webhook endpoint that was disabled.")
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
fn triggered() -> Schema {
    fields(0)
        .must("deliveries", Schema::integer(0).says("How many endpoints are told."))
        .closed()
        .says("An event that did not happen.")
}
