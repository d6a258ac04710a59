//! A seeded simulation of everything that can go wrong.
//!
//! A real engine on real SQLite works with the simulator as its provider. Random callers ask for
//! refunds, repeat themselves and hang up; calls to the provider get lost on the way there or back,
//! or hang until long after their lease; webhooks are refused and come twice; nodes die in the
//! middle of a call and others take over. After every act the books must be in order. Then the
//! trouble stops, and everything must come to its end: each refund is where the provider has it, and
//! nothing was paid twice.
//!
//! Every choice follows from one seed, so that a failure can be played again: [`run`] prints the
//! seed and the acts that led to it.

mod acts;
mod audit;
mod lossy_provider;
mod lossy_webhooks;
mod rng;
mod world;

pub use world::{History, run};
