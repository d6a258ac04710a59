//! Checkouts.

use super::put::{id, int, json, maybe_text, maybe_time, text, time};
use super::{Cells, FromRow, Table, changing, fixed, key};
use crate::StoreError;
use domain::checkout::{Checkout, PaymentAttempt, State, Terms};
use domain::ids::PaymentId;
use domain::outcome::Failure;
use domain::payment::Kind;
use std::sync::Arc;

pub(crate) static CHECKOUTS: Table<Checkout> = Table::new(
    "checkouts",
    &[
        key("scope", |c| int(c.terms.tenant.code())),
        key("id", |c| id(c.terms.id.bytes())),
        fixed("kind", |c| int(c.terms.kind.code())),
        fixed("amount", |c| int(c.terms.amount)),
        fixed("currency", |c| text(c.terms.currency.as_str())),
        changing("state", |c| int(c.state.code())),
        changing("flight", |c| int(c.flight.code())),
        changing("attempts", |c| int(c.attempts)),
        changing("checks", |c| int(c.checks)),
        changing("deleted", |c| int(c.deleted)),
        changing("last_seq", |c| int(c.last_seq)),
        changing("updated_at", |c| time(c.updated_at)),
        changing("due_at", |c| maybe_time(c.due_at)),
        fixed("expires_at", |c| maybe_time(c.terms.expires_at)),
        changing("completed_at", |c| maybe_time(c.completed_at)),
        fixed("methods", |c| json(&c.terms.methods)),
        fixed("lines", |c| json(&c.terms.lines)),
        changing("method", |c| maybe_text(c.method.as_deref())),
        changing("provider_payment_id", |c| maybe_text(c.provider_payment_id.as_deref())),
        changing("failure_code", |c| maybe_text(c.failure.as_ref().map(|f| &*f.code))),
        changing("failure_message", |c| maybe_text(c.failure.as_ref().map(|f| &*f.message))),
        changing("proof_url", |c| maybe_text(c.proof_url.as_deref())),
        fixed("success_url", |c| maybe_text(c.terms.success_url.as_deref())),
        fixed("cancel_url", |c| maybe_text(c.terms.cancel_url.as_deref())),
        fixed("customer", |c| maybe_text(c.terms.customer.as_deref())),
        fixed("template", |c| maybe_text(c.terms.template.as_deref())),
        fixed("metadata", |c| maybe_text(c.terms.metadata.as_deref())),
        fixed("extra", |c| maybe_text(c.terms.extra.as_deref())),
        changing("visited_at", |c| maybe_time(c.visited_at)),
    ],
);

impl FromRow for Checkout {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        let (tenant, id) = (c.tenant()?, PaymentId::from_ulid(c.ulid()?));
        let kind = c.code(Kind::from_code, "checkouts.kind")?;
        let (amount, currency) = (c.take()?, c.currency()?);
        let state = c.code(State::from_code, "checkouts.state")?;
        let flight = c.code(PaymentAttempt::from_code, "checkouts.flight")?;
        let (attempts, checks, deleted) = (c.take()?, c.take()?, c.take()?);
        let (last_seq, updated_at) = (c.take()?, c.time()?);
        let (due_at, expires_at, completed_at) =
            (c.maybe_time()?, c.maybe_time()?, c.maybe_time()?);
        let methods = c.json("checkouts.methods")?;
        let lines = c.json("checkouts.lines")?;
        let (method, provider_payment_id) = (c.text()?, c.text()?);
        let failure = match (c.text()?, c.text()?) {
            (Some(code), Some(message)) => Some(Failure { code, message }),
            _ => None,
        };
        let proof_url = c.text()?;
        let terms = Terms {
            tenant,
            id,
            kind,
            amount,
            currency,
            methods,
            success_url: c.text()?,
            cancel_url: c.text()?,
            lines,
            customer: c.text()?,
            template: c.text()?,
            metadata: c.text()?,
            extra: c.text()?,
            expires_at,
        };
        Ok(Checkout {
            terms: Arc::new(terms),
            state,
            method,
            attempts,
            flight,
            checks,
            provider_payment_id,
            failure,
            proof_url,
            visited_at: c.maybe_time()?,
            completed_at,
            due_at,
            deleted,
            last_seq,
            updated_at,
        })
    }
}
