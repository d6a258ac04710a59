//! Refunds.

use super::put::{id, int, maybe_text, maybe_time, text, time};
use super::{Cells, Chain, FromRow, Table, changing, fixed, key, read_only, unread};
use crate::StoreError;
use domain::ids::{PaymentId, RefundId};
use domain::outcome::Failure;
use domain::refund::{Origin, Refund, State};

pub(crate) static REFUNDS: Table<Refund> = Table::chained(
    "refunds",
    // The refund before this one of the same payment.
    Chain::Fixed("previous"),
    &[
        key("scope", |r| int(r.tenant.code())),
        key("id", |r| id(r.id.bytes())),
        fixed("payment", |r| id(r.payment.bytes())),
        changing("amount", |r| int(r.amount)),
        fixed("currency", |r| text(r.currency.as_str())),
        changing("state", |r| int(r.state.code())),
        unread("status", |r| int(r.state.status().code())),
        fixed("lane", |r| int(r.lane)),
        fixed("origin", |r| int(r.origin.code())),
        changing("late", |r| int(r.late)),
        fixed("before_settlement", |r| int(r.before_settlement)),
        changing("checks", |r| int(r.checks)),
        changing("last_seq", |r| int(r.last_seq)),
        read_only("pruned"),
        changing("updated_at", |r| time(r.updated_at)),
        changing("due_at", |r| maybe_time(r.due_at)),
        changing("evidence_at", |r| maybe_time(r.evidence_at)),
        changing("sends", |r| int(r.sends)),
        changing("first_sent_at", |r| maybe_time(r.first_sent_at)),
        changing("sent_at", |r| maybe_time(r.sent_at)),
        changing("answered_at", |r| maybe_time(r.answered_at)),
        changing("answer", |r| maybe_text(r.answer.as_deref())),
        changing("absent_at", |r| maybe_time(r.absent_at)),
        changing("lease", |r| int(r.lease)),
        changing("needs_attention", |r| int(r.needs_attention)),
        fixed("reason", |r| maybe_text(r.reason.as_deref())),
        fixed("reference", |r| maybe_text(r.reference.as_deref())),
        fixed("metadata", |r| maybe_text(r.metadata.as_deref())),
        changing("provider_refund_id", |r| maybe_text(r.provider_refund_id.as_deref())),
        changing("failure_code", |r| maybe_text(r.failure.as_ref().map(|f| &*f.code))),
        changing("failure_message", |r| maybe_text(r.failure.as_ref().map(|f| &*f.message))),
    ],
);

impl FromRow for Refund {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        Ok(Refund {
            tenant: c.tenant()?,
            id: RefundId::from_ulid(c.ulid()?),
            payment: PaymentId::from_ulid(c.ulid()?),
            amount: c.take()?,
            currency: c.currency()?,
            state: c.code(State::from_code, "refunds.state")?,
            lane: c.take()?,
            origin: c.code(Origin::from_code, "refunds.origin")?,
            late: c.take()?,
            before_settlement: c.take()?,
            checks: c.take()?,
            last_seq: c.take()?,
            pruned: c.take()?,
            updated_at: c.time()?,
            due_at: c.maybe_time()?,
            evidence_at: c.maybe_time()?,
            sends: c.take()?,
            first_sent_at: c.maybe_time()?,
            sent_at: c.maybe_time()?,
            answered_at: c.maybe_time()?,
            answer: c.text()?,
            absent_at: c.maybe_time()?,
            lease: c.take()?,
            needs_attention: c.take()?,
            reason: c.text()?,
            reference: c.text()?,
            metadata: c.text()?,
            provider_refund_id: c.text()?,
            failure: match (c.text()?, c.text()?) {
                (Some(code), Some(message)) => Some(Failure { code, message }),
                _ => None,
            },
        })
    }
}
