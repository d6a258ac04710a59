//! Webhooks that the product sends: endpoints and the log of deliveries.

mod deliveries;
pub mod describe;
mod endpoints;
mod webhook_bodies;
pub mod wire;

use crate::http::call::guarded;
use crate::http::idempotent::idempotent;
use crate::http::route::Route;
use engine::access::KeyScope;
use http::Method;

/// Every operation of this resource.
pub fn routes() -> Vec<Route> {
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
