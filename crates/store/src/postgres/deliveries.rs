//! Webhook deliveries: the rows of a batch, replays and test events.
//!
//! A delivery that waits for an earlier one of its subject becomes due when the earlier one
//! finishes. A transaction that queues a delivery first locks the pending deliveries of its
//! subject, and a transaction that finishes one holds its lock. So one of them sees the changes of
//! the other, and no delivery waits forever.

use super::PostgresStore;
use super::session::Step;
use super::statement::{Rows, Statement};
use super::value::{Id, Value};
use crate::StoreError;
use crate::idempotent_work::Once;
use crate::queries::{Dialect, Replay, endpoints, events};
use crate::tables::{ATTEMPTS, DELIVERIES};
use domain::ids::EventId;
use domain::tenant::Tenant;
use domain::time::Timestamp;
use domain::unique_keys::UniqueKey;
use domain::view::{Change, View};
use domain::webhook::{Body, Delivery, Status};
use std::collections::BTreeSet;

/// Locks the pending deliveries of the subjects of new deliveries.
const LOCK_PENDING: &str = "SELECT 1 FROM deliveries d WHERE d.status = 1 \
     AND (d.scope, d.endpoint, d.subject) IN \
     (SELECT v.scope, v.endpoint, v.subject FROM {rows} WHERE v.waits = 1) \
     ORDER BY d.scope, d.id FOR UPDATE";

/// The time at which a new delivery is due. With `waits` it waits for the pending deliveries of its
/// subject, with `follows` for an earlier delivery of the same batch.
const NEXT_AT: &str = "CASE WHEN v.follows = 1 OR (v.waits = 1 AND EXISTS \
     (SELECT 1 FROM deliveries d WHERE d.scope = v.scope AND d.endpoint = v.endpoint \
     AND d.subject = v.subject AND d.status = 1)) THEN NULL ELSE v.next_at END";

const STORE_BODIES: &str = "WITH v AS (SELECT v.scope, v.id, v.text, \
     nextval('delivery_bodies_no') AS no FROM {rows}), \
     stored AS (INSERT INTO delivery_bodies (no, body) SELECT v.no, v.text FROM v) \
     UPDATE deliveries t SET body = v.no FROM v WHERE t.scope = v.scope AND t.id = v.id";

/// Makes the next delivery of a subject due after the one before it has finished.
const RELEASE_NEXT: &str = "UPDATE deliveries t SET next_at = v.updated_at FROM {rows} \
     WHERE t.scope = v.scope AND t.id = (SELECT n.id FROM deliveries n WHERE n.scope = v.scope \
     AND n.endpoint = v.endpoint AND n.subject = v.subject AND n.status = 1 ORDER BY n.seq LIMIT 1) \
     AND t.next_at IS NULL AND t.status = 1";

/// Saves the deliveries and attempts of a batch.
pub(super) fn save(view: &View) -> Result<Vec<Statement<'_>>, StoreError> {
    let mut statements = insert(&view.new_rows.deliveries, Delivery::has_a_past)?;
    let changed = || {
        let rows = view.deliveries.values().filter(|row| row.change != Change::None);
        rows.map(|row| &row.value)
    };
    statements.extend(Rows::updated(&DELIVERIES, changed())?.map(Rows::update));
    statements.extend(store_bodies(changed())?);
    let done = changed().filter(|delivery| delivery.status != Status::Pending);
    let done = Rows::named(&DELIVERIES, &["scope", "endpoint", "subject", "updated_at"], done)?;
    statements.extend(done.map(|rows| rows.into_statement(RELEASE_NEXT)));
    statements.extend(Rows::inserted(&ATTEMPTS, view.new_rows.attempts.iter())?.map(Rows::insert));
    Ok(statements)
}

/// Queues deliveries; those for which `waits` is true wait for the pending deliveries of their
/// subject.
fn insert(
    deliveries: &[Delivery],
    waits: fn(&Delivery) -> bool,
) -> Result<Vec<Statement<'_>>, StoreError> {
    let mut statements = Vec::new();
    if deliveries.iter().any(waits) {
        let names = ["scope", "endpoint", "subject"];
        let rows = Rows::named(&DELIVERIES, &names, deliveries.iter())?;
        let rows = rows.map(|rows| rows.flag("waits", waits));
        statements.extend(rows.map(|rows| rows.into_statement(LOCK_PENDING)));
    }
    let mut seen = BTreeSet::new();
    let follows = |d: &Delivery| !seen.insert((d.tenant, d.endpoint, d.subject)) && waits(d);
    let rows = Rows::inserted(&DELIVERIES, deliveries.iter())?.map(|rows| {
        rows.flag("waits", waits).flag("follows", follows).insert_with("next_at", NEXT_AT)
    });
    statements.extend(rows);
    statements.extend(store_bodies(deliveries.iter())?);
    Ok(statements)
}

/// Stores new texts. The statement follows the insert or update of the deliveries, which do not
/// know the number of the text yet.
fn store_bodies<'a>(
    rows: impl Iterator<Item = &'a Delivery>,
) -> Result<Option<Statement<'a>>, StoreError> {
    let new = rows.filter(|delivery| matches!(delivery.body, Body::New(_)));
    let rows = Rows::named(&DELIVERIES, &["scope", "id"], new)?;
    let text = |delivery: &'a Delivery| match &delivery.body {
        Body::New(text) => Some(&**text),
        Body::None | Body::Stored(_) => None,
    };
    Ok(rows.map(|rows| rows.text("text", text).into_statement(STORE_BODIES)))
}

/// Locks the events so that pruning cannot delete them during this transaction. If one is missing, the
/// division by zero aborts it.
const HOLD_EVENTS: &str = "WITH held AS (SELECT 1 FROM events WHERE scope = $1 AND id = ANY ($2) \
     ORDER BY id FOR KEY SHARE) \
     SELECT 1 / (CASE WHEN count(*) = $3 THEN 1 ELSE 0 END) FROM held";

fn hold(tenant: Tenant, events: &BTreeSet<EventId>) -> Step<'static> {
    let values = vec![
        Value::Int(Some(tenant.code())),
        Value::Ids(events.iter().map(|id| Some(Id(id.bytes()))).collect()),
        Value::Int(i64::try_from(events.len()).ok()),
    ];
    Step::Run(Statement::new(HOLD_EVENTS, values))
}

/// Queues deliveries, each of which waits for the pending deliveries of its subject, and commits.
fn queue(deliveries: &[Delivery]) -> Result<Vec<Step<'_>>, StoreError> {
    let statements = insert(deliveries, |_| true)?.into_iter();
    Ok(statements.map(Step::Run).chain([Step::Commit]).collect())
}

impl PostgresStore {
    pub(crate) async fn replay_events(
        &self,
        tenant: Tenant,
        ids: Vec<EventId>,
        (name, now): (Option<UniqueKey>, Timestamp),
        fan_out: impl FnOnce(&mut View) + Send + 'static,
        answer: impl FnOnce(&[Delivery]) -> String + Send + 'static,
    ) -> Result<Once<Replay>, StoreError> {
        if let Some(name) = &name
            && let Some(before) = self.find_once(name, now).await?
        {
            return Ok(before);
        }
        let (mut found, mut unknown) = (Vec::new(), Vec::new());
        for id in ids {
            match self.all(events::find(Dialect::Postgres, tenant, id)).await?.pop() {
                Some(stored) => found.push(stored.event),
                None => unknown.push(id),
            }
        }
        if !unknown.is_empty() {
            return Ok(Once::Done(Replay::Unknown(unknown)));
        }
        // In the order of the events, so that each delivery waits for the one before it.
        found.sort_by_key(|event| event.id);
        let mut view = View::default();
        let subscribers = self.all(endpoints::subscribers(tenant)).await?;
        if !subscribers.is_empty() {
            view.subscribers.insert(tenant, subscribers);
        }
        let ids = found.iter().map(|event| event.id).collect();
        view.new_rows.events = found;
        fan_out(&mut view);
        let deliveries = view.new_rows.deliveries;
        let answer = answer(&deliveries);
        let name = name.as_ref().map(|name| (name, &*answer));
        let mut steps = vec![hold(tenant, &ids)];
        steps.extend(queue(&deliveries)?);
        let done = self.save_once(name, now, &steps).await?;
        Ok(done.map(|()| Replay::Queued(deliveries)))
    }

    pub(crate) async fn queue_deliveries(
        &self,
        deliveries: Vec<Delivery>,
    ) -> Result<(), StoreError> {
        if !deliveries.is_empty() {
            self.save_once(None, Timestamp(0), &queue(&deliveries)?).await?;
        }
        Ok(())
    }
}
