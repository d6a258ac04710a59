//! Tests of the `refundry` binary from outside: real processes, real HTTP, real databases.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::format_collect,
    reason = "a failed expectation ends the test, and real servers need real time"
)]

mod access;
mod bad_input;
mod by_hand;
mod cli;
mod crash;
#[cfg(target_os = "linux")]
mod disk;
mod doors;
mod elasticpay;
mod harness;
mod invoices;
mod keys;
mod limits;
mod load;
mod native;
mod network;
mod nodes;
mod postgres;
mod provider_page;
mod providers;
mod readme;
mod replay;
mod reports;
mod restore;
mod retention;
mod sessions;
mod simulator;
mod webhooks;
mod yoco;
