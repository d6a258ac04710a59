//! Calls to providers that a newer call of the same refund took the place of.

use super::put::{id, int, maybe_text, maybe_time, time};
use super::{Cells, FromRow, Table, fixed, key};
use crate::StoreError;
use domain::ids::RefundId;
use domain::refund::Attempt;

pub(crate) static REFUND_ATTEMPTS: Table<Attempt> = Table::new(
    "refund_attempts",
    &[
        key("scope", |a| int(a.tenant.code())),
        key("refund", |a| id(a.refund.bytes())),
        key("number", |a| int(a.number)),
        fixed("sent_at", |a| time(a.sent_at)),
        fixed("answered_at", |a| maybe_time(a.answered_at)),
        fixed("answer", |a| maybe_text(a.answer.as_deref())),
    ],
);

impl FromRow for Attempt {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        Ok(Attempt {
            tenant: c.tenant()?,
            refund: RefundId::from_ulid(c.ulid()?),
            number: c.take()?,
            sent_at: c.time()?,
            answered_at: c.maybe_time()?,
            answer: c.text()?,
        })
    }
}
