//! Deliveries: the rows of a batch, and those outside of one.
//!
//! A delivery that waits for an earlier one of its subject is let go by whoever finishes that one.
//! So that neither misses the other, whoever queues a delivery first locks what is pending of its
//! subject, and whoever finishes one holds its lock: one of them sees what the other did.

use super::PostgresStore;
use super::session::Step;
use super::statement::{Rows, Statement};
use super::value::{Id, Value};
use crate::StoreError;
use crate::answers::Once;
use crate::store::Replay;
use domain::account::Scope;
use domain::ids::{EndpointId, EventId};
use domain::keys::Key;
use domain::time::Timestamp;
use domain::view::{Change, View};
use domain::webhook::{Attempt, Body, Delivery, Status};
use std::collections::BTreeSet;

/// What is pending of the subjects of new deliveries.
const LOCK_PENDING: &str = "SELECT 1 FROM deliveries d WHERE d.status = 1 \
     AND (d.scope, d.endpoint, d.subject) IN \
     (SELECT v.scope, v.endpoint, v.subject FROM {rows} WHERE v.waits = 1) \
     ORDER BY d.scope, d.id FOR UPDATE";

const INSERT_COLUMNS: &str = "scope, id, endpoint, event, subject, type, format, seq, status, \
     attempts, once, updated_at, next_at, body";

/// `waits`: it waits for whatever is pending of its subject; `follows`: for one of this very batch.
const INSERT_SELECT: &str = "v.scope, v.id, v.endpoint, v.event, v.subject, v.type, v.format, \
     v.seq, 1, 0, 0, v.updated_at, CASE WHEN v.follows = 1 OR (v.waits = 1 AND EXISTS \
     (SELECT 1 FROM deliveries d WHERE d.scope = v.scope AND d.endpoint = v.endpoint \
     AND d.subject = v.subject AND d.status = 1)) THEN NULL ELSE v.next_at END, v.body";

const STORE_BODIES: &str = "WITH v AS (SELECT v.scope, v.id, v.text, \
     nextval('delivery_bodies_no') AS no FROM {rows}), \
     stored AS (INSERT INTO delivery_bodies (no, body) SELECT v.no, v.text FROM v) \
     UPDATE deliveries t SET body = v.no FROM v WHERE t.scope = v.scope AND t.id = v.id";

/// Lets the next delivery of a subject go once the one before it is done.
const RELEASE_NEXT: &str = "UPDATE deliveries t SET next_at = v.updated_at FROM {rows} \
     WHERE t.scope = v.scope AND t.id = (SELECT n.id FROM deliveries n WHERE n.scope = v.scope \
     AND n.endpoint = v.endpoint AND n.subject = v.subject AND n.status = 1 ORDER BY n.seq LIMIT 1) \
     AND t.next_at IS NULL AND t.status = 1";

/// Those that wait for others first, so that none is left behind that nobody looks at. Nothing of an
/// endpoint that is active again by now.
const FAIL_QUEUED: [&str; 2] = [
    "UPDATE deliveries SET status = 3, next_at = NULL, once = 0, last_error = $3, updated_at = $4 \
     WHERE (scope, id) IN (SELECT scope, id FROM deliveries WHERE scope = $1 AND endpoint = $2 \
     AND status = 1 AND next_at IS NULL ORDER BY scope, id LIMIT $5 FOR UPDATE) \
     AND NOT EXISTS (SELECT 1 FROM webhook_endpoints \
     WHERE scope = $1 AND id = $2 AND active = 1) RETURNING 1",
    "UPDATE deliveries SET status = 3, next_at = NULL, once = 0, last_error = $3, updated_at = $4 \
     WHERE (scope, id) IN (SELECT scope, id FROM deliveries WHERE scope = $1 AND endpoint = $2 \
     AND status = 1 ORDER BY scope, id LIMIT $5 FOR UPDATE) \
     AND NOT EXISTS (SELECT 1 FROM webhook_endpoints \
     WHERE scope = $1 AND id = $2 AND active = 1) RETURNING 1",
];

/// Saves new deliveries, what became of others, and attempts.
pub(super) fn save(view: &View) -> Vec<Statement<'_>> {
    let mut statements = insert(&view.new_rows.deliveries, Delivery::has_a_past);
    let changed = || {
        let rows = view.deliveries.values().filter(|row| row.change != Change::None);
        rows.map(|row| &row.value)
    };
    statements.extend(store_bodies(changed()));
    statements.extend(update(changed()));
    let done = changed().filter(|delivery| delivery.status != Status::Pending);
    statements.extend(Rows::of("deliveries", done).map(|rows| {
        rows.int("scope", |d: &Delivery| d.scope.code())
            .id("endpoint", |d| d.endpoint.bytes())
            .id("subject", |d| d.subject.to_bytes())
            .int("updated_at", |d| d.updated_at.0)
            .into_statement(RELEASE_NEXT)
    }));
    statements.extend(attempts(&view.new_rows.attempts));
    statements
}

/// Queues deliveries; those of which `waits` is true wait for what is pending of their subject.
fn insert(deliveries: &[Delivery], waits: fn(&Delivery) -> bool) -> Vec<Statement<'_>> {
    let Some(waiting) = Rows::of("deliveries", deliveries.iter()) else { return Vec::new() };
    let waiting = waiting
        .int("scope", |d: &Delivery| d.scope.code())
        .id("endpoint", |d| d.endpoint.bytes())
        .id("subject", |d| d.subject.to_bytes())
        .flag("waits", waits);
    let mut statements = Vec::new();
    if deliveries.iter().any(waits) {
        statements.push(waiting.into_statement(LOCK_PENDING));
    }
    let mut seen = BTreeSet::new();
    let follows = move |d: &Delivery| {
        let first = seen.insert((d.scope, d.endpoint, d.subject));
        i64::from(!first && waits(d))
    };
    let rows = Rows::of("deliveries", deliveries.iter()).map(|rows| {
        rows.int("scope", |d: &Delivery| d.scope.code())
            .id("id", |d| d.id.bytes())
            .id("endpoint", |d| d.endpoint.bytes())
            .id("event", |d| d.event.bytes())
            .id("subject", |d| d.subject.to_bytes())
            .int("type", |d| d.event_type.code())
            .int("format", |d| d.format.code())
            .int("seq", |d| i64::from(d.seq))
            .int("updated_at", |d| d.updated_at.0)
            .int("next_at", |d| d.next_at.map(|at| at.0))
            .int("body", |d| match d.body {
                Body::Stored(number) => Some(number),
                Body::None | Body::New(_) => None,
            })
            .flag("waits", waits)
            .int("follows", follows)
            .insert_select(INSERT_COLUMNS, INSERT_SELECT)
    });
    statements.extend(rows);
    statements.extend(store_bodies(deliveries.iter()));
    statements
}

fn store_bodies<'a>(rows: impl Iterator<Item = &'a Delivery>) -> Option<Statement<'a>> {
    let rows = Rows::of("deliveries", rows.filter(|d| matches!(d.body, Body::New(_))))?
        .int("scope", |d: &Delivery| d.scope.code())
        .id("id", |d| d.id.bytes())
        .maybe("text", |d| match &d.body {
            Body::New(text) => Some(&**text),
            Body::None | Body::Stored(_) => None,
        });
    Some(rows.into_statement(STORE_BODIES))
}

/// A body is stored once and never changed, so it is not among these columns.
fn update<'a>(rows: impl Iterator<Item = &'a Delivery>) -> Option<Statement<'a>> {
    let rows = Rows::of("deliveries", rows)?
        .int("scope", |d: &Delivery| d.scope.code())
        .id("id", |d| d.id.bytes())
        .int("status", |d| d.status.code())
        .int("attempts", |d| i64::from(d.attempts))
        .flag("once", |d| d.once)
        .int("updated_at", |d| d.updated_at.0)
        .int("next_at", |d| d.next_at.map(|at| at.0))
        .int("last_attempt_at", |d| d.last_attempt_at.map(|at| at.0))
        .int("delivered_at", |d| d.delivered_at.map(|at| at.0))
        .int("response_code", |d| d.response_code.map(i64::from))
        .maybe("last_error", |d| d.last_error.as_deref());
    Some(rows.update())
}

fn attempts(attempts: &[Attempt]) -> Option<Statement<'_>> {
    let rows = Rows::of("delivery_attempts", attempts.iter())?
        .int("scope", |a: &Attempt| a.scope.code())
        .id("delivery", |a| a.delivery.bytes())
        .int("number", |a| i64::from(a.number))
        .int("attempted_at", |a| a.outcome.attempted_at.0)
        .int("duration_ms", |a| a.outcome.duration_ms)
        .int("response_code", |a| a.outcome.response_code.map(i64::from))
        .int("next_at", |a| a.next_at.map(|at| at.0))
        .maybe("error", |a| a.outcome.error.as_deref());
    Some(rows.insert())
}

/// Keeps events from being forgotten until the transaction ends. Each must be there: one less ends it,
/// by a division by zero.
const HOLD_EVENTS: &str = "WITH held AS (SELECT 1 FROM events WHERE scope = $1 AND id = ANY ($2) \
     ORDER BY id FOR KEY SHARE) \
     SELECT 1 / (CASE WHEN count(*) = $3 THEN 1 ELSE 0 END) FROM held";

fn hold(scope: Scope, events: &BTreeSet<EventId>) -> Step<'static> {
    let values = vec![
        Value::Int(Some(scope.code())),
        Value::Ids(events.iter().map(|id| Some(Id(id.bytes()))).collect()),
        Value::Int(i64::try_from(events.len()).ok()),
    ];
    Step::Run(Statement::new(HOLD_EVENTS, values))
}

/// Queues deliveries, each of which waits for whatever is pending of its subject, and commits.
fn queue(deliveries: &[Delivery]) -> Vec<Step<'_>> {
    let statements = insert(deliveries, |_| true).into_iter();
    statements.map(Step::Run).chain([Step::Commit]).collect()
}

impl PostgresStore {
    /// Tells events once more. `fan_out` is given a view with the events in its book and the
    /// endpoints of the scope, and appends the deliveries. All in one transaction, once under
    /// `name`; `answer` makes the text that is answered under it later.
    pub async fn replay_events(
        &self,
        scope: Scope,
        events: Vec<EventId>,
        (name, now): (Option<Key>, Timestamp),
        fan_out: impl FnOnce(&mut View) + Send + 'static,
        answer: impl FnOnce(&[Delivery]) -> String + Send + 'static,
    ) -> Result<Once<Replay>, StoreError> {
        if let Some(name) = &name
            && let Some(before) = self.find_once(name, now).await?
        {
            return Ok(before);
        }
        let (mut found, mut unknown) = (Vec::new(), Vec::new());
        for id in events {
            match self.find_event(scope, id).await? {
                Some(stored) => found.push(stored.event),
                None => unknown.push(id),
            }
        }
        if !unknown.is_empty() {
            return Ok(Once::Done(Replay::Unknown(unknown)));
        }
        // In the order in which they happened, so that each waits for the one before it.
        found.sort_by_key(|event| event.id);
        let mut view = View::default();
        let subscribers = self.subscribers(scope).await?;
        if !subscribers.is_empty() {
            view.subscribers.insert(scope, subscribers);
        }
        let events = found.iter().map(|event| event.id).collect();
        view.new_rows.events = found;
        fan_out(&mut view);
        let deliveries = view.new_rows.deliveries;
        let answer = answer(&deliveries);
        let name = name.as_ref().map(|name| (name, &*answer));
        let mut steps = vec![hold(scope, &events)];
        steps.extend(queue(&deliveries));
        let done = self.save_once(name, now, &steps).await?;
        Ok(done.map(|()| Replay::Queued(deliveries)))
    }

    /// Queues deliveries, each of which waits for whatever is pending of its subject.
    pub async fn queue_deliveries(&self, deliveries: Vec<Delivery>) -> Result<(), StoreError> {
        if !deliveries.is_empty() {
            self.save_once(None, Timestamp(0), &queue(&deliveries)).await?;
        }
        Ok(())
    }

    /// Fails at most `limit` deliveries that are still to be sent to an endpoint which is not active,
    /// saying why. Returns how many; fewer than `limit` does not mean that none is left.
    pub async fn fail_queued_deliveries(
        &self,
        (scope, endpoint): (Scope, EndpointId),
        why: &'static str,
        now: Timestamp,
        limit: u32,
    ) -> Result<usize, StoreError> {
        for sql in FAIL_QUEUED {
            let values = vec![
                Value::Int(Some(scope.code())),
                Value::Id(endpoint.bytes()),
                Value::Text(why.into()),
                Value::Int(Some(now.0)),
                Value::Int(Some(limit.into())),
            ];
            let failed = self.write(Statement::new(sql, values)).await?.len();
            if failed > 0 {
                return Ok(failed);
            }
        }
        Ok(0)
    }
}
