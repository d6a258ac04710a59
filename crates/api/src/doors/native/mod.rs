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
pub use limit::show as show_share;
pub use openapi::{chapter, parts};
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
use engine::access::KeyScope;
use http::{Method, StatusCode};
use kept::kept;
use serve::{counted, guarded};

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
        guarded(M::GET, "/api/v1/webhooks", KeyScope::WebhookRead, endpoints::list),
        kept(M::POST, "/api/v1/webhooks", KeyScope::WebhookWrite, endpoints::create),
        guarded(M::GET, "/api/v1/webhooks/deliveries", KeyScope::WebhookRead, deliveries::list),
        guarded(M::GET, "/api/v1/webhooks/deliveries/{id}", KeyScope::WebhookRead, deliveries::get),
        kept(
            M::POST,
            "/api/v1/webhooks/deliveries/{id}/retry",
            KeyScope::WebhookWrite,
            deliveries::retry,
        ),
        guarded(M::GET, "/api/v1/webhooks/{id}", KeyScope::WebhookRead, endpoints::get),
        kept(M::PATCH, "/api/v1/webhooks/{id}", KeyScope::WebhookWrite, endpoints::change),
        kept(M::DELETE, "/api/v1/webhooks/{id}", KeyScope::WebhookWrite, endpoints::remove),
        kept(
            M::POST,
            "/api/v1/webhooks/{id}/rotate-secret",
            KeyScope::WebhookWrite,
            endpoints::rotate,
        ),
    ]
}

/// Asking to be paid.
fn payable_routes() -> Vec<Route> {
    use Method as M;
    vec![
        guarded(M::POST, "/api/v1/checkout-sessions", KeyScope::CheckoutWrite, sessions::create),
        guarded(M::GET, "/api/v1/checkout-sessions", KeyScope::CheckoutRead, sessions::list),
        guarded(M::GET, "/api/v1/checkout-sessions/{id}", KeyScope::CheckoutRead, sessions::get),
        guarded(
            M::DELETE,
            "/api/v1/checkout-sessions/{id}",
            KeyScope::CheckoutWrite,
            sessions::delete,
        ),
        guarded(
            M::POST,
            "/api/v1/checkout-sessions/{id}/cancel",
            KeyScope::CheckoutWrite,
            sessions::cancel,
        ),
        guarded(
            M::POST,
            "/api/v1/checkout-sessions/{id}/confirm",
            KeyScope::CheckoutWrite,
            sessions::confirm,
        ),
        guarded(M::POST, "/api/v1/invoices", KeyScope::InvoiceWrite, invoices::create),
        guarded(M::GET, "/api/v1/invoices", KeyScope::InvoiceRead, invoices::list),
        guarded(M::GET, "/api/v1/invoices/{id}", KeyScope::InvoiceRead, invoices::get),
        guarded(
            M::POST,
            "/api/v1/invoices/{id}/finalize",
            KeyScope::InvoiceWrite,
            invoices::finalize,
        ),
        guarded(M::POST, "/api/v1/invoices/{id}/pay", KeyScope::InvoiceWrite, invoices::pay),
        guarded(M::POST, "/api/v1/invoices/{id}/void", KeyScope::InvoiceWrite, invoices::void),
        guarded(M::POST, "/api/v1/invoices/{id}/send", KeyScope::InvoiceWrite, invoices::send),
        guarded(
            M::POST,
            "/api/v1/invoices/{id}/send-email",
            KeyScope::InvoiceWrite,
            invoices::send_email,
        ),
    ]
}

/// Everything else that takes a key.
fn merchant_routes() -> Vec<Route> {
    use Method as M;
    vec![
        guarded(M::POST, "/api/v1/payments", KeyScope::PaymentWrite, payments::register),
        guarded(M::GET, "/api/v1/payments", KeyScope::PaymentRead, payments::list),
        guarded(M::GET, "/api/v1/payments/{id}", KeyScope::PaymentRead, payments::get),
        guarded(M::POST, "/api/v1/payments/{id}/settle", KeyScope::PaymentWrite, payments::settle),
        guarded(M::POST, "/api/v1/refunds", KeyScope::RefundWrite, refunds::create),
        guarded(M::GET, "/api/v1/refunds", KeyScope::RefundRead, refunds::list),
        guarded(M::GET, "/api/v1/refunds/{id}", KeyScope::RefundRead, refunds::get),
        guarded(M::POST, "/api/v1/refunds/{id}/cancel", KeyScope::RefundWrite, refunds::cancel),
        guarded(M::GET, "/api/v1/refunds/{id}/timeline", KeyScope::RefundRead, events::timeline),
        guarded(M::GET, "/api/v1/ledger", KeyScope::LedgerRead, ledger::list),
        guarded(M::GET, "/api/v1/ledger/balances", KeyScope::LedgerRead, ledger::balances),
        guarded(M::GET, "/api/v1/events", KeyScope::EventRead, events::list),
        guarded(M::GET, "/api/v1/events/types", KeyScope::EventRead, events::types),
        guarded(M::GET, "/api/v1/events/{id}", KeyScope::EventRead, events::get),
        guarded(M::POST, "/api/v1/events/replay", KeyScope::EventWrite, replay::replay),
        kept(M::POST, "/api/v1/events/trigger", KeyScope::EventTrigger, replay::trigger),
        guarded(M::GET, "/api/v1/api-keys", KeyScope::ApiKeyRead, keys::list),
        guarded(M::POST, "/api/v1/api-keys", KeyScope::ApiKeyWrite, keys::create),
        guarded(M::DELETE, "/api/v1/api-keys/{id}", KeyScope::ApiKeyWrite, keys::revoke),
        guarded(M::GET, "/api/v1/reports/pnl", KeyScope::ReportRead, reports::pnl),
        guarded(M::GET, "/api/v1/reports/cash-flow", KeyScope::ReportRead, reports::cash_flow),
        counted(M::GET, LEDGER_CSV, KeyScope::ReportRead, Class::Heavy, export::ledger_csv),
        // The provider's signature is what lets these in. Forged ones count as failures.
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
