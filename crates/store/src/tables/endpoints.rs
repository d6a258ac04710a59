//! Webhook endpoints.

use super::put::{bytes, id, int, maybe_text, maybe_time, text, time};
use super::{Cells, FromRow, Table, changing, key};
use crate::StoreError;
use domain::ids::EndpointId;
use domain::time::Timestamp;
use domain::webhook::{Endpoint, EventSet, Format, Sealed, Subscriber};

pub(crate) static ENDPOINTS: Table<Endpoint> = Table::new(
    "webhook_endpoints",
    &[
        key("scope", |e| int(e.tenant.code())),
        key("id", |e| id(e.id.bytes())),
        changing("url", |e| text(&e.url)),
        changing("events", |e| text(&e.events)),
        changing("format", |e| int(e.format.code())),
        changing("description", |e| maybe_text(e.description.as_deref())),
        changing("active", |e| int(e.active)),
        changing("secret", |e| bytes(&*e.secret.0)),
        changing("previous_secret", |e| bytes(e.previous.as_ref().map(|(secret, _)| &*secret.0))),
        changing("previous_until", |e| maybe_time(e.previous.as_ref().map(|(_, until)| *until))),
        changing("consecutive_failures", |e| int(e.consecutive_failures)),
        changing("failing_since", |e| maybe_time(e.failing_since)),
        changing("disabled_at", |e| maybe_time(e.disabled_at)),
        changing("disabled_reason", |e| maybe_text(e.disabled_reason.as_deref())),
        changing("last_seq", |e| int(e.last_seq)),
        changing("updated_at", |e| time(e.updated_at)),
    ],
);

impl FromRow for Endpoint {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        Ok(Endpoint {
            tenant: c.tenant()?,
            id: EndpointId::from_ulid(c.ulid()?),
            url: c.required_text()?,
            events: c.required_text()?,
            format: c.code(Format::from_code, "webhook_endpoints.format")?,
            description: c.text()?,
            active: c.take()?,
            secret: Sealed(c.take()?),
            previous: match (c.take::<Option<Vec<u8>>>()?, c.take::<Option<i64>>()?) {
                (Some(secret), Some(until)) => Some((Sealed(secret), Timestamp(until))),
                _ => None,
            },
            consecutive_failures: c.take()?,
            failing_since: c.maybe_time()?,
            disabled_at: c.maybe_time()?,
            disabled_reason: c.text()?,
            last_seq: c.take()?,
            updated_at: c.time()?,
        })
    }
}

/// The part of an endpoint that a batch needs to choose who receives an event.
pub(crate) const SUBSCRIBER_COLUMNS: &str = "id, format, active, events";

impl FromRow for Subscriber {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        Ok(Subscriber {
            endpoint: EndpointId::from_ulid(c.ulid()?),
            format: c.code(Format::from_code, "webhook_endpoints.format")?,
            active: c.take()?,
            wants: EventSet::parse(&c.required_text()?),
        })
    }
}
