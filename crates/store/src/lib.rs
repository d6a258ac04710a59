//! The databases behind Refundry, and the only place with SQL.
//!
//! A store does three things: it runs a batch (load rows by key, let `domain` decide, save the
//! changed rows, all in one durable transaction), it answers read queries, and it keeps the small
//! tables of accounts and API keys. It decides nothing about money.

mod copy_source;
mod fault;
mod idempotent_work;
mod postgres;
mod queries;
mod sqlite;
mod store;
mod stored_responses;
mod tables;

pub use fault::{Fault, PostgresError};
pub use idempotent_work::Once;
pub use postgres::{Copied, PostgresStore};
pub use queries::{
    Account, Backlog, Balance, CheckoutFilter, DeliveryFilter, Difference, DueBatch, DueDelivery,
    DueRefund, EndpointCursor, EventFilter, InvoiceFilter, Mark, Page, PageQuery, Pruned,
    RefundFilter, Replay, Report, SortOrder, TransferFilter, TransferSum,
};
pub use sqlite::SqliteStore;
pub use store::Store;
pub use stored_responses::{IdempotentRequest, NewRequest};
pub use tables::{ApiKeyRow, NewApiKey};

/// Why a store did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A guard of the schema stopped the batch. Nothing of it was saved.
    #[error("the database refused the batch")]
    Guard(#[source] Fault),
    /// Any other fault of the database.
    #[error("the database failed")]
    Database(#[source] Fault),
    /// The database cannot be reached, or is too busy. Nothing was saved.
    #[error("the database is away: {0}")]
    Away(String),
    /// The connection was lost while a batch was committed. It may be saved, and it may not.
    #[error("the connection to the database was lost during a commit")]
    OutcomeUnknown,
    /// The address of the database cannot be used.
    #[error("{0}")]
    Address(String),
    /// This database cannot do this; the text names a way that works.
    #[error("{0}")]
    Unsupported(&'static str),
    /// A row holds values that contradict each other or the domain.
    #[error("the database is inconsistent: {0}")]
    Inconsistent(String),
    /// The schema could not be brought up to date.
    #[error("the database schema could not be migrated: {0}")]
    Migration(String),
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File { path: String, source: std::io::Error },
    /// The store is shutting down, or its thread died.
    #[error("the database is closed")]
    Closed,
}

/// The message of a panic.
fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("an assertion does not hold").to_owned()
}
