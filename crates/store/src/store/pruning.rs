//! Walks along old events and deliveries. Each database deletes the rows of a page in its own way.

use super::Store;
use crate::StoreError;
use crate::queries::{Mark, Passed, Pruned, Query, first_at, next_scope, walk_page};
use domain::tenant::Tenant;
use domain::time::Timestamp;
use ulid::Ulid;

impl Store {
    /// Reads at most `limit` events behind `after`, and deletes those whose subject is finished,
    /// unchanged since `before` and delivered to every endpoint.
    pub async fn prune_events(
        &self,
        before: Timestamp,
        after: Mark,
        limit: u32,
    ) -> Result<Pruned, StoreError> {
        let walked = self.walk("events", "refund, checkout, invoice", (before, after, limit));
        let Some((tenant, passed, after)) = walked.await? else {
            return Ok(Pruned { removed: 0, after: None });
        };
        let removed = match self {
            Self::Sqlite(store) => store.forget_events(tenant, passed, before).await?,
            Self::Postgres(store) => store.forget_events(tenant, passed, before).await?,
        };
        Ok(Pruned { removed, after })
    }

    /// Reads at most `limit` deliveries behind `after`, and deletes those that are finished and
    /// unchanged since `before`, with their attempts and bodies.
    pub async fn prune_deliveries(
        &self,
        before: Timestamp,
        after: Mark,
        limit: u32,
    ) -> Result<Pruned, StoreError> {
        // `PostgreSQL` takes a bare `NULL` for a text.
        let none = "CAST(NULL AS UUID), CAST(NULL AS UUID), CAST(NULL AS UUID)";
        let walked = self.walk("deliveries", none, (before, after, limit));
        let Some((tenant, passed, after)) = walked.await? else {
            return Ok(Pruned { removed: 0, after: None });
        };
        let removed = match self {
            Self::Sqlite(store) => store.forget_deliveries(tenant, passed, before).await?,
            Self::Postgres(store) => store.forget_deliveries(tenant, passed, before).await?,
        };
        Ok(Pruned { removed, after })
    }

    /// The beginning of the first scope behind a code that has rows in a table.
    async fn tenant_behind(&self, table: &str, code: i64) -> Result<Mark, StoreError> {
        let tenant = self.find(Query::<Tenant>::new(next_scope(table)).with(code)).await?;
        Ok(tenant.map(|tenant| (tenant, Ulid::nil())))
    }

    /// The next rows of one tenant that were made before a time, and where the walk continues.
    async fn walk(
        &self,
        table: &str,
        columns: &str,
        (before, after, limit): (Timestamp, Mark, u32),
    ) -> Result<Option<(Tenant, Vec<Passed>, Mark)>, StoreError> {
        let start = match after {
            Some(place) => Some(place),
            None => self.tenant_behind(table, -1).await?,
        };
        let Some((tenant, behind)) = start else { return Ok(None) };
        let page = Query::<Passed>::new(walk_page(table, columns));
        let page = page.with(tenant).with(behind).with(first_at(before)).with(limit);
        let passed = self.all(page).await?;
        let full = u32::try_from(passed.len()) == Ok(limit);
        let after = match passed.last() {
            Some((id, _)) if full => Some((tenant, *id)),
            Some(_) | None => self.tenant_behind(table, tenant.code()).await?,
        };
        Ok(Some((tenant, passed, after)))
    }
}
