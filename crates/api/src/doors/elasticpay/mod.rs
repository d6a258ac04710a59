//! The ElasticPay door, `/api/v1/payment_intents`: snake case, bare objects, and refunds that are
//! answered when the provider has answered (`reference/elasticpay_yoco.md` part A).
//!
//! Whatever somebody is asked to pay, or has paid, is a payment intent here, through whichever door
//! it came: `pi_X`, `cs_X` and `pay_X` are one thing with one balance.

mod error;
mod formats;
mod intents;
mod openapi;
mod refunds;
mod serve;
mod wire;

pub use formats::formats;
pub use openapi::DOCUMENT;

use crate::App;
use crate::http::call::guarded;
use crate::http::route::Route;
use axum::response::Response;
use engine::access::KeyScope;
use error::Problem;
use http::{Method, StatusCode};

const INTENTS: &str = "/api/v1/payment_intents";
const INTENT: &str = "/api/v1/payment_intents/{id}";
const CONFIRM: &str = "/api/v1/payment_intents/{id}/confirm";
const CANCEL: &str = "/api/v1/payment_intents/{id}/cancel";
const REFUNDS: &str = "/api/v1/payment_intents/{id}/refunds";

/// Every operation of this door.
pub fn routes() -> Vec<Route> {
    use Method as M;
    vec![
        guarded(M::POST, INTENTS, KeyScope::PaymentWrite, intents::create),
        guarded(M::GET, INTENTS, KeyScope::PaymentRead, intents::list),
        guarded(M::GET, INTENT, KeyScope::PaymentRead, intents::get),
        guarded(M::POST, CONFIRM, KeyScope::PaymentWrite, intents::confirm),
        guarded(M::POST, CANCEL, KeyScope::PaymentWrite, intents::cancel),
        guarded(M::POST, REFUNDS, KeyScope::RefundWrite, refunds::create),
        guarded(M::GET, REFUNDS, KeyScope::RefundRead, refunds::list),
    ]
}

/// True for a path of this door, whether or not there is anything at it.
pub fn owns(path: &str) -> bool {
    path.strip_prefix(INTENTS).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The answer to a path of this door at which there is nothing.
pub fn unknown_path(app: &App) -> Response {
    let message = "there is nothing at this path; check it against the API reference";
    serve::refuse(
        app.engine.request_id(),
        &Problem::new(StatusCode::NOT_FOUND, "not_found", message),
    )
}

/// The answer to a method that a path of this door does not have.
pub fn wrong_method(app: &App) -> Response {
    let message = "this path does not take this method; the Allow header says which it takes";
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message);
    serve::refuse(app.engine.request_id(), &problem)
}
