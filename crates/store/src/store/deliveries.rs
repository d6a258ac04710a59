//! Deliveries with their bodies or events, and those that are due.

use super::Store;
use crate::StoreError;
use crate::queries::{
    DeliveryFilter, DueBatch, DueDelivery, EndpointCursor, Page, PageQuery, deliveries, events,
};
use crate::tables::inconsistent;
use domain::ids::{DeliveryId, EndpointId};
use domain::tenant::Tenant;
use domain::time::Timestamp;
use domain::webhook::{Attempt, Body, Delivery, Endpoint};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Endpoints that one search visits at most. The next search continues behind the last one.
const ENDPOINTS_PER_SEARCH: u32 = 256;

impl Store {
    /// Deliveries, by id and so by time.
    pub async fn list_deliveries(
        &self,
        tenant: Tenant,
        filter: DeliveryFilter,
        page: PageQuery,
    ) -> Result<Page<DueDelivery>, StoreError> {
        let found = self.page(deliveries::list(self.dialect(), tenant, filter, page)).await?;
        Ok(Page { items: self.with_texts(tenant, found.items).await?, more: found.more })
    }

    /// The delivery with this id, and the attempts at it, oldest first.
    pub async fn find_delivery(
        &self,
        tenant: Tenant,
        id: DeliveryId,
    ) -> Result<Option<(DueDelivery, Vec<Attempt>)>, StoreError> {
        let found = self.all(deliveries::find(tenant, id)).await?;
        let Some(due) = self.with_texts(tenant, found).await?.pop() else { return Ok(None) };
        Ok(Some((due, self.all(deliveries::attempts(tenant, id)).await?)))
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
        let mut bodies = BTreeMap::new();
        let numbers: Vec<_> = deliveries.iter().filter_map(stored).collect();
        if !numbers.is_empty() {
            bodies.extend(self.all(deliveries::bodies(self.dialect(), numbers)).await?);
        }
        let mut events = BTreeMap::new();
        let fresh = deliveries.iter().filter(|delivery| stored(delivery).is_none());
        let fresh: Vec<_> = fresh.map(|delivery| delivery.event.bytes()).collect();
        if !fresh.is_empty() {
            let found = self.all(events::among(self.dialect(), tenant, fresh)).await?;
            events.extend(found.into_iter().map(|stored| (stored.event.id, stored)));
        }
        let with_text = |delivery: Delivery| match stored(&delivery) {
            None => {
                let event = events.get(&delivery.event).cloned();
                Ok(DueDelivery { delivery, body: None, event })
            }
            Some(number) => {
                let body = bodies.get(&number).cloned();
                let body = body.ok_or_else(|| inconsistent("deliveries.body"))?;
                Ok(DueDelivery { delivery, body: Some(body), event: None })
            }
        };
        deliveries.into_iter().map(with_text).collect()
    }

    /// Finds deliveries that are due at `now`, of at most 256 endpoints behind `after`: at most
    /// `room` of each endpoint, at most `limit` in all. Also names the endpoints that have due
    /// deliveries and are not active.
    pub async fn due_deliveries(
        &self,
        now: Timestamp,
        after: EndpointCursor,
        limit: u32,
        room: impl Fn(&Endpoint) -> u32 + Send + 'static,
    ) -> Result<DueBatch, StoreError> {
        let next = match self {
            Self::Sqlite(store) => store.next_endpoints(after, ENDPOINTS_PER_SEARCH).await?,
            Self::Postgres(store) => store.next_endpoints(after, ENDPOINTS_PER_SEARCH).await?,
        };
        let mut batch = DueBatch::default();
        let is_end = u32::try_from(next.len()).is_ok_and(|found| found < ENDPOINTS_PER_SEARCH);
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
        if is_end {
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
        let due = self.all(deliveries::due(endpoint, now, limit)).await?;
        let due = self.with_texts(tenant, due).await?;
        let taken = u32::try_from(due.len()).unwrap_or(u32::MAX);
        batch.due.extend(due);
        if let Entry::Vacant(entry) = batch.accounts.entry(tenant.account())
            && let Some(account) = self.find_account_by_number(tenant.account()).await?
        {
            entry.insert(account.id);
        }
        Ok(taken)
    }

    /// Fails at most `limit` pending deliveries of an endpoint which is not active, with `why` as
    /// their error. Returns their number; fewer than `limit` does not mean that none is left.
    pub async fn fail_queued_deliveries(
        &self,
        endpoint: (Tenant, EndpointId),
        why: &'static str,
        now: Timestamp,
        limit: u32,
    ) -> Result<usize, StoreError> {
        for fail in deliveries::fail_queued(self.dialect(), endpoint, why, now, limit) {
            let failed = self.count_rows(fail).await?;
            if failed > 0 {
                return Ok(failed);
            }
        }
        Ok(0)
    }
}
