//! Decisions about what is set up by people and moves no money: provider accounts, and the switches that stop sending.
//!
//! As with [`decide`](crate::decide), a command is refused and changes nothing, or changes rows and appends events.

pub mod provider_account;
pub mod sending;
