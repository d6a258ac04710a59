//! Provider accounts.

use super::{Dialect, PageQuery, Query, Select};
use crate::tables::{PROVIDER_ACCOUNT_STATE_COLUMNS, PROVIDER_ACCOUNTS};
use domain::ids::ProviderAccountId;
use domain::provider_account::{
    MOST_PROVIDER_ACCOUNTS, ProviderAccount, ProviderAccountState, State,
};
use domain::tenant::Tenant;

/// Which provider accounts to list.
#[derive(Clone, Debug, Default)]
pub struct ProviderAccountFilter {
    pub provider: Option<Box<str>>,
    pub state: Option<State>,
}

/// The provider account with this id, also a deleted one.
pub(crate) fn find(tenant: Tenant, id: ProviderAccountId) -> Query<ProviderAccount> {
    Query::by_key(&PROVIDER_ACCOUNTS, tenant, id.bytes())
}

/// The provider account with this id, of whichever tenant, also a deleted one.
pub(crate) fn find_anywhere(id: ProviderAccountId) -> Query<ProviderAccount> {
    let columns = PROVIDER_ACCOUNTS.columns();
    let sql = format!("SELECT {columns} FROM provider_accounts WHERE id = $1 LIMIT 1");
    Query::new(sql).with(id.bytes())
}

pub(crate) fn list(
    dialect: Dialect,
    tenant: Tenant,
    filter: ProviderAccountFilter,
    page: PageQuery,
) -> Query<ProviderAccount> {
    let mut accounts = Select::of(dialect, &PROVIDER_ACCOUNTS, None, tenant);
    accounts.push(" AND deleted_at IS NULL");
    accounts.and("provider = ?", filter.provider);
    accounts.and("state = ?", filter.state.map(State::code));
    accounts.page("id", page)
}

/// Those that are not deleted, oldest first; one more than there should be at most.
pub(crate) fn states(tenant: Tenant) -> Query<ProviderAccountState> {
    let most = i64::try_from(MOST_PROVIDER_ACCOUNTS).unwrap_or(i64::MAX);
    let sql = format!(
        "SELECT {PROVIDER_ACCOUNT_STATE_COLUMNS} FROM provider_accounts \
         WHERE scope = $1 AND deleted_at IS NULL ORDER BY id LIMIT $2"
    );
    Query::new(sql).with(tenant).with(most.saturating_add(1))
}

#[cfg(test)]
pub(super) fn cases() -> Vec<super::query_plans::Case> {
    use super::query_plans::{Case, KEY};
    let of = |provider: Option<&str>, state| {
        let provider = provider.map(Box::from);
        // An account has few of them, so no filter has an index of its own.
        Case::new(list, ProviderAccountFilter { provider, state }, KEY).scans()
    };
    let state = Some(State::Paused);
    vec![of(None, None), of(Some("p"), None), of(None, state), of(Some("p"), state)]
}
