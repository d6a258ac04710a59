//! Checkouts.

use super::{Dialect, PageQuery, Query, Select};
use crate::StoreError;
use crate::tables::{CHECKOUTS, Cells, FromRow};
use domain::checkout::{Checkout, State};
use domain::ids::PaymentId;
use domain::payment::Kind;
use domain::tenant::Tenant;
use domain::time::Timestamp;

/// Which checkouts to list.
#[derive(Clone, Debug)]
pub struct CheckoutFilter {
    /// Checkouts with the prefix of this kind.
    pub kind: Kind,
    pub state: Option<State>,
    pub customer: Option<Box<str>>,
}

pub(crate) fn find(tenant: Tenant, id: PaymentId) -> Query<Checkout> {
    Query::by_key(&CHECKOUTS, tenant, id.bytes())
}

/// The checkout with this id in any account.
pub(crate) fn find_anywhere(id: PaymentId) -> Query<Checkout> {
    Query::new(format!("SELECT {} FROM checkouts WHERE id = $1", CHECKOUTS.columns()))
        .with(id.bytes())
}

pub(crate) fn list(
    dialect: Dialect,
    tenant: Tenant,
    filter: CheckoutFilter,
    page: PageQuery,
) -> Query<Checkout> {
    let index = match (&filter.customer, filter.state) {
        (Some(_), _) => "checkouts_by_customer",
        (None, Some(_)) => "checkouts_by_state",
        (None, None) => "checkouts_by_kind",
    };
    let mut checkouts = Select::of(dialect, &CHECKOUTS, Some(index), tenant);
    checkouts.push(" AND deleted = 0");
    checkouts.and("kind = ?", Some(filter.kind.code()));
    checkouts.and("state = ?", filter.state.map(State::code));
    checkouts.and("customer = ?", filter.customer);
    checkouts.page("id", page)
}

pub(crate) fn due(now: Timestamp, limit: u32) -> Query<(Tenant, PaymentId)> {
    let sql = "SELECT scope, id FROM checkouts WHERE due_at <= $1 ORDER BY due_at LIMIT $2";
    Query::new(sql).with(now).with(limit)
}

impl FromRow for (Tenant, PaymentId) {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        Ok((c.tenant()?, PaymentId::from_ulid(c.ulid()?)))
    }
}

/// When the next checkout or invoice is due.
pub(crate) fn next_due() -> Query<Option<Timestamp>> {
    let sql = "SELECT min(at) FROM \
         (SELECT min(due_at) AS at FROM checkouts WHERE due_at IS NOT NULL \
         UNION ALL SELECT min(wake_at) FROM invoices WHERE wake_at IS NOT NULL) AS due";
    Query::new(sql)
}

#[cfg(test)]
pub(super) fn cases() -> Vec<super::query_plans::Case> {
    use super::query_plans::Case;
    let of = |state, customer: Option<&str>, index| {
        let customer = customer.map(Into::into);
        Case::new(list, CheckoutFilter { kind: Kind::CheckoutSession, state, customer }, index)
    };
    let open = Some(State::Open);
    vec![
        of(None, None, "checkouts_by_kind"),
        of(open, None, "checkouts_by_state"),
        of(None, Some("7"), "checkouts_by_customer").scans(),
        of(open, Some("7"), "checkouts_by_customer").scans(),
    ]
}
