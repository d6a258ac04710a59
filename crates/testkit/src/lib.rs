//! What tests share.
//!
//! [`EngineRig`] is an engine with everything around it: a database and the simulator's book in a
//! folder of their own, a clock that stands still, and verbs that read as English. [`Node`] is a
//! second process, as far as that goes inside one test: it can be killed at any moment.
//! [`postgres`] is a database server for as long as a test process lives. [`StoppingProvider`] makes that moment one of the moves of a money step. Whatever is waited for is a
//! condition with a limit ([`eventually`]).

mod clock;
mod condition;
mod contract;
mod node;
pub mod postgres;
mod request;
mod rig;
mod stopping_provider;

pub use clock::ManualClock;
pub use condition::{LIMIT, eventually, within_limit};
pub use contract::{Contract, Exchange};
pub use node::Node;
pub use request::RefundRequest;
pub use rig::{Backend, EngineRig, Leg, Setup, amounts};
pub use stopping_provider::{StopAt, StoppingProvider};
