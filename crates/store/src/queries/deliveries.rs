//! Webhook deliveries.

use super::{Dialect, PageQuery, Query, Select};
use crate::StoreError;
use crate::tables::{ATTEMPTS, Cells, DELIVERIES, FromRow};
use domain::event::Type;
use domain::event_view::EventView;
use domain::ids::{AccountId, DeliveryId, EndpointId, EventId};
use domain::tenant::Tenant;
use domain::time::Timestamp;
use domain::webhook::{Attempt, Delivery, Endpoint, Format, Status};
use std::collections::BTreeMap;

/// Which deliveries to list.
#[derive(Clone, Debug, Default)]
pub struct DeliveryFilter {
    pub endpoint: Option<EndpointId>,
    pub status: Option<Status>,
    pub types: Option<Vec<Type>>,
    pub format: Option<Format>,
}

/// A delivery with its text or, before the text is rendered, with its event.
#[derive(Clone, Debug)]
pub struct DueDelivery {
    pub delivery: Delivery,
    pub body: Option<Box<str>>,
    pub event: Option<EventView>,
}

/// The result of a search for due deliveries.
#[derive(Clone, Debug, Default)]
pub struct DueBatch {
    pub due: Vec<DueDelivery>,
    /// The endpoints of the deliveries.
    pub endpoints: BTreeMap<(Tenant, EndpointId), Endpoint>,
    /// The accounts of the deliveries, by number.
    pub accounts: BTreeMap<u32, AccountId>,
    /// Endpoints that have due deliveries but are deleted or not active.
    pub stopped: Vec<(Tenant, EndpointId)>,
    /// When the next delivery is due, among the visited endpoints without a due one.
    pub next_at: Option<Timestamp>,
    /// Where the next search continues; `None` when this one reached the end.
    pub place: Option<(Tenant, EndpointId)>,
}

/// Where a search for due deliveries continues: behind this endpoint. `None` is the first one.
pub type EndpointCursor = Option<(Tenant, EndpointId)>;

/// The result of a replay of events.
#[derive(Debug)]
pub enum Replay {
    /// The deliveries are queued durably.
    Queued(Vec<Delivery>),
    /// These events do not exist, so nothing was done.
    Unknown(Vec<EventId>),
}

pub(crate) fn find(tenant: Tenant, id: DeliveryId) -> Query<Delivery> {
    Query::by_key(&DELIVERIES, tenant, id.bytes())
}

pub(crate) fn list(
    dialect: Dialect,
    tenant: Tenant,
    filter: DeliveryFilter,
    page: PageQuery,
) -> Query<Delivery> {
    let rare = filter.status.is_some_and(|status| status != Status::Succeeded);
    let index = if rare {
        Some("deliveries_not_succeeded")
    } else {
        filter.endpoint.is_some().then_some("deliveries_by_endpoint")
    };
    let mut deliveries = Select::of(dialect, &DELIVERIES, index, tenant);
    deliveries.and("endpoint = ?", filter.endpoint.map(EndpointId::ulid));
    deliveries.and("status = ?", filter.status.map(Status::code));
    if rare {
        // The index leaves out succeeded deliveries.
        deliveries.push(" AND status <> 2");
    }
    if let Some(types) = filter.types {
        deliveries.and_one_of("type", types.into_iter().map(Type::code).collect());
    }
    deliveries.and("format = ?", filter.format.map(Format::code));
    deliveries.page("id", page)
}

/// The attempts at a delivery, oldest first.
pub(crate) fn attempts(tenant: Tenant, id: DeliveryId) -> Query<Attempt> {
    let sql = format!(
        "SELECT {} FROM delivery_attempts WHERE scope = $1 AND delivery = $2 \
         ORDER BY number LIMIT 1000",
        ATTEMPTS.columns()
    );
    Query::new(sql).with(tenant).with(id.bytes())
}

/// The deliveries of an endpoint that are due.
pub(crate) fn due(endpoint: &Endpoint, now: Timestamp, limit: u32) -> Query<Delivery> {
    let sql = format!(
        "SELECT {} FROM deliveries WHERE scope = $1 AND endpoint = $2 AND next_at <= $3 \
         ORDER BY next_at, id LIMIT $4",
        DELIVERIES.columns()
    );
    Query::new(sql).with(endpoint.tenant).with(endpoint.id.bytes()).with(now).with(limit)
}

/// An endpoint, and when its first delivery is due.
pub(crate) type DueEndpoint = (Tenant, EndpointId, Timestamp);

impl FromRow for DueEndpoint {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        Ok((c.tenant()?, EndpointId::from_ulid(c.ulid()?), c.time()?))
    }
}

/// The bodies with these numbers.
pub(crate) fn bodies(dialect: Dialect, numbers: Vec<i64>) -> Query<(i64, Box<str>)> {
    let is_one = dialect.among("no", "value").replace('?', "$1");
    Query::new(format!("SELECT no, body FROM delivery_bodies WHERE {is_one}")).with(numbers)
}

impl FromRow for (i64, Box<str>) {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        Ok((c.take()?, c.required_text()?))
    }
}

/// Fails pending deliveries of an endpoint, and returns a row for each. Changes nothing for an endpoint
/// that is active. The first statement fails waiting deliveries, so that none is left waiting for one
/// that is gone.
pub(crate) fn fail_queued(
    dialect: Dialect,
    (tenant, endpoint): (Tenant, EndpointId),
    why: &str,
    now: Timestamp,
    limit: u32,
) -> [Query<()>; 2] {
    let end = match dialect {
        Dialect::Sqlite => "LIMIT $5",
        Dialect::Postgres => "ORDER BY scope, id LIMIT $5 FOR UPDATE",
    };
    ["AND next_at IS NULL", ""].map(|waiting| {
        Query::new(format!(
            "UPDATE deliveries SET status = 3, next_at = NULL, once = 0, last_error = $1, \
             updated_at = $2 WHERE (scope, id) IN (SELECT scope, id FROM deliveries \
             WHERE scope = $3 AND endpoint = $4 AND status = 1 {waiting} {end}) \
             AND NOT EXISTS (SELECT 1 FROM webhook_endpoints \
             WHERE scope = $3 AND id = $4 AND active = 1) RETURNING 1"
        ))
        .with(why)
        .with(now)
        .with(tenant)
        .with(endpoint.bytes())
        .with(limit)
    })
}

#[cfg(test)]
pub(super) fn cases() -> Vec<super::query_plans::Case> {
    use super::query_plans::{Case, KEY, nth};
    let all = DeliveryFilter::default();
    let of = |filter, index| Case::new(list, filter, index);
    let endpoint = Some(EndpointId::from_ulid(nth(1)));
    let types = Some(vec![Type::RefundFailed, Type::RefundCreated]);
    let format = Some(Format::Yoco);
    let by = |status| DeliveryFilter { status: Some(status), ..DeliveryFilter::default() };
    let both = |status| DeliveryFilter { endpoint, ..by(status) };
    vec![
        of(all.clone(), KEY),
        of(DeliveryFilter { types, ..all.clone() }, KEY).scans(),
        of(DeliveryFilter { format, ..all.clone() }, KEY).scans(),
        of(DeliveryFilter { endpoint, ..all }, "deliveries_by_endpoint"),
        of(by(Status::Succeeded), KEY).scans(),
        of(by(Status::Pending), "deliveries_not_succeeded"),
        of(by(Status::Failed), "deliveries_not_succeeded"),
        of(both(Status::Succeeded), "deliveries_by_endpoint").scans(),
        of(both(Status::Failed), "deliveries_not_succeeded").scans(),
    ]
}
