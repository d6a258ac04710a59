//! The HTTP client of adapters against real sockets: how far a request can have come whenever it
//! fails, and what may be said about a refund after it.

mod answering;
mod connecting;
mod gateway;
mod hosts;
mod refusing;
mod reusing;
mod sending;
