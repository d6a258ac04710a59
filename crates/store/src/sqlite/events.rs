//! Events with the rows that they are about.

use super::SqliteStore;
use super::batch::{find_checkout, find_invoice};
use super::list_query::SqliteQuery;
use crate::StoreError;
use crate::queries::{
    EventFilter, Joined, Page, PageQuery, event_query, events_query, read_joined,
};
use crate::tables::inconsistent;
use domain::account::Tenant;
use domain::event_view::{EventSubject, EventView};
use domain::ids::EventId;
use rusqlite::Connection;

impl SqliteStore {
    pub(crate) async fn list_events(
        &self,
        tenant: Tenant,
        filter: EventFilter,
        page: PageQuery,
    ) -> Result<Page<EventView>, StoreError> {
        let query: SqliteQuery = events_query(tenant, filter, page);
        self.read(move |c| query.run(c, page.limit, |cells| complete(c, read_joined(cells)?))).await
    }

    pub(crate) async fn find_event(
        &self,
        tenant: Tenant,
        id: EventId,
    ) -> Result<Option<EventView>, StoreError> {
        self.read(move |c| find_event(c, tenant, id)).await
    }
}

pub(super) fn find_event(
    connection: &Connection,
    tenant: Tenant,
    id: EventId,
) -> Result<Option<EventView>, StoreError> {
    let query: SqliteQuery = event_query(tenant, id);
    Ok(query.run(connection, 1, |c| complete(connection, read_joined(c)?))?.items.pop())
}

/// Looks up what was not joined to an event.
fn complete(connection: &Connection, joined: Joined) -> Result<EventView, StoreError> {
    let broken = || inconsistent("events");
    Ok(match joined {
        Joined::Whole(whole) => whole,
        Joined::Checkout(event, id) => {
            let found = find_checkout(connection, event.tenant, id)?.ok_or_else(broken)?;
            EventView::of(event, EventSubject::Checkout(Box::new(found)))
        }
        Joined::Invoice(event, id) => {
            let found = find_invoice(connection, event.tenant, id)?.ok_or_else(broken)?;
            EventView::of(event, EventSubject::Invoice(Box::new(found)))
        }
    })
}
