//! Decisions about money: directed cases, and random sequences of commands of which every one must
//! keep the promises.

mod acts;
mod adoption;
mod contradictions;
mod creation;
mod doubts;
mod excess;
mod harness;
mod one_at_a_time;
mod outcomes;
mod provider_model;
mod random;
mod resolving;
mod rows;
mod sending_again;
mod traits;
mod waiting;
