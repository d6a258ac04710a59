//! Read queries about endpoints and deliveries: what is due, and what people ask for.

use super::PostgresStore;
use super::reads::{number, select_events};
use super::statement::{Statement, ulid};
use super::value::{Columns, Id, Value};
use crate::StoreError;
use crate::cells::{Cells as _, inconsistent};
use crate::lists::deliveries_query;
use crate::query::{DeliveryFilter, DueBatch, DueDelivery, Page, PageQuery};
use crate::sqlite::Place;
use crate::sqlite::outbox::read_attempt;
use crate::sqlite::reads::read_joined;
use crate::sqlite::webhooks::{
    DELIVERY_COLUMNS, ENDPOINT_COLUMNS, read_delivery, read_endpoint, read_subscriber,
};
use domain::account::Scope;
use domain::event_view::EventView;
use domain::ids::{AccountId, DeliveryId, EndpointId, EventId};
use domain::time::Timestamp;
use domain::webhook::{Attempt, Body, Delivery, Endpoint, Subscriber};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Endpoints that one look goes through at most. The next look goes on behind the last one.
const ENDPOINTS_PER_LOOK: i64 = 256;

/// The first delivery of each of the next endpoints that have one to be sent. The walk goes from
/// endpoint to endpoint along the index, however many deliveries each has.
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

const SELECT_ATTEMPTS: &str = "SELECT number, attempted_at, duration_ms, response_code, next_at, \
     error FROM delivery_attempts WHERE scope = $1 AND delivery = $2 ORDER BY number LIMIT 1000";

impl PostgresStore {
    /// The webhook endpoints of an account and mode, newest first.
    pub async fn list_endpoints(&self, scope: Scope) -> Result<Vec<Endpoint>, StoreError> {
        let sql = format!(
            "SELECT {ENDPOINT_COLUMNS} FROM webhook_endpoints WHERE scope = $1 ORDER BY id DESC"
        );
        self.list(Statement::new(sql, vec![number(scope.code())]), |c| read_endpoint(c)).await
    }

    /// The webhook endpoint with this id.
    pub async fn find_endpoint(
        &self,
        scope: Scope,
        id: EndpointId,
    ) -> Result<Option<Endpoint>, StoreError> {
        let sql = format!(
            "SELECT {ENDPOINT_COLUMNS} FROM webhook_endpoints WHERE scope = $1 AND id = $2"
        );
        self.one(sql, vec![number(scope.code()), ulid(id.ulid())], |c| read_endpoint(c)).await
    }

    /// The endpoints of a scope, as a batch sees them.
    pub async fn subscribers(&self, scope: Scope) -> Result<Vec<Subscriber>, StoreError> {
        let sql = "SELECT id, format, active, events FROM webhook_endpoints WHERE scope = $1 \
                   ORDER BY id";
        self.list(Statement::new(sql, vec![number(scope.code())]), |c| read_subscriber(c)).await
    }

    /// Deliveries, by id and so by time, each with its body where it has one, or else its event.
    pub async fn list_deliveries(
        &self,
        scope: Scope,
        filter: DeliveryFilter,
        page: PageQuery,
    ) -> Result<Page<DueDelivery>, StoreError> {
        let query = deliveries_query(scope, &filter, page);
        let found = self.page(query, page.limit, |c| read_delivery(c)).await?;
        Ok(Page { items: self.with_texts(scope, found.items).await?, more: found.more })
    }

    /// The delivery with this id, and the attempts at it, oldest first.
    pub async fn find_delivery(
        &self,
        scope: Scope,
        id: DeliveryId,
    ) -> Result<Option<(DueDelivery, Vec<Attempt>)>, StoreError> {
        let sql = format!("SELECT {DELIVERY_COLUMNS} FROM deliveries WHERE scope = $1 AND id = $2");
        let values = || vec![number(scope.code()), ulid(id.ulid())];
        let Some(delivery) = self.one(sql, values(), |c| read_delivery(c)).await? else {
            return Ok(None);
        };
        let select = Statement::new(SELECT_ATTEMPTS, values());
        let attempts = self.list(select, |c| read_attempt(c, &delivery)).await?;
        Ok(self.with_texts(scope, vec![delivery]).await?.pop().map(|due| (due, attempts)))
    }

    /// Adds to deliveries of one scope what is sent: their bodies or, where there is none yet, their
    /// events.
    async fn with_texts(
        &self,
        scope: Scope,
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
            let read = |c: &mut Columns<'_>| Ok((c.take::<i64>()?, c.required_text()?));
            bodies.extend(self.list(Statement::new(sql, vec![Value::Ints(numbers)]), read).await?);
        }
        let fresh = deliveries.iter().filter(|delivery| stored(delivery).is_none());
        let fresh: Vec<_> = fresh.map(|delivery| delivery.event).collect();
        let events = self.find_events(scope, &fresh).await?;
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
        scope: Scope,
        ids: &[EventId],
    ) -> Result<BTreeMap<EventId, EventView>, StoreError> {
        let mut found = BTreeMap::new();
        if ids.is_empty() {
            return Ok(found);
        }
        let sql = format!("{} WHERE e.scope = $1 AND e.id = ANY ($2)", select_events());
        let ids = Value::Ids(ids.iter().map(|id| Some(Id(id.bytes()))).collect());
        let values = vec![number(scope.code()), ids];
        for joined in self.list(Statement::new(sql, values), |c| read_joined(c)).await? {
            let stored = self.complete(joined).await?;
            found.insert(stored.event.id, stored);
        }
        Ok(found)
    }

    /// Finds deliveries that are due at `now`, of at most 256 endpoints behind `after`: of each
    /// what `room` gives it, `limit` in all.
    pub async fn due_deliveries(
        &self,
        now: Timestamp,
        after: Place,
        limit: u32,
        room: impl Fn(&Endpoint) -> u32 + Send + 'static,
    ) -> Result<DueBatch, StoreError> {
        let (scope, endpoint) =
            after.map_or((-1, [0; 16]), |(scope, endpoint)| (scope.code(), endpoint.bytes()));
        let values = vec![number(scope), Value::Id(endpoint), number(ENDPOINTS_PER_LOOK)];
        let next = self
            .list(Statement::new(NEXT_ENDPOINTS, values), |c| {
                Ok((c.scope()?, EndpointId::from_ulid(c.ulid()?), Timestamp(c.take()?)))
            })
            .await?;
        let mut batch = DueBatch::default();
        let whole = i64::try_from(next.len()).unwrap_or(i64::MAX) < ENDPOINTS_PER_LOOK;
        let mut left = limit;
        for (scope, id, first_at) in next {
            batch.place = Some((scope, id));
            if first_at > now {
                batch.next_at = Some(batch.next_at.map_or(first_at, |at| at.min(first_at)));
                continue;
            }
            let endpoint = self.find_endpoint(scope, id).await?;
            let Some(endpoint) = endpoint.filter(|endpoint| endpoint.active) else {
                batch.stopped.push((scope, id));
                continue;
            };
            let wanted = room(&endpoint).min(left);
            if wanted > 0 {
                left -= self.take_due(&endpoint, now, wanted, &mut batch).await?;
                batch.endpoints.insert((scope, id), endpoint);
            }
            if left == 0 {
                return Ok(batch);
            }
        }
        if whole {
            // Around the end and once more from the beginning, up to where this look began.
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
        let sql = format!(
            "SELECT {DELIVERY_COLUMNS} FROM deliveries WHERE scope = $1 AND endpoint = $2 \
             AND next_at <= $3 ORDER BY next_at, id LIMIT $4"
        );
        let scope = endpoint.scope;
        let values = vec![
            number(scope.code()),
            ulid(endpoint.id.ulid()),
            number(now.0),
            number(limit.into()),
        ];
        let due = self.list(Statement::new(sql, values), |c| read_delivery(c)).await?;
        let due = self.with_texts(scope, due).await?;
        let taken = u32::try_from(due.len()).unwrap_or(u32::MAX);
        batch.due.extend(due);
        if let Entry::Vacant(entry) = batch.accounts.entry(scope.account()) {
            let sql = "SELECT id FROM accounts WHERE no = $1";
            let values = vec![number(scope.account().into())];
            let read = |c: &mut Columns<'_>| Ok(AccountId::from_ulid(c.ulid()?));
            if let Some(account) = self.one(sql.into(), values, read).await? {
                entry.insert(account);
            }
        }
        Ok(taken)
    }
}
