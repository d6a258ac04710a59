//! Invoices.

use super::{Dialect, PageQuery, Query, Select};
use crate::StoreError;
use crate::tables::{Cells, FromRow, INVOICES};
use domain::ids::InvoiceId;
use domain::invoice::{Invoice, State};
use domain::tenant::Tenant;
use domain::time::Timestamp;

/// Which invoices to list.
#[derive(Clone, Debug, Default)]
pub struct InvoiceFilter {
    pub state: Option<State>,
    pub customer: Option<Box<str>>,
    pub subscription: Option<Box<str>>,
    /// Only invoices issued at this time or later. With this or `issued_until`, the list is in the
    /// order of issue.
    pub issued_from: Option<Timestamp>,
    /// Only invoices issued before this time.
    pub issued_until: Option<Timestamp>,
}

impl InvoiceFilter {
    /// Whether the list is in the order of issue, instead of the order of creation.
    const fn by_issue(&self) -> bool {
        self.issued_from.is_some() || self.issued_until.is_some()
    }

    const fn index(&self) -> Option<&'static str> {
        match self {
            Self { customer: Some(_), .. } => Some("invoices_by_customer"),
            Self { subscription: Some(_), .. } => Some("invoices_by_subscription"),
            Self { state: Some(_), .. } if self.by_issue() => Some("invoices_by_state_and_issue"),
            Self { state: Some(_), .. } => Some("invoices_by_state"),
            _ if self.by_issue() => Some("invoices_by_issue"),
            _ => None,
        }
    }
}

pub(crate) fn find(tenant: Tenant, id: InvoiceId) -> Query<Invoice> {
    Query::by_key(&INVOICES, tenant, id.bytes())
}

/// The invoice with this id in any account.
pub(crate) fn find_anywhere(id: InvoiceId) -> Query<Invoice> {
    Query::new(format!("SELECT {} FROM invoices WHERE id = $1", INVOICES.columns()))
        .with(id.bytes())
}

pub(crate) fn list(
    dialect: Dialect,
    tenant: Tenant,
    filter: InvoiceFilter,
    page: PageQuery,
) -> Query<Invoice> {
    let (index, by_issue) = (filter.index(), filter.by_issue());
    let mut invoices = Select::of(dialect, &INVOICES, index, tenant);
    invoices.and("state = ?", filter.state.map(State::code));
    invoices.and("customer = ?", filter.customer);
    invoices.and("subscription = ?", filter.subscription);
    invoices.and("issued_at >= ?", filter.issued_from);
    invoices.and("issued_at < ?", filter.issued_until);
    if !by_issue {
        return invoices.page("id", page);
    }
    let (comparison, direction) = page.order.words();
    let place = "((SELECT a.issued_at FROM invoices a WHERE a.id = ?), ?)";
    invoices.and(&format!("(issued_at, id) {comparison} {place}"), page.after);
    invoices.finish(&format!(" ORDER BY issued_at {direction}, id {direction}"), page.limit)
}

pub(crate) fn due(now: Timestamp, limit: u32) -> Query<(Tenant, InvoiceId)> {
    let sql = "SELECT scope, id FROM invoices WHERE wake_at <= $1 ORDER BY wake_at LIMIT $2";
    Query::new(sql).with(now).with(limit)
}

impl FromRow for (Tenant, InvoiceId) {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        Ok((c.tenant()?, InvoiceId::from_ulid(c.ulid()?)))
    }
}

#[cfg(test)]
pub(super) fn cases() -> Vec<super::query_plans::Case> {
    use super::query_plans::{Case, KEY};
    let all = InvoiceFilter::default();
    let of = |filter: &InvoiceFilter, index| Case::new(list, filter.clone(), index).without_span();
    let span = InvoiceFilter {
        issued_from: Some(Timestamp(100)),
        issued_until: Some(Timestamp(20_000)),
        ..all.clone()
    };
    let state = Some(State::Open);
    let customer: Option<Box<str>> = Some("7".into());
    let subscription = customer.clone();
    let by = |filter: &InvoiceFilter| {
        [
            InvoiceFilter { state, ..filter.clone() },
            InvoiceFilter { customer: customer.clone(), ..filter.clone() },
            InvoiceFilter { subscription: subscription.clone(), ..filter.clone() },
        ]
    };
    let [state_only, customer_only, subscription_only] = by(&all);
    let [state_in_span, customer_in_span, subscription_in_span] = by(&span);
    vec![
        of(&all, KEY),
        of(&state_only, "invoices_by_state"),
        of(&customer_only, "invoices_by_customer"),
        of(&subscription_only, "invoices_by_subscription"),
        of(&span, "invoices_by_issue"),
        of(&state_in_span, "invoices_by_state_and_issue"),
        of(&customer_in_span, "invoices_by_customer").scans().sorting(),
        of(&subscription_in_span, "invoices_by_subscription").scans().sorting(),
    ]
}
