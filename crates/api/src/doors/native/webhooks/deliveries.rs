//! The log of webhook deliveries.

use super::wire::DeliveryWire;
use crate::doors::native::door::Call;
use crate::doors::native::page::{List, Paging};
use crate::http::invalid::{Invalid, excerpt};
use crate::http::problem::Problem;
use crate::http::query::Query;
use crate::openapi::Schema;
use axum::response::Response;
use domain::event::Type;
use domain::ids::{DeliveryId, EndpointId};
use domain::webhook::{Format, Status, is_event_name};
use engine::{DeliveryFilter, Page};
use http::StatusCode;

pub const LIST: List = List {
    range: None,
    ..List::new(
        "deliveries",
        &[
            ("endpointId", "Only those to this endpoint.", Schema::string),
            ("status", "Only those that stand there.", || {
                Schema::one_of(Status::ALL, Status::as_str)
            }),
            ("type", "Only events of this name.", Schema::string),
        ],
    )
};

pub async fn list(call: Call) -> Result<Response, Problem> {
    let query = call.query();
    let paging = Paging::read(&LIST, &query, call.tenant(), None)?;
    let page = match read_filter(&query)? {
        Some(filter) => {
            let (tenant, account) = (call.tenant(), call.account());
            call.engine().list_deliveries(tenant, account, filter, paging.query).await?
        }
        None => Page { items: Vec::new(), more: false },
    };
    Ok(call.page(&page, &paging, |view| view.delivery.id.ulid(), DeliveryWire::new))
}

/// `None` when nothing can match.
fn read_filter(query: &Query<'_>) -> Result<Option<DeliveryFilter>, Invalid> {
    let mut filter = DeliveryFilter::default();
    if let Some(text) = query.get("endpointId")? {
        let Ok(id) = EndpointId::parse(&text) else { return Ok(None) };
        filter.endpoint = Some(id);
    }
    filter.status = query.word("status", Status::ALL, Status::as_str)?;
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

/// An event name belongs to one format, unless it is the type's own name.
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

/// One delivery with its attempts.
pub async fn get(call: Call) -> Result<Response, Problem> {
    let id = read_id(&call)?;
    let found = call.engine().find_delivery(call.tenant(), call.account(), id).await?;
    let (view, attempts) = found.ok_or_else(not_found)?;
    Ok(call.answer(StatusCode::OK, &DeliveryWire::new(&view).with_log(&attempts)))
}

/// Queues one more attempt at once.
pub async fn retry(call: Call) -> Result<Response, Problem> {
    call.expect_no_fields()?;
    let id = read_id(&call)?;
    let view = call.engine().retry_delivery(call.tenant(), call.account(), id).await?;
    Ok(call.answer(StatusCode::OK, &DeliveryWire::new(&view)))
}

fn not_found() -> Problem {
    Problem::not_found("delivery")
}

fn read_id(call: &Call) -> Result<DeliveryId, Problem> {
    DeliveryId::parse(call.segment(5)).map_err(|_| not_found())
}
