//! Checkouts: opening one, paying it, and every other act on it.
//!
//! Each act works on a copy of the row, which is saved once everything has been checked.
//!
//! This file, `charge` and `invoice` use each other on purpose: an invoice is paid through a checkout
//! of the same ULID, so a charge that completes the checkout pays the invoice, and an invoice that is
//! paid elsewhere or voided closes its checkout. Two state machines follow each other.

use super::charge::{complete, record};
use super::record_event::record_checkout_event;
use super::unique_keys::{insert_key, live_key};
use super::{Done, KEY_LIFETIME_MS, KeyedRequest, Refusal};
use crate::checkout::{Checkout, Fact, NewCheckout, Outcome, PaymentAttempt, State, Terms, next};
use crate::event::Type;
use crate::ids::{Ids, InvoiceId, PaymentId};
use crate::invoice;
use crate::machine::Next;
use crate::payment::Kind;
use crate::tenant::Tenant;
use crate::time::Timestamp;
use crate::unique_keys::{KeyHash, KeyTarget, UniqueKey};
use crate::view::{Row, RowKeys, View};
use rand_core::Rng;
use std::sync::Arc;

/// Asks somebody to pay.
#[derive(Debug)]
pub struct OpenCheckout {
    pub new: NewCheckout,
    pub id: PaymentId,
    /// The caller's idempotency key.
    pub key: Option<KeyedRequest>,
}

/// Does something to a checkout.
#[derive(Debug)]
pub struct ActOnCheckout {
    pub tenant: Tenant,
    pub id: PaymentId,
    pub act: Act,
    /// The caller's idempotency key.
    pub key: Option<KeyedRequest>,
}

/// The payment at a provider that a checkout becomes.
#[derive(Clone, Debug)]
pub struct Charge {
    /// Name of the provider that holds the money.
    pub provider: Box<str>,
    pub id: Box<str>,
    /// The name of that id: it pays for one thing.
    pub name: KeyHash,
    /// How long after that the provider pays the merchant out, milliseconds, where that is known.
    pub settles_after_ms: Option<i64>,
}

/// An act on a checkout.
#[derive(Debug)]
pub enum Act {
    Visit,
    /// The buyer looks how to pay by hand.
    Choose {
        method: Box<str>,
    },
    /// The buyer pays: a provider is about to be asked.
    Start {
        method: Box<str>,
        /// When another node may take over.
        lease_until: Timestamp,
    },
    /// The buyer says that the money was sent by hand.
    Claim {
        method: Box<str>,
        proof_url: Option<Box<str>>,
    },
    /// Records what the provider said about an attempt.
    Record {
        /// The attempt that was asked about; an answer about an older one changes nothing.
        attempt: u32,
        outcome: Outcome,
        /// Where the money is, if it was taken.
        charge: Option<Charge>,
        /// When to ask again if that does not settle it.
        recheck_at: Timestamp,
    },
    /// The merchant saw the money.
    Confirm {
        charge: Charge,
    },
    Cancel,
    Delete,
    /// Takes the work on a checkout that is due; one that ran out expires.
    Wake {
        /// When another node may take over.
        lease_until: Timestamp,
    },
}

impl ActOnCheckout {
    pub(super) fn wants(&self, wanted: &mut RowKeys) {
        let (tenant, id) = (self.tenant, self.id);
        wanted.keys.extend(self.key.map(|key| (tenant, key.hash)));
        wanted.checkouts.insert((tenant, id));
        wanted.payments.insert((tenant, id));
        wanted.invoices.insert((tenant, InvoiceId::from_ulid(id.ulid())));
        match &self.act {
            Act::Record { charge: Some(charge), .. } | Act::Confirm { charge } => {
                wanted.keys.insert((tenant, charge.name));
            }
            Act::Record { charge: None, .. }
            | Act::Visit
            | Act::Choose { .. }
            | Act::Start { .. }
            | Act::Claim { .. }
            | Act::Cancel
            | Act::Delete
            | Act::Wake { .. } => {}
        }
    }
}

pub(super) fn open<R: Rng>(
    view: &mut View,
    open: &OpenCheckout,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Done, Refusal> {
    let (tenant, id) = (open.new.tenant, open.id);
    if let Some(taken) = replayed(view, tenant, open.key, now)? {
        let row = view.checkouts.get(&(tenant, taken)).ok_or(Refusal::CheckoutNotFound)?;
        let checkout = Checkout::new(row.value.terms.clone(), taken.at());
        return Ok(Done::Checkout { checkout: Box::new(checkout), replayed: true });
    }
    if view.checkouts.contains_key(&(tenant, id)) {
        return Err(Refusal::PaymentExists(id));
    }
    // The time of its id, so that a repeated request can be answered the same.
    let mut checkout = Checkout::new(Arc::new(Terms::of(&open.new, id)), id.at());
    record_checkout_event(&mut checkout, &mut view.new_rows, Type::CheckoutCreated, id.at(), ids);
    take_key(view, tenant, id, open.key, now);
    view.checkouts.insert((tenant, id), Row::inserted(checkout.clone()));
    Ok(Done::Checkout { checkout: Box::new(checkout), replayed: false })
}

pub(super) fn act<R: Rng>(
    view: &mut View,
    command: &ActOnCheckout,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Done, Refusal> {
    let at = (command.tenant, command.id);
    let row = view.checkouts.get(&at).ok_or(Refusal::CheckoutNotFound)?;
    let mut checkout = row.value.clone();
    // A deletion may be repeated; for anything else the checkout is gone.
    if replayed(view, command.tenant, command.key, now)?.is_some() {
        return Ok(Done::Checkout { checkout: Box::new(checkout), replayed: true });
    }
    if checkout.deleted {
        return Err(Refusal::CheckoutNotFound);
    }
    let event = match &command.act {
        Act::Visit => {
            visit(&mut checkout, now);
            None
        }
        Act::Choose { method } => choose(&mut checkout, method, now)?,
        Act::Start { method, lease_until } => start(&mut checkout, method, *lease_until, now)?,
        Act::Claim { method, proof_url } => {
            claim(&mut checkout, method, proof_url.as_deref(), now)?
        }
        Act::Record { attempt, outcome, charge, recheck_at } => {
            if checkout.attempts == *attempt && checkout.flight != PaymentAttempt::None {
                record(view, &mut checkout, outcome, charge.as_ref(), *recheck_at, now, ids)?
            } else {
                None
            }
        }
        Act::Confirm { charge } => {
            let known = checkout.provider_payment_id.as_ref();
            if known.is_some_and(|known| *known != charge.id) {
                return Err(Refusal::ChargeTaken(command.id));
            }
            complete(view, &mut checkout, Fact::Confirmed, charge, now, now, ids)?
        }
        Act::Cancel => cancel(&mut checkout, now)?,
        Act::Delete => delete(&mut checkout)?,
        Act::Wake { lease_until } => wake(&mut checkout, *lease_until, now)?,
    };
    if let Some(event) = event {
        record_event(view, &mut checkout, event, now, ids);
    }
    take_key(view, command.tenant, command.id, command.key, now);
    if let Some(row) = view.checkouts.get_mut(&at)
        && row.value != checkout
    {
        *row.change() = checkout.clone();
    }
    Ok(Done::Checkout { checkout: Box::new(checkout), replayed: false })
}

/// Runs the state machine. True when the checkout moved.
pub(super) fn advance(checkout: &mut Checkout, fact: Fact) -> Result<bool, Refusal> {
    match next(checkout.state, fact) {
        Next::Refuse => Err(Refusal::CheckoutIs { state: checkout.state, fact }),
        Next::Stay => Ok(false),
        Next::Move(to) => {
            checkout.state = to;
            Ok(true)
        }
    }
}

/// Refuses what comes after the checkout's time, also before a step has seen to it.
fn check_time(checkout: &Checkout, fact: Fact, now: Timestamp) -> Result<(), Refusal> {
    let waits = matches!(checkout.state, State::Open | State::Failed);
    if waits && checkout.has_run_out(now) {
        return Err(Refusal::CheckoutIs { state: State::Expired, fact });
    }
    Ok(())
}

/// Notes the first visit. It makes no event and moves nothing.
fn visit(checkout: &mut Checkout, now: Timestamp) {
    if !checkout.state.is_over() {
        checkout.visited_at.get_or_insert(now);
    }
}

fn choose(checkout: &mut Checkout, method: &str, now: Timestamp) -> Result<Option<Type>, Refusal> {
    check_time(checkout, Fact::Claimed, now)?;
    if let Next::Refuse = next(checkout.state, Fact::Claimed) {
        return Err(Refusal::CheckoutIs { state: checkout.state, fact: Fact::Claimed });
    }
    checkout.method = Some(method.into());
    Ok(None)
}

fn start(
    checkout: &mut Checkout,
    method: &str,
    lease_until: Timestamp,
    now: Timestamp,
) -> Result<Option<Type>, Refusal> {
    check_time(checkout, Fact::Started, now)?;
    let attempts = checkout.attempts.checked_add(1).ok_or(Refusal::TooLarge)?;
    advance(checkout, Fact::Started)?;
    checkout.method = Some(method.into());
    checkout.attempts = attempts;
    checkout.flight = PaymentAttempt::Sending;
    checkout.checks = 0;
    checkout.failure = None;
    checkout.due_at = Some(lease_until);
    Ok(Some(Type::CheckoutPending))
}

fn claim(
    checkout: &mut Checkout,
    method: &str,
    proof_url: Option<&str>,
    now: Timestamp,
) -> Result<Option<Type>, Refusal> {
    check_time(checkout, Fact::Claimed, now)?;
    let moved = advance(checkout, Fact::Claimed)?;
    if let Some(url) = proof_url {
        checkout.proof_url = Some(url.into());
    }
    if moved {
        checkout.method = Some(method.into());
        checkout.failure = None;
        checkout.due_at = None;
    }
    Ok(moved.then_some(Type::CheckoutPendingReview))
}

fn cancel(checkout: &mut Checkout, now: Timestamp) -> Result<Option<Type>, Refusal> {
    advance(checkout, Fact::Canceled)?;
    // An attempt in flight is stopped at the provider next.
    checkout.due_at = (checkout.flight != PaymentAttempt::None).then_some(now);
    Ok(Some(Type::CheckoutCanceled))
}

fn delete(checkout: &mut Checkout) -> Result<Option<Type>, Refusal> {
    if checkout.flight != PaymentAttempt::None {
        return Err(Refusal::AttemptInFlight);
    }
    advance(checkout, Fact::Deleted)?;
    checkout.deleted = true;
    checkout.due_at = None;
    Ok(Some(Type::CheckoutDeleted))
}

fn wake(
    checkout: &mut Checkout,
    lease_until: Timestamp,
    now: Timestamp,
) -> Result<Option<Type>, Refusal> {
    if checkout.due_at.is_none_or(|due| now < due) {
        return Err(Refusal::NotDue);
    }
    if checkout.flight != PaymentAttempt::None {
        checkout.due_at = Some(lease_until);
        return Ok(None);
    }
    if checkout.has_run_out(now) && advance(checkout, Fact::Expired)? {
        checkout.due_at = None;
        return Ok(Some(Type::CheckoutExpired));
    }
    checkout.due_at = checkout.rests_until();
    Ok(None)
}

/// Records the event of a change; for an invoice's checkout, the event of the invoice.
fn record_event<R: Rng>(
    view: &mut View,
    checkout: &mut Checkout,
    event: Type,
    now: Timestamp,
    ids: &mut Ids<R>,
) {
    if checkout.terms.kind == Kind::Invoice {
        checkout.updated_at = now;
        super::invoice::follow(view, checkout, now, ids);
    } else {
        record_checkout_event(checkout, &mut view.new_rows, event, now, ids);
    }
}

/// The checkout that an idempotency key led to before.
fn replayed(
    view: &View,
    tenant: Tenant,
    key: Option<KeyedRequest>,
    now: Timestamp,
) -> Result<Option<PaymentId>, Refusal> {
    let Some(key) = key else { return Ok(None) };
    match live_key(view, tenant, key.hash, now) {
        None => Ok(None),
        Some(taken) if taken.request == key.request && taken.target == KeyTarget::Checkout => {
            Ok(Some(PaymentId::from_ulid(taken.id)))
        }
        Some(_) => Err(Refusal::KeyReused),
    }
}

fn take_key(
    view: &mut View,
    tenant: Tenant,
    id: PaymentId,
    key: Option<KeyedRequest>,
    now: Timestamp,
) {
    let Some(key) = key else { return };
    let key = UniqueKey {
        tenant,
        hash: key.hash,
        request: key.request,
        target: KeyTarget::Checkout,
        id: id.ulid(),
        state: None,
        expires_at: Some(now.plus_ms(KEY_LIFETIME_MS)),
    };
    insert_key(view, key);
}

/// Closes the checkout of an invoice that is no longer to be paid through it.
pub(super) fn close(
    view: &mut View,
    invoice: &invoice::Invoice,
    now: Timestamp,
) -> Result<(), Refusal> {
    let Some(row) = view.checkouts.get_mut(&(invoice.terms.tenant, invoice.payment())) else {
        return Ok(());
    };
    if row.value.flight != PaymentAttempt::None {
        return Err(Refusal::AttemptInFlight);
    }
    if let Next::Move(to) = next(row.value.state, Fact::Canceled) {
        let checkout = row.change();
        checkout.state = to;
        checkout.due_at = None;
        checkout.updated_at = now;
    }
    Ok(())
}
