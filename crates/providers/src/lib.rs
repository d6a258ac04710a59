//! Payment providers behind one interface.
//!
//! A provider adapter turns a [`RefundInstruction`] into the provider's own call and the provider's answer
//! into a [`Said`](domain::outcome::Said). It decides nothing about money: `domain` decides the meaning of a
//! statement for the refund. Adapters know neither the store nor the engine.

mod catalogue;
mod charge;
pub mod http;
mod manual;
pub mod outbound;
mod provider;
mod registry;
mod transport;

pub use catalogue::{
    AccountValues, AdapterOf, Build, Field, LONGEST_SECRET, LONGEST_VALUE, ProviderKind, catalogue,
    nearest,
};
pub use charge::{
    ChargeAnswer, ChargeInstruction, METHODS, Method, OUTCOMES, TakesPayments, parse_method,
};
pub use manual::Manual;
pub use provider::{
    Attempt, Call, Changes, DisputeNotice, DisputeStage, Hint, Inbound, InboundWebhook, Listed,
    Lookup, Notice, PaymentReport, Provider, RefundInstruction, WebhookAnswer, WebhookRefused,
};
pub use registry::Registry;
