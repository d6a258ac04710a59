//! The native door, `/api/v1`: the wire shape of Plugipay and what the rest of the product needs.

mod envelope;
mod error;
mod events;
mod ledger;
mod page;
mod payments;
mod refunds;
mod refusal;
mod serve;
mod source;
mod webhooks;
mod wire;

use crate::App;
use crate::route::Route;
use axum::response::Response;
use engine::access::Permission;
use error::Problem;
use http::{Method, StatusCode};
use serve::guarded;

const PAYMENT_READ: Permission = Permission::new("payment", "read");
const PAYMENT_WRITE: Permission = Permission::new("payment", "write");
const REFUND_READ: Permission = Permission::new("refund", "read");
const REFUND_WRITE: Permission = Permission::new("refund", "write");
const LEDGER_READ: Permission = Permission::new("ledger", "read");
const EVENT_READ: Permission = Permission::new("event", "read");

/// Every operation of this door.
pub fn routes() -> Vec<Route> {
    use Method as M;
    vec![
        guarded(M::POST, "/api/v1/payments", PAYMENT_WRITE, payments::register),
        guarded(M::GET, "/api/v1/payments", PAYMENT_READ, payments::list),
        guarded(M::GET, "/api/v1/payments/{id}", PAYMENT_READ, payments::get),
        guarded(M::POST, "/api/v1/refunds", REFUND_WRITE, refunds::create),
        guarded(M::GET, "/api/v1/refunds", REFUND_READ, refunds::list),
        guarded(M::GET, "/api/v1/refunds/{id}", REFUND_READ, refunds::get),
        guarded(M::POST, "/api/v1/refunds/{id}/cancel", REFUND_WRITE, refunds::cancel),
        guarded(M::GET, "/api/v1/refunds/{id}/timeline", REFUND_READ, events::timeline),
        guarded(M::GET, "/api/v1/ledger", LEDGER_READ, ledger::list),
        guarded(M::GET, "/api/v1/ledger/balances", LEDGER_READ, ledger::balances),
        guarded(M::GET, "/api/v1/events", EVENT_READ, events::list),
        guarded(M::GET, "/api/v1/events/types", EVENT_READ, events::types),
        guarded(M::GET, "/api/v1/events/{id}", EVENT_READ, events::get),
        // The provider's signature is what lets these in.
        Route::open(M::POST, webhooks::PATH, webhooks::receive),
    ]
}

/// The answer to a path that no door has.
pub fn unknown_path(app: &App) -> Response {
    let message = "there is nothing at this path; check it against the API reference";
    let problem = Problem::new(StatusCode::NOT_FOUND, "not_found", message);
    envelope::refuse(app, app.engine.request_id(), &problem)
}

/// The answer to a method that a path does not have. The router adds the ones it has.
pub fn wrong_method(app: &App) -> Response {
    let message = "this path does not take this method; the Allow header says which it takes";
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message);
    envelope::refuse(app, app.engine.request_id(), &problem)
}
