//! The parts that every door shares. Nothing here names a door: a door declares its differences in
//! its `Door`.

pub mod admit;
pub mod answer;
pub mod auth;
pub mod body;
pub mod call;
pub mod checkout;
pub mod csv;
pub mod envelope;
pub mod headers;
pub mod idempotent;
pub mod invalid;
pub mod limits;
pub mod payment_ref;
pub mod print;
pub mod problem;
pub mod query;
mod refusal;
pub mod route;
pub mod sign;
pub mod time;
