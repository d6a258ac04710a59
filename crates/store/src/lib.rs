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
    Account, Backlog, Balance, CheckoutFilter, ClaimedRefund, DeliveryFilter, Difference, DueBatch,
    DueDelivery, EndpointCursor, EventFilter, InDoubt, InvoiceFilter, Lane, LaneOwner, Mark,
    NoticeFilter, Page, PageQuery, ProviderAccountFilter, Pruned, RefundFilter, Replay, Report,
    SortOrder, TransferFilter, TransferSum,
};
pub use sqlite::SqliteStore;
pub use store::Store;
pub use stored_responses::{IdempotentRequest, NewRequest};
pub use tables::{ApiKeyRow, NewApiKey, ReconcileCursor, UnmatchedNotice};

/// How long a batch waits for rows that another transaction has locked, before it runs without them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Longer than a commit takes.
    AMoment,
    None,
}

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
    /// Another transaction held a lock for too long. Nothing was saved.
    #[error("another transaction holds a lock: {0}")]
    Locked(String),
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
    /// The file may have what this process takes for taken back, or the reverse. Nothing is written or
    /// read any more; the process must end, and the next one recovers the file.
    #[error("the database file cannot be trusted any more: {0}")]
    Broken(String),
    /// The store is shutting down, or its thread died.
    #[error("the database is closed")]
    Closed,
}

impl StoreError {
    /// The text of the cause, for a log; empty where the error says it all.
    pub fn cause(&self) -> String {
        std::error::Error::source(self).map_or_else(String::new, ToString::to_string)
    }

    /// True when a single command of a batch can be the cause, so that the others may succeed
    /// without it. Nothing of the batch was saved then.
    pub fn may_be_of_one_command(&self) -> bool {
        match self {
            Self::Guard(_) | Self::Inconsistent(_) | Self::Locked(_) => true,
            Self::Database(fault) => fault.is_about_content(),
            Self::Away(_)
            | Self::OutcomeUnknown
            | Self::Address(_)
            | Self::Unsupported(_)
            | Self::Migration(_)
            | Self::File { .. }
            | Self::Broken(_)
            | Self::Closed => false,
        }
    }
}

/// The message of a panic.
fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("an assertion does not hold").to_owned()
}
