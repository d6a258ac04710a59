//! Webhook endpoints in the shapes of this door, which shows only endpoints of its own format.

use super::door::Call;
use super::error::Problem;
use crate::http::body::missing;
use crate::openapi::{Schema, components, printed};
use axum::response::Response;
use domain::ids::EndpointId;
use domain::tenant::Mode;
use domain::webhook::{Endpoint, Format};
use engine::webhooks::EndpointDraft;
use http::StatusCode;
use secrecy::ExposeSecret as _;

pub const LONGEST_NAME: usize = 200;
pub const LONGEST_URL: usize = 2_000;

printed! {
    /// A webhook.
    #[serde(rename_all = "camelCase")]
    pub struct WebhookWire<'a> {
        id: String = components::id(&[EndpointId::PREFIX]),
        name: &'a str = Schema::string().like("orders"),
        url: &'a str = Schema::string().like("https://shop.example/hooks"),
        mode: &'static str = Schema::one_of(Mode::ALL, Mode::as_str),
        secret?: &'a str = Schema::matching("^whsec_[A-Za-z0-9+/]+=*$")
            .says("What signs; shown this once."),
    }
}

printed! {
    #[serde(rename_all = "camelCase")]
    pub struct Subscriptions<'a> {
        subscriptions: Vec<WebhookWire<'a>> = Schema::list(Schema::named("YocoWebhook")),
    }
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
