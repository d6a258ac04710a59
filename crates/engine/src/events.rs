//! Events: listing and finding them.

use crate::{Engine, Error};
use domain::event_view::EventView;
use domain::ids::EventId;
use domain::tenant::Tenant;
use store::{EventFilter, Page, PageQuery};

impl Engine {
    /// Events by time; a refund's timeline, by sequence number, with `filter.refund`.
    pub async fn list_events(
        &self,
        tenant: Tenant,
        filter: EventFilter,
        page: PageQuery,
    ) -> Result<Page<EventView>, Error> {
        Ok(self.store().list_events(tenant, filter, page).await?)
    }

    /// The event with this id.
    pub async fn find_event(
        &self,
        tenant: Tenant,
        id: EventId,
    ) -> Result<Option<EventView>, Error> {
        Ok(self.store().find_event(tenant, id).await?)
    }
}
