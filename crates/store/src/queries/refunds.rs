//! Refunds with their payments.

use super::{Dialect, PageQuery, Query, Select, SortOrder, first_at};
use crate::StoreError;
use crate::tables::{Cells, FromRow, PAYMENTS, REFUNDS};
use domain::ids::{PaymentId, RefundId};
use domain::payment::Payment;
use domain::refund::{Refund, RefundView, Status};
use domain::tenant::Tenant;
use domain::time::Timestamp;

/// Which refunds to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct RefundFilter {
    pub status: Option<Status>,
    pub payment: Option<PaymentId>,
}

/// A refund that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueRefund {
    pub tenant: Tenant,
    pub refund: RefundId,
    pub payment: PaymentId,
    pub due_at: Timestamp,
}

impl FromRow for RefundView {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        Ok(Self { refund: Refund::from_row(c)?, payment: Payment::from_row(c)?.capture })
    }
}

fn columns() -> String {
    format!("{}, {}", REFUNDS.columns_of("r"), PAYMENTS.columns_of("p"))
}

fn select(dialect: Dialect, index: Option<&str>, tenant: Tenant) -> Select<RefundView> {
    let payments = dialect.join(&PAYMENTS, "p", "r", "r.payment");
    Select::joined(dialect, (&REFUNDS, "r", index), (&columns(), &[payments]), tenant)
}

pub(crate) fn find(dialect: Dialect, tenant: Tenant, id: RefundId) -> Query<RefundView> {
    let mut refund = select(dialect, None, tenant);
    refund.and("r.id = ?", Some(id.ulid()));
    refund.unordered()
}

pub(crate) fn list(
    dialect: Dialect,
    tenant: Tenant,
    filter: RefundFilter,
    page: PageQuery,
) -> Query<RefundView> {
    if let (Dialect::Sqlite, Some(payment)) = (dialect, filter.payment) {
        return chain(tenant, payment, filter.status, page);
    }
    let rare = filter.status.is_some_and(|status| status != Status::Succeeded);
    let mut refunds = select(dialect, rare.then_some("refunds_not_succeeded"), tenant);
    refunds.and("r.payment = ?", filter.payment.map(PaymentId::ulid));
    refunds.and("r.status = ?", filter.status.map(Status::code));
    if rare {
        // The index leaves out succeeded refunds.
        refunds.push(" AND r.status <> 2");
    }
    refunds.page("r.id", page)
}

/// The refunds of one payment in `SQLite`, along their chain. Newest first, the walk ends with the page;
/// oldest first, it starts at the newest refund too.
fn chain(
    tenant: Tenant,
    payment: PaymentId,
    status: Option<Status>,
    page: PageQuery,
) -> Query<RefundView> {
    const LAST: &str = "(SELECT last_refund FROM payments WHERE scope = $1 AND id = $2)";
    const BEFORE: &str =
        "(SELECT previous FROM refunds WHERE scope = $1 AND payment = $2 AND id = $3)";
    let newest_first = page.order == SortOrder::Descending;
    let start = if newest_first && page.after.is_some() { BEFORE } else { LAST };
    let end = if !newest_first && page.after.is_some() { "AND r.id <> $3" } else { "" };
    let sql = format!(
        "WITH RECURSIVE chain (id, previous, place) AS (
             SELECT r.id, r.previous, 0 FROM refunds r WHERE r.scope = $1 AND r.id = {start} {end}
             UNION ALL
             SELECT r.id, r.previous, c.place + 1 FROM chain c CROSS JOIN refunds r
             WHERE r.scope = $1 AND r.id = c.previous {end}
         )
         SELECT {} FROM chain c CROSS JOIN refunds r ON r.id = c.id
         CROSS JOIN payments p ON p.scope = r.scope AND p.id = $2",
        columns()
    );
    let mut refunds = Select::new(Dialect::Sqlite, &sql, ("r.scope", tenant)).with(payment.ulid());
    if let Some(after) = page.after {
        refunds = refunds.with(after);
    }
    refunds.and("r.status = ?", status.map(Status::code));
    refunds.and("r.id >= ?", page.from.map(first_at));
    refunds.and("r.id < ?", page.until.map(first_at));
    refunds.finish(if newest_first { "" } else { " ORDER BY c.place DESC" }, page.limit)
}

pub(crate) fn due(now: Timestamp, limit: u32) -> Query<DueRefund> {
    let sql = "SELECT scope, id, payment, due_at FROM refunds \
               WHERE due_at <= $1 ORDER BY due_at LIMIT $2";
    Query::new(sql).with(now).with(limit)
}

impl FromRow for DueRefund {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        Ok(Self {
            tenant: c.tenant()?,
            refund: RefundId::from_ulid(c.ulid()?),
            payment: PaymentId::from_ulid(c.ulid()?),
            due_at: c.time()?,
        })
    }
}

/// When the next refund is due.
pub(crate) fn next_due() -> Query<Option<Timestamp>> {
    Query::new("SELECT due_at FROM refunds WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1")
}

#[cfg(test)]
pub(super) fn cases() -> Vec<super::query_plans::Case> {
    use super::query_plans::{Case, KEY, nth};
    let of = |status, payment, index| Case::new(list, RefundFilter { status, payment }, index);
    let payment = Some(PaymentId::from_ulid(nth(7)));
    let mut cases = vec![
        of(None, None, KEY),
        of(Some(Status::Succeeded), None, KEY).scans(),
        of(None, payment, "refunds_by_payment"),
        of(Some(Status::Failed), payment, "refunds_by_payment").scans(),
    ];
    for status in [Status::Pending, Status::Failed, Status::Canceled] {
        cases.push(of(Some(status), None, "refunds_not_succeeded"));
    }
    cases
}
