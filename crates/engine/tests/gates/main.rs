//! Admission of calls to payment providers, on a clock that is set by hand.

mod counted;
mod fairness;
mod limits;
mod properties;
mod setup;
