//! Helpers for the tests of all crates.
//!
//! [`EngineRig`] is an engine on a database of its own with the provider simulator, a clock that
//! the test moves, and short methods for common steps. [`Node`] is a second engine that a test can
//! kill at any moment, like a second process. [`StoppingProvider`] stops a call at a chosen step,
//! so that the test can kill the node there. [`TellingProvider`] sends webhooks that say what the test
//! says. [`provider_contract`] holds an adapter to what the engine believes of it. [`postgres`] starts a
//! database server for the test
//! process. [`eventually`] waits for a condition with a limit.

mod clock;
mod condition;
mod contract;
#[cfg(target_os = "linux")]
mod failing_disk;
mod node;
pub mod postgres;
pub mod provider_contract;
mod provider_kind;
mod request;
mod rig;
mod stopping_provider;
mod telling_provider;

pub use clock::ManualClock;
pub use condition::{LIMIT, eventually, within_limit};
pub use contract::{Contract, Exchange};
#[cfg(target_os = "linux")]
pub use failing_disk::fail_every_flush;
pub use node::Node;
pub use provider_kind::{TEST_PSP, http};
pub use request::RefundRequest;
pub use rig::{Backend, EngineRig, Leg, Setup, amounts};
pub use stopping_provider::{StopAt, StoppingProvider};
pub use telling_provider::TellingProvider;
