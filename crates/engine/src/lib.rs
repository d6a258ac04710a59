//! The use-cases of Refundry.
//!
//! Doors call [`Engine`]; the engine turns calls into commands for the committer and into read
//! queries, and its steps do what is due. Doors see `engine` and `domain`, never the store or the
//! providers.

pub mod access;
mod accounts;
mod answers;
mod checkouts;
mod committer;
mod error;
mod facade;
mod input;
mod invoices;
mod keys;
mod names;
mod policy;
mod queries;
mod replay;
mod reports;
mod retention;
mod secrets;
mod snapshot;
mod steps;
mod waiters;
pub mod webhooks;

pub use accounts::{KeyListing, KeyRequest, MadeKey, NewKey};
pub use answers::{Begun, Keyed};
pub use checkouts::{MANUAL, find_method, method_ids};
pub use committer::CommitterConfig;
pub use error::Error;
pub use facade::{Answered, Engine, EngineConfig, Parts, RefundView};
pub use input::{IdempotencyKey, NewCheckout, NewInvoice, NewPayment, NewRefund, Source};
pub use keys::KeyOwner;
pub use policy::{Backoff, Patience, Policies};
pub use providers::{InboundWebhook, OUTCOMES, Registry, WebhookRefused, outbound};
pub use queries::{Direction, Entry};
pub use replay::{Aggregate, Replayed, Triggered};
pub use reports::{Day, Movements};
pub use retention::{Retention, Sweep};
pub use secrets::{MasterKey, SecretError};
pub use snapshot::{EventSubject, EventView};
pub use steps::{Claimed, WebhookError};
pub use store::{
    Account, Backlog, Balance, CheckoutFilter, Copied, DeliveryFilter, Difference, EventFilter,
    InvoiceFilter, Page, PageQuery, PostgresStore, PostingFilter, RefundFilter, Report, SortOrder,
    SqliteStore, Store, StoreError,
};
