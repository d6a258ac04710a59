//! The doors in process, over a real engine, a real database and the simulator.

mod access;
mod inbound;
mod input;
mod limits;
mod lists;
mod matrix;
mod openapi;
mod payments;
mod refunds;
mod repeated;
mod sockets;
mod world;
mod yoco;
