//! Events: listing and finding them.

use crate::{Engine, Error};
use domain::account::Scope;
use domain::event_view::EventView;
use domain::ids::EventId;
use store::{EventFilter, Page, PageQuery};

impl Engine {
    /// Events by time; a refund's timeline, by sequence number, with `filter.refund`.
    pub async fn list_events(
        &self,
        scope: Scope,
        filter: EventFilter,
        page: PageQuery,
    ) -> Result<Page<EventView>, Error> {
        Ok(self.store().list_events(scope, filter, page).await?)
    }

    /// The event with this id.
    pub async fn find_event(&self, scope: Scope, id: EventId) -> Result<Option<EventView>, Error> {
        Ok(self.store().find_event(scope, id).await?)
    }
}
