//! A seeded simulation of failures.
//!
//! A real engine on real SQLite works with the provider simulator. Random callers create refunds,
//! repeat requests and hang up. Calls to the provider get lost on the way there or back, or hang
//! until long after their lease. Webhooks are refused or delivered twice. Nodes die during a call,
//! and other nodes take over. After every act, the books must be in order. Then the faults stop,
//! and every refund must reach a final state: the one it has at the provider, with no refund paid
//! twice.
//!
//! Every choice follows from one seed, so a failure can be repeated: [`run`] prints the seed and
//! the acts that led to the failure.

mod acts;
mod audit;
mod lossy_provider;
mod lossy_webhooks;
mod rng;
mod world;

pub use world::History;

use acts::Act;
use world::World;

/// Plays `acts` random acts, ends the faults and checks the outcome. Panics when a check fails, and
/// prints how to repeat the run.
pub async fn run(seed: u64, acts: usize) -> History {
    let mut world = World::open(seed).await;
    for _ in 0..acts {
        let act = Act::draw(&mut world.rng);
        world.acts.push(format!("{act:?}"));
        world.play(act).await;
        world.check_books().await;
    }
    world.end_faults().await;
    world.check_outcome().await;
    world.history().await
}
