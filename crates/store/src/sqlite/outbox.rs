//! Queries about webhook endpoints and deliveries: those that are due, and lists.

use super::SqliteStore;
use super::codec::{list, one};
use super::events::find_event;
use super::list_query::SqliteQuery;
use super::webhooks::{fail_queued, load_endpoint};
use crate::StoreError;
use crate::queries::{
    ACCOUNT_OF, DeliveryFilter, DueBatch, DueDelivery, EndpointCursor, Page, PageQuery,
    deliveries_query, delivery_query, read_due_endpoint, select_attempts, select_due_deliveries,
    select_endpoints,
};
use crate::tables::{Cells as _, read_attempt, read_delivery, read_endpoint};
use domain::account::Tenant;
use domain::ids::{AccountId, DeliveryId, EndpointId};
use domain::time::Timestamp;
use domain::webhook::{Attempt, Body, Delivery, Endpoint};
use rusqlite::{Connection, params};
use std::collections::btree_map::Entry;

impl SqliteStore {
    pub(crate) async fn due_deliveries(
        &self,
        now: Timestamp,
        after: EndpointCursor,
        limit: u32,
        room: impl Fn(&Endpoint) -> u32 + Send + 'static,
    ) -> Result<DueBatch, StoreError> {
        self.read(move |c| due_deliveries(c, now, after, limit, room)).await
    }

    pub(crate) async fn list_endpoints(&self, tenant: Tenant) -> Result<Vec<Endpoint>, StoreError> {
        let sql = select_endpoints();
        self.read(move |c| list(c, &sql, [tenant.code()], |c| read_endpoint(c))).await
    }

    pub(crate) async fn find_endpoint(
        &self,
        tenant: Tenant,
        id: EndpointId,
    ) -> Result<Option<Endpoint>, StoreError> {
        self.read(move |c| load_endpoint(c, tenant, id)).await
    }

    pub(crate) async fn list_deliveries(
        &self,
        tenant: Tenant,
        filter: DeliveryFilter,
        page: PageQuery,
    ) -> Result<Page<DueDelivery>, StoreError> {
        self.read(move |c| list_deliveries(c, tenant, &filter, page)).await
    }

    pub(crate) async fn find_delivery(
        &self,
        tenant: Tenant,
        id: DeliveryId,
    ) -> Result<Option<(DueDelivery, Vec<Attempt>)>, StoreError> {
        self.read(move |c| find_delivery(c, tenant, id)).await
    }

    pub(crate) async fn fail_queued_deliveries(
        &self,
        endpoint: (Tenant, EndpointId),
        why: &'static str,
        now: Timestamp,
        limit: u32,
    ) -> Result<usize, StoreError> {
        self.writer.run(move |c| fail_queued(c, endpoint, why, now, limit)).await
    }
}

/// Endpoints that one search visits at most. The next search continues behind the last one.
const ENDPOINTS_PER_LOOK: usize = 256;

/// The first pending delivery of the next endpoint. The key of the search ends with the largest
/// time, so that the search begins behind the whole backlog of the endpoint instead of walking
/// through it.
const NEXT_ENDPOINT: &str = "SELECT scope, endpoint, next_at FROM deliveries \
     WHERE next_at IS NOT NULL AND (scope, endpoint, next_at) > (?1, ?2, 9223372036854775807) \
     ORDER BY scope, endpoint, next_at LIMIT 1";

const SELECT_BODY: &str = "SELECT body FROM delivery_bodies WHERE no = ?1";

/// Finds deliveries that are due: at most `room` of each endpoint, at most `limit` in all. Also
/// names the endpoints that have due deliveries and are no longer active.
pub(super) fn due_deliveries(
    connection: &Connection,
    now: Timestamp,
    after: EndpointCursor,
    limit: u32,
    room: impl Fn(&Endpoint) -> u32,
) -> Result<DueBatch, StoreError> {
    let mut batch = DueBatch::default();
    let mut place = after;
    let mut left = limit;
    for _ in 0..ENDPOINTS_PER_LOOK {
        let Some((tenant, id, first_at)) = next_endpoint(connection, place)? else {
            // The next search starts at the first endpoint again.
            place = None;
            break;
        };
        place = Some((tenant, id));
        if first_at > now {
            batch.next_at = Some(batch.next_at.map_or(first_at, |at| at.min(first_at)));
            continue;
        }
        let endpoint = load_endpoint(connection, tenant, id)?;
        let Some(endpoint) = endpoint.filter(|endpoint| endpoint.active) else {
            batch.stopped.push((tenant, id));
            continue;
        };
        let wanted = room(&endpoint).min(left);
        if wanted > 0 {
            left -= take_due(connection, &endpoint, now, wanted, &mut batch)?;
            batch.endpoints.insert((tenant, id), endpoint);
        }
        if left == 0 {
            break;
        }
    }
    batch.place = place;
    Ok(batch)
}

fn next_endpoint(
    connection: &Connection,
    after: EndpointCursor,
) -> Result<Option<(Tenant, EndpointId, Timestamp)>, StoreError> {
    let (tenant, endpoint) =
        after.map_or((-1, [0; 16]), |(tenant, endpoint)| (tenant.code(), endpoint.bytes()));
    one(connection, NEXT_ENDPOINT, params![tenant, endpoint], |c| read_due_endpoint(c))
}

fn take_due(
    connection: &Connection,
    endpoint: &Endpoint,
    now: Timestamp,
    limit: u32,
    batch: &mut DueBatch,
) -> Result<u32, StoreError> {
    let (tenant, id) = (endpoint.tenant, endpoint.id);
    let values = params![tenant.code(), id.bytes(), now.0, limit];
    let due = list(connection, &select_due_deliveries(), values, |c| {
        with_text(connection, read_delivery(c)?)
    })?;
    let taken = u32::try_from(due.len()).unwrap_or(u32::MAX);
    batch.due.extend(due);
    if let Entry::Vacant(entry) = batch.accounts.entry(tenant.account())
        && let Some(account) = load_account(connection, tenant.account())?
    {
        entry.insert(account);
    }
    Ok(taken)
}

fn load_body(connection: &Connection, number: i64) -> Result<Box<str>, StoreError> {
    let mut select = connection.prepare_cached(SELECT_BODY)?;
    Ok(select.query_row([number], |row| row.get(0))?)
}

fn load_account(connection: &Connection, number: u32) -> Result<Option<AccountId>, StoreError> {
    one(connection, ACCOUNT_OF, [number], |c| c.ulid().map(AccountId::from_ulid))
}

/// Deliveries, each with its body or, before it is rendered, with its event.
pub(super) fn list_deliveries(
    connection: &Connection,
    tenant: Tenant,
    filter: &DeliveryFilter,
    page: PageQuery,
) -> Result<Page<DueDelivery>, StoreError> {
    let query: SqliteQuery = deliveries_query(tenant, filter, page);
    let page = query.run(connection, page.limit, |c| read_delivery(c))?;
    let items = page.items.into_iter().map(|delivery| with_text(connection, delivery));
    Ok(Page { items: items.collect::<Result<_, _>>()?, more: page.more })
}

pub(super) fn find_delivery(
    connection: &Connection,
    tenant: Tenant,
    id: DeliveryId,
) -> Result<Option<(DueDelivery, Vec<Attempt>)>, StoreError> {
    let query: SqliteQuery = delivery_query(tenant, id);
    let Some(delivery) = query.run(connection, 1, |c| read_delivery(c))?.items.pop() else {
        return Ok(None);
    };
    let values = params![tenant.code(), id.bytes()];
    let attempts = list(connection, &select_attempts(), values, |c| read_attempt(c))?;
    Ok(Some((with_text(connection, delivery)?, attempts)))
}

fn with_text(connection: &Connection, delivery: Delivery) -> Result<DueDelivery, StoreError> {
    Ok(match delivery.body {
        Body::Stored(number) => {
            let body = load_body(connection, number)?;
            DueDelivery { delivery, body: Some(body), event: None }
        }
        Body::None | Body::New(_) => {
            let event = find_event(connection, delivery.tenant, delivery.event)?;
            DueDelivery { delivery, body: None, event }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::StatementStatus;

    /// Instructions that SQLite executes to search behind an endpoint with `backlog` pending
    /// deliveries.
    fn steps_behind(backlog: i64) -> i32 {
        let connection = Connection::open_in_memory().expect("a database");
        let schema = [
            include_str!("../../migrations/sqlite/V1__refunds.sql"),
            include_str!("../../migrations/sqlite/V2__webhooks.sql"),
        ];
        connection.execute_batch(&schema.concat()).expect("tables");
        let endpoint = [1_u8; 16];
        connection
            .execute(
                "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < ?1) \
                 INSERT INTO deliveries (scope, id, endpoint, event, subject, type, format, seq, \
                 status, attempts, once, updated_at, next_at) SELECT 2, \
                 CAST(printf('%016d', i) AS BLOB), ?2, ?2, ?2, 10, 1, 1, 1, 0, 0, i, i FROM n",
                params![backlog, endpoint],
            )
            .expect("a backlog");
        let mut search = connection.prepare(NEXT_ENDPOINT).expect("a search");
        let found = search.query_map(params![2, endpoint], |_| Ok(())).expect("rows").count();
        assert_eq!(found, 0, "there is no other endpoint");
        let steps = search.get_status(StatementStatus::VmStep);
        let found = search.query_map(params![2, [0_u8; 16]], |row| row.get::<_, i64>(2));
        let found: Vec<_> = found.expect("rows").collect::<Result<_, _>>().expect("times");
        assert_eq!(found, [1], "the first delivery of the endpoint");
        steps
    }

    #[test]
    fn a_look_does_not_walk_through_a_backlog() {
        assert_eq!(steps_behind(10), steps_behind(5_000));
    }
}
