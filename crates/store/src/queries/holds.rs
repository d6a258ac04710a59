//! Money of payments that is held.

use super::{Dialect, PageQuery, Query, Select};
use crate::tables::HOLDS;
use domain::hold::Hold;
use domain::ids::{HoldId, PaymentId};
use domain::tenant::Tenant;

pub(crate) fn find(tenant: Tenant, id: HoldId) -> Query<Hold> {
    Query::by_key(&HOLDS, tenant, id.bytes())
}

/// The holds of a payment.
pub(crate) fn list(
    dialect: Dialect,
    tenant: Tenant,
    payment: PaymentId,
    page: PageQuery,
) -> Query<Hold> {
    let mut holds = Select::of(dialect, &HOLDS, Some("holds_of_payment"), tenant);
    holds.and("payment = ?", Some(payment.ulid()));
    holds.page("id", page)
}

#[cfg(test)]
pub(super) fn cases() -> Vec<super::query_plans::Case> {
    use super::query_plans::{Case, nth};
    vec![Case::new(list, PaymentId::from_ulid(nth(7)), "holds_of_payment")]
}
