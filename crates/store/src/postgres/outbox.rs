//! Queries about webhook endpoints and deliveries: those that are due, and lists.

use super::PostgresStore;
use super::reads::number;
use super::statement::{PostgresQuery, Statement, ulid};
use super::value::{Id, PostgresCells, Value};
use crate::StoreError;
use crate::queries::{
    ACCOUNT_OF, DeliveryFilter, DueBatch, DueDelivery, EndpointCursor, Page, PageQuery,
    deliveries_query, delivery_query, read_due_endpoint, read_joined, select_attempts,
    select_due_deliveries, select_endpoints, select_events,
};
use crate::tables::{
    Cells as _, ENDPOINTS, SUBSCRIBER_COLUMNS, inconsistent, read_attempt, read_delivery,
    read_endpoint, read_subscriber,
};
use domain::account::Tenant;
use domain::event_view::EventView;
use domain::ids::{AccountId, DeliveryId, EndpointId, EventId};
use domain::time::Timestamp;
use domain::webhook::{Attempt, Body, Delivery, Endpoint, Subscriber};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Endpoints that one search visits at most. The next search continues behind the last one.
const ENDPOINTS_PER_LOOK: i64 = 256;

/// The first pending delivery of each of the next endpoints. The walk goes from endpoint to
/// endpoint along the index, however many deliveries each endpoint has.
const NEXT_ENDPOINTS: &str = "WITH RECURSIVE walk (scope, endpoint, next_at, step) AS ( \
     (SELECT scope, endpoint, next_at, 1 FROM deliveries \
      WHERE next_at IS NOT NULL AND (scope, endpoint) > ($1, $2) \
      ORDER BY scope, endpoint, next_at LIMIT 1) \
     UNION ALL \
     SELECT n.scope, n.endpoint, n.next_at, walk.step + 1 FROM walk CROSS JOIN LATERAL \
     (SELECT d.scope, d.endpoint, d.next_at FROM deliveries d WHERE d.next_at IS NOT NULL \
      AND (d.scope, d.endpoint) > (walk.scope, walk.endpoint) \
      ORDER BY d.scope, d.endpoint, d.next_at LIMIT 1) n WHERE walk.step < $3) \
     SELECT scope, endpoint, next_at FROM walk ORDER BY step";

impl PostgresStore {
    pub(crate) async fn list_endpoints(&self, tenant: Tenant) -> Result<Vec<Endpoint>, StoreError> {
        let select = Statement::new(select_endpoints(), vec![number(tenant.code())]);
        self.list(select, |c| read_endpoint(c)).await
    }

    pub(crate) async fn find_endpoint(
        &self,
        tenant: Tenant,
        id: EndpointId,
    ) -> Result<Option<Endpoint>, StoreError> {
        self.by_key(&ENDPOINTS, (tenant, id.ulid()), |c| read_endpoint(c)).await
    }

    pub(crate) async fn subscribers(&self, tenant: Tenant) -> Result<Vec<Subscriber>, StoreError> {
        let sql = format!(
            "SELECT {SUBSCRIBER_COLUMNS} FROM webhook_endpoints WHERE scope = $1 ORDER BY id"
        );
        self.list(Statement::new(sql, vec![number(tenant.code())]), |c| read_subscriber(c)).await
    }

    pub(crate) async fn list_deliveries(
        &self,
        tenant: Tenant,
        filter: DeliveryFilter,
        page: PageQuery,
    ) -> Result<Page<DueDelivery>, StoreError> {
        let query = deliveries_query(tenant, &filter, page);
        let found = self.page(query, page.limit, |c| read_delivery(c)).await?;
        Ok(Page { items: self.with_texts(tenant, found.items).await?, more: found.more })
    }

    pub(crate) async fn find_delivery(
        &self,
        tenant: Tenant,
        id: DeliveryId,
    ) -> Result<Option<(DueDelivery, Vec<Attempt>)>, StoreError> {
        let query: PostgresQuery = delivery_query(tenant, id);
        let found = self.list(query.into_statement(), |c| read_delivery(c)).await?.pop();
        let Some(delivery) = found else { return Ok(None) };
        let values = vec![number(tenant.code()), ulid(id.ulid())];
        let select = Statement::new(select_attempts(), values);
        let attempts = self.list(select, |c| read_attempt(c)).await?;
        Ok(self.with_texts(tenant, vec![delivery]).await?.pop().map(|due| (due, attempts)))
    }

    /// Adds to deliveries of one tenant their bodies or, before a body is rendered, their events.
    async fn with_texts(
        &self,
        tenant: Tenant,
        deliveries: Vec<Delivery>,
    ) -> Result<Vec<DueDelivery>, StoreError> {
        let stored = |delivery: &Delivery| match delivery.body {
            Body::Stored(number) => Some(number),
            Body::None | Body::New(_) => None,
        };
        let numbers: Vec<_> = deliveries.iter().filter_map(stored).map(Some).collect();
        let mut bodies = BTreeMap::new();
        if !numbers.is_empty() {
            let sql = "SELECT no, body FROM delivery_bodies WHERE no = ANY ($1)";
            let read = |c: &mut PostgresCells<'_>| Ok((c.take::<i64>()?, c.required_text()?));
            bodies.extend(self.list(Statement::new(sql, vec![Value::Ints(numbers)]), read).await?);
        }
        let fresh = deliveries.iter().filter(|delivery| stored(delivery).is_none());
        let fresh: Vec<_> = fresh.map(|delivery| delivery.event).collect();
        let events = self.find_events(tenant, &fresh).await?;
        let mut due = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            let event = events.get(&delivery.event).cloned();
            due.push(match stored(&delivery) {
                None => DueDelivery { delivery, body: None, event },
                Some(number) => {
                    let body = bodies.get(&number).cloned();
                    let body = body.ok_or_else(|| inconsistent("deliveries.body"))?;
                    DueDelivery { delivery, body: Some(body), event: None }
                }
            });
        }
        Ok(due)
    }

    async fn find_events(
        &self,
        tenant: Tenant,
        ids: &[EventId],
    ) -> Result<BTreeMap<EventId, EventView>, StoreError> {
        let mut found = BTreeMap::new();
        if ids.is_empty() {
            return Ok(found);
        }
        let ids = ids.iter().map(|id| Some(Id(id.bytes()))).collect();
        let mut query: PostgresQuery = select_events(None, tenant);
        query.and_value("e.id = ANY (?)", Value::Ids(ids));
        for joined in self.list(query.into_statement(), |c| read_joined(c)).await? {
            let stored = self.complete(joined).await?;
            found.insert(stored.event.id, stored);
        }
        Ok(found)
    }

    pub(crate) async fn due_deliveries(
        &self,
        now: Timestamp,
        after: EndpointCursor,
        limit: u32,
        room: impl Fn(&Endpoint) -> u32 + Send + 'static,
    ) -> Result<DueBatch, StoreError> {
        let (tenant, endpoint) =
            after.map_or((-1, [0; 16]), |(tenant, endpoint)| (tenant.code(), endpoint.bytes()));
        let values = vec![number(tenant), Value::Id(endpoint), number(ENDPOINTS_PER_LOOK)];
        let next =
            self.list(Statement::new(NEXT_ENDPOINTS, values), |c| read_due_endpoint(c)).await?;
        let mut batch = DueBatch::default();
        let whole = i64::try_from(next.len()).unwrap_or(i64::MAX) < ENDPOINTS_PER_LOOK;
        let mut left = limit;
        for (tenant, id, first_at) in next {
            batch.place = Some((tenant, id));
            if first_at > now {
                batch.next_at = Some(batch.next_at.map_or(first_at, |at| at.min(first_at)));
                continue;
            }
            let endpoint = self.find_endpoint(tenant, id).await?;
            let Some(endpoint) = endpoint.filter(|endpoint| endpoint.active) else {
                batch.stopped.push((tenant, id));
                continue;
            };
            let wanted = room(&endpoint).min(left);
            if wanted > 0 {
                left -= self.take_due(&endpoint, now, wanted, &mut batch).await?;
                batch.endpoints.insert((tenant, id), endpoint);
            }
            if left == 0 {
                return Ok(batch);
            }
        }
        if whole {
            // The next search starts at the first endpoint again.
            batch.place = None;
        }
        Ok(batch)
    }

    async fn take_due(
        &self,
        endpoint: &Endpoint,
        now: Timestamp,
        limit: u32,
        batch: &mut DueBatch,
    ) -> Result<u32, StoreError> {
        let tenant = endpoint.tenant;
        let values = vec![
            number(tenant.code()),
            ulid(endpoint.id.ulid()),
            number(now.0),
            number(limit.into()),
        ];
        let due = self
            .list(Statement::new(select_due_deliveries(), values), |c| read_delivery(c))
            .await?;
        let due = self.with_texts(tenant, due).await?;
        let taken = u32::try_from(due.len()).unwrap_or(u32::MAX);
        batch.due.extend(due);
        if let Entry::Vacant(entry) = batch.accounts.entry(tenant.account()) {
            let values = vec![number(tenant.account().into())];
            let read = |c: &mut PostgresCells<'_>| c.ulid().map(AccountId::from_ulid);
            if let Some(account) = self.one(ACCOUNT_OF.into(), values, read).await? {
                entry.insert(account);
            }
        }
        Ok(taken)
    }
}
