//! Replays of events, and test events.

use super::wire::EventWire;
use crate::doors::native::door::Call;
use crate::http::body::{Object, StringList, missing};
use crate::http::invalid::{Invalid, excerpt};
use crate::http::print::Shown;
use crate::http::problem::Problem;
use crate::openapi::{Printed, Schema, components, printed};
use axum::response::Response;
use domain::event::Type;
use domain::ids::{EventId, PaymentId, RefundId};
use domain::tenant::Mode;
use domain::webhook::Format;
use engine::{Aggregate, Replayed};
use http::StatusCode;
use serde::Serialize;

/// Limits on the event ids of one replay.
pub const EVENTS: StringList = StringList { most: 100, longest: 64 };

printed! {
    #[serde(rename_all = "camelCase")]
    pub struct ReplayWire {
        event_id: Shown<EventId> = components::event_id(),
        deliveries: u32 = Schema::integer(0).says("How many endpoints are told again."),
    }
}

/// Queues events again for every endpoint that subscribes to them now.
pub async fn replay(call: Call) -> Result<Response, Problem> {
    let events = read_events(&call.object()?)?;
    let (key, asked) = (call.idempotency_key(), events.len());
    let replayed = call.engine().replay_events(call.tenant(), events, key).await?;
    let (counts, before) = match replayed {
        Replayed::Queued(counts) => (counts, false),
        Replayed::Before(counts) => (counts, true),
        Replayed::Unknown(events) => {
            let names: Vec<_> = events.iter().take(5).map(EventId::to_string).collect();
            let message = format!(
                "{} of {asked} events do not exist for this account and mode or are no longer \
                 kept, and so nothing was told again: {}",
                events.len(),
                names.join(", ")
            );
            let problem = Problem::new(StatusCode::NOT_FOUND, "not_found", message);
            return Err(problem.about("eventIds"));
        }
    };
    let wire = |(id, deliveries)| ReplayWire { event_id: Shown(id), deliveries };
    let items: Vec<_> = counts.into_iter().map(wire).collect();
    Ok(call.answer_to(StatusCode::OK, &items, before))
}

fn read_events(object: &Object<'_>) -> Result<Vec<EventId>, Problem> {
    let field = "eventIds";
    let names = object.strings(field, EVENTS)?.filter(|names| !names.is_empty());
    let names = names.ok_or_else(|| missing(field, "1 to 100 ids, such as [\"evt_…\"]"))?;
    let mut events = Vec::with_capacity(names.len());
    for name in &names {
        let id = EventId::parse(name).map_err(|_| Problem::not_found("event").about(field))?;
        if events.contains(&id) {
            let message = format!("{name} appears more than once; give each event once");
            return Err(Invalid::field(field, message).into());
        }
        events.push(id);
    }
    Ok(events)
}

/// A test event as it was sent.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TriggerWire<'a> {
    #[serde(flatten)]
    event: EventWire<'a>,
    deliveries: u32,
}

impl TriggerWire<'_> {
    /// Describes a test event. Its number is 0.
    pub fn schema() -> Schema {
        EventWire::fields()
            .with("seq", EventWire::seq(0))
            .must("deliveries", Schema::integer(0).says("How many endpoints are told."))
            .closed()
            .says("An event that did not happen.")
    }
}

/// Sends a test event to the account's endpoints.
pub async fn trigger(call: Call) -> Result<Response, Problem> {
    if call.tenant().mode() != Mode::Test {
        let message = "events can be triggered in test mode only; use a test key";
        return Err(Problem::new(StatusCode::FORBIDDEN, "test_mode_only", message));
    }
    let object = call.object()?;
    let event_type = read_type(&object)?;
    let aggregate = read_aggregate(&object, event_type)?;
    let extra = object.json_object("data")?.unwrap_or_default();
    let told = call.engine();
    let told = told.trigger_event(call.tenant(), call.account(), (event_type, aggregate), &extra);
    let told = told.await.map_err(|error| Problem::from(error).about("aggregateId"))?;
    let event = EventWire::new(&told.view, call.account(), call.engine());
    Ok(call.answer(StatusCode::CREATED, &TriggerWire { event, deliveries: told.deliveries }))
}

/// Reads an event type under any of its names in webhook formats.
fn read_type(object: &Object<'_>) -> Result<Type, Invalid> {
    let field = "type";
    let text = object.text(field, 200)?;
    let text = text.ok_or_else(|| missing(field, "a type of event, such as refund.succeeded"))?;
    let is_named = |known: &Type| {
        let mut formats = Format::ALL.iter();
        known.as_str() == text || formats.any(|format| format.event_name(*known) == Some(&*text))
    };
    let found = Type::ALL.iter().copied().find(is_named);
    found.filter(|found| about(*found).is_some()).ok_or_else(|| {
        let text = excerpt(&text);
        let message = format!("type must be one of refund.* or payment.*; got {text:?}");
        Invalid::field(field, message)
    })
}

enum About {
    Refund,
    Payment,
}

/// The kind of resource that a triggerable event type is about.
fn about(event_type: Type) -> Option<About> {
    match event_type.as_str().split_once('.')? {
        ("refund", _) => Some(About::Refund),
        ("payment", _) => Some(About::Payment),
        _ => None,
    }
}

fn read_aggregate(object: &Object<'_>, event_type: Type) -> Result<Aggregate, Problem> {
    let field = "aggregateId";
    let text = object.text(field, 200)?;
    let text = text.ok_or_else(|| missing(field, "the id of a refund or of a payment"))?;
    let (found, what) = match about(event_type) {
        Some(About::Refund) => (RefundId::parse(&text).ok().map(Aggregate::Refund), "refund"),
        _ => (PaymentId::parse(&text).ok().map(Aggregate::Payment), "payment"),
    };
    found.ok_or_else(|| Problem::not_found(what).about(field))
}
