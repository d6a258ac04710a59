//! Webhook endpoints and deliveries: the rows of a batch.

use super::batch::expect_one;
use super::codec::Columns;
use crate::StoreError;
use crate::cells::Cells;
use domain::account::Scope;
use domain::event::Type;
use domain::ids::{DeliveryId, EndpointId, EventId};
use domain::time::Timestamp;
use domain::view::{Change, Row, RowKeys, View};
use domain::webhook::{
    Attempt, Body, Delivery, Endpoint, EventSet, Format, Sealed, Status, Subscriber,
};
use rusqlite::{Connection, params};

const SELECT_SUBSCRIBERS: &str =
    "SELECT id, format, active, events FROM webhook_endpoints WHERE scope = ?1";

pub(crate) const ENDPOINT_COLUMNS: &str = "scope, id, url, events, format, description, active, \
     secret, previous_secret, previous_until, consecutive_failures, failing_since, disabled_at, \
     disabled_reason, last_seq, updated_at";

const SELECT_ENDPOINT: &str = "SELECT scope, id, url, events, format, description, active, secret, \
     previous_secret, previous_until, consecutive_failures, failing_since, disabled_at, \
     disabled_reason, last_seq, updated_at FROM webhook_endpoints WHERE scope = ?1 AND id = ?2";

const INSERT_ENDPOINT: &str = "INSERT INTO webhook_endpoints (scope, id, url, events, format, \
     description, active, secret, previous_secret, previous_until, consecutive_failures, \
     failing_since, disabled_at, disabled_reason, last_seq, updated_at) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";

const UPDATE_ENDPOINT: &str = "UPDATE webhook_endpoints SET url = ?3, events = ?4, format = ?5, \
     description = ?6, active = ?7, secret = ?8, previous_secret = ?9, previous_until = ?10, \
     consecutive_failures = ?11, failing_since = ?12, disabled_at = ?13, disabled_reason = ?14, \
     last_seq = ?15, updated_at = ?16 WHERE scope = ?1 AND id = ?2";

const DELETE_ENDPOINT: &str = "DELETE FROM webhook_endpoints WHERE scope = ?1 AND id = ?2";

pub(crate) const DELIVERY_COLUMNS: &str = "scope, id, endpoint, event, subject, type, format, seq, \
     status, attempts, once, updated_at, next_at, last_attempt_at, delivered_at, response_code, \
     body, last_error";

const SELECT_DELIVERY: &str = "SELECT scope, id, endpoint, event, subject, type, format, seq, \
     status, attempts, once, updated_at, next_at, last_attempt_at, delivered_at, response_code, \
     body, last_error FROM deliveries WHERE scope = ?1 AND id = ?2";

/// Where there can be none, pending predecessors are not looked for.
const INSERT_DELIVERY: &str = "INSERT INTO deliveries (scope, id, endpoint, event, subject, type, \
     format, seq, status, attempts, once, updated_at, next_at, body) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 1, 0, 0, ?9, CASE WHEN ?11 AND EXISTS \
     (SELECT 1 FROM deliveries WHERE scope = ?1 AND endpoint = ?3 AND subject = ?5 AND status = 1) \
     THEN NULL ELSE ?10 END, ?12)";

const UPDATE_DELIVERY: &str = "UPDATE deliveries SET status = ?3, attempts = ?4, once = ?5, \
     updated_at = ?6, next_at = ?7, last_attempt_at = ?8, delivered_at = ?9, response_code = ?10, \
     body = ?11, last_error = ?12 WHERE scope = ?1 AND id = ?2";

/// Lets the next delivery of a subject go once the one before it is done.
const RELEASE_NEXT: &str = "UPDATE deliveries SET next_at = ?4 WHERE (scope, id) = \
     (SELECT scope, id FROM deliveries WHERE scope = ?1 AND endpoint = ?2 AND subject = ?3 \
     AND status = 1 ORDER BY seq LIMIT 1) AND next_at IS NULL AND status = 1";

const INSERT_BODY: &str = "INSERT INTO delivery_bodies (body) VALUES (?1)";

const INSERT_ATTEMPT: &str = "INSERT INTO delivery_attempts (scope, delivery, number, \
     attempted_at, duration_ms, response_code, next_at, error) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

/// Those that wait for others first, so that none is left behind that nobody looks at. Nothing of an
/// endpoint that is active again by now.
const FAIL_QUEUED: [&str; 2] = [
    "UPDATE deliveries SET status = 3, next_at = NULL, once = 0, last_error = ?3, updated_at = ?4 \
     WHERE (scope, id) IN (SELECT scope, id FROM deliveries WHERE scope = ?1 AND endpoint = ?2 \
     AND status = 1 AND next_at IS NULL LIMIT ?5) AND NOT EXISTS (SELECT 1 FROM webhook_endpoints \
     WHERE scope = ?1 AND id = ?2 AND active = 1)",
    "UPDATE deliveries SET status = 3, next_at = NULL, once = 0, last_error = ?3, updated_at = ?4 \
     WHERE (scope, id) IN (SELECT scope, id FROM deliveries WHERE scope = ?1 AND endpoint = ?2 \
     AND status = 1 LIMIT ?5) AND NOT EXISTS (SELECT 1 FROM webhook_endpoints \
     WHERE scope = ?1 AND id = ?2 AND active = 1)",
];

/// Loads what a batch wants of endpoints and deliveries, and who is to be told of what happens.
pub(super) fn load(
    connection: &Connection,
    wanted: &RowKeys,
    view: &mut View,
) -> Result<(), StoreError> {
    for scope in wanted.scopes() {
        let subscribers = load_subscribers(connection, scope)?;
        if !subscribers.is_empty() {
            view.subscribers.insert(scope, subscribers);
        }
    }
    for &(scope, id) in &wanted.endpoints {
        if let Some(endpoint) = load_endpoint(connection, scope, id)? {
            view.endpoints.insert((scope, id), Row::loaded(endpoint));
        }
    }
    for &(scope, id) in &wanted.deliveries {
        let mut select = connection.prepare_cached(SELECT_DELIVERY)?;
        let mut rows = select.query(params![scope.code(), id.bytes()])?;
        if let Some(row) = rows.next()? {
            let delivery = read_delivery(&mut Columns::new(row))?;
            view.deliveries.insert((scope, id), Row::loaded(delivery));
        }
    }
    Ok(())
}

pub(super) fn load_subscribers(
    connection: &Connection,
    scope: Scope,
) -> Result<Vec<Subscriber>, StoreError> {
    let mut select = connection.prepare_cached(SELECT_SUBSCRIBERS)?;
    let mut rows = select.query([scope.code()])?;
    let mut subscribers = Vec::new();
    while let Some(row) = rows.next()? {
        subscribers.push(read_subscriber(&mut Columns::new(row))?);
    }
    Ok(subscribers)
}

/// Reads id, format, whether it is sent to, and what it wants.
pub(crate) fn read_subscriber(c: &mut impl Cells) -> Result<Subscriber, StoreError> {
    Ok(Subscriber {
        endpoint: EndpointId::from_ulid(c.ulid()?),
        format: c.code(Format::from_code, "webhook_endpoints.format")?,
        active: c.take()?,
        wants: EventSet::parse(&c.required_text()?),
    })
}

/// Saves what became of endpoints and deliveries.
pub(super) fn save(connection: &Connection, view: &View) -> Result<(), StoreError> {
    for row in view.endpoints.values() {
        save_endpoint(connection, row)?;
    }
    for (scope, id) in &view.new_rows.removed_endpoints {
        let row = params![scope.code(), id.bytes()];
        connection.prepare_cached(DELETE_ENDPOINT)?.execute(row)?;
    }
    for delivery in &view.new_rows.deliveries {
        insert_delivery(connection, delivery, delivery.has_a_past())?;
    }
    for row in view.deliveries.values().filter(|row| row.change != Change::None) {
        update_delivery(connection, &row.value)?;
    }
    for attempt in &view.new_rows.attempts {
        insert_attempt(connection, attempt)?;
    }
    Ok(())
}

fn save_endpoint(connection: &Connection, row: &Row<Endpoint>) -> Result<(), StoreError> {
    let statement = match row.change {
        Change::None => return Ok(()),
        Change::Updated => UPDATE_ENDPOINT,
        Change::Inserted => INSERT_ENDPOINT,
    };
    let endpoint = &row.value;
    let previous = endpoint.previous.as_ref();
    let changed = connection.prepare_cached(statement)?.execute(params![
        endpoint.scope.code(),
        endpoint.id.bytes(),
        endpoint.url,
        endpoint.events,
        endpoint.format.code(),
        endpoint.description,
        endpoint.active,
        endpoint.secret.0,
        previous.map(|(secret, _)| &secret.0),
        previous.map(|(_, until)| until.0),
        endpoint.consecutive_failures,
        endpoint.failing_since.map(|at| at.0),
        endpoint.disabled_at.map(|at| at.0),
        endpoint.disabled_reason,
        endpoint.last_seq,
        endpoint.updated_at.0,
    ])?;
    expect_one(changed, "webhook_endpoints")
}

/// The number of a delivery's text, which is stored when it is new.
fn store_body(connection: &Connection, delivery: &Delivery) -> Result<Option<i64>, StoreError> {
    Ok(match &delivery.body {
        Body::None => None,
        Body::Stored(number) => Some(*number),
        Body::New(text) => {
            connection.prepare_cached(INSERT_BODY)?.execute([text])?;
            Some(connection.last_insert_rowid())
        }
    })
}

/// Stores a new delivery. With `waits`, pending ones of its subject go first: unlike a new event, one
/// that is told once more waits for them also when it is the first of it.
pub(super) fn insert_delivery(
    connection: &Connection,
    delivery: &Delivery,
    waits: bool,
) -> Result<(), StoreError> {
    let body = store_body(connection, delivery)?;
    connection.prepare_cached(INSERT_DELIVERY)?.execute(params![
        delivery.scope.code(),
        delivery.id.bytes(),
        delivery.endpoint.bytes(),
        delivery.event.bytes(),
        delivery.subject.to_bytes(),
        delivery.event_type.code(),
        delivery.format.code(),
        delivery.seq,
        delivery.updated_at.0,
        delivery.next_at.map(|at| at.0),
        waits,
        body,
    ])?;
    Ok(())
}

fn update_delivery(connection: &Connection, delivery: &Delivery) -> Result<(), StoreError> {
    let body = store_body(connection, delivery)?;
    let changed = connection.prepare_cached(UPDATE_DELIVERY)?.execute(params![
        delivery.scope.code(),
        delivery.id.bytes(),
        delivery.status.code(),
        delivery.attempts,
        delivery.once,
        delivery.updated_at.0,
        delivery.next_at.map(|at| at.0),
        delivery.last_attempt_at.map(|at| at.0),
        delivery.delivered_at.map(|at| at.0),
        delivery.response_code,
        body,
        delivery.last_error,
    ])?;
    expect_one(changed, "deliveries")?;
    if delivery.status != Status::Pending {
        connection.prepare_cached(RELEASE_NEXT)?.execute(params![
            delivery.scope.code(),
            delivery.endpoint.bytes(),
            delivery.subject.to_bytes(),
            delivery.updated_at.0,
        ])?;
    }
    Ok(())
}

fn insert_attempt(connection: &Connection, attempt: &Attempt) -> Result<(), StoreError> {
    let outcome = &attempt.outcome;
    connection.prepare_cached(INSERT_ATTEMPT)?.execute(params![
        attempt.scope.code(),
        attempt.delivery.bytes(),
        attempt.number,
        outcome.attempted_at.0,
        outcome.duration_ms,
        outcome.response_code,
        attempt.next_at.map(|at| at.0),
        outcome.error,
    ])?;
    Ok(())
}

/// Fails at most `limit` deliveries that are still to be sent to an endpoint which is not active.
/// Returns how many.
pub(super) fn fail_queued(
    connection: &Connection,
    (scope, endpoint): (Scope, EndpointId),
    why: &str,
    now: Timestamp,
    limit: u32,
) -> Result<usize, StoreError> {
    for statement in FAIL_QUEUED {
        let failed = connection.prepare_cached(statement)?.execute(params![
            scope.code(),
            endpoint.bytes(),
            why,
            now.0,
            limit
        ])?;
        if failed > 0 {
            return Ok(failed);
        }
    }
    Ok(0)
}

pub(super) fn load_endpoint(
    connection: &Connection,
    scope: Scope,
    id: EndpointId,
) -> Result<Option<Endpoint>, StoreError> {
    let mut select = connection.prepare_cached(SELECT_ENDPOINT)?;
    let mut rows = select.query(params![scope.code(), id.bytes()])?;
    rows.next()?.map(|row| read_endpoint(&mut Columns::new(row))).transpose()
}

/// Reads the columns [`ENDPOINT_COLUMNS`].
pub(crate) fn read_endpoint(c: &mut impl Cells) -> Result<Endpoint, StoreError> {
    Ok(Endpoint {
        scope: c.scope()?,
        id: EndpointId::from_ulid(c.ulid()?),
        url: c.required_text()?,
        events: c.required_text()?,
        format: c.code(Format::from_code, "webhook_endpoints.format")?,
        description: c.text()?,
        active: c.take()?,
        secret: Sealed(c.take()?),
        previous: match (c.take::<Option<Vec<u8>>>()?, c.take::<Option<i64>>()?) {
            (Some(secret), Some(until)) => Some((Sealed(secret), Timestamp(until))),
            _ => None,
        },
        consecutive_failures: c.take()?,
        failing_since: c.take::<Option<i64>>()?.map(Timestamp),
        disabled_at: c.take::<Option<i64>>()?.map(Timestamp),
        disabled_reason: c.text()?,
        last_seq: c.take()?,
        updated_at: Timestamp(c.take()?),
    })
}

/// Reads the columns [`DELIVERY_COLUMNS`].
pub(crate) fn read_delivery(c: &mut impl Cells) -> Result<Delivery, StoreError> {
    Ok(Delivery {
        scope: c.scope()?,
        id: DeliveryId::from_ulid(c.ulid()?),
        endpoint: EndpointId::from_ulid(c.ulid()?),
        event: EventId::from_ulid(c.ulid()?),
        subject: c.ulid()?,
        event_type: c.code(Type::from_code, "deliveries.type")?,
        format: c.code(Format::from_code, "deliveries.format")?,
        seq: c.take()?,
        status: c.code(Status::from_code, "deliveries.status")?,
        attempts: c.take()?,
        once: c.take()?,
        updated_at: Timestamp(c.take()?),
        next_at: c.take::<Option<i64>>()?.map(Timestamp),
        last_attempt_at: c.take::<Option<i64>>()?.map(Timestamp),
        delivered_at: c.take::<Option<i64>>()?.map(Timestamp),
        response_code: c.take()?,
        body: c.take::<Option<i64>>()?.map_or(Body::None, Body::Stored),
        last_error: c.text()?,
    })
}
