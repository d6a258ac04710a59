//! Withdrawing a refund.

use super::advance::{Arrival, advance};
use super::unique_keys::{insert_key, live_key};
use super::{Done, KEY_LIFETIME_MS, KeyedRequest, RefundRef, Refusal, rows};
use crate::ids::Ids;
use crate::refund::Fact;
use crate::time::Timestamp;
use crate::unique_keys::{KeyTarget, UniqueKey};
use crate::view::View;
use rand_core::Rng;

pub(super) fn decide<R: Rng>(
    view: &mut View,
    of: RefundRef,
    key: Option<KeyedRequest>,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<Done, Refusal> {
    if let Some(name) = key
        && let Some(taken) = live_key(view, of.tenant, name.hash, now)
    {
        if taken.request != name.request || taken.target != KeyTarget::Cancel {
            return Err(Refusal::KeyReused);
        }
        let (refund, payment, _) = rows(view, of)?;
        let (refund, payment) = (refund.value.clone(), payment.value.clone());
        return Ok(Done::Refund { refund: Box::new(refund), payment, replayed: true });
    }
    let (refund, payment, new_rows) = rows(view, of)?;
    let done = advance(refund, payment, new_rows, Fact::Withdrawn, Arrival::default(), now, ids);
    if let Err(Refusal::Impossible { state, .. }) = done {
        return Err(Refusal::TooLateToCancel(state));
    }
    let done = done?;
    if let Some(name) = key {
        let key = UniqueKey {
            tenant: of.tenant,
            hash: name.hash,
            request: name.request,
            target: KeyTarget::Cancel,
            id: of.refund.ulid(),
            state: None,
            expires_at: Some(now.plus_ms(KEY_LIFETIME_MS)),
        };
        insert_key(view, key);
    }
    Ok(done)
}
