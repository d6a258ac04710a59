//! The databases behind Refundry, and the only place with SQL.
//!
//! A store does three things: it runs a batch (load rows by key, let `domain` decide, save the
//! changed rows, all in one durable transaction), it answers read queries, and it keeps the small
//! tables of accounts and API keys. It decides nothing about money.

mod answers;
mod backlog;
mod cells;
mod fault;
mod lists;
#[cfg(test)]
mod plans;
mod postgres;
mod prune;
mod query;
mod sqlite;
mod store;
mod verify;

pub use answers::{Begun, NewRequest, Once};
pub use backlog::Backlog;
pub use fault::{Fault, PostgresError};
pub use postgres::{Copied, PostgresStore};
pub use prune::{Mark, Pruned};
pub use query::{
    Account, ApiKeyRow, Balance, CheckoutFilter, DeliveryFilter, DueBatch, DueDelivery, DueRefund,
    EventFilter, InvoiceFilter, NewApiKey, Order, Page, PageQuery, PostingFilter, PostingSum,
    RefundFilter,
};
pub use sqlite::{Place, SqliteStore};
pub use store::{Replay, Store};
pub use verify::{Difference, Report};

/// Why the database did not do what it was asked to.
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
    /// This database does not do that; the text says what does.
    #[error("{0}")]
    Unsupported(&'static str),
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

/// What a panic said.
fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("an assertion does not hold").to_owned()
}
