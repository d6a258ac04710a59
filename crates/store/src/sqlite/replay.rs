//! Deliveries that do not come from a batch: replays of events, and test events. They change no
//! refund, payment, event or sequence number.

use super::SqliteStore;
use super::codec::{all, one};
use super::trust::commit;
use super::webhooks::insert_delivery;
use crate::StoreError;
use crate::idempotent_work::Once;
use crate::queries::{Dialect, Replay, endpoints, events};
use domain::ids::EventId;
use domain::tenant::Tenant;
use domain::time::Timestamp;
use domain::unique_keys::UniqueKey;
use domain::view::View;
use domain::webhook::Delivery;
use rusqlite::Connection;

impl SqliteStore {
    pub(crate) async fn replay_events(
        &self,
        tenant: Tenant,
        events: Vec<EventId>,
        (name, now): (Option<UniqueKey>, Timestamp),
        fan_out: impl FnOnce(&mut View) + Send + 'static,
        answer: impl FnOnce(&[Delivery]) -> String + Send + 'static,
    ) -> Result<Once<Replay>, StoreError> {
        let work = move |connection: &Connection| {
            let replay = replay(connection, tenant, &events, fan_out)?;
            let answer = match &replay {
                Replay::Queued(deliveries) => Some(answer(deliveries)),
                Replay::Unknown(_) => None,
            };
            Ok((replay, answer))
        };
        self.once(name, now, work).await
    }

    pub(crate) async fn queue_deliveries(
        &self,
        deliveries: Vec<Delivery>,
    ) -> Result<(), StoreError> {
        self.writer
            .run(move |connection| {
                let transaction = connection
                    .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
                for delivery in &deliveries {
                    insert_delivery(&transaction, delivery, true)?;
                }
                commit(transaction)?;
                Ok(())
            })
            .await
    }
}

fn replay(
    connection: &Connection,
    tenant: Tenant,
    ids: &[EventId],
    fan_out: impl FnOnce(&mut View),
) -> Result<Replay, StoreError> {
    let mut view = View::default();
    let mut unknown = Vec::new();
    for &id in ids {
        match one(connection, &events::find(Dialect::Sqlite, tenant, id))? {
            Some(stored) => view.new_rows.events.push(stored.event),
            None => unknown.push(id),
        }
    }
    if !unknown.is_empty() {
        return Ok(Replay::Unknown(unknown));
    }
    // In the order of the events, so that each delivery waits for the one before it.
    view.new_rows.events.sort_by_key(|event| event.id);
    let subscribers = all(connection, &endpoints::subscribers(tenant))?;
    if !subscribers.is_empty() {
        view.subscribers.insert(tenant, subscribers);
    }
    fan_out(&mut view);
    for delivery in &view.new_rows.deliveries {
        insert_delivery(connection, delivery, true)?;
    }
    Ok(Replay::Queued(view.new_rows.deliveries))
}
