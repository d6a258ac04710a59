//! The Yoco door, `/api/checkouts…`: the Checkout API of Yoco, with refunds, reversals and webhooks as its clients know them.

mod checkouts;
mod describe;
mod door;
mod error;
mod formats;
mod refunds;
mod webhooks;

pub use describe::DOCUMENT;
pub use formats::formats;

use crate::http::call::guarded;
use crate::http::idempotent::idempotent;
use crate::http::route::Route;
use engine::access::KeyScope::{
    CheckoutRead, CheckoutWrite, RefundRead, RefundWrite, WebhookRead, WebhookWrite,
};
use http::Method;

pub fn routes() -> Vec<Route> {
    use Method as M;
    vec![
        idempotent(M::POST, "/api/checkouts", CheckoutWrite, checkouts::create),
        guarded(M::GET, "/api/checkouts/{id}", CheckoutRead, checkouts::get),
        idempotent(M::POST, "/api/checkouts/{id}/refund", RefundWrite, refunds::create),
        guarded(M::GET, "/api/payments/{id}/refunds", RefundRead, refunds::list),
        idempotent(M::POST, "/api/webhooks", WebhookWrite, webhooks::create),
        guarded(M::GET, "/api/webhooks", WebhookRead, webhooks::list),
        guarded(M::DELETE, "/api/webhooks/{id}", WebhookWrite, webhooks::remove),
    ]
}
