//! Queries that both databases answer, one file per resource: its filters and rows, its queries as values,
//! and the index that each list must use. Also what a verification checks.
//!
//! In a text that both databases share, the parameters are `$1`, `$2` … and first occur in that order,
//! since `SQLite` numbers them by their first occurrence.

pub(crate) mod accounts;
pub(crate) mod api_keys;
pub(crate) mod backlog;
pub(crate) mod checkouts;
pub(crate) mod deliveries;
pub(crate) mod endpoints;
pub(crate) mod events;
pub(crate) mod holds;
pub(crate) mod invoices;
pub(crate) mod keys;
pub(crate) mod ledger;
pub(crate) mod payments;
pub(crate) mod provider_accounts;
mod pruning;
mod query;
#[cfg(test)]
pub(crate) mod query_plans;
pub(crate) mod reconcile;
pub(crate) mod refunds;
pub(crate) mod sending;
pub(crate) mod stored_responses;
pub(crate) mod unmatched_notices;
mod verify;

pub use accounts::Account;
pub use backlog::Backlog;
pub use checkouts::CheckoutFilter;
pub use deliveries::{DeliveryFilter, DueBatch, DueDelivery, EndpointCursor, Replay};
pub use events::EventFilter;
pub use invoices::InvoiceFilter;
pub use ledger::{Balance, TransferFilter, TransferSum};
pub use provider_accounts::ProviderAccountFilter;
pub use pruning::{Mark, Pruned};
pub(crate) use pruning::{OTHER, Passed, THINGS, is_told, next_scope, of_kind, others, walk_page};
pub(crate) use query::{Arg, Dialect, Query, Select, first_at};
pub use query::{Page, PageQuery, SortOrder};
pub use refunds::{ClaimedRefund, InDoubt, Lane, LaneOwner, RefundFilter};
pub use unmatched_notices::NoticeFilter;
pub(crate) use verify::{CHECKS, written};
pub use verify::{Difference, Report};
