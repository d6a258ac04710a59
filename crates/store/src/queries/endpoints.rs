//! Webhook endpoints.

use super::Query;
use crate::tables::{ENDPOINTS, SUBSCRIBER_COLUMNS};
use domain::ids::EndpointId;
use domain::tenant::Tenant;
use domain::webhook::{Endpoint, Subscriber};
use std::sync::LazyLock;

pub(crate) fn find(tenant: Tenant, id: EndpointId) -> Query<Endpoint> {
    Query::by_key(&ENDPOINTS, tenant, id.bytes())
}

/// The endpoints of a tenant, newest first.
pub(crate) fn list(tenant: Tenant) -> Query<Endpoint> {
    let columns = ENDPOINTS.columns();
    let sql = format!("SELECT {columns} FROM webhook_endpoints WHERE scope = $1 ORDER BY id DESC");
    Query::new(sql).with(tenant)
}

/// The endpoints of a tenant, as a batch sees them.
pub(crate) fn subscribers(tenant: Tenant) -> Query<Subscriber> {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        format!("SELECT {SUBSCRIBER_COLUMNS} FROM webhook_endpoints WHERE scope = $1 ORDER BY id")
    });
    Query::new(&**TEXT).with(tenant)
}
