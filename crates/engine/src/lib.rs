//! The use-cases of Refundry.
//!
//! Doors call [`Engine`]; the engine turns calls into commands for the committer and into read
//! queries, and its steps do what is due. Doors see `engine` and `domain`, never the store or the
//! providers.

pub mod access;
mod accounts;
mod committer;
mod error;
mod facade;
mod input;
mod names;
mod policy;
mod secrets;
mod snapshot;
mod steps;
mod waiters;

pub use accounts::{KeyListing, KeyRequest, NewKey};
pub use committer::CommitterConfig;
pub use error::Error;
pub use facade::{Answered, Direction, Engine, EngineConfig, Entry, Parts, RefundView};
pub use input::{IdempotencyKey, NewPayment, NewRefund, Source};
pub use policy::{Backoff, Patience, Policies};
pub use providers::{InboundWebhook, Registry, WebhookRefused, simulator};
pub use secrets::{MasterKey, SecretError};
pub use snapshot::{EventSubject, EventView};
pub use steps::{Claimed, WebhookError};
pub use store::{
    Account, Balance, Difference, EventFilter, Order, Page, PageQuery, PostingFilter, RefundFilter,
    Report, SqliteStore, StoreError,
};
