//! The native door, `/api/v1`: the wire shape of Plugipay, and the operations that Refundry adds.
//! Each resource is a folder with its routes, handlers, wire types and description.

pub mod checkout_sessions;
mod describe;
mod describe_shared;
mod door;
pub mod events;
mod formats;
pub mod holds;
pub mod invoices;
pub mod keys;
pub mod ledger;
mod line;
mod page;
pub mod payments;
pub mod provider_accounts;
pub mod public;
pub mod refunds;
pub mod reports;
pub mod sending;
pub mod unmatched_notices;
pub mod webhooks;

pub use formats::formats;

use crate::openapi::Chapter;

/// This door's part of the document, in the order in which it is shown.
pub fn chapters() -> Vec<Chapter> {
    vec![
        describe_shared::chapter(),
        refunds::describe::chapter(),
        unmatched_notices::describe::chapter(),
        payments::describe::chapter(),
        holds::describe::chapter(),
        checkout_sessions::describe::chapter(),
        invoices::describe::chapter(),
        public::describe::chapter(),
        ledger::describe::chapter(),
        events::describe::chapter(),
        keys::describe::chapter(),
        provider_accounts::describe::chapter(),
        sending::describe::chapter(),
        reports::describe::chapter(),
        webhooks::describe::chapter(),
    ]
}
