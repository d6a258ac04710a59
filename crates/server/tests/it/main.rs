//! The `refundry` binary from the outside: real processes, real HTTP, real databases.

mod access;
mod bad_input;
mod cli;
mod crash;
mod harness;
mod invoices;
mod keys;
mod limits;
mod native;
mod postgres;
mod readme;
mod replay;
mod reports;
mod sessions;
mod webhooks;
