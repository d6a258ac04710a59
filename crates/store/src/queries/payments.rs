//! Payments.

use super::{Dialect, PageQuery, Query, Select};
use crate::tables::PAYMENTS;
use domain::ids::PaymentId;
use domain::payment::Payment;
use domain::tenant::Tenant;

pub(crate) fn find(tenant: Tenant, id: PaymentId) -> Query<Payment> {
    Query::by_key(&PAYMENTS, tenant, id.bytes())
}

pub(crate) fn list(dialect: Dialect, tenant: Tenant, page: PageQuery) -> Query<Payment> {
    Select::of(dialect, &PAYMENTS, None, tenant).page("id", page)
}

#[cfg(test)]
pub(super) fn cases() -> Vec<super::query_plans::Case> {
    use super::query_plans::{Case, KEY};
    vec![Case::new(|dialect, tenant, (), page| list(dialect, tenant, page), (), KEY)]
}
