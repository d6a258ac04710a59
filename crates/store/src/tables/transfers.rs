//! Transfers of the ledger.

use super::put::{id, int, text};
use super::{Cells, FromRow, Table, fixed, key};
use crate::StoreError;
use domain::ids::{PaymentId, TransferId};
use domain::ledger::{Reason, SourceType, Transfer};

pub(crate) static TRANSFERS: Table<Transfer> = Table::new(
    "postings",
    &[
        key("scope", |p| int(p.tenant.code())),
        key("id", |p| id(p.id.bytes())),
        fixed("reason", |p| int(p.reason.code())),
        fixed("source_type", |p| int(p.source_type.code())),
        fixed("source", |p| id(p.source.to_bytes())),
        fixed("payment", |p| id(p.payment.bytes())),
        fixed("amount", |p| int(p.amount)),
        fixed("currency", |p| text(p.currency.as_str())),
    ],
);

impl FromRow for Transfer {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        Ok(Transfer {
            tenant: c.tenant()?,
            id: TransferId::from_ulid(c.ulid()?),
            reason: c.code(Reason::from_code, "postings.reason")?,
            source_type: c.code(SourceType::from_code, "postings.source_type")?,
            source: c.ulid()?,
            payment: PaymentId::from_ulid(c.ulid()?),
            amount: c.take()?,
            currency: c.currency()?,
        })
    }
}
