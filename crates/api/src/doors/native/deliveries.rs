//! The log of webhook deliveries.

use super::error::Problem;
use super::page::{List, Paging};
use super::serve::Call;
use super::webhook_wire::DeliveryWire;
use crate::invalid::{Invalid, excerpt};
use crate::query::Query;
use axum::response::Response;
use domain::event::Type;
use domain::ids::{DeliveryId, EndpointId};
use domain::webhook::{Format, Status, is_event_name};
use engine::{DeliveryFilter, Page, SortOrder};
use http::StatusCode;

/// The list.
pub const LIST: List = List {
    name: "deliveries",
    filters: &["endpointId", "status", "type"],
    range: None,
    order: SortOrder::Descending,
    limit: 20,
};

/// Lists deliveries.
pub async fn list(call: Call) -> Result<Response, Problem> {
    let query = call.query();
    let paging = Paging::read(&LIST, &query, call.scope(), None)?;
    let page = match read_filter(&query)? {
        Some(filter) => {
            let (scope, account) = (call.scope(), call.account());
            let page = call.engine().list_deliveries(scope, account, filter, paging.query).await;
            page.map_err(|error| call.refused(&error))?
        }
        None => Page { items: Vec::new(), more: false },
    };
    let items: Vec<_> = page.items.iter().map(DeliveryWire::new).collect();
    let last = page.items.last().map(|view| view.delivery.id.ulid());
    Ok(call.page(&items, &paging, last, page.more))
}

/// `None` when nothing can match.
fn read_filter(query: &Query<'_>) -> Result<Option<DeliveryFilter>, Invalid> {
    let mut filter = DeliveryFilter::default();
    if let Some(text) = query.get("endpointId")? {
        let Ok(id) = EndpointId::parse(&text) else { return Ok(None) };
        filter.endpoint = Some(id);
    }
    if let Some(text) = query.get("status")? {
        filter.status = Some(read_status(&text)?);
    }
    if let Some(text) = query.get("type")? {
        if !is_event_name(&text) {
            let text = excerpt(&text);
            let message = format!("type must be the name of an event; got {text:?}");
            return Err(Invalid::field("type", message));
        }
        narrow(&mut filter, &text);
    }
    Ok(Some(filter))
}

/// A name belongs to one format, but for those that it shares with the type itself.
fn narrow(filter: &mut DeliveryFilter, name: &str) {
    if name == "*" {
        return;
    }
    let named = |format: &Format| {
        let event = Type::ALL.iter().find(|event| format.event_name(**event) == Some(name))?;
        Some((*format, *event))
    };
    let found = Format::ALL.iter().find_map(named);
    filter.types = Some(found.map(|(_, event)| event).into_iter().collect());
    filter.format = found.map(|(format, _)| format);
}

fn read_status(text: &str) -> Result<Status, Invalid> {
    Status::from_text(text).ok_or_else(|| {
        let known = Status::ALL.iter().map(|status| status.as_str()).collect::<Vec<_>>().join(", ");
        let text = excerpt(text);
        Invalid::field("status", format!("status must be one of {known}; got {text:?}"))
    })
}

/// One delivery, with what became of each attempt.
pub async fn get(call: Call) -> Result<Response, Problem> {
    let id = read_id(&call)?;
    let found = call.engine().find_delivery(call.scope(), call.account(), id).await;
    let found = found.map_err(|error| call.refused(&error))?;
    let (view, attempts) = found.ok_or_else(not_found)?;
    Ok(call.answer(StatusCode::OK, &DeliveryWire::new(&view).with_log(&attempts)))
}

/// Tries once more, at once.
pub async fn retry(call: Call) -> Result<Response, Problem> {
    call.expect_no_fields()?;
    let id = read_id(&call)?;
    let view = call.engine().retry_delivery(call.scope(), call.account(), id).await;
    let view = view.map_err(|error| call.refused(&error))?;
    Ok(call.answer(StatusCode::OK, &DeliveryWire::new(&view)))
}

fn not_found() -> Problem {
    Problem::not_found("delivery")
}

fn read_id(call: &Call) -> Result<DeliveryId, Problem> {
    DeliveryId::parse(call.segment(5)).map_err(|_| not_found())
}
