//! The pure core of Refundry.
//!
//! Everything that decides about money lives here and knows neither SQL, HTTP, clocks nor
//! randomness: the time and the ids come in as parameters. [`decide::decide`] takes the rows that a
//! command touches, changes them in place and appends events and transfers.

pub mod administer;
pub mod checkout;
mod codes;
pub mod decide;
pub mod event;
pub mod event_view;
pub mod hold;
pub mod ids;
pub mod invoice;
pub mod ledger;
pub mod line_item;
pub mod machine;
pub mod money;
pub mod outcome;
pub mod payment;
pub mod provider;
pub mod provider_account;
pub mod provider_words;
pub mod refund;
pub mod row_key;
pub mod sealed;
pub mod sending;
pub mod tenant;
pub mod time;
pub mod unique_keys;
pub mod view;
pub mod webhook;
