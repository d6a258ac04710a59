//! Invoices.

use super::put::{id, int, json, maybe_text, maybe_time, text, time};
use super::{Cells, FromRow, Table, changing, fixed, key};
use crate::StoreError;
use domain::ids::InvoiceId;
use domain::invoice::{Invoice, State, Terms, Totals};
use std::sync::Arc;

pub(crate) static INVOICES: Table<Invoice> = Table::new(
    "invoices",
    &[
        key("scope", |i| int(i.terms.tenant.code())),
        key("id", |i| id(i.terms.id.bytes())),
        fixed("number", |i| int(i.terms.number)),
        fixed("currency", |i| text(i.terms.currency.as_str())),
        fixed("subtotal", |i| int(i.terms.totals.subtotal)),
        fixed("discount", |i| int(i.terms.totals.discount)),
        fixed("tax", |i| int(i.terms.totals.tax)),
        fixed("total", |i| int(i.terms.totals.total)),
        changing("state", |i| int(i.state.code())),
        changing("charged", |i| int(i.charged)),
        changing("attempts", |i| int(i.attempts)),
        changing("last_seq", |i| int(i.last_seq)),
        changing("updated_at", |i| time(i.updated_at)),
        fixed("due_at", |i| maybe_time(i.terms.due_at)),
        changing("wake_at", |i| maybe_time(i.wake_at)),
        changing("issued_at", |i| maybe_time(i.issued_at)),
        changing("paid_at", |i| maybe_time(i.paid_at)),
        changing("voided_at", |i| maybe_time(i.voided_at)),
        fixed("customer", |i| text(&i.terms.customer)),
        fixed("lines", |i| json(&i.terms.lines)),
        fixed("subscription", |i| maybe_text(i.terms.subscription.as_deref())),
        fixed("template", |i| maybe_text(i.terms.template.as_deref())),
        fixed("memo", |i| maybe_text(i.terms.memo.as_deref())),
        fixed("metadata", |i| maybe_text(i.terms.metadata.as_deref())),
    ],
);

impl FromRow for Invoice {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        let (tenant, id) = (c.tenant()?, InvoiceId::from_ulid(c.ulid()?));
        let (number, currency) = (c.take()?, c.currency()?);
        let totals =
            Totals { subtotal: c.take()?, discount: c.take()?, tax: c.take()?, total: c.take()? };
        let state = c.code(State::from_code, "invoices.state")?;
        let (charged, attempts) = (c.take()?, c.take()?);
        let (last_seq, updated_at) = (c.take()?, c.time()?);
        let (due_at, wake_at, issued_at) = (c.maybe_time()?, c.maybe_time()?, c.maybe_time()?);
        let (paid_at, voided_at) = (c.maybe_time()?, c.maybe_time()?);
        let customer = c.required_text()?;
        let lines = c.json("invoices.lines")?;
        let terms = Terms {
            tenant,
            id,
            number,
            customer,
            subscription: c.text()?,
            template: c.text()?,
            memo: c.text()?,
            metadata: c.text()?,
            currency,
            lines,
            totals,
            due_at,
        };
        Ok(Invoice {
            terms: Arc::new(terms),
            state,
            issued_at,
            paid_at,
            voided_at,
            charged,
            attempts,
            wake_at,
            last_seq,
            updated_at,
        })
    }
}
