//! The `refundry` binary from the outside: real processes, real HTTP, real SQLite.

mod access;
mod bad_input;
mod cli;
mod crash;
mod harness;
mod native;
mod readme;
