//! The native door, `/api/v1`: the wire shape of Plugipay and what the rest of the product needs.

mod deliveries;
mod endpoints;
mod events;
mod export;
mod formats;
mod invoices;
mod keys;
mod ledger;
mod openapi;
mod page;
mod payments;
mod public;
mod refunds;
mod replay;
mod reports;
mod session_wire;
mod sessions;
mod webhook_wire;
mod webhooks;
mod wire;

pub use formats::formats;
pub use openapi::chapter;

use crate::App;
use crate::http::auth::Caller;
use crate::http::call::{self, Door, counted, guarded};
use crate::http::envelope::{self, PageMeta};
use crate::http::headers::ERROR_PROFILE;
use crate::http::idempotent::idempotent;
use crate::http::invalid::{Invalid, excerpt};
use crate::http::limits::Class;
use crate::http::problem::Problem;
use crate::http::route::Route;
use axum::response::Response;
use domain::ids::RequestId;
use engine::access::{ErrorProfile, KeyScope};
use http::{HeaderMap, Method, StatusCode};
use page::Paging;
use serde::Serialize;
use ulid::Ulid;

/// This door, whose words are Refundry's own.
pub struct Native;

type Call = call::Call<Native>;

impl Door for Native {
    const NAME: &'static str = "native";
    type Problem = Problem;
    type Profile = ErrorProfile;

    fn welcome(caller: &Caller, headers: &HeaderMap) -> Result<ErrorProfile, Problem> {
        let Some(value) = ERROR_PROFILE.find(headers)? else {
            return Ok(caller.key.error_profile);
        };
        let text = value.to_str().unwrap_or_default();
        ErrorProfile::from_text(text).ok_or_else(|| {
            let text = excerpt(text);
            let message = format!("the error profile is node or go, not {text:?}");
            Invalid::field(ERROR_PROFILE.name(), message).into()
        })
    }

    fn internal() -> Problem {
        Problem::internal()
    }

    fn refuse(
        app: &App,
        request_id: RequestId,
        profile: ErrorProfile,
        problem: Problem,
    ) -> Response {
        envelope::refuse(app, request_id, &problem.in_profile(profile))
    }
}

impl Call {
    /// The `{id}` in `/api/v1/<things>/{id}`, as it was sent: ids hold nothing that needs
    /// percent-encoding, so an encoded one names nothing.
    fn id(&self) -> &str {
        self.segment(4)
    }

    /// An answer with one thing in it.
    fn answer<T: Serialize>(&self, status: StatusCode, data: &T) -> Response {
        envelope::answer(self.app(), self.request_id(), status, data, None)
    }

    /// An answer with one page of a list in it.
    fn page<T: Serialize>(
        &self,
        items: &[T],
        paging: &Paging,
        last: Option<Ulid>,
        more: bool,
    ) -> Response {
        self.page_with(items, paging.meta(last, more))
    }

    /// The same with what is said about the page.
    fn page_with<T: Serialize>(&self, items: &[T], meta: PageMeta) -> Response {
        envelope::answer(self.app(), self.request_id(), StatusCode::OK, &items, Some(meta))
    }
}

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
        idempotent(M::POST, "/api/v1/webhooks", KeyScope::WebhookWrite, endpoints::create),
        guarded(M::GET, "/api/v1/webhooks/deliveries", KeyScope::WebhookRead, deliveries::list),
        guarded(M::GET, "/api/v1/webhooks/deliveries/{id}", KeyScope::WebhookRead, deliveries::get),
        idempotent(
            M::POST,
            "/api/v1/webhooks/deliveries/{id}/retry",
            KeyScope::WebhookWrite,
            deliveries::retry,
        ),
        guarded(M::GET, "/api/v1/webhooks/{id}", KeyScope::WebhookRead, endpoints::get),
        idempotent(M::PATCH, "/api/v1/webhooks/{id}", KeyScope::WebhookWrite, endpoints::change),
        idempotent(M::DELETE, "/api/v1/webhooks/{id}", KeyScope::WebhookWrite, endpoints::remove),
        idempotent(
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
        idempotent(M::POST, "/api/v1/events/trigger", KeyScope::EventTrigger, replay::trigger),
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
