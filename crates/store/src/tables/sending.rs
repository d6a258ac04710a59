//! The switches that stop sending.

use super::put::{int, maybe_text, maybe_time, time};
use super::{Cells, FromRow, Table, changing, key};
use crate::StoreError;
use domain::sending::Switch;

pub(crate) static SENDING: Table<Switch> = Table::new(
    "sending",
    &[
        key("scope", |s| int(s.tenant.code())),
        changing("stopped", |s| int(s.stopped)),
        changing("reason", |s| maybe_text(s.reason.as_deref())),
        changing("thrown_at", |s| maybe_time(s.thrown_at)),
        changing("updated_at", |s| time(s.updated_at)),
        changing("last_seq", |s| int(s.last_seq)),
    ],
);

impl FromRow for Switch {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        Ok(Switch {
            tenant: c.tenant()?,
            stopped: c.take()?,
            reason: c.text()?,
            thrown_at: c.maybe_time()?,
            updated_at: c.time()?,
            last_seq: c.take()?,
        })
    }
}
