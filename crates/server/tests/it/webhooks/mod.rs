//! Outgoing webhooks: engines whose clock stands still, a real receiver over real HTTP, and
//! signatures checked by code that shares nothing with what makes them.

mod addresses;
mod api;
mod document;
pub mod receiver;
mod schedule;
mod sending;
mod server;
pub mod world;
