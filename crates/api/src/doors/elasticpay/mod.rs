//! The ElasticPay door, `/api/v1/payment_intents`: snake case, bare objects, and refunds that are
//! answered when the provider has answered (`reference/elasticpay_yoco.md` part A).
//!
//! Whatever somebody is asked to pay, or has paid, is a payment intent here, through whichever door
//! it came: `pi_X`, `cs_X` and `pay_X` are one thing with one balance.

mod describe;
mod door;
mod error;
mod formats;
mod intents;
mod refunds;
mod wire;

pub use describe::DOCUMENT;
pub use door::refuse;
pub use formats::formats;

use crate::http::call::guarded;
use crate::http::route::Route;
use engine::access::KeyScope;
use http::Method;

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
