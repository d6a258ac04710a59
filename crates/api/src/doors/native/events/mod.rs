//! Events.

pub mod describe;
mod replay;
pub mod wire;

use self::wire::EventWire;
use super::door::Call;
use super::page::{List, Paging};
use crate::http::call::guarded;
use crate::http::idempotent::idempotent;
use crate::http::invalid::{Invalid, excerpt};
use crate::http::problem::Problem;
use crate::http::route::Route;
use axum::response::Response;
use domain::event::Type;
use domain::ids::EventId;
use engine::EventFilter;
use engine::access::KeyScope::{EventRead, EventTrigger, EventWrite};
use http::{Method, StatusCode};

pub fn routes() -> Vec<Route> {
    use Method as M;
    vec![
        guarded(M::GET, "/api/v1/events", EventRead, list),
        guarded(M::GET, "/api/v1/events/types", EventRead, types),
        guarded(M::GET, "/api/v1/events/{id}", EventRead, get),
        guarded(M::POST, "/api/v1/events/replay", EventWrite, replay::replay),
        idempotent(M::POST, "/api/v1/events/trigger", EventTrigger, replay::trigger),
    ]
}

pub const LIST: List = List {
    range: Some(("occurredAfter", "occurredBefore")),
    ..List::new("events", &[("type", "Only events of this type.", wire::types)])
};

pub async fn list(call: Call) -> Result<Response, Problem> {
    let query = call.query();
    let paging = Paging::read(&LIST, &query, call.tenant(), None)?;
    let event_type = query.get("type")?.map(|text| read_type(&text)).transpose()?;
    let filter = EventFilter { event_type, ..EventFilter::default() };
    let page = call.engine().list_events(call.tenant(), filter, paging.query).await?;
    Ok(call.page(
        &page,
        &paging,
        |view| view.event.id.ulid(),
        |view| EventWire::new(view, call.account(), call.engine()),
    ))
}

fn read_type(text: &str) -> Result<Type, Invalid> {
    Type::from_text(text).ok_or_else(|| {
        let text = excerpt(text);
        let message =
            format!("type must be one of those that GET /api/v1/events/types lists; got {text:?}");
        Invalid::field("type", message)
    })
}

pub async fn types(call: Call) -> Result<Response, Problem> {
    let types: Vec<_> = Type::ALL.iter().map(|event_type| event_type.as_str()).collect();
    Ok(call.answer(StatusCode::OK, &types))
}

pub async fn get(call: Call) -> Result<Response, Problem> {
    let id = EventId::parse(call.id()).map_err(|_| Problem::not_found("event"))?;
    let view = call.engine().find_event(call.tenant(), id).await?;
    let view = view.ok_or_else(|| Problem::not_found("event"))?;
    Ok(call.answer(StatusCode::OK, &EventWire::new(&view, call.account(), call.engine())))
}
