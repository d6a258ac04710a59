//! Money of payments that is held.

use super::put::{id, int, maybe_text, text, time};
use super::{Cells, FromRow, Table, changing, fixed, key};
use crate::StoreError;
use domain::hold::{Hold, State};
use domain::ids::{HoldId, PaymentId, RefundId};
use domain::outcome::Source;

pub(crate) static HOLDS: Table<Hold> = Table::new(
    "holds",
    &[
        key("scope", |h| int(h.tenant.code())),
        key("id", |h| id(h.id.bytes())),
        fixed("payment", |h| id(h.payment.bytes())),
        changing("amount", |h| int(h.amount)),
        fixed("currency", |h| text(h.currency.as_str())),
        changing("state", |h| int(h.state.code())),
        fixed("source", |h| int(h.source.code())),
        changing("updated_at", |h| time(h.updated_at)),
        changing("refund", |h| id(h.refund.map(RefundId::bytes))),
        fixed("reason", |h| text(&h.reason)),
        fixed("reference", |h| maybe_text(h.reference.as_deref())),
    ],
);

impl FromRow for Hold {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        Ok(Self {
            tenant: c.tenant()?,
            id: HoldId::from_ulid(c.ulid()?),
            payment: PaymentId::from_ulid(c.ulid()?),
            amount: c.take()?,
            currency: c.currency()?,
            state: c.code(State::from_code, "holds.state")?,
            source: c.code(Source::from_code, "holds.source")?,
            updated_at: c.time()?,
            refund: c.take::<Option<[u8; 16]>>()?.map(RefundId::from_bytes),
            reason: c.required_text()?,
            reference: c.text()?,
        })
    }
}
