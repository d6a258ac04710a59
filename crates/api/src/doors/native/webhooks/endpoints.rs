//! Webhook endpoints: the addresses that receive an account's events.

use super::wire::EndpointWire;
use crate::doors::native::door::Call;
use crate::http::body::{Object, StringList, missing};
use crate::http::invalid::{Invalid, excerpt, one_of};
use crate::http::problem::Problem;
use axum::response::Response;
use domain::decide::webhook::EndpointChanges;
use domain::ids::EndpointId;
use domain::webhook::{Endpoint, Format};
use engine::webhooks::{EndpointDraft, NewSecret};
use http::StatusCode;
use secrecy::ExposeSecret as _;

pub const LONGEST_URL: usize = 2_000;
pub const LONGEST_DESCRIPTION: usize = 500;
/// Clients that name no format expect the API that this door follows.
pub const DEFAULT_FORMAT: Format = Format::Plugipay;
/// Limits on the event names of one endpoint.
pub const EVENTS: StringList = StringList { most: 100, longest: 100 };

/// Lists endpoints, newest first. Not paged: there are at most 50.
pub async fn list(call: Call) -> Result<Response, Problem> {
    let endpoints = call.engine().list_endpoints(call.tenant()).await?;
    let items: Vec<_> = endpoints.iter().map(|endpoint| wire(&call, endpoint)).collect();
    Ok(call.answer(StatusCode::OK, &items))
}

/// Creates an endpoint. Only this answer has its secret.
pub async fn create(call: Call) -> Result<Response, Problem> {
    let object = call.object()?;
    let url = object.name("url", LONGEST_URL)?;
    let draft = EndpointDraft {
        url: url.ok_or_else(|| missing("url", "where to send events to"))?.into(),
        events: read_events(&object)?.unwrap_or_default(),
        format: read_format(&object)?.unwrap_or(DEFAULT_FORMAT),
        description: read_description(&object)?.filter(|text| !text.is_empty()),
        active: object.flag("active")?.unwrap_or(true),
    };
    let made = call.engine().create_endpoint(call.tenant(), draft).await?;
    Ok(with_secret(&call, StatusCode::CREATED, &made))
}

pub async fn get(call: Call) -> Result<Response, Problem> {
    let endpoint =
        call.engine().find_endpoint(call.tenant(), read_id(&call)?).await?.ok_or_else(not_found)?;
    Ok(call.answer(StatusCode::OK, &wire(&call, &endpoint)))
}

/// Changes the fields that the body has.
pub async fn change(call: Call) -> Result<Response, Problem> {
    let id = read_id(&call)?;
    let object = call.object()?;
    let changes = EndpointChanges {
        url: object.name("url", LONGEST_URL)?.map(Into::into),
        events: read_events(&object)?,
        description: read_description(&object)?,
        active: object.flag("active")?,
    };
    let endpoint = call.engine().change_endpoint(call.tenant(), id, changes).await?;
    Ok(call.answer(StatusCode::OK, &wire(&call, &endpoint)))
}
pub async fn remove(call: Call) -> Result<Response, Problem> {
    call.expect_no_fields()?;
    call.engine().remove_endpoint(call.tenant(), read_id(&call)?).await?;
    Ok(call.no_content())
}

/// Makes a new secret. Only this answer has it; the old secret still signs for a day.
pub async fn rotate(call: Call) -> Result<Response, Problem> {
    call.expect_no_fields()?;
    let made = call.engine().rotate_endpoint_secret(call.tenant(), read_id(&call)?).await?;
    Ok(with_secret(&call, StatusCode::OK, &made))
}

fn wire<'a>(call: &Call, endpoint: &'a Endpoint) -> EndpointWire<'a> {
    EndpointWire::new(endpoint, call.account(), call.engine().now())
}

fn with_secret(call: &Call, status: StatusCode, made: &NewSecret) -> Response {
    let wire = wire(call, &made.endpoint).with_secret(made.secret.expose_secret());
    call.answer(status, &wire)
}

fn not_found() -> Problem {
    Problem::not_found("webhook endpoint")
}

fn read_id(call: &Call) -> Result<EndpointId, Problem> {
    EndpointId::parse(call.id()).map_err(|_| not_found())
}

/// The names separated by spaces; no name contains a space.
fn read_events(object: &Object<'_>) -> Result<Option<Box<str>>, Invalid> {
    let Some(names) = object.strings("events", EVENTS)? else { return Ok(None) };
    let odd = |name: &&String| name.is_empty() || name.contains(char::is_whitespace);
    if let Some(name) = names.iter().find(odd) {
        let message = format!("there is no event {:?}", excerpt(name));
        return Err(Invalid::field("events", message));
    }
    Ok(Some(names.join(" ").into()))
}

fn read_format(object: &Object<'_>) -> Result<Option<Format>, Invalid> {
    let Some(text) = object.text("format", LONGEST_DESCRIPTION)? else { return Ok(None) };
    one_of("format", &text, Format::ALL, Format::as_str).map(Some)
}

fn read_description(object: &Object<'_>) -> Result<Option<Box<str>>, Invalid> {
    Ok(object.text("description", LONGEST_DESCRIPTION)?.map(Into::into))
}
