//! Saying when a payment settles. Refunds asked for before that are reversals.

use super::{Done, Refusal};
use crate::ids::PaymentId;
use crate::tenant::Tenant;
use crate::time::Timestamp;
use crate::view::View;

pub(super) fn decide(
    view: &mut View,
    of: (Tenant, PaymentId),
    at: Timestamp,
    now: Timestamp,
) -> Result<Done, Refusal> {
    let row = view.payments.get_mut(&of).ok_or(Refusal::PaymentNotFound)?;
    if row.value.settled_at != Some(at) {
        let payment = row.change();
        payment.settled_at = Some(at);
        payment.updated_at = now;
    }
    Ok(Done::Payment { payment: row.value.clone(), replayed: false })
}
