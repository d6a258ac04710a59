//! Webhook deliveries.

use super::put::{id, int, maybe_int, maybe_text, maybe_time, time};
use super::{Cells, FromRow, Table, changing, fixed, key};
use crate::StoreError;
use domain::event::Type;
use domain::ids::{DeliveryId, EndpointId, EventId};
use domain::webhook::{Body, Delivery, Format, Status};

pub(crate) static DELIVERIES: Table<Delivery> = Table::new(
    "deliveries",
    &[
        key("scope", |d| int(d.tenant.code())),
        key("id", |d| id(d.id.bytes())),
        fixed("endpoint", |d| id(d.endpoint.bytes())),
        fixed("event", |d| id(d.event.bytes())),
        fixed("subject", |d| id(d.subject.to_bytes())),
        fixed("type", |d| int(d.event_type.code())),
        fixed("format", |d| int(d.format.code())),
        fixed("seq", |d| int(d.seq)),
        changing("status", |d| int(d.status.code())),
        changing("attempts", |d| int(d.attempts)),
        changing("once", |d| int(d.once)),
        changing("updated_at", |d| time(d.updated_at)),
        changing("next_at", |d| maybe_time(d.next_at)),
        changing("last_attempt_at", |d| maybe_time(d.last_attempt_at)),
        changing("delivered_at", |d| maybe_time(d.delivered_at)),
        changing("response_code", |d| maybe_int(d.response_code)),
        // The number of its text. A new text is stored first, which gives it its number.
        changing("body", |d| maybe_int(stored_body(d))),
        changing("last_error", |d| maybe_text(d.last_error.as_deref())),
    ],
);

fn stored_body(delivery: &Delivery) -> Option<i64> {
    match delivery.body {
        Body::Stored(number) => Some(number),
        Body::None | Body::New(_) => None,
    }
}

impl FromRow for Delivery {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        Ok(Delivery {
            tenant: c.tenant()?,
            id: DeliveryId::from_ulid(c.ulid()?),
            endpoint: EndpointId::from_ulid(c.ulid()?),
            event: EventId::from_ulid(c.ulid()?),
            subject: c.ulid()?,
            event_type: c.code(Type::from_code, "deliveries.type")?,
            format: c.code(Format::from_code, "deliveries.format")?,
            seq: c.take()?,
            status: c.code(Status::from_code, "deliveries.status")?,
            attempts: c.take()?,
            once: c.take()?,
            updated_at: c.time()?,
            next_at: c.maybe_time()?,
            last_attempt_at: c.maybe_time()?,
            delivered_at: c.maybe_time()?,
            response_code: c.take()?,
            body: c.take::<Option<i64>>()?.map_or(Body::None, Body::Stored),
            last_error: c.text()?,
        })
    }
}
