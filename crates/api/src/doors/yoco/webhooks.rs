//! Webhook endpoints in the shapes of this door, which shows only endpoints of its own format.

use super::door::Call;
use super::error::Problem;
use crate::http::body::missing;
use axum::response::Response;
use domain::ids::EndpointId;
use domain::webhook::{Endpoint, Format};
use engine::webhooks::EndpointDraft;
use http::StatusCode;
use secrecy::ExposeSecret as _;
use serde::Serialize;

pub const LONGEST_NAME: usize = 200;
pub const LONGEST_URL: usize = 2_000;

#[derive(Serialize)]
struct WebhookWire<'a> {
    id: String,
    name: &'a str,
    url: &'a str,
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
}

#[derive(Serialize)]
struct Subscriptions<'a> {
    subscriptions: Vec<WebhookWire<'a>>,
}

impl<'a> WebhookWire<'a> {
    fn new(endpoint: &'a Endpoint, secret: Option<&'a str>) -> Self {
        Self {
            id: endpoint.id.to_string(),
            name: endpoint.description.as_deref().unwrap_or_default(),
            url: &endpoint.url,
            mode: endpoint.tenant.mode().as_str(),
            secret,
        }
    }
}

/// Creates a webhook endpoint. Only this answer has its secret.
pub async fn create(call: Call) -> Result<Response, Problem> {
    let draft = {
        let object = call.object()?;
        let name = object.name("name", LONGEST_NAME)?;
        let url = object.name("url", LONGEST_URL)?;
        EndpointDraft {
            url: url.ok_or_else(|| missing("url", "where to send events to"))?.into(),
            events: Box::default(),
            format: Format::Yoco,
            description: Some(name.ok_or_else(|| missing("name", "what to call it"))?.into()),
            active: true,
        }
    };
    let made = call.engine().create_endpoint(call.tenant(), draft).await?;
    let secret = Some(made.secret.expose_secret());
    Ok(call.json(StatusCode::OK, &WebhookWire::new(&made.endpoint, secret)))
}

/// Lists webhooks. Not paged: there are at most 50.
pub async fn list(call: Call) -> Result<Response, Problem> {
    let endpoints = call.engine().list_endpoints(call.tenant()).await?;
    let ours = endpoints.iter().filter(|endpoint| endpoint.format == Format::Yoco);
    let subscriptions = ours.map(|endpoint| WebhookWire::new(endpoint, None)).collect();
    Ok(call.json(StatusCode::OK, &Subscriptions { subscriptions }))
}

/// Deletes a webhook endpoint.
pub async fn remove(call: Call) -> Result<Response, Problem> {
    let not_found = || Problem::not_found("webhook");
    let id = EndpointId::parse(&call.id()).map_err(|_| not_found())?;
    let found = call.engine().find_endpoint(call.tenant(), id).await?;
    found.filter(|endpoint| endpoint.format == Format::Yoco).ok_or_else(not_found)?;
    call.engine().remove_endpoint(call.tenant(), id).await?;
    Ok(call.no_content())
}
