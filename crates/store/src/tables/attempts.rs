//! Attempts at webhook deliveries.

use super::put::{id, int, maybe_int, maybe_text, maybe_time, time};
use super::{Cells, FromRow, Table, fixed, key};
use crate::StoreError;
use domain::ids::DeliveryId;
use domain::webhook::{Attempt, Outcome};

pub(crate) static ATTEMPTS: Table<Attempt> = Table::new(
    "delivery_attempts",
    &[
        key("scope", |a| int(a.tenant.code())),
        key("delivery", |a| id(a.delivery.bytes())),
        key("number", |a| int(a.number)),
        fixed("attempted_at", |a| time(a.outcome.attempted_at)),
        fixed("duration_ms", |a| int(a.outcome.duration_ms)),
        fixed("response_code", |a| maybe_int(a.outcome.response_code)),
        fixed("next_at", |a| maybe_time(a.next_at)),
        fixed("error", |a| maybe_text(a.outcome.error.as_deref())),
    ],
);

impl FromRow for Attempt {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        let (tenant, delivery) = (c.tenant()?, DeliveryId::from_ulid(c.ulid()?));
        let number = c.take()?;
        let (attempted_at, duration_ms, response_code) = (c.time()?, c.take()?, c.take()?);
        let (next_at, error) = (c.maybe_time()?, c.text()?);
        let outcome =
            Outcome { attempted_at, duration_ms, response_code, error, retry_after_ms: None };
        Ok(Attempt { tenant, delivery, number, outcome, next_at })
    }
}
