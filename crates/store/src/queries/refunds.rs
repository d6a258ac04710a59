//! Refunds with their payments.

use super::{Dialect, PageQuery, Query, Select, SortOrder, first_at};
use crate::StoreError;
use crate::tables::{Cells, FromRow, PAYMENTS, REFUND_ATTEMPTS, REFUNDS};
use domain::ids::{PaymentId, RefundId};
use domain::payment::Payment;
use domain::refund::{Attempt, Refund, RefundView, Status};
use domain::tenant::Tenant;
use domain::time::Timestamp;

/// Which refunds to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct RefundFilter {
    pub status: Option<Status>,
    pub payment: Option<PaymentId>,
}

/// A refund whose work this node took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimedRefund {
    pub tenant: Tenant,
    pub refund: RefundId,
    pub payment: PaymentId,
    /// The lease that the claim made.
    pub lease: u32,
}

/// A queue of refunds that has work, and when its first refund is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane {
    pub lane: u32,
    pub due_at: Timestamp,
}

/// Which refunds in doubt to find.
#[derive(Clone, Debug)]
pub struct InDoubt {
    /// Only those of this provider.
    pub provider: Option<Box<str>>,
    /// Also refunds that the provider has, and not only those that may be there.
    pub accepted: bool,
    /// Refunds that are being sent or that the provider has count only from before this time.
    pub waiting_since: Timestamp,
}

/// The tenant, the provider and the account there that a lane is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneOwner {
    pub tenant: Tenant,
    pub provider: Box<str>,
    pub provider_account: Option<Box<str>>,
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

/// The lanes that have work, each found with one step along the index.
const LANES: &str = "WITH RECURSIVE lanes (lane) AS (
         SELECT (SELECT r.lane FROM refunds r WHERE r.due_at IS NOT NULL AND r.lane > $1
                 ORDER BY r.lane LIMIT 1)
         UNION ALL
         SELECT (SELECT r.lane FROM refunds r WHERE r.due_at IS NOT NULL AND r.lane > l.lane
                 ORDER BY r.lane LIMIT 1)
         FROM lanes l WHERE l.lane IS NOT NULL
     )";

/// At most `limit` lanes with work behind the lane `after`, in their order.
pub(crate) fn lanes(after: Option<u32>, limit: u32) -> Query<Lane> {
    let sql = format!(
        "{LANES} SELECT lane, (SELECT r.due_at FROM refunds r \
         WHERE r.lane = lanes.lane AND r.due_at IS NOT NULL ORDER BY r.due_at LIMIT 1) \
         FROM lanes WHERE lane IS NOT NULL LIMIT $2"
    );
    Query::new(sql).with(after.map_or(-1, i64::from)).with(limit)
}

impl FromRow for Lane {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        Ok(Self { lane: c.take()?, due_at: c.time()? })
    }
}

/// The owner of a lane that has work.
pub(crate) fn lane_owner(lane: u32) -> Query<LaneOwner> {
    let sql = "SELECT p.scope, p.provider, p.provider_account \
         FROM (SELECT scope, payment FROM refunds WHERE lane = $1 AND due_at IS NOT NULL \
               ORDER BY due_at LIMIT 1) r \
         JOIN payments p ON p.scope = r.scope AND p.id = r.payment";
    Query::new(sql).with(i64::from(lane))
}

impl FromRow for LaneOwner {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        Ok(Self { tenant: c.tenant()?, provider: c.required_text()?, provider_account: c.text()? })
    }
}

/// Takes the work on refunds of a lane that are due, the longest due first, until `lease_until`. Skips
/// rows that another transaction has locked.
pub(crate) fn claim(
    dialect: Dialect,
    lane: u32,
    now: Timestamp,
    lease_until: Timestamp,
    limit: u32,
) -> Query<ClaimedRefund> {
    let due = "SELECT scope, id FROM refunds WHERE lane = $2 AND due_at <= $3 \
               ORDER BY due_at LIMIT $4";
    let sql = match dialect {
        Dialect::Sqlite => format!(
            "UPDATE refunds SET due_at = $1, lease = lease + 1 WHERE (scope, id) IN ({due}) \
             RETURNING scope, id, payment, lease"
        ),
        Dialect::Postgres => format!(
            "WITH due AS ({due} FOR UPDATE SKIP LOCKED) \
             UPDATE refunds r SET due_at = $1, lease = lease + 1 FROM due \
             WHERE r.scope = due.scope AND r.id = due.id RETURNING r.scope, r.id, r.payment, r.lease"
        ),
    };
    Query::new(sql).with(lease_until).with(i64::from(lane)).with(now).with(limit)
}

impl FromRow for ClaimedRefund {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        Ok(Self {
            tenant: c.tenant()?,
            refund: RefundId::from_ulid(c.ulid()?),
            payment: PaymentId::from_ulid(c.ulid()?),
            lease: c.take()?,
        })
    }
}

/// When the next refund is due.
pub(crate) fn next_due() -> Query<Option<Timestamp>> {
    let sql = format!(
        "{LANES} SELECT min((SELECT r.due_at FROM refunds r \
         WHERE r.lane = lanes.lane AND r.due_at IS NOT NULL ORDER BY r.due_at LIMIT 1)) \
         FROM lanes WHERE lane IS NOT NULL"
    );
    Query::new(sql).with(-1_i64)
}

/// Refunds of a payment that may be at the provider without an id that we know.
pub(crate) fn in_doubt(
    dialect: Dialect,
    tenant: Tenant,
    payment: PaymentId,
    limit: u32,
) -> Query<RefundView> {
    let mut refunds = select(dialect, None, tenant);
    refunds.and("r.payment = ?", Some(payment.ulid()));
    refunds.push(
        " AND r.status = 1 AND r.provider_refund_id IS NULL AND r.state IN (4, 5, 6, 7, 9, 13)",
    );
    refunds.finish(" ORDER BY r.id", limit)
}

/// Refunds of the payment that go before this one where they are made one after another.
pub(crate) fn before(
    dialect: Dialect,
    tenant: Tenant,
    payment: PaymentId,
    refund: RefundId,
    answered_after: Timestamp,
) -> Query<RefundView> {
    let mut refunds = select(dialect, None, tenant);
    refunds.and("r.payment = ?", Some(payment.ulid()));
    refunds.and("r.id <> ?", Some(refund.ulid()));
    refunds.and(
        "(r.state IN (4, 5, 6, 7, 13) OR r.state IN (2, 3, 8) AND r.id < $3 OR r.answered_at > ?)",
        Some(answered_after),
    );
    refunds.finish(" ORDER BY r.id", 1)
}

/// Refunds of a tenant that are in doubt: of an unknown outcome (6), for a person (9), and those that have been with
/// the provider for too long (4; and 5, 7, 13 where they are wanted).
pub(crate) fn all_in_doubt(
    dialect: Dialect,
    tenant: Tenant,
    filter: InDoubt,
    after: Option<RefundId>,
    limit: u32,
) -> Query<RefundView> {
    let mut refunds = select(dialect, Some("refunds_not_succeeded"), tenant);
    refunds.push(" AND r.status = 1 AND r.status <> 2");
    refunds.and("r.id > ?", after.map(RefundId::ulid));
    let waiting = if filter.accepted { "4, 5, 7, 13" } else { "4" };
    let condition = format!("(r.state IN (6, 9) OR r.state IN ({waiting}) AND r.updated_at < ?)");
    refunds.and(&condition, Some(filter.waiting_since));
    refunds.and("p.provider = ?", filter.provider);
    refunds.finish(" ORDER BY r.id", limit)
}

/// Refunds that have been in a state that ages since before `before`, of which no person was told, behind the place
/// `after`, the longest first.
pub(crate) fn ageing(
    dialect: Dialect,
    before: Timestamp,
    after: Option<(Timestamp, Tenant, RefundId)>,
    limit: u32,
) -> Query<RefundView> {
    let index = match dialect {
        Dialect::Sqlite => "INDEXED BY refunds_that_age",
        Dialect::Postgres => "",
    };
    let sql = format!(
        "SELECT {} FROM refunds r {index} JOIN payments p ON p.scope = r.scope AND p.id = r.payment \
         WHERE r.needs_attention = 0 AND r.state IN (5, 6, 7, 8, 9, 13) AND r.updated_at <= $1 \
         AND (r.updated_at, r.scope, r.id) > ($2, $3, $4) \
         ORDER BY r.updated_at, r.scope, r.id LIMIT $5",
        columns()
    );
    let (at, scope, id) = after
        .map_or((Timestamp(-1), -1, [0; 16]), |(at, tenant, id)| (at, tenant.code(), id.bytes()));
    Query::new(sql).with(before).with(at).with(scope).with(id).with(limit)
}

/// Refunds that are being sent under a lease that is over since `lease_over`, and those that are to be sent
/// since before `due` and of which no person was told.
pub(crate) fn left(lease_over: Timestamp, due: Timestamp, limit: u32) -> Query<RefundView> {
    let sql = format!(
        "{LANES} SELECT {} FROM lanes CROSS JOIN refunds r \
         JOIN payments p ON p.scope = r.scope AND p.id = r.payment \
         WHERE r.lane = lanes.lane AND r.due_at <= $2 \
         AND (r.state = 4 OR r.state IN (2, 3) AND r.due_at <= $3 AND r.needs_attention = 0) LIMIT $4",
        columns()
    );
    Query::new(sql).with(-1_i64).with(lease_over).with(due).with(limit)
}

/// The earlier calls that asked the provider for a refund, oldest first.
pub(crate) fn attempts(tenant: Tenant, refund: RefundId) -> Query<Attempt> {
    let sql = format!(
        "SELECT {} FROM refund_attempts WHERE scope = $1 AND refund = $2 ORDER BY number LIMIT 1000",
        REFUND_ATTEMPTS.columns()
    );
    Query::new(sql).with(tenant).with(refund.bytes())
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
