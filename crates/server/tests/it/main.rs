//! The `refundry` binary from the outside: real processes, real HTTP, real SQLite.

mod cli;
mod crash;
mod harness;
mod readme;
