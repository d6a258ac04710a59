//! Webhook endpoints, and the deliveries to them.

use super::{Done, Refusal};
use crate::event::{Detail, EndpointDetail, Event, Subject, Type};
use crate::ids::{DeliveryId, EndpointId, Ids};
use crate::tenant::Tenant;
use crate::time::Timestamp;
use crate::view::{NewRows, Row, RowKeys, View};
use crate::webhook::{
    Attempt, Body, Delivery, Endpoint, Format, MOST_ATTEMPTS, MOST_ENDPOINTS, OLD_SECRET_MS,
    Outcome, Sealed, Status, wait_ms,
};
use rand_core::Rng;

/// A new endpoint.
#[derive(Debug)]
pub struct NewEndpoint {
    /// Its id; its secret is sealed for it.
    pub id: EndpointId,
    pub url: Box<str>,
    /// Names of the events it wants, space-separated.
    pub events: Box<str>,
    /// The words in which events are sent.
    pub format: Format,
    pub description: Option<Box<str>>,
    pub active: bool,
    /// The secret that signs.
    pub secret: Sealed,
}

/// Changes of an endpoint. A field that is `None` stays.
#[derive(Debug, Default)]
pub struct EndpointChanges {
    pub url: Option<Box<str>>,
    /// Names of the events it wants, space-separated.
    pub events: Option<Box<str>>,
    /// A name for people; an empty text removes it.
    pub description: Option<Box<str>>,
    pub active: Option<bool>,
}

/// Something to decide about an endpoint or a delivery.
#[derive(Debug)]
pub enum WebhookCommand {
    Create(NewEndpoint),
    Change(EndpointId, EndpointChanges),
    /// Takes a new secret; the one before still signs for a day.
    Rotate(EndpointId, Sealed),
    Remove(EndpointId),
    /// Takes the work on a delivery that is due, until the lease runs out.
    Lease {
        delivery: DeliveryId,
        /// When it was due as far as the caller knows; at another time somebody else has it.
        seen_at: Timestamp,
        /// When another node may take over.
        lease_until: Timestamp,
        /// The text to send, where it is not stored yet.
        body: Option<Box<str>>,
    },
    Record {
        delivery: DeliveryId,
        endpoint: EndpointId,
        outcome: Outcome,
    },
    /// Asks for one more attempt at a delivery that is done.
    Retry {
        delivery: DeliveryId,
        endpoint: EndpointId,
    },
}

impl WebhookCommand {
    pub(super) fn wants(&self, tenant: Tenant, wanted: &mut RowKeys) {
        let (endpoint, delivery) = match self {
            Self::Create(new) => (Some(new.id), None),
            Self::Change(endpoint, _) | Self::Rotate(endpoint, _) | Self::Remove(endpoint) => {
                (Some(*endpoint), None)
            }
            Self::Lease { delivery, .. } => (None, Some(*delivery)),
            Self::Record { delivery, endpoint, .. } | Self::Retry { delivery, endpoint } => {
                (Some(*endpoint), Some(*delivery))
            }
        };
        wanted.endpoints.extend(endpoint.map(|id| (tenant, id)));
        wanted.deliveries.extend(delivery.map(|id| (tenant, id)));
    }
}

pub(super) fn decide<R: Rng>(
    view: &mut View,
    tenant: Tenant,
    command: &WebhookCommand,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Done, Refusal> {
    match command {
        WebhookCommand::Create(new) => create(view, tenant, new, now),
        WebhookCommand::Change(id, changes) => change(view, (tenant, *id), changes, now),
        WebhookCommand::Rotate(id, secret) => rotate(view, (tenant, *id), secret, now),
        WebhookCommand::Remove(id) => remove(view, (tenant, *id)),
        WebhookCommand::Lease { delivery, seen_at, lease_until, body } => {
            let row = delivery_row(view, tenant, *delivery)?;
            lease(row, *seen_at, *lease_until, body.as_deref())
        }
        WebhookCommand::Record { delivery, endpoint, outcome } => {
            record(view, (tenant, *delivery), *endpoint, outcome, now, ids)
        }
        WebhookCommand::Retry { delivery, endpoint } => {
            let active = view.endpoints.get(&(tenant, *endpoint)).is_some_and(|e| e.value.active);
            retry(delivery_row(view, tenant, *delivery)?, active, now)
        }
    }
}

fn delivery_row(
    view: &mut View,
    tenant: Tenant,
    id: DeliveryId,
) -> Result<&mut Row<Delivery>, Refusal> {
    view.deliveries.get_mut(&(tenant, id)).ok_or(Refusal::DeliveryNotFound)
}

fn endpoint_row(view: &mut View, key: (Tenant, EndpointId)) -> Result<&mut Row<Endpoint>, Refusal> {
    view.endpoints.get_mut(&key).ok_or(Refusal::EndpointNotFound)
}

fn create(
    view: &mut View,
    tenant: Tenant,
    new: &NewEndpoint,
    now: Timestamp,
) -> Result<Done, Refusal> {
    let stored = view.subscribers.get(&tenant).map_or(0, Vec::len);
    let of_batch = |row: &&Row<Endpoint>| {
        row.change == crate::view::Change::Inserted && row.value.tenant == tenant
    };
    if stored + view.endpoints.values().filter(of_batch).count() >= MOST_ENDPOINTS {
        return Err(Refusal::TooManyEndpoints);
    }
    let endpoint = Endpoint {
        tenant,
        id: new.id,
        url: new.url.clone(),
        events: new.events.clone(),
        format: new.format,
        description: new.description.clone(),
        active: new.active,
        secret: new.secret.clone(),
        previous: None,
        consecutive_failures: 0,
        failing_since: None,
        disabled_at: None,
        disabled_reason: None,
        last_seq: 0,
        updated_at: now,
    };
    view.endpoints.insert((tenant, new.id), Row::inserted(endpoint.clone()));
    Ok(Done::Endpoint(Box::new(endpoint)))
}

fn change(
    view: &mut View,
    key: (Tenant, EndpointId),
    changes: &EndpointChanges,
    now: Timestamp,
) -> Result<Done, Refusal> {
    let endpoint = endpoint_row(view, key)?.change();
    if let Some(url) = &changes.url {
        endpoint.url.clone_from(url);
    }
    if let Some(events) = &changes.events {
        endpoint.events.clone_from(events);
    }
    if let Some(description) = &changes.description {
        endpoint.description = Some(description.clone()).filter(|text| !text.is_empty());
    }
    if let Some(active) = changes.active {
        endpoint.active = active;
        if active {
            endpoint.worked();
            endpoint.disabled_at = None;
            endpoint.disabled_reason = None;
        }
    }
    endpoint.updated_at = now;
    Ok(Done::Endpoint(Box::new(endpoint.clone())))
}

fn rotate(
    view: &mut View,
    key: (Tenant, EndpointId),
    secret: &Sealed,
    now: Timestamp,
) -> Result<Done, Refusal> {
    let endpoint = endpoint_row(view, key)?.change();
    let old = std::mem::replace(&mut endpoint.secret, secret.clone());
    endpoint.previous = Some((old, now.plus_ms(OLD_SECRET_MS)));
    endpoint.updated_at = now;
    Ok(Done::Endpoint(Box::new(endpoint.clone())))
}

fn remove(view: &mut View, key: (Tenant, EndpointId)) -> Result<Done, Refusal> {
    let row = view.endpoints.remove(&key).ok_or(Refusal::EndpointNotFound)?;
    view.new_rows.removed_endpoints.push(key);
    Ok(Done::Endpoint(Box::new(row.value)))
}

fn lease(
    row: &mut Row<Delivery>,
    seen_at: Timestamp,
    lease_until: Timestamp,
    body: Option<&str>,
) -> Result<Done, Refusal> {
    if row.value.status != Status::Pending || row.value.next_at != Some(seen_at) {
        return Err(Refusal::NotDue);
    }
    let delivery = row.change();
    delivery.next_at = Some(lease_until);
    if let (Body::None, Some(text)) = (&delivery.body, body) {
        delivery.body = Body::New(text.into());
    }
    Ok(Done::Delivery { delivery: Box::new(delivery.clone()), disabled: false })
}

fn retry(row: &mut Row<Delivery>, active: bool, now: Timestamp) -> Result<Done, Refusal> {
    if row.value.status == Status::Pending {
        return Err(Refusal::AlreadyQueued);
    }
    if !active {
        return Err(Refusal::EndpointDisabled);
    }
    let delivery = row.change();
    delivery.status = Status::Pending;
    delivery.once = true;
    delivery.next_at = Some(now);
    delivery.updated_at = now;
    Ok(Done::Delivery { delivery: Box::new(delivery.clone()), disabled: false })
}

fn record<R: Rng>(
    view: &mut View,
    (tenant, id): (Tenant, DeliveryId),
    endpoint: EndpointId,
    outcome: &Outcome,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Done, Refusal> {
    let row = view.deliveries.get_mut(&(tenant, id)).ok_or(Refusal::DeliveryNotFound)?;
    let endpoint = view.endpoints.get_mut(&(tenant, endpoint)).filter(|row| row.value.active);
    let delivery = row.change();
    delivery.attempts = delivery.attempts.saturating_add(1);
    delivery.last_attempt_at = Some(outcome.attempted_at);
    delivery.response_code = outcome.response_code;
    delivery.last_error = outcome.explain();
    delivery.updated_at = now;
    let mut disabled = false;
    if outcome.is_success() {
        delivery.delivered_at = Some(now);
        finish(delivery, Status::Succeeded);
        if let Some(row) = endpoint
            && (row.value.consecutive_failures > 0 || row.value.failing_since.is_some())
        {
            row.change().worked();
        }
    } else if delivery.status == Status::Pending {
        let wait = wait_ms(delivery.attempts, outcome.retry_after_ms, ids.rng());
        match (wait.filter(|_| !delivery.once && delivery.attempts < MOST_ATTEMPTS), &endpoint) {
            (Some(wait), Some(_)) => delivery.next_at = Some(now.plus_ms(wait)),
            (_, _) => finish(delivery, Status::Failed),
        }
        if let Some(row) = endpoint {
            let gone = outcome.response_code == Some(410);
            if let Some(reason) = row.change().failed(gone, now) {
                finish(delivery, Status::Failed);
                disable(&mut row.value, &mut view.new_rows, reason, now, ids);
                disabled = true;
            }
        }
    }
    let attempt = Attempt {
        tenant,
        delivery: id,
        number: delivery.attempts,
        outcome: outcome.clone(),
        next_at: delivery.next_at,
    };
    let delivery = Box::new(delivery.clone());
    view.new_rows.attempts.push(attempt);
    Ok(Done::Delivery { delivery, disabled })
}

fn finish(delivery: &mut Delivery, status: Status) {
    delivery.status = status;
    delivery.next_at = None;
    delivery.once = false;
}

/// Stops sending to an endpoint, and makes an event for the other endpoints.
fn disable<R: Rng>(
    endpoint: &mut Endpoint,
    new_rows: &mut NewRows,
    reason: &'static str,
    now: Timestamp,
    ids: &mut Ids<R>,
) {
    endpoint.active = false;
    endpoint.disabled_at = Some(now);
    endpoint.disabled_reason = Some(reason.into());
    endpoint.updated_at = now;
    endpoint.last_seq = endpoint.last_seq.saturating_add(1);
    let told = EndpointDetail {
        url: endpoint.url.clone(),
        disabled_reason: reason.into(),
        consecutive_failures: endpoint.consecutive_failures,
        failing_since: endpoint.failing_since.map(|at| at.0),
    };
    new_rows.events.push(Event {
        tenant: endpoint.tenant,
        id: ids.event(now),
        event_type: Type::EndpointDisabled,
        subject: Subject::Endpoint(endpoint.id),
        seq: endpoint.last_seq,
        detail: Some(Box::new(Detail { endpoint: Some(told), ..Detail::default() })),
    });
}
