//! The simulator: a PSP against which users test their own systems.
//!
//! The simulator has two halves that only meet on the wire. The PSP half keeps a durable book, pays
//! out, takes payouts back, sends webhooks and loses answers. The adapter half is a [`Provider`]
//! like any other: it sees only the PSP's JSON, so a lost answer or a wrong amount takes the same
//! way through Refundry as with a real PSP.
//!
//! Every scheduled change is a row with a due time, and the server calls [`Simulator::step`] to
//! make the due changes. Time and randomness are parameters: a run replays from its seed.
//!
//! Several processes on one host may share a book. The book is the whole state of the PSP, and the
//! first process that steps makes the due changes.
//!
//! # Scripts
//! The member `simulate` of a refund's metadata, or else of its payment's metadata, selects the
//! behaviour; `docs/simulator.md` lists the scripts.
//!
//! Lost answers, errors, garbage and missing funds affect only the first call with a key; the next
//! call with that key follows the script `succeed`. The PSP refuses any other word with the code
//! `unknown_script`.
//!
//! A script is one fault of one refund, of which the adapter's traits say nothing. The properties of
//! [`SimulatorConfig`] hold for every refund, and the traits name them.
//!
//! [`Provider`]: providers::Provider

mod adapter;
mod book;
mod charge;
mod dashboard;
mod delivery;
mod outcome;
mod pages;
mod psp;
mod rows;
mod script;
mod timeline;
mod webhook;
mod wire;
mod worker;

pub use adapter::NAME;
pub use dashboard::{DashboardError, DashboardRefund, PaymentBook, Payout};
pub use pages::{Limits, Merchants, Unavailable, pages};

use async_trait::async_trait;
use book::Book;
use domain::tenant::Tenant;
use domain::time::Clock;
use providers::InboundWebhook;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Mutex;
use webhook::Signer;
use worker::Worker;

/// Behaviour that no script selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimulatorConfig {
    /// Return the first result for a repeated key. When off, every call that books pays again.
    pub honour_keys: bool,
    /// How long after the first call a key is known, milliseconds; for ever when `None`.
    pub keys_kept_ms: Option<i64>,
    /// Refuse a repeated key and name the first refund, instead of returning its result.
    pub refuses_repeats: bool,
    /// Return the first error for a repeated key as well.
    pub replays_errors: bool,
    /// How long look-up and list do not show a booked refund, milliseconds.
    pub list_lag_ms: i64,
    /// How long after the last call a complete look without the refund proves that there is none,
    /// milliseconds; the lag of the list for a simulator that honours keys. The simulator only says so;
    /// nothing in its behaviour depends on it.
    pub absence_proved_after_ms: Option<i64>,
    /// A refund can be looked up by its key. When off, it can be by its id, and in the list.
    pub looks_up_by_key: bool,
    /// Answers, lists and webhooks contain the key.
    pub echoes_keys: bool,
    /// Answers, lists and webhooks contain times.
    pub names_times: bool,
    /// The unit to which these times are rounded down, milliseconds.
    pub time_resolution_ms: i64,
    /// Webhooks only say which payment has changed.
    pub webhooks_only_hint: bool,
    /// The changes since a time can be asked for.
    pub tells_changes: bool,
    /// Hold a refund that the merchant's balance does not cover, instead of refusing it.
    pub holds_for_funds: bool,
    /// Refunds on one page of a list.
    pub page_size: usize,
    /// Delay of the script `late_failure`.
    pub late_failure_after_ms: i64,
    /// The wait before a refused webhook is delivered again. The wait doubles with every try.
    pub webhook_retry_ms: i64,
    /// Other processes on this host open the same book. All of them must set this.
    pub shared: bool,
}

impl Default for SimulatorConfig {
    fn default() -> Self {
        Self {
            honour_keys: true,
            keys_kept_ms: None,
            refuses_repeats: false,
            replays_errors: false,
            list_lag_ms: 0,
            absence_proved_after_ms: None,
            looks_up_by_key: true,
            echoes_keys: true,
            names_times: true,
            time_resolution_ms: 1,
            webhooks_only_hint: false,
            tells_changes: true,
            holds_for_funds: false,
            page_size: 1_000,
            late_failure_after_ms: 1_000,
            webhook_retry_ms: 1_000,
            shared: false,
        }
    }
}

/// Why the simulator cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// Another process, or this one, has opened the book for itself alone.
    #[error("the simulator's book is in use")]
    InUse,
    /// The file cannot be opened or is not a book.
    #[error("the simulator's book cannot be opened")]
    Book(#[source] rusqlite::Error),
    #[error("the simulator's book has the layout {0}, which this version does not know")]
    UnknownVersion(i64),
    #[error("the simulator's thread cannot be started")]
    Thread(#[source] std::io::Error),
}

impl From<rusqlite::Error> for SimulatorError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
                Self::InUse
            }
            _ => Self::Book(error),
        }
    }
}

rows::stored! {
    /// The status of a refund, in the PSP's words.
    #[derive(serde::Serialize)]
    #[serde(rename_all = "lowercase")]
    pub enum RefundStatus {
        Pending = 1,
        Succeeded = 2,
        /// Not paid out, or taken back.
        Failed = 3,
        /// Waits until the merchant's balance covers it.
        Held = 4,
        /// Not booked yet.
        Processing = 5,
    }
}

impl RefundStatus {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Held => "held",
            Self::Processing => "processing",
        }
    }
}

impl fmt::Display for RefundStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The receiver of the simulator's webhooks.
#[async_trait]
pub trait WebhookSink: Send + Sync {
    /// Receives a webhook. Returns true to acknowledge the webhook, false to get it again later.
    async fn deliver(&self, tenant: Tenant, webhook: InboundWebhook) -> bool;
}

/// Counts of the work of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    pub changed: usize,
    /// Acknowledged webhooks.
    pub delivered: usize,
    /// Refused webhooks. They are sent again, except forged ones.
    pub refused: usize,
}

impl Step {
    pub fn is_idle(&self) -> bool {
        *self == Self::default()
    }
}

/// A PSP with its book, and the adapter to the PSP.
pub struct Simulator {
    worker: Worker,
    signer: Signer,
    config: SimulatorConfig,
    clock: Arc<dyn Clock>,
    /// Held by the running step.
    turn: Mutex<()>,
}

impl Simulator {
    /// Opens or creates the book at `path` and starts its worker. Ids come from `seed`, and so does
    /// the webhook secret of a new book; use a random seed where others can reach the simulator.
    pub fn open(
        path: &Path,
        config: SimulatorConfig,
        clock: Arc<dyn Clock>,
        seed: [u8; 32],
    ) -> Result<Arc<Self>, SimulatorError> {
        let (book, secret) = Book::open(path, config, Arc::clone(&clock), seed)?;
        let worker = Worker::open(book)?;
        Ok(Arc::new(Self {
            worker,
            signer: Signer::new(secret),
            config,
            clock,
            turn: Mutex::new(()),
        }))
    }
}
