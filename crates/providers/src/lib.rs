//! Payment providers behind one interface.
//!
//! A provider adapter turns a [`RefundOrder`] into the provider's own call and the provider's
//! answer into an [`Answer`]. `domain` decides how an answer changes a refund. Adapters know
//! neither the store nor the engine.

mod charge;
pub mod outbound;
mod provider;
mod registry;

pub use charge::{
    ChargeAnswer, ChargeOrder, METHODS, Method, OUTCOMES, TakesPayments, parse_method,
};
pub use provider::{
    Answer, Capabilities, InboundWebhook, Lookup, Notice, PaymentReport, Provider, RefundOrder,
    Report, WebhookRefused, Why,
};
pub use registry::Registry;
