//! Events, and a refund's timeline, which is its events.

use super::error::Problem;
use super::page::{List, Paging};
use super::refunds;
use super::serve::Call;
use super::wire::{EventWire, TimelineWire};
use crate::invalid::{Invalid, excerpt};
use axum::response::Response;
use domain::event::Type;
use domain::ids::EventId;
use engine::{EventFilter, SortOrder};
use http::StatusCode;

/// What a page of this list is.
pub const LIST: List = List {
    name: "events",
    filters: &["type"],
    range: Some(("occurredAfter", "occurredBefore")),
    order: SortOrder::Descending,
    limit: 20,
};

/// A timeline reads from the beginning, and few refunds fill a page.
pub const TIMELINE: List =
    List { name: "timeline", filters: &[], range: None, order: SortOrder::Ascending, limit: 100 };

/// Lists events.
pub async fn list(call: Call) -> Result<Response, Problem> {
    let query = call.query();
    let paging = Paging::read(&LIST, &query, call.scope(), None)?;
    let event_type = query.get("type")?.map(|text| read_type(&text)).transpose()?;
    let filter = EventFilter { event_type, refund: None };
    let page = call.engine().list_events(call.scope(), filter, paging.query).await;
    let page = page.map_err(|error| call.refused(&error))?;
    let items: Vec<_> =
        page.items.iter().map(|view| EventWire::new(view, call.account(), call.engine())).collect();
    let last = page.items.last().map(|view| view.event.id.ulid());
    Ok(call.page(&items, &paging, last, page.more))
}

fn read_type(text: &str) -> Result<Type, Invalid> {
    Type::from_text(text).ok_or_else(|| {
        let text = excerpt(text);
        let message =
            format!("type must be one of those that GET /api/v1/events/types lists; got {text:?}");
        Invalid::field("type", message)
    })
}

/// Every type of event.
pub async fn types(call: Call) -> Result<Response, Problem> {
    let types: Vec<_> = Type::ALL.iter().map(|event_type| event_type.as_str()).collect();
    Ok(call.answer(StatusCode::OK, &types))
}

/// One event.
pub async fn get(call: Call) -> Result<Response, Problem> {
    let id = EventId::parse(call.id()).map_err(|_| Problem::not_found("event"))?;
    let view = call.engine().find_event(call.scope(), id).await;
    let view = view.map_err(|error| call.refused(&error))?;
    let view = view.ok_or_else(|| Problem::not_found("event"))?;
    Ok(call.answer(StatusCode::OK, &EventWire::new(&view, call.account(), call.engine())))
}

/// What became of one refund, step by step.
pub async fn timeline(call: Call) -> Result<Response, Problem> {
    let refund = refunds::find(&call).await?.refund;
    let paging = Paging::read(&TIMELINE, &call.query(), call.scope(), Some(refund.id.ulid()))?;
    let filter = EventFilter { event_type: None, refund: Some(refund.id) };
    let page = call.engine().list_events(call.scope(), filter, paging.query).await;
    let page = page.map_err(|error| call.refused(&error))?;
    let items: Vec<_> = page.items.iter().map(TimelineWire::new).collect();
    let last = page.items.last().map(|view| view.event.id.ulid());
    Ok(call.page_with(&items, paging.meta(last, page.more).of_timeline(&refund)))
}
