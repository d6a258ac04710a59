//! The shapes of webhook endpoints and deliveries, with the field names of Plugipay: the fields of the
//! newest clients and of the documentation, where they do not conflict.

use crate::http::print::Shown;
use crate::http::time::Iso;
use crate::openapi::{Schema, components, printed};
use domain::event::{EndpointDetail, Event};
use domain::ids::{AccountId, DeliveryId, EndpointId, EventId};
use domain::time::Timestamp;
use domain::webhook::{Attempt, Endpoint, Format, Status};
use engine::webhooks::DeliveryView;

printed! {
    #[serde(rename_all = "camelCase")]
    pub struct EndpointWire<'a> {
        id: Shown<EndpointId> = components::id(&[EndpointId::PREFIX]),
        account_id: Shown<AccountId> = components::account_id(),
        mode: &'static str = components::mode(),
        url: &'a str = Schema::string().like("https://shop.example/webhooks"),
        events: Vec<&'a str> = Schema::list(Schema::string()),
        format: &'static str = Schema::one_of(Format::ALL, Format::as_str),
        description: Option<&'a str> = Schema::string().or_null(),
        active: bool = Schema::boolean(),
        status: &'static str = Schema::words(["active", "disabled", "errored"])
            .says("`disabled` by hand, `errored` after too many failures."),
        consecutive_failures: u32 = Schema::integer(0),
        failing_since: Option<Iso> = Schema::time().or_null(),
        disabled_at: Option<Iso> = Schema::time().or_null(),
        disabled_reason: Option<&'a str> = Schema::string().or_null(),
        previous_secret_expires_at: Option<Iso> = Schema::time().or_null(),
        secret?: &'a str = secret(),
        signing_secret?: &'a str = secret().says("Another name of `secret`."),
        created_at: Iso = Schema::time(),
        updated_at: Iso = Schema::time(),
    }
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

/// Describes a signing secret.
fn secret() -> Schema {
    Schema::matching("^whsec_[A-Za-z0-9+/]+=*$")
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

printed! {
    /// A webhook endpoint that was disabled.
    #[serde(rename_all = "camelCase")]
    pub struct DisabledWire<'a> {
        id: Shown<EndpointId> = components::id(&[EndpointId::PREFIX]),
        url: &'a str = Schema::string(),
        mode: &'static str = components::mode(),
        active: bool = Schema::boolean().like(false),
        disabled_at: Iso = Schema::time(),
        disabled_reason: &'a str = Schema::string(),
        consecutive_failures: u32 = Schema::integer(0),
        failing_since: Option<Iso> = Schema::time().or_null(),
    }
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

printed! {
    #[serde(rename_all = "camelCase")]
    pub struct DeliveryWire<'a> {
        id: Shown<DeliveryId> = components::id(&[DeliveryId::PREFIX]),
        endpoint_id: Shown<EndpointId> = components::id(&[EndpointId::PREFIX]),
        event_id: Shown<EventId> = components::event_id(),
        r#type: &'static str = Schema::string().says("The event's name in the endpoint's format."),
        format: &'static str = Schema::one_of(Format::ALL, Format::as_str),
        body: &'a str = Schema::string()
            .says("The exact text that is sent, on every attempt the same."),
        status: &'static str = Schema::one_of(Status::ALL, Status::as_str),
        attempts: u32 = Schema::integer(0),
        next_retry_at: Option<Iso> = Schema::time()
            .says("`null` when it is done, or waits for an earlier event of the same thing.")
            .or_null(),
        last_attempt_at: Option<Iso> = Schema::time().or_null(),
        delivered_at: Option<Iso> = Schema::time().or_null(),
        response_code: Option<u16> = Schema::integer(100).or_null(),
        last_error: Option<&'a str> = Schema::string().or_null().like("HTTP 503"),
        created_at: Iso = Schema::time(),
        updated_at: Iso = Schema::time(),
        attempt_log?: Vec<AttemptWire> = Schema::list(AttemptWire::schema())
            .says("Oldest first."),
    }
}

impl<'a> DeliveryWire<'a> {
    pub fn new(view: &'a DeliveryView) -> Self {
        let delivery = &view.delivery;
        let name = delivery.format.event_name(delivery.event_type);
        Self {
            id: Shown(delivery.id),
            endpoint_id: Shown(delivery.endpoint),
            event_id: Shown(delivery.event),
            r#type: name.unwrap_or_else(|| delivery.event_type.as_str()),
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

printed! {
    #[serde(rename_all = "camelCase")]
    struct AttemptWire {
        attempt_number: u32 = Schema::integer(1),
        status: &'static str = Schema::words(["succeeded", "failed"]),
        response_code: Option<u16> = Schema::integer(100).or_null(),
        duration_ms: i64 = Schema::integer(0),
        error: Option<Box<str>> = Schema::string().or_null(),
        next_retry_at: Option<Iso> = Schema::time().or_null(),
        attempted_at: Iso = Schema::time(),
    }
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
