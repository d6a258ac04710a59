//! Statements of providers that fit nothing yet.

use super::{Dialect, PageQuery, Query, Select};
use crate::tables::{UNMATCHED_NOTICES, UnmatchedNotice};
use domain::ids::NoticeId;
use domain::tenant::Tenant;
use domain::time::Timestamp;

/// Which unmatched notices to list.
#[derive(Clone, Debug, Default)]
pub struct NoticeFilter {
    /// A provider, and the payment's id there.
    pub payment: Option<(Box<str>, Box<str>)>,
}

pub(crate) fn list(
    dialect: Dialect,
    tenant: Tenant,
    filter: NoticeFilter,
    page: PageQuery,
) -> Query<UnmatchedNotice> {
    let index = filter.payment.is_some().then_some("unmatched_notices_of_payment");
    let mut notices = Select::of(dialect, &UNMATCHED_NOTICES, index, tenant);
    if let Some((provider, payment)) = filter.payment {
        notices.and("provider = ?", Some(provider));
        notices.and("provider_payment_id = ?", Some(payment));
    }
    notices.page("id", page)
}

/// Notices that are due, the longest due first.
pub(crate) fn due(now: Timestamp, limit: u32) -> Query<UnmatchedNotice> {
    let sql = format!(
        "SELECT {} FROM unmatched_notices WHERE due_at <= $1 ORDER BY due_at LIMIT $2",
        UNMATCHED_NOTICES.columns()
    );
    Query::new(sql).with(now).with(limit)
}

/// When the next notice is due.
pub(crate) fn next_due() -> Query<Option<Timestamp>> {
    Query::new(
        "SELECT due_at FROM unmatched_notices WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1",
    )
}

/// Keeps a notice, once.
pub(crate) fn keep(notice: UnmatchedNotice) -> Query<()> {
    let sql = format!(
        "{} ON CONFLICT (scope, hash) DO NOTHING",
        UNMATCHED_NOTICES.texts().insert.replace('?', "$")
    );
    Query::new(sql)
        .with(notice.tenant)
        .with(notice.id.ulid())
        .with(notice.hash.0)
        .with(notice.provider)
        .with(notice.provider_account)
        .with(notice.provider_payment_id)
        .with(notice.reason)
        .with(notice.notice)
        .with(notice.tries)
        .with(notice.due_at.map(|at| at.0))
}

/// Says why a notice still fits nothing, and when it is tried again.
pub(crate) fn put_off(
    (tenant, id): (Tenant, NoticeId),
    reason: &str,
    due_at: Option<Timestamp>,
) -> Query<()> {
    let sql = "UPDATE unmatched_notices SET reason = $1, due_at = $2, tries = tries + 1 \
               WHERE scope = $3 AND id = $4";
    Query::new(sql).with(reason).with(due_at.map(|at| at.0)).with(tenant).with(id.ulid())
}

/// Forgets a notice that was matched, dismissed or kept for long enough.
pub(crate) fn forget((tenant, id): (Tenant, NoticeId)) -> Query<()> {
    Query::new("DELETE FROM unmatched_notices WHERE scope = $1 AND id = $2 RETURNING 1")
        .with(tenant)
        .with(id.ulid())
}

#[cfg(test)]
pub(super) fn cases() -> Vec<super::query_plans::Case> {
    use super::query_plans::{Case, KEY};
    let payment = Some(("simulator".into(), "ch_1".into()));
    vec![
        Case::new(list, NoticeFilter::default(), KEY),
        Case::new(list, NoticeFilter { payment }, "unmatched_notices_of_payment"),
    ]
}
