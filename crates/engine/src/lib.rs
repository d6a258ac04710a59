//! The use-cases of Refundry.
//!
//! Doors call [`Engine`]; the engine turns calls into commands for the committer and into read
//! queries, and its steps do what is due. Doors see `engine` and `domain`, never the store or the
//! providers.

pub mod access;
mod accounts;
mod adapters;
mod ageing;
mod answered;
mod api_keys;
mod checkouts;
mod claims;
mod committer;
mod dispatch;
mod engine;
mod error;
mod events;
pub mod gates;
mod holds;
mod inbound;
mod input;
mod invoices;
mod lane;
mod ledger;
mod locked_rows;
mod looking;
mod payments;
pub mod provider_accounts;
mod readiness;
mod reconcile;
mod reconcile_span;
mod refunds;
mod replay;
mod reports;
mod retention;
mod retry_policy;
mod secrets;
mod sending;
mod stored_responses;
mod tenant_cache;
mod unique_keys;
mod unmatched;
mod waiters;
pub mod webhooks;

pub use accounts::{KeyListing, MadeKey, NewKey};
pub use ageing::AgedUntil;
pub use answered::Answered;
pub use api_keys::KeyOwner;
pub use checkouts::{MANUAL, find_method, method_ids};
pub use claims::NextWork;
pub use committer::CommitterConfig;
pub use dispatch::Leased;
pub use domain::checkout::NewCheckout;
pub use domain::decide::Resolution;
pub use domain::decide::hold::End;
pub use domain::event_view::{EventSubject, EventView};
pub use domain::hold::NewHold;
pub use domain::invoice::NewInvoice;
pub use domain::payment::NewPayment;
pub use domain::refund::{NewRefund, RefundView};
pub use engine::{Engine, EngineConfig, Parts};
pub use error::Error;
pub use inbound::WebhookError;
pub use input::{IdempotencyKey, KeyRequest, PaymentName};
pub use ledger::{Direction, Entry};
pub use providers::{
    AdapterOf, DisputeNotice, DisputeStage, Field, InboundWebhook, LONGEST_SECRET, LONGEST_VALUE,
    OUTCOMES, ProviderKind, Registry, WebhookAnswer, WebhookRefused, http, outbound,
};
pub use readiness::NotReady;
pub use reconcile::{Asked, Reconciled, Tally};
pub use reconcile_span::{Place, Span, SpanStep};
pub use refunds::Decision;
pub use replay::{Aggregate, Replayed, Triggered};
pub use reports::{Day, Movements};
pub use retention::{Retention, Sweep};
pub use retry_policy::{Backoff, RetryPolicies, RetryPolicy};
pub use secrets::{MasterKey, MasterKeyId, SecretError};
pub use sending::SendingStatus;
pub use store::{
    Account, Backlog, Balance, CheckoutFilter, Copied, DeliveryFilter, Difference, EventFilter,
    InvoiceFilter, Page, PageQuery, PostgresStore, ProviderAccountFilter, RefundFilter, Report,
    SortOrder, SqliteStore, Store, StoreError, TransferFilter,
};
pub use stored_responses::{IdempotentRequest, Keyed};
pub use unmatched::{KeptNotice, NoticeAbout, Unmatched};
