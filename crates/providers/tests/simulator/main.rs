//! The simulator through its public face: a real book, a clock that moves by hand.

mod books;
mod dashboard;
mod scripts;
mod shared;
mod till;
mod webhooks;
