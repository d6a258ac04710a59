//! The shapes of webhook endpoints and deliveries (`reference/plugipay.md` §12.1): the fields of the
//! newest clients and of the documentation, where they do not conflict.

use crate::http::print::Shown;
use crate::http::time::Iso;
use domain::event::{EndpointDetail, Event};
use domain::ids::{AccountId, DeliveryId, EndpointId, EventId};
use domain::time::Timestamp;
use domain::webhook::{Attempt, Endpoint};
use engine::webhooks::DeliveryView;
use serde::Serialize;

/// A webhook endpoint. The secret is printed only right after it was made.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointWire<'a> {
    id: Shown<EndpointId>,
    account_id: Shown<AccountId>,
    mode: &'static str,
    url: &'a str,
    events: Vec<&'a str>,
    format: &'static str,
    description: Option<&'a str>,
    active: bool,
    status: &'static str,
    consecutive_failures: u32,
    failing_since: Option<Iso>,
    disabled_at: Option<Iso>,
    disabled_reason: Option<&'a str>,
    previous_secret_expires_at: Option<Iso>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signing_secret: Option<&'a str>,
    created_at: Iso,
    updated_at: Iso,
}

impl<'a> EndpointWire<'a> {
    pub fn new(endpoint: &'a Endpoint, account: AccountId, now: Timestamp) -> Self {
        let until = endpoint.previous.as_ref().map(|(_, until)| *until).filter(|at| now < *at);
        Self {
            id: Shown(endpoint.id),
            account_id: Shown(account),
            mode: endpoint.tenant.mode().as_str(),
            url: &endpoint.url,
            events: events(&endpoint.events),
            format: endpoint.format.as_str(),
            description: endpoint.description.as_deref(),
            active: endpoint.active,
            status: status(endpoint),
            consecutive_failures: endpoint.consecutive_failures,
            failing_since: endpoint.failing_since.map(Iso),
            disabled_at: endpoint.disabled_at.map(Iso),
            disabled_reason: endpoint.disabled_reason.as_deref(),
            previous_secret_expires_at: until.map(Iso),
            secret: None,
            signing_secret: None,
            created_at: Iso(endpoint.id.at()),
            updated_at: Iso(endpoint.updated_at),
        }
    }

    /// The same with its new secret.
    pub fn with_secret(self, secret: &'a str) -> Self {
        Self { secret: Some(secret), signing_secret: Some(secret), ..self }
    }
}

/// An endpoint without a selection of events gets all of them.
fn events(names: &str) -> Vec<&str> {
    let names: Vec<_> = names.split_ascii_whitespace().collect();
    if names.is_empty() { vec!["*"] } else { names }
}

fn status(endpoint: &Endpoint) -> &'static str {
    match (endpoint.active, endpoint.disabled_at) {
        (true, _) => "active",
        (false, None) => "disabled",
        (false, Some(_)) => "errored",
    }
}

/// A webhook endpoint in the event that it was disabled.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DisabledWire<'a> {
    id: Shown<EndpointId>,
    url: &'a str,
    mode: &'static str,
    active: bool,
    disabled_at: Iso,
    disabled_reason: &'a str,
    consecutive_failures: u32,
    failing_since: Option<Iso>,
}

impl<'a> DisabledWire<'a> {
    pub fn new(event: &Event, detail: &'a EndpointDetail) -> Self {
        Self {
            id: Shown(EndpointId::from_ulid(event.subject.ulid())),
            url: &detail.url,
            mode: event.tenant.mode().as_str(),
            active: false,
            disabled_at: Iso(event.id.at()),
            disabled_reason: &detail.disabled_reason,
            consecutive_failures: detail.consecutive_failures,
            failing_since: detail.failing_since.map(|ms| Iso(Timestamp(ms))),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryWire<'a> {
    id: Shown<DeliveryId>,
    endpoint_id: Shown<EndpointId>,
    event_id: Shown<EventId>,
    #[serde(rename = "type")]
    event_type: &'static str,
    format: &'static str,
    body: &'a str,
    status: &'static str,
    attempts: u32,
    next_retry_at: Option<Iso>,
    last_attempt_at: Option<Iso>,
    delivered_at: Option<Iso>,
    response_code: Option<u16>,
    last_error: Option<&'a str>,
    created_at: Iso,
    updated_at: Iso,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt_log: Option<Vec<AttemptWire>>,
}

impl<'a> DeliveryWire<'a> {
    pub fn new(view: &'a DeliveryView) -> Self {
        let delivery = &view.delivery;
        let name = delivery.format.event_name(delivery.event_type);
        Self {
            id: Shown(delivery.id),
            endpoint_id: Shown(delivery.endpoint),
            event_id: Shown(delivery.event),
            event_type: name.unwrap_or_else(|| delivery.event_type.as_str()),
            format: delivery.format.as_str(),
            body: &view.body,
            status: delivery.status.as_str(),
            attempts: delivery.attempts,
            next_retry_at: delivery.next_at.map(Iso),
            last_attempt_at: delivery.last_attempt_at.map(Iso),
            delivered_at: delivery.delivered_at.map(Iso),
            response_code: delivery.response_code,
            last_error: delivery.last_error.as_deref(),
            created_at: Iso(delivery.id.at()),
            updated_at: Iso(delivery.updated_at),
            attempt_log: None,
        }
    }

    /// The same with its attempts.
    pub fn with_log(self, attempts: &[Attempt]) -> Self {
        Self { attempt_log: Some(attempts.iter().map(AttemptWire::new).collect()), ..self }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AttemptWire {
    attempt_number: u32,
    status: &'static str,
    response_code: Option<u16>,
    duration_ms: i64,
    error: Option<Box<str>>,
    next_retry_at: Option<Iso>,
    attempted_at: Iso,
}

impl AttemptWire {
    fn new(attempt: &Attempt) -> Self {
        let outcome = &attempt.outcome;
        Self {
            attempt_number: attempt.number,
            status: if outcome.is_success() { "succeeded" } else { "failed" },
            response_code: outcome.response_code,
            duration_ms: outcome.duration_ms,
            error: outcome.explain(),
            next_retry_at: attempt.next_at.map(Iso),
            attempted_at: Iso(outcome.attempted_at),
        }
    }
}
