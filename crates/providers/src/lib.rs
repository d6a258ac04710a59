//! Payment providers behind one interface.
//!
//! A provider adapter turns a [`RefundInstruction`] into the provider's own call and the provider's answer
//! into a [`Said`](domain::outcome::Said). It decides nothing about money: `domain` decides the meaning of a
//! statement for the refund. Adapters know neither the store nor the engine.

mod charge;
pub mod outbound;
mod provider;
mod registry;

pub use charge::{
    ChargeAnswer, ChargeInstruction, METHODS, Method, OUTCOMES, TakesPayments, parse_method,
};
pub use provider::{
    Capabilities, InboundWebhook, Lookup, Notice, PaymentReport, Provider, RefundInstruction,
    WebhookRefused,
};
pub use registry::Registry;
