//! Outgoing webhooks: engines with a clock that the tests move, a real receiver over real HTTP, and
//! signatures verified by code that shares nothing with the signing code.

mod addresses;
mod api;
mod document;
pub mod receiver;
mod schedule;
mod sending;
mod server;
pub mod world;
