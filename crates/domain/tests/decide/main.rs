//! Decisions about money: directed cases, and random sequences of commands of which every one must
//! keep the promises.

mod adoption;
mod creation;
mod harness;
mod outcomes;
mod random;
mod rows;
