//! The databases behind Refundry, and the only place with SQL.
//!
//! A store does three things: it runs a batch (load rows by key, let `domain` decide, save the
//! changed rows, all in one durable transaction), it answers read queries, and it keeps the small
//! tables of accounts and API keys. It decides nothing about money.

mod query;
mod sqlite;
mod verify;

pub use query::{
    Account, ApiKeyRow, Balance, CheckoutFilter, DeliveryFilter, DueBatch, DueDelivery, DueRefund,
    EventFilter, InvoiceFilter, NewApiKey, Order, Page, PageQuery, PostingFilter, PostingSum,
    RefundFilter, StoredEvent, StoredSubject,
};
pub use sqlite::{Begun, NewRequest, Once, Replay, SqliteStore};
pub use verify::{Difference, Report};

/// Why the database did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A guard of the schema stopped the batch. Nothing of it was saved.
    #[error("the database refused the batch")]
    Guard(#[source] rusqlite::Error),
    /// Any other fault of the database.
    #[error("the database failed")]
    Database(#[from] rusqlite::Error),
    /// A row does not make sense.
    #[error("the database is inconsistent: {0}")]
    Inconsistent(String),
    /// The schema could not be brought up to date.
    #[error("the database schema could not be migrated: {0}")]
    Migration(String),
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The store is shutting down, or its thread died.
    #[error("the database is closed")]
    Closed,
}
