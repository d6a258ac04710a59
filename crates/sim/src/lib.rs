//! A seeded simulation of failures.
//!
//! Real engines on real SQLite work with the provider simulator, whose cruelties are drawn from the seed.
//! Random callers create refunds, repeat requests and hang up. Calls to the provider get lost on the way
//! there or back, or hang until long after their lease. Webhooks are refused, lost or delivered twice.
//! Nodes die during a call, and other nodes take over; clocks go back; a database is lost, and an old copy
//! takes its place, which then reads from the provider what it missed. Persons look at the provider and decide.
//! Payments are disputed meanwhile, persons hold money, and the sending is stopped and started.
//!
//! Between the acts, the books must be in order, and nobody may be told that a refund failed while the
//! provider has paid it and said so. Then the faults stop. All that the provider paid must be booked or
//! wait for a person, and once persons have decided, all of it must be booked, and nothing else.
//!
//! Every choice follows from one seed, so a failure can be repeated: [`run`] prints the seed and
//! the acts that led to the failure.

mod acts;
mod audit;
mod audit_holds;
mod counts;
mod disputes;
mod facts;
mod failover;
mod lossy_provider;
mod lossy_webhooks;
mod person;
mod profile;
mod rng;
mod sending;
mod world;

pub use world::History;

use acts::Act;
use audit::Stage;
use world::World;

/// Acts between two audits.
const ACTS_PER_AUDIT: usize = 50;

/// Plays random acts until `refunds` refunds were asked for, ends the faults and checks the outcome.
/// Panics when a check fails, and prints how to repeat the run.
pub fn run(seed: u64, refunds: usize) -> History {
    // Each run has a runtime of its own, which ends whatever its nodes have left behind.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(play(seed, refunds))
}

async fn play(seed: u64, refunds: usize) -> History {
    let mut world = World::open(seed).await;
    while world.asked < refunds {
        let act = Act::draw(&mut world.rng);
        world.acts.push(format!("{act:?}"));
        world.play(act).await;
        if world.acts.len().is_multiple_of(ACTS_PER_AUDIT) {
            world.audit(Stage::Acts).await;
        }
    }
    world.end_faults().await;
    world.audit(Stage::Settled).await;
    world.person_ends_everything().await;
    world.audit(Stage::Resolved).await;
    world.history().await
}
