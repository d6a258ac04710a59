//! The doors. Each has its own paths, wire types and error table, and names no other.

pub mod elasticpay;
pub mod inbound;
pub mod native;
pub mod yoco;
