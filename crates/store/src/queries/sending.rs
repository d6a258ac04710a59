//! The switches that stop sending.

use super::Query;
use crate::tables::SENDING;
use domain::sending::{Switch, everyone};
use domain::tenant::Tenant;
use std::sync::LazyLock;

/// The switches of a tenant: its own and that of everyone. Those that were never thrown have no row.
pub(crate) fn find(tenant: Tenant) -> Query<Switch> {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        format!("SELECT {} FROM sending WHERE scope = $1 OR scope = $2", SENDING.columns())
    });
    Query::new(&**TEXT).with(tenant).with(everyone(tenant.mode()))
}
