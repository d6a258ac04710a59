//! Holding money of a payment, and ending that.

use super::adopt::insert_external;
use super::advance::{Arrival, advance, rebalance};
use super::record_event::record_hold_event;
use super::unique_keys::{insert_key, live_key};
use super::{Done, KEY_LIFETIME_MS, KeyedRequest, Refusal};
use crate::event::Type;
use crate::hold::{Hold, NewHold, State};
use crate::ids::{HoldId, Ids, PaymentId, RefundId};
use crate::money::{MAX_AMOUNT, Money};
use crate::outcome::{Observation, ProviderOutcome, Said, Source};
use crate::payment::Payment;
use crate::refund::{self, Fact, Origin, Refund};
use crate::tenant::Tenant;
use crate::time::Timestamp;
use crate::unique_keys::{KeyTarget, UniqueKey};
use crate::view::{Row, RowKeys, View};
use rand_core::Rng;

/// The reason of a refund that a lost dispute is booked as.
pub const DISPUTE: &str = "dispute";

/// Holds money of a payment.
#[derive(Debug)]
pub struct PlaceHold {
    pub new: NewHold,
    /// Name of the dispute: money is held for it once.
    pub dispute: Option<KeyedRequest>,
    /// The caller's idempotency key.
    pub key: Option<KeyedRequest>,
}

/// A hold and the payment it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldRef {
    pub tenant: Tenant,
    pub hold: HoldId,
    pub payment: PaymentId,
}

/// How a hold ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The merchant keeps the money.
    Release,
    /// The money went back to the buyer.
    Book {
        /// How much, where that is not what was held.
        amount: Option<i64>,
    },
}

/// Ends a hold.
#[derive(Debug)]
pub struct EndHold {
    pub of: HoldRef,
    pub end: End,
    /// How the end became known.
    pub source: Source,
    /// The caller's idempotency key.
    pub key: Option<KeyedRequest>,
}

impl PlaceHold {
    pub(super) fn wants(&self, wanted: &mut RowKeys) {
        let tenant = self.new.tenant;
        let names = self.dispute.iter().chain(&self.key);
        wanted.keys.extend(names.map(|name| (tenant, name.hash)));
        wanted.payments.insert((tenant, self.new.payment));
    }
}

impl EndHold {
    pub(super) fn wants(&self, wanted: &mut RowKeys) {
        let HoldRef { tenant, hold, payment } = self.of;
        wanted.keys.extend(self.key.map(|key| (tenant, key.hash)));
        wanted.holds.insert((tenant, hold));
        wanted.payments.insert((tenant, payment));
    }
}

pub(super) fn place<R: Rng>(
    view: &mut View,
    place: &PlaceHold,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Done, Refusal> {
    let PlaceHold { new, dispute, key } = place;
    let tenant = new.tenant;
    if let Some(done) = replay(view, tenant, *key, now)? {
        return Ok(done);
    }
    if let Some(name) = dispute
        && let Some(taken) = live_key(view, tenant, name.hash, now)
    {
        let id = HoldId::from_ulid(taken.id);
        // A provider repeats itself, and what it says later differs.
        if new.source == Source::Operator && taken.request != name.request {
            return Err(Refusal::DisputeHeld(id));
        }
        if new.source != Source::Operator {
            grow(view, id, new, now, ids)?;
        }
        let done = as_it_is(view, tenant, id)?;
        remember(view, tenant, id, *key, now);
        return Ok(done);
    }
    let row = view.payments.get_mut(&(tenant, new.payment)).ok_or(Refusal::PaymentNotFound)?;
    let payment = &row.value;
    let expected = payment.capture.currency;
    if let Some(given) = new.currency.filter(|given| *given != expected) {
        return Err(Refusal::CurrencyMismatch { expected, given });
    }
    if !(1..=MAX_AMOUNT).contains(&new.amount) {
        return Err(Refusal::NoAmount);
    }
    let on_hold = payment.on_hold().checked_add(new.amount).ok_or(Refusal::TooLarge)?;
    let rebalanced = rebalance(payment, payment.refunded, payment.reserved, on_hold)?;
    let hold = Hold {
        tenant,
        id: ids.hold(now),
        payment: new.payment,
        amount: new.amount,
        currency: expected,
        state: State::Open,
        reason: new.reason.clone(),
        reference: new.reference.clone(),
        source: new.source,
        refund: None,
        updated_at: now,
    };
    let payment = row.change();
    *payment = Payment { updated_at: now, ..rebalanced };
    let placed = (Type::PaymentHoldPlaced, hold.amount);
    record_hold_event(payment, &hold, placed, &mut view.new_rows, now, ids);
    if let Some(name) = dispute {
        insert_key(view, hold_key(tenant, hold.id, *name, None));
    }
    remember(view, tenant, hold.id, *key, now);
    view.holds.insert((tenant, hold.id), Row::inserted(hold.clone()));
    Ok(Done::Hold { hold: Box::new(hold), replayed: false })
}

/// A dispute that is open and is now about more money holds more. One that shrinks holds what it held
/// until it ends.
fn grow<R: Rng>(
    view: &mut View,
    id: HoldId,
    new: &NewHold,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<(), Refusal> {
    let Some(row) = view.holds.get_mut(&(new.tenant, id)) else { return Ok(()) };
    let hold = &row.value;
    let is_its = hold.payment == new.payment && new.currency.is_none_or(|it| it == hold.currency);
    let more = new.amount.checked_sub(hold.amount).ok_or(Refusal::TooLarge)?;
    if hold.state != State::Open || !is_its || more <= 0 || new.amount > MAX_AMOUNT {
        return Ok(());
    }
    let payments = &mut view.payments;
    let payment = payments.get_mut(&(new.tenant, new.payment)).ok_or(Refusal::PaymentNotFound)?;
    let on_hold = payment.value.on_hold().checked_add(more).ok_or(Refusal::TooLarge)?;
    let (refunded, reserved) = (payment.value.refunded, payment.value.reserved);
    let rebalanced = rebalance(&payment.value, refunded, reserved, on_hold)?;
    let hold = row.change();
    (hold.amount, hold.updated_at) = (new.amount, now);
    let payment = payment.change();
    *payment = Payment { updated_at: now, ..rebalanced };
    let placed = (Type::PaymentHoldPlaced, hold.amount);
    record_hold_event(payment, hold, placed, &mut view.new_rows, now, ids);
    Ok(())
}

pub(super) fn end<R: Rng>(
    view: &mut View,
    end: &EndHold,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Done, Refusal> {
    let HoldRef { tenant, hold, .. } = end.of;
    if let Some(done) = replay(view, tenant, end.key, now)? {
        return Ok(done);
    }
    let hold = view.holds.get(&(tenant, hold)).ok_or(Refusal::HoldNotFound)?.value.clone();
    if hold.state != State::Open {
        return Err(Refusal::HoldEnded(hold.state));
    }
    let (state, told, refund) = match end.end {
        End::Release => {
            release(view, &hold, now)?;
            (State::Released, (Type::PaymentHoldReleased, hold.amount), None)
        }
        End::Book { amount } => {
            let amount = amount.unwrap_or(hold.amount);
            let refund = book(view, &hold, amount, end.source, now, ids)?;
            (State::Booked, (Type::PaymentHoldBooked, amount), Some(refund))
        }
    };
    let hold = Hold { state, refund, updated_at: now, ..hold };
    if let Some(row) = view.payments.get_mut(&(tenant, hold.payment)) {
        record_hold_event(row.change(), &hold, told, &mut view.new_rows, now, ids);
    }
    if let Some(row) = view.holds.get_mut(&(tenant, hold.id)) {
        row.change().clone_from(&hold);
    }
    remember(view, tenant, hold.id, end.key, now);
    Ok(Done::Hold { hold: Box::new(hold), replayed: false })
}

/// Money of the payment on hold without this hold.
fn without(payment: &Payment, hold: &Hold) -> Result<i64, Refusal> {
    payment.on_hold().checked_sub(hold.amount).ok_or(Refusal::TooLarge)
}

fn release(view: &mut View, hold: &Hold, now: Timestamp) -> Result<(), Refusal> {
    let at = (hold.tenant, hold.payment);
    let row = view.payments.get_mut(&at).ok_or(Refusal::PaymentNotFound)?;
    let payment = &row.value;
    let on_hold = without(payment, hold)?;
    let rebalanced = rebalance(payment, payment.refunded, payment.reserved, on_hold)?;
    *row.change() = Payment { updated_at: now, ..rebalanced };
    Ok(())
}

/// Books what went back to the buyer as a refund that was made at the provider.
fn book<R: Rng>(
    view: &mut View,
    hold: &Hold,
    amount: i64,
    source: Source,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<RefundId, Refusal> {
    if !(1..=MAX_AMOUNT).contains(&amount) {
        return Err(Refusal::NoAmount);
    }
    let at = (hold.tenant, hold.payment);
    let payment = &view.payments.get(&at).ok_or(Refusal::PaymentNotFound)?.value;
    let on_hold = without(payment, hold)?;
    let reserved = payment.reserved.checked_add(amount).ok_or(Refusal::TooLarge)?;
    let rebalanced = rebalance(payment, payment.refunded, reserved, on_hold)?;
    let id = ids.refund(now);
    let refund = Refund {
        origin: Origin::External,
        // Nobody asked for it.
        before_settlement: false,
        reason: Some(DISPUTE.into()),
        ..Refund::new(id, payment, amount, refund::State::Submitted, now)
    };
    let money = Some(Money::new(amount, hold.currency));
    let said = Said { money, ..Said::new(ProviderOutcome::Completed) };
    let seen = Observation { source, said };
    insert_external(view, refund, rebalanced, now, ids, |(refund, payment, new_rows), ids| {
        let arrival = Arrival { observation: Some(&seen), ..Arrival::default() };
        advance(refund, payment, new_rows, Fact::Completed, arrival, now, ids)
    })?;
    Ok(id)
}

fn hold_key(
    tenant: Tenant,
    id: HoldId,
    name: KeyedRequest,
    expires_at: Option<Timestamp>,
) -> UniqueKey {
    UniqueKey {
        tenant,
        hash: name.hash,
        request: name.request,
        target: KeyTarget::Hold,
        id: id.ulid(),
        state: None,
        expires_at,
    }
}

/// Takes the caller's idempotency key.
fn remember(
    view: &mut View,
    tenant: Tenant,
    id: HoldId,
    key: Option<KeyedRequest>,
    now: Timestamp,
) {
    if let Some(key) = key {
        insert_key(view, hold_key(tenant, id, key, Some(now.plus_ms(KEY_LIFETIME_MS))));
    }
}

/// The answer to a request that came before.
fn replay(
    view: &View,
    tenant: Tenant,
    key: Option<KeyedRequest>,
    now: Timestamp,
) -> Result<Option<Done>, Refusal> {
    let Some(key) = key else { return Ok(None) };
    let Some(taken) = live_key(view, tenant, key.hash, now) else { return Ok(None) };
    if taken.request != key.request || taken.target != KeyTarget::Hold {
        return Err(Refusal::KeyReused);
    }
    as_it_is(view, tenant, HoldId::from_ulid(taken.id)).map(Some)
}

fn as_it_is(view: &View, tenant: Tenant, id: HoldId) -> Result<Done, Refusal> {
    let row = view.holds.get(&(tenant, id)).ok_or(Refusal::HoldNotFound)?;
    Ok(Done::Hold { hold: Box::new(row.value.clone()), replayed: true })
}
