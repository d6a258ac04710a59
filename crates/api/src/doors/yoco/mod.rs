//! The Yoco door, `/api/checkouts…`: the Checkout API of Yoco (`reference/elasticpay_yoco.md`, part
//! B), with refunds, reversals and webhooks as its clients know them.

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
use domain::ids::PaymentId;
use domain::payment::Kind;
use engine::access::KeyScope::{
    CheckoutRead, CheckoutWrite, RefundRead, RefundWrite, WebhookRead, WebhookWrite,
};
use http::Method;
use std::time::Duration;

/// The prefix of a payment's id in this door.
const PAYMENT_PREFIX: &str = "p_";

/// Behaviour that the door's reference leaves open or changed over time.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Refund payments that were made with test keys.
    pub allow_test_refunds: bool,
    /// Refund whole payments only, as the first pages of this API said.
    pub full_refunds_only: bool,
    /// The status of a refund that was accepted.
    pub refund_status: &'static str,
    /// How long a refund waits for the provider's answer.
    pub refund_wait: Duration,
}

/// Possible words for the status of an accepted refund. With the last one the door does not wait
/// for the provider.
pub const REFUND_STATUSES: [&str; 3] = ["succeeded", "successful", PENDING];
const PENDING: &str = "pending";

impl Default for Settings {
    /// No refunds in test mode, partial refunds, `succeeded`, and three seconds, which is less than
    /// the time-out of shop systems.
    fn default() -> Self {
        Self {
            allow_test_refunds: false,
            full_refunds_only: false,
            refund_status: "succeeded",
            refund_wait: Duration::from_secs(3),
        }
    }
}

impl Settings {
    /// The status of accepted refunds called `word`, if that is one.
    pub fn status_from_text(word: &str) -> Option<&'static str> {
        REFUND_STATUSES.into_iter().find(|known| *known == word)
    }
}

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

/// The id of the payment that a checkout became.
fn payment_name(id: PaymentId) -> String {
    id.with_prefix(PAYMENT_PREFIX)
}

/// The id of a checkout.
fn checkout_name(id: PaymentId) -> String {
    id.with_prefix(Kind::Checkout.prefix())
}
