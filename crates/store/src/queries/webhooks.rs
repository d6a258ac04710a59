//! Webhook endpoints and deliveries.

use crate::StoreError;
use crate::tables::{ATTEMPTS, Cells, DELIVERIES, ENDPOINTS};
use domain::account::Tenant;
use domain::ids::{EndpointId, EventId};
use domain::time::Timestamp;
use domain::webhook::Delivery;

/// The result of a replay of events.
#[derive(Debug)]
pub enum Replay {
    /// The deliveries are queued durably.
    Queued(Vec<Delivery>),
    /// These events do not exist, so nothing was done.
    Unknown(Vec<EventId>),
}

/// The endpoints of a tenant, newest first.
pub(crate) fn select_endpoints() -> String {
    let columns = ENDPOINTS.columns();
    format!("SELECT {columns} FROM webhook_endpoints WHERE scope = $1 ORDER BY id DESC")
}

/// The attempts at a delivery, oldest first.
pub(crate) fn select_attempts() -> String {
    format!(
        "SELECT {} FROM delivery_attempts WHERE scope = $1 AND delivery = $2 \
         ORDER BY number LIMIT 1000",
        ATTEMPTS.columns()
    )
}

/// The deliveries of an endpoint that are due.
pub(crate) fn select_due_deliveries() -> String {
    format!(
        "SELECT {} FROM deliveries WHERE scope = $1 AND endpoint = $2 AND next_at <= $3 \
         ORDER BY next_at, id LIMIT $4",
        DELIVERIES.columns()
    )
}

pub(crate) const ACCOUNT_OF: &str = "SELECT id FROM accounts WHERE no = $1";

/// Reads an endpoint and when its first delivery is due.
pub(crate) fn read_due_endpoint(
    c: &mut impl Cells,
) -> Result<(Tenant, EndpointId, Timestamp), StoreError> {
    Ok((c.tenant()?, EndpointId::from_ulid(c.ulid()?), c.time()?))
}
