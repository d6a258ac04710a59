//! Webhooks that the product sends: endpoints and the log of deliveries.

mod deliveries;
pub mod describe;
mod endpoints;
mod webhook_bodies;
pub mod wire;

use crate::http::call::guarded;
use crate::http::idempotent::idempotent;
use crate::http::route::Route;
use engine::access::KeyScope::{WebhookRead, WebhookWrite};
use http::Method;

pub fn routes() -> Vec<Route> {
    use Method as M;
    vec![
        guarded(M::GET, "/api/v1/webhooks", WebhookRead, endpoints::list),
        idempotent(M::POST, "/api/v1/webhooks", WebhookWrite, endpoints::create),
        guarded(M::GET, "/api/v1/webhooks/deliveries", WebhookRead, deliveries::list),
        guarded(M::GET, "/api/v1/webhooks/deliveries/{id}", WebhookRead, deliveries::get),
        idempotent(
            M::POST,
            "/api/v1/webhooks/deliveries/{id}/retry",
            WebhookWrite,
            deliveries::retry,
        ),
        guarded(M::GET, "/api/v1/webhooks/{id}", WebhookRead, endpoints::get),
        idempotent(M::PATCH, "/api/v1/webhooks/{id}", WebhookWrite, endpoints::change),
        idempotent(M::DELETE, "/api/v1/webhooks/{id}", WebhookWrite, endpoints::remove),
        idempotent(M::POST, "/api/v1/webhooks/{id}/rotate-secret", WebhookWrite, endpoints::rotate),
    ]
}
