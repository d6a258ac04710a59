//! The ElasticPay door, `/api/v1/payment_intents`: snake case, bare objects, and refunds that are
//! answered when the provider has answered.
//!
//! Checkouts and payments of every door are payment intents here: `pi_X`, `cs_X` and `pay_X` name one
//! payment with one balance.

mod describe;
mod door;
mod error;
mod formats;
mod intents;
mod refunds;
mod wire;

pub use describe::DOCUMENT;
pub use door::refuse;
use door::{CANCEL, CONFIRM, INTENT, INTENTS, REFUNDS};
pub use formats::formats;

use crate::http::call::guarded;
use crate::http::route::Route;
use engine::access::KeyScope::{PaymentRead, PaymentWrite, RefundRead, RefundWrite};
use http::Method;

pub fn routes() -> Vec<Route> {
    use Method as M;
    vec![
        guarded(M::POST, INTENTS, PaymentWrite, intents::create),
        guarded(M::GET, INTENTS, PaymentRead, intents::list),
        guarded(M::GET, INTENT, PaymentRead, intents::get),
        guarded(M::POST, CONFIRM, PaymentWrite, intents::confirm),
        guarded(M::POST, CANCEL, PaymentWrite, intents::cancel),
        guarded(M::POST, REFUNDS, RefundWrite, refunds::create),
        guarded(M::GET, REFUNDS, RefundRead, refunds::list),
    ]
}

/// True for every path below this door's, known or not.
pub fn owns(path: &str) -> bool {
    path.strip_prefix(INTENTS).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
