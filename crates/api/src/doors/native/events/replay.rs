//! Telling events once more, and trying out what telling looks like.

use super::wire::EventWire;
use crate::doors::native::door::Call;
use crate::http::answer::mark_replayed;
use crate::http::body::{Object, StringList, missing};
use crate::http::invalid::{Invalid, excerpt};
use crate::http::print::Shown;
use crate::http::problem::Problem;
use axum::response::Response;
use domain::account::Mode;
use domain::event::Type;
use domain::ids::{EventId, PaymentId, RefundId};
use domain::webhook::Format;
use engine::{Aggregate, Replayed};
use http::StatusCode;
use serde::Serialize;

/// How many events can be told once more with one request.
pub const EVENTS: StringList = StringList { most: 100, longest: 64 };

/// One event, and how many deliveries of it were queued.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReplayWire {
    event_id: Shown<EventId>,
    deliveries: u32,
}

/// Tells events once more, to the endpoints that want them now.
pub async fn replay(call: Call) -> Result<Response, Problem> {
    let events = read_events(&call.object()?)?;
    let (key, asked) = (call.idempotency_key(), events.len());
    let replayed = call.engine().replay_events(call.scope(), events, key).await?;
    let (counts, before) = match replayed {
        Replayed::Queued(counts) => (counts, false),
        Replayed::Before(counts) => (counts, true),
        Replayed::Unknown(events) => {
            let names: Vec<_> = events.iter().take(5).map(EventId::to_string).collect();
            let message = format!(
                "{} of {asked} events do not exist for this account and mode or are no longer kept, \
                 and so nothing was told again: {}",
                events.len(),
                names.join(", ")
            );
            let problem = Problem::new(StatusCode::NOT_FOUND, "not_found", message);
            return Err(problem.about("eventIds"));
        }
    };
    let wire = |(id, deliveries)| ReplayWire { event_id: Shown(id), deliveries };
    let items: Vec<_> = counts.into_iter().map(wire).collect();
    let mut response = call.answer(StatusCode::OK, &items);
    mark_replayed(&mut response, before);
    Ok(response)
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

/// An event that did not happen, as it was told.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TriggerWire<'a> {
    #[serde(flatten)]
    event: EventWire<'a>,
    deliveries: u32,
}

/// Tells the account's endpoints of an event that did not happen.
pub async fn trigger(call: Call) -> Result<Response, Problem> {
    if call.scope().mode() != Mode::Test {
        let message = "events can be triggered in test mode only; use a test key";
        return Err(Problem::new(StatusCode::FORBIDDEN, "test_mode_only", message));
    }
    let object = call.object()?;
    let event_type = read_type(&object)?;
    let aggregate = read_aggregate(&object, event_type)?;
    let extra = object.json_object("data")?.unwrap_or_default();
    let told = call.engine();
    let told = told.trigger_event(call.scope(), call.account(), (event_type, aggregate), &extra);
    let told = told.await.map_err(|error| Problem::from(error).about("aggregateId"))?;
    let event = EventWire::new(&told.view, call.account(), call.engine());
    Ok(call.answer(StatusCode::CREATED, &TriggerWire { event, deliveries: told.deliveries }))
}

/// A type under any of the names that it has in webhooks.
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

/// What a type of event is about, as far as it can be triggered.
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
