//! The doors in process, over a real engine, a real database and the simulator.

mod access;
mod by_hand;
mod holds;
mod inbound;
mod input;
mod limits;
mod lists;
mod matrix;
mod openapi;
mod payments;
mod provider_accounts;
mod refunds;
mod repeated;
mod sending;
mod sockets;
mod unmatched;
mod world;
mod yoco;
