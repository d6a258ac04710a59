//! Webhooks from providers. They carry no key: the provider's adapter checks the provider's own
//! signature over the exact bytes before anything is recorded.

pub mod describe;

use crate::app::App;
use crate::http::admit::{client, count_failure};
use crate::http::answer::with_body;
use crate::http::body;
use crate::http::envelope;
use crate::http::problem::Problem;
use crate::http::route::Route;
use axum::extract::Request;
use axum::response::Response;
use domain::ids::{AccountId, ProviderAccountId, RequestId};
use domain::tenant::{Mode, Tenant};
use engine::{InboundWebhook, WebhookAnswer, WebhookError, WebhookRefused};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Serialize;
use std::sync::Arc;

/// The address that a provider sends the webhooks of a provider account to.
const PATH: &str = "/api/v1/inbound-webhooks/{provider}/{id}";

/// The address that a provider sends to whose adapter serves everybody.
const PATH_OF_EVERYBODY: &str = "/api/v1/inbound-webhooks/{provider}/{account}/{mode}";

/// The operations of this door. A forged webhook counts as a failed authentication of its client.
pub fn routes() -> Vec<Route> {
    vec![
        Route::open(Method::POST, PATH, receive),
        Route::open(Method::POST, PATH_OF_EVERYBODY, receive),
    ]
}

#[derive(Serialize)]
struct Received {
    received: bool,
}

/// Receives one webhook. The answer is sent after the webhook is recorded, so that the provider
/// repeats an unrecorded one.
async fn receive(app: Arc<App>, request: Request) -> Response {
    let request_id = app.engine.request_id();
    let client = client(&app, request.headers(), request.extensions());
    match take_in(&app, request).await {
        Ok(Some(answer)) => in_its_words(&answer, request_id),
        Ok(None) => {
            let received = Received { received: true };
            envelope::answer(&app, request_id, StatusCode::OK, &received, None)
        }
        Err(problem) => {
            let forged = problem.status == StatusCode::UNAUTHORIZED;
            let problem =
                count_failure(&app, client.filter(|_| forged)).map_or(problem, Problem::from);
            envelope::refuse(&app, request_id, &problem)
        }
    }
}

fn in_its_words(answer: &WebhookAnswer, request_id: RequestId) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = with_body(status, answer.body.into(), &request_id.to_string());
    if !answer.body.is_empty() {
        let kind = HeaderValue::from_static(answer.content_type);
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    response
}

async fn take_in(app: &App, request: Request) -> Result<Option<WebhookAnswer>, Problem> {
    let (parts, body) = request.into_parts();
    let mut segments = parts.uri.path().split('/').skip(4);
    let (provider, id, mode) = (segments.next(), segments.next(), segments.next());
    let (provider, id) = provider.zip(id).ok_or_else(unknown_address)?;
    // Nothing is read for an address that does not exist.
    let tenant = match mode {
        Some(mode) => find_tenant(app, id, mode).await?,
        None => match ProviderAccountId::parse(id) {
            Ok(account) => app.engine.webhook_tenant(provider, account).await?,
            Err(_) => None,
        },
    };
    let tenant = tenant.ok_or_else(unknown_address)?;
    if !app.engine.receives_webhooks(provider) {
        return Err(unknown_address());
    }
    let account = mode.is_none().then_some(id);
    let config = &app.config;
    let body =
        body::read(&parts.headers, body, config.max_webhook_bytes, config.body_timeout).await?;
    let webhook = InboundWebhook {
        url: format!("{}{}", app.engine.public_url(), parts.uri).into(),
        headers: readable(&parts.headers),
        body: body.into(),
        received_at: app.engine.now(),
    };
    let received = app.engine.receive_webhook(tenant, provider, account, webhook).await;
    received.map_err(|error| explain(&error))
}

async fn find_tenant(app: &App, account: &str, mode: &str) -> Result<Option<Tenant>, Problem> {
    let (Ok(id), Some(mode)) = (AccountId::parse(account), Mode::from_text(mode)) else {
        return Ok(None);
    };
    let account = app.engine.find_account(id).await?;
    Ok(account.map(|account| Tenant::new(account.number, mode)))
}

/// Headers whose values are text. No provider signs with anything else.
fn readable(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .filter_map(|(name, value)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        })
        .collect()
}

fn unknown_address() -> Problem {
    let message = "no such provider is configured for such an account and mode; check the address \
                   that the provider sends to";
    Problem::new(StatusCode::NOT_FOUND, "not_found", message)
}

fn explain(error: &WebhookError) -> Problem {
    match error {
        WebhookError::UnknownProvider => unknown_address(),
        WebhookError::Refused(refused @ WebhookRefused::Forged) => {
            Problem::new(StatusCode::UNAUTHORIZED, "invalid_signature", refused.to_string())
        }
        WebhookError::Refused(refused @ WebhookRefused::Malformed(_)) => {
            Problem::new(StatusCode::BAD_REQUEST, "validation_error", refused.to_string())
        }
        WebhookError::NotAsked(why) => {
            tracing::warn!(%why, "a webhook could not be followed; the provider sends it again");
            Problem::unavailable("the provider could not be asked; send it again")
        }
        WebhookError::Engine(error) => {
            tracing::warn!(%error, "a webhook could not be recorded; the provider sends it again");
            Problem::unavailable("the webhook could not be recorded; send it again")
        }
    }
}
