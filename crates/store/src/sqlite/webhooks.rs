//! Webhook endpoints and deliveries: the rows of a batch.

use super::codec::{all, one};
use super::rows::{append, expect_one, save_rows, values_but};
use crate::StoreError;
use crate::queries::{deliveries, endpoints};
use crate::tables::{ATTEMPTS, DELIVERIES, ENDPOINTS, Put};
use domain::view::{Change, Row, RowKeys, View};
use domain::webhook::{Body, Delivery, Status};
use rusqlite::{Connection, params, params_from_iter};
use std::sync::LazyLock;

const DELETE_ENDPOINT: &str = "DELETE FROM webhook_endpoints WHERE scope = ?1 AND id = ?2";

/// Makes the next delivery of a subject due after the one before it has finished.
const RELEASE_NEXT: &str = "UPDATE deliveries SET next_at = ?4 WHERE (scope, id) = \
     (SELECT scope, id FROM deliveries WHERE scope = ?1 AND endpoint = ?2 AND subject = ?3 \
     AND status = 1 ORDER BY seq LIMIT 1) AND next_at IS NULL AND status = 1";

const INSERT_BODY: &str = "INSERT INTO delivery_bodies (body) VALUES (?1)";

/// Loads the endpoints and deliveries of a batch, and the endpoints that receive its events.
pub(super) fn load(
    connection: &Connection,
    wanted: &RowKeys,
    view: &mut View,
) -> Result<(), StoreError> {
    for tenant in wanted.scopes() {
        let subscribers = all(connection, &endpoints::subscribers(tenant))?;
        if !subscribers.is_empty() {
            view.subscribers.insert(tenant, subscribers);
        }
    }
    for &(tenant, id) in &wanted.endpoints {
        if let Some(endpoint) = one(connection, &endpoints::find(tenant, id))? {
            view.endpoints.insert((tenant, id), Row::loaded(endpoint));
        }
    }
    for &(tenant, id) in &wanted.deliveries {
        if let Some(delivery) = one(connection, &deliveries::find(tenant, id))? {
            view.deliveries.insert((tenant, id), Row::loaded(delivery));
        }
    }
    Ok(())
}

/// Saves the endpoints, deliveries and attempts of a batch.
pub(super) fn save(connection: &Connection, view: &View) -> Result<(), StoreError> {
    save_rows(connection, &ENDPOINTS, view.endpoints.values())?;
    for (tenant, id) in &view.new_rows.removed_endpoints {
        let row = params![tenant.code(), id.bytes()];
        connection.prepare_cached(DELETE_ENDPOINT)?.execute(row)?;
    }
    for delivery in &view.new_rows.deliveries {
        insert_delivery(connection, delivery, delivery.has_a_past())?;
    }
    for row in view.deliveries.values().filter(|row| row.change != Change::None) {
        update_delivery(connection, &row.value)?;
    }
    append(connection, &ATTEMPTS, &view.new_rows.attempts)
}

/// The number of a delivery's text. A new text is stored here.
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

/// Inserts a delivery that waits, where its last parameter says so, for the pending ones of its
/// subject.
static INSERT_DELIVERY: LazyLock<String> = LazyLock::new(|| {
    let names: Vec<_> = DELIVERIES.inserted().map(|column| column.name).collect();
    let number = |name: &str| names.iter().position(|n| *n == name).map_or(0, |at| at + 1);
    let values = names.iter().map(|name| match *name {
        "next_at" => format!(
            "CASE WHEN ?{} AND EXISTS (SELECT 1 FROM deliveries WHERE scope = ?{} \
             AND endpoint = ?{} AND subject = ?{} AND status = 1) THEN NULL ELSE ?{} END",
            names.len() + 1,
            number("scope"),
            number("endpoint"),
            number("subject"),
            number("next_at")
        ),
        name => format!("?{}", number(name)),
    });
    let values: Vec<_> = values.collect();
    format!("INSERT INTO deliveries ({}) VALUES ({})", names.join(", "), values.join(", "))
});

/// Stores a new delivery. With `waits`, pending deliveries of its subject go first. A subject has
/// nothing pending before its first event, unless the event is replayed.
pub(super) fn insert_delivery(
    connection: &Connection,
    delivery: &Delivery,
    waits: bool,
) -> Result<(), StoreError> {
    let body = store_body(connection, delivery)?;
    let values = values_but(DELIVERIES.inserted(), delivery, "body", || Put::Int(body));
    let values = values.chain([Put::Int(Some(waits.into()))]);
    connection.prepare_cached(&INSERT_DELIVERY)?.execute(params_from_iter(values))?;
    Ok(())
}

fn update_delivery(connection: &Connection, delivery: &Delivery) -> Result<(), StoreError> {
    let body = store_body(connection, delivery)?;
    let values = values_but(DELIVERIES.updated(), delivery, "body", || Put::Int(body));
    let mut update = connection.prepare_cached(&DELIVERIES.texts().update)?;
    expect_one(update.execute(params_from_iter(values))?, DELIVERIES.name)?;
    if delivery.status != Status::Pending {
        connection.prepare_cached(RELEASE_NEXT)?.execute(params![
            delivery.tenant.code(),
            delivery.endpoint.bytes(),
            delivery.subject.to_bytes(),
            delivery.updated_at.0,
        ])?;
    }
    Ok(())
}
