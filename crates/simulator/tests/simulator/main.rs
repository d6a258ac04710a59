//! The simulator through its public interface, on a real book, with a clock that tests move.

mod books;
mod cruel;
mod dashboard;
mod pages;
mod psp;
mod scripts;
mod shared;
mod webhooks;
