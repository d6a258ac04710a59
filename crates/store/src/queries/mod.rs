//! Queries that both databases answer: their filters and rows, their text where it is the same, and what
//! a verification checks.
//!
//! In a text that both databases share, the parameters are `$1`, `$2` … and first occur in that order,
//! since `SQLite` numbers them by their first occurrence.

mod accounts;
mod backlog;
mod due;
mod events;
mod filters;
mod ledger;
mod lists;
mod pruning;
#[cfg(test)]
pub(crate) mod query_plans;
mod verify;
mod webhooks;

pub(crate) use accounts::{
    API_KEY_BY_HASH, API_KEY_BY_ID, API_KEYS_IN_ORDER, API_KEYS_OF_ACCOUNT, select_accounts,
    select_api_keys,
};
pub use backlog::Backlog;
pub(crate) use backlog::{COUNT_BACKLOG, read_backlog};
pub(crate) use due::{
    DUE_CHECKOUTS, DUE_INVOICES, DUE_REFUNDS, NEXT_CHECKOUT_DUE, NEXT_REFUND_DUE,
    read_due_checkout, read_due_invoice, read_due_refund,
};
pub(crate) use events::{Joined, read_joined, read_refund_view};
pub use filters::{
    Account, ApiKeyRow, Balance, CheckoutFilter, DeliveryFilter, DueBatch, DueDelivery, DueRefund,
    EndpointCursor, EventFilter, InvoiceFilter, NewApiKey, Page, PageQuery, RefundFilter,
    SortOrder, TransferFilter, TransferSum,
};
pub(crate) use ledger::{BALANCES, SUM_POSTINGS, read_posting_sum};
pub(crate) use lists::{
    Arg, ListQuery, checkouts_query, deliveries_query, delivery_query, event_query, events_query,
    invoices_query, payments_query, refund_query, refund_view_columns, refunds_query,
    select_events, transfers_query,
};
pub use pruning::{Mark, Pruned};
pub(crate) use pruning::{
    OTHER, Passed, THINGS, is_told, next_scope, of_kind, others, read_passed, walk_page,
};
pub(crate) use verify::{CHECKS, written};
pub use verify::{Difference, Report};
pub use webhooks::Replay;
pub(crate) use webhooks::{
    ACCOUNT_OF, read_due_endpoint, select_attempts, select_due_deliveries, select_endpoints,
};

use domain::time::Timestamp;
use ulid::Ulid;

/// The smallest id that can be made at `at`.
pub(crate) fn first_at(at: Timestamp) -> Ulid {
    Ulid::from_parts(u64::try_from(at.0).unwrap_or(0), 0)
}
