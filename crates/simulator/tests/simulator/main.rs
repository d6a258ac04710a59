//! The simulator through its public face: a real book, a clock that moves by hand.

mod books;
mod dashboard;
mod pages;
mod psp;
mod scripts;
mod shared;
mod webhooks;
