//! Payments.

use super::put::{id, int, maybe_text, maybe_time, text, time};
use super::{Cells, Chain, FromRow, Table, changing, fixed, key};
use crate::StoreError;
use domain::ids::PaymentId;
use domain::payment::{Capture, Kind, Payment};
use std::sync::Arc;

pub(crate) static PAYMENTS: Table<Payment> = Table::chained(
    "payments",
    Chain::Changing("last_refund"),
    &[
        key("scope", |p| int(p.capture.tenant.code())),
        key("id", |p| id(p.capture.id.bytes())),
        fixed("kind", |p| int(p.capture.kind.code())),
        fixed("captured", |p| int(p.capture.captured)),
        fixed("currency", |p| text(p.capture.currency.as_str())),
        changing("refunded", |p| int(p.refunded)),
        changing("reserved", |p| int(p.reserved)),
        changing("held", |p| int(p.held)),
        changing("held_excess", |p| int(p.held_excess)),
        changing("excess", |p| int(p.excess)),
        changing("reversed", |p| int(p.reversed)),
        changing("last_seq", |p| int(p.last_seq)),
        changing("updated_at", |p| time(p.updated_at)),
        fixed("captured_at", |p| time(p.capture.captured_at)),
        changing("settled_at", |p| maybe_time(p.settled_at)),
        fixed("provider", |p| text(&p.capture.provider)),
        fixed("provider_payment_id", |p| text(&p.capture.provider_payment_id)),
        fixed("provider_account", |p| maybe_text(p.capture.provider_account.as_deref())),
        fixed("provider_data", |p| maybe_text(p.capture.provider_data.as_deref())),
        fixed("reference", |p| maybe_text(p.capture.reference.as_deref())),
        fixed("metadata", |p| maybe_text(p.capture.metadata.as_deref())),
    ],
);

impl FromRow for Payment {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        let tenant = c.tenant()?;
        let id = PaymentId::from_ulid(c.ulid()?);
        let kind = c.code(Kind::from_code, "payments.kind")?;
        let captured = c.take()?;
        let currency = c.currency()?;
        let (refunded, reserved) = (c.take()?, c.take()?);
        let (held, held_excess, excess) = (c.take()?, c.take()?, c.take()?);
        let (reversed, last_seq, updated_at) = (c.take()?, c.take()?, c.time()?);
        let (captured_at, settled_at) = (c.time()?, c.maybe_time()?);
        let capture = Capture {
            tenant,
            id,
            kind,
            captured,
            currency,
            provider: c.required_text()?,
            provider_payment_id: c.required_text()?,
            provider_account: c.text()?,
            provider_data: c.text()?,
            captured_at,
            reference: c.text()?,
            metadata: c.text()?,
        };
        Ok(Payment {
            capture: Arc::new(capture),
            settled_at,
            refunded,
            reserved,
            held,
            held_excess,
            excess,
            reversed,
            last_seq,
            updated_at,
        })
    }
}
