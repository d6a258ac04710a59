//! The simulator: a PSP that users test their own side against.
//!
//! It has two halves that only meet on the wire. The PSP half keeps a durable book of its own, pays
//! out, changes its mind later, sends webhooks and loses answers. The adapter half is a [`Provider`]
//! like any other: it knows of the PSP only what comes back as JSON, so that a lost answer or a wrong
//! amount goes the way it goes with a real PSP.
//!
//! Whatever is still to happen is a row with a due time; the server drives it with
//! [`Simulator::step`]. Time and randomness are parameters: a run replays from its seed.
//!
//! Several processes on one host may share a book: it is all there is to the PSP, and whoever steps
//! first does what is due.
//!
//! # Scripts
//! The member `simulate` of a refund's metadata, or else of its payment's, says what happens:
//!
//! | script | what happens |
//! |---|---|
//! | `succeed` (the default) | paid and answered at once |
//! | `succeed_after:<ms>` | pending; after that time paid, with a webhook |
//! | `refuse`, `refuse:<code>` | refused |
//! | `timeout_after_booking` | paid, and the answer is lost |
//! | `timeout_before_booking` | not booked, and the answer is lost |
//! | `server_error` | HTTP 500, not booked |
//! | `garbage` | paid, and the answer is not JSON |
//! | `wrong_amount` | pays and reports one minor unit less (more, if one was asked for) |
//! | `stay_pending` | pending until [`Simulator::complete_refund`] or [`Simulator::fail_refund`] |
//! | `no_funds_then_ok` | not enough funds at first |
//! | `webhook_twice` | pending; paid a moment later, and the same webhook comes twice |
//! | `webhook_out_of_order` | the same, and the webhook of the older state comes last |
//! | `webhook_never` | the same, and only a look-up tells |
//! | `webhook_forged` | the same, after a webhook with a wrong signature claimed failure |
//! | `late_failure`, `late_failure:<ms>` | paid at once, taken back later, with a webhook |
//!
//! Lost answers, errors, garbage and missing funds strike the first call with a key only; the next
//! call with that key goes as if the script were `succeed`. Any other word is refused with the code
//! `unknown_script`.
//!
//! [`Provider`]: crate::Provider

mod adapter;
mod book;
mod charge;
mod dashboard;
mod delivery;
mod desk;
mod outcome;
mod psp;
mod rows;
mod script;
mod timeline;
mod webhook;
mod wire;

pub use charge::{ChargeAnswer, ChargeInstruction, METHODS, Method, OUTCOMES, parse_method};
pub use dashboard::{DashboardError, DashboardRefund, PaymentBook, Payout};

use crate::InboundWebhook;
use async_trait::async_trait;
use book::Book;
use desk::Desk;
use domain::account::Scope;
use domain::time::Clock;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Mutex;
use webhook::Signer;

/// How the simulator behaves where no script says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimulatorConfig {
    /// The same key again returns the first result. Off, every call that books pays again.
    pub honour_keys: bool,
    /// After how many milliseconds the script `late_failure` takes a refund back.
    pub late_failure_after_ms: i64,
    /// The wait before a refused webhook is delivered again; it doubles with every try.
    pub webhook_retry_ms: i64,
    /// Other processes on this host have the same book open. All of them must say so.
    pub shared: bool,
}

impl Default for SimulatorConfig {
    fn default() -> Self {
        Self {
            honour_keys: true,
            late_failure_after_ms: 1_000,
            webhook_retry_ms: 1_000,
            shared: false,
        }
    }
}

/// Why the simulator cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// Another process (or this one) has the book open, and not as a shared one.
    #[error("the simulator's book is in use")]
    InUse,
    /// The file cannot be opened, or is no book.
    #[error("the simulator's book cannot be opened")]
    Book(#[source] rusqlite::Error),
    /// The book was written by another version.
    #[error("the simulator's book has the layout {0}, which this version does not know")]
    UnknownVersion(i64),
    /// No thread to serve the book.
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

/// Where a refund is, in the PSP's own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefundStatus {
    /// Not paid out yet.
    Pending,
    /// Paid out.
    Succeeded,
    /// Not paid out, or taken back.
    Failed,
}

impl RefundStatus {
    /// Every status.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Succeeded, Self::Failed];

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    const fn code(self) -> i64 {
        match self {
            Self::Pending => 1,
            Self::Succeeded => 2,
            Self::Failed => 3,
        }
    }

    fn from_code(code: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.code() == code)
    }
}

impl fmt::Display for RefundStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where the simulator's webhooks go.
#[async_trait]
pub trait WebhookSink: Send + Sync {
    /// Takes a webhook. True acknowledges it; false has it delivered again later.
    async fn deliver(&self, scope: Scope, webhook: InboundWebhook) -> bool;
}

/// What one step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Refunds that changed their state.
    pub changed: usize,
    /// Webhooks that were acknowledged.
    pub delivered: usize,
    /// Webhooks that were not. They come again, except forged ones.
    pub refused: usize,
}

impl Step {
    /// True when nothing was due.
    pub fn is_idle(&self) -> bool {
        *self == Self::default()
    }
}

/// A PSP with a book of its own, and the adapter that speaks to it.
pub struct Simulator {
    desk: Desk,
    signer: Signer,
    config: SimulatorConfig,
    clock: Arc<dyn Clock>,
    /// Held by the step that is under way.
    turn: Mutex<()>,
}

impl Simulator {
    /// Opens the book at `path`, or makes a new one, and starts the thread that serves it. `seed`
    /// is what ids are drawn from and, for a new book, the secret that signs its webhooks; draw it
    /// at random where the simulator can be reached by others.
    pub fn open(
        path: &Path,
        config: SimulatorConfig,
        clock: Arc<dyn Clock>,
        seed: [u8; 32],
    ) -> Result<Arc<Self>, SimulatorError> {
        let (book, secret) = Book::open(path, config.shared, Arc::clone(&clock), seed)?;
        let desk = Desk::open(book)?;
        Ok(Arc::new(Self {
            desk,
            signer: Signer::new(secret),
            config,
            clock,
            turn: Mutex::new(()),
        }))
    }
}
