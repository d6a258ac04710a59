//! The `refundry` binary from the outside: real processes, real HTTP, real SQLite.

mod access;
mod bad_input;
mod cli;
mod crash;
mod doors;
mod elasticpay;
mod harness;
mod invoices;
mod keys;
mod limits;
mod native;
mod readme;
mod replay;
mod reports;
mod sessions;
mod webhooks;
mod yoco;
