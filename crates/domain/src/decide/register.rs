//! Registering a captured payment.

use super::record_event::record_payment_event;
use super::unique_keys::{insert_key, live_key};
use super::{Done, KEY_LIFETIME_MS, KeyedRequest, Refusal, RegisterPayment};
use crate::event::Type;
use crate::ids::{Ids, PaymentId};
use crate::ledger::Transfer;
use crate::payment::{Capture, Payment};
use crate::tenant::Tenant;
use crate::time::Timestamp;
use crate::unique_keys::{KeyTarget, UniqueKey};
use crate::view::{Row, View};
use rand_core::Rng;

pub(super) fn decide<R: Rng>(
    view: &mut View,
    register: &RegisterPayment,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Done, Refusal> {
    let tenant = register.new.tenant;
    if let Some(key) = register.key
        && let Some(taken) = live_key(view, tenant, key.hash, now)
    {
        if taken.request != key.request || taken.target != KeyTarget::Payment {
            return Err(Refusal::KeyReused);
        }
        return replay_payment(view, tenant, PaymentId::from_ulid(taken.id));
    }
    if let Some(taken) = live_key(view, tenant, register.charge.hash, now) {
        let id = PaymentId::from_ulid(taken.id);
        if taken.request != register.charge.request {
            return Err(Refusal::ChargeTaken(id));
        }
        let replay = replay_payment(view, tenant, id)?;
        if let Some(name) = register.key {
            insert_key(view, payment_key(tenant, id, name, Some(now.plus_ms(KEY_LIFETIME_MS))));
        }
        return Ok(replay);
    }
    let id = register.id;
    if view.payments.contains_key(&(tenant, id)) {
        return Err(Refusal::PaymentExists(id));
    }
    let capture = Capture::of(&register.new, id);
    let settles_at = register.settles_after_ms.map(|ms| capture.captured_at.plus_ms(ms));
    let mut payment = Payment::new(capture, register.new.settled_at.or(settles_at), now);
    let transfer = Transfer::capture(ids.transfer(now), &payment);
    if !view.new_rows.post(transfer) {
        return Err(Refusal::TooLarge);
    }
    record_payment_event(&mut payment, &mut view.new_rows, Type::PaymentCreated, now, ids);
    insert_key(view, payment_key(tenant, id, register.charge, None));
    if let Some(name) = register.key {
        insert_key(view, payment_key(tenant, id, name, Some(now.plus_ms(KEY_LIFETIME_MS))));
    }
    view.payments.insert((tenant, id), Row::inserted(payment.clone()));
    Ok(Done::Payment { payment, replayed: false })
}

fn payment_key(
    tenant: Tenant,
    id: PaymentId,
    name: KeyedRequest,
    expires_at: Option<Timestamp>,
) -> UniqueKey {
    UniqueKey {
        tenant,
        hash: name.hash,
        request: name.request,
        target: KeyTarget::Payment,
        id: id.ulid(),
        state: None,
        expires_at,
    }
}

fn replay_payment(view: &View, tenant: Tenant, id: PaymentId) -> Result<Done, Refusal> {
    let row = view.payments.get(&(tenant, id)).ok_or(Refusal::PaymentNotFound)?;
    Ok(Done::Payment { payment: row.value.clone(), replayed: true })
}
