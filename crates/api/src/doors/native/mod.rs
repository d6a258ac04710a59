//! The native door, `/api/v1`: the wire shape of Plugipay and what the rest of the product needs.

mod deliveries;
mod endpoints;
mod envelope;
mod error;
mod events;
mod export;
mod formats;
mod invoices;
mod kept;
mod keys;
mod ledger;
mod limit;
mod openapi;
mod page;
mod payments;
mod public;
mod refunds;
mod refusal;
mod replay;
mod reports;
mod serve;
mod session_wire;
mod sessions;
mod source;
mod webhook_wire;
mod webhooks;
mod wire;

pub use envelope::{REQUEST_ID, wrap};
pub use error::Problem;
pub use formats::{formats, sign, standard_headers};
pub use limit::{refuse_excess, show as show_share};
pub use openapi::{LIMITED, chapter, parts};
pub use page::{MAX_LIMIT, read_limit};
pub use public::parse_checkout_id;
pub use serve::{LONGEST_KEY, mark_replayed, read_key};
pub use session_wire::invoice_number;
pub use sessions::{parse_id, read_url};
pub use source::parse_source;
pub use wire::{Raw, Shown};

use crate::App;
use crate::limits::Class;
use crate::route::Route;
use axum::response::Response;
use engine::access::Permission;
use http::{Method, StatusCode};
use kept::kept;
use serve::{counted, guarded};

const PAYMENT_READ: Permission = Permission::new("payment", "read");
const PAYMENT_WRITE: Permission = Permission::new("payment", "write");
const REFUND_READ: Permission = Permission::new("refund", "read");
const REFUND_WRITE: Permission = Permission::new("refund", "write");
const LEDGER_READ: Permission = Permission::new("ledger", "read");
const EVENT_READ: Permission = Permission::new("event", "read");
const EVENT_WRITE: Permission = Permission::new("event", "write");
const EVENT_TRIGGER: Permission = Permission::new("event", "trigger");
const APIKEY_READ: Permission = Permission::new("apikey", "read");
const APIKEY_WRITE: Permission = Permission::new("apikey", "write");
const REPORT_READ: Permission = Permission::new("report", "read");

const CHECKOUT_READ: Permission = Permission::new("checkout", "read");
const CHECKOUT_WRITE: Permission = Permission::new("checkout", "write");
const INVOICE_READ: Permission = Permission::new("invoice", "read");
const INVOICE_WRITE: Permission = Permission::new("invoice", "write");

const WEBHOOK_READ: Permission = Permission::new("webhook", "read");
const WEBHOOK_WRITE: Permission = Permission::new("webhook", "write");

const LEDGER_CSV: &str = "/api/v1/reports/ledger.csv";

/// Every operation of this door.
pub fn routes() -> Vec<Route> {
    [merchant_routes(), payable_routes(), webhook_routes(), public::routes()]
        .into_iter()
        .flatten()
        .collect()
}

/// Being told.
fn webhook_routes() -> Vec<Route> {
    use Method as M;
    vec![
        guarded(M::GET, "/api/v1/webhooks", WEBHOOK_READ, endpoints::list),
        kept(M::POST, "/api/v1/webhooks", WEBHOOK_WRITE, endpoints::create),
        guarded(M::GET, "/api/v1/webhooks/deliveries", WEBHOOK_READ, deliveries::list),
        guarded(M::GET, "/api/v1/webhooks/deliveries/{id}", WEBHOOK_READ, deliveries::get),
        kept(M::POST, "/api/v1/webhooks/deliveries/{id}/retry", WEBHOOK_WRITE, deliveries::retry),
        guarded(M::GET, "/api/v1/webhooks/{id}", WEBHOOK_READ, endpoints::get),
        kept(M::PATCH, "/api/v1/webhooks/{id}", WEBHOOK_WRITE, endpoints::change),
        kept(M::DELETE, "/api/v1/webhooks/{id}", WEBHOOK_WRITE, endpoints::remove),
        kept(M::POST, "/api/v1/webhooks/{id}/rotate-secret", WEBHOOK_WRITE, endpoints::rotate),
    ]
}

/// Asking to be paid.
fn payable_routes() -> Vec<Route> {
    use Method as M;
    vec![
        guarded(M::POST, "/api/v1/checkout-sessions", CHECKOUT_WRITE, sessions::create),
        guarded(M::GET, "/api/v1/checkout-sessions", CHECKOUT_READ, sessions::list),
        guarded(M::GET, "/api/v1/checkout-sessions/{id}", CHECKOUT_READ, sessions::get),
        guarded(M::DELETE, "/api/v1/checkout-sessions/{id}", CHECKOUT_WRITE, sessions::delete),
        guarded(M::POST, "/api/v1/checkout-sessions/{id}/cancel", CHECKOUT_WRITE, sessions::cancel),
        guarded(
            M::POST,
            "/api/v1/checkout-sessions/{id}/confirm",
            CHECKOUT_WRITE,
            sessions::confirm,
        ),
        guarded(M::POST, "/api/v1/invoices", INVOICE_WRITE, invoices::create),
        guarded(M::GET, "/api/v1/invoices", INVOICE_READ, invoices::list),
        guarded(M::GET, "/api/v1/invoices/{id}", INVOICE_READ, invoices::get),
        guarded(M::POST, "/api/v1/invoices/{id}/finalize", INVOICE_WRITE, invoices::finalize),
        guarded(M::POST, "/api/v1/invoices/{id}/pay", INVOICE_WRITE, invoices::pay),
        guarded(M::POST, "/api/v1/invoices/{id}/void", INVOICE_WRITE, invoices::void),
        guarded(M::POST, "/api/v1/invoices/{id}/send", INVOICE_WRITE, invoices::send),
        guarded(M::POST, "/api/v1/invoices/{id}/send-email", INVOICE_WRITE, invoices::send_email),
    ]
}

/// Everything else that takes a key.
fn merchant_routes() -> Vec<Route> {
    use Method as M;
    vec![
        guarded(M::POST, "/api/v1/payments", PAYMENT_WRITE, payments::register),
        guarded(M::GET, "/api/v1/payments", PAYMENT_READ, payments::list),
        guarded(M::GET, "/api/v1/payments/{id}", PAYMENT_READ, payments::get),
        guarded(M::POST, "/api/v1/payments/{id}/settle", PAYMENT_WRITE, payments::settle),
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
        guarded(M::POST, "/api/v1/events/replay", EVENT_WRITE, replay::replay),
        kept(M::POST, "/api/v1/events/trigger", EVENT_TRIGGER, replay::trigger),
        guarded(M::GET, "/api/v1/api-keys", APIKEY_READ, keys::list),
        guarded(M::POST, "/api/v1/api-keys", APIKEY_WRITE, keys::create),
        guarded(M::DELETE, "/api/v1/api-keys/{id}", APIKEY_WRITE, keys::revoke),
        guarded(M::GET, "/api/v1/reports/pnl", REPORT_READ, reports::pnl),
        guarded(M::GET, "/api/v1/reports/cash-flow", REPORT_READ, reports::cash_flow),
        counted(M::GET, LEDGER_CSV, REPORT_READ, Class::Heavy, export::ledger_csv),
        // The provider's signature is what lets these in. Forged ones count as failures.
        Route::open(M::POST, webhooks::PATH, webhooks::receive).unlimited(),
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
