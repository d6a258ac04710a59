//! Runs the simulation for a few seeds in which much happens. `REFUNDRY_SIM_SEED=n cargo test -p
//! refundry-sim` runs another seed, `REFUNDRY_SIM_ACTS=n` a longer run.

use std::env;

const ACTS: usize = 120;

fn from_environment<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}")))
}

/// Runs the given seed, or the one in the environment instead.
async fn play(seed: u64) -> sim::History {
    let seed = from_environment("REFUNDRY_SIM_SEED").unwrap_or(seed);
    sim::run(seed, from_environment("REFUNDRY_SIM_ACTS").unwrap_or(ACTS)).await
}

#[tokio::test]
async fn refunds_match_the_provider_after_the_faults_of_seed_1() {
    play(1).await;
}

#[tokio::test]
async fn refunds_match_the_provider_after_the_faults_of_seed_4() {
    play(4).await;
}

#[tokio::test]
async fn refunds_match_the_provider_after_the_faults_of_seed_9_without_idempotency_keys() {
    play(9).await;
}

#[tokio::test]
async fn refunds_match_the_provider_after_the_faults_of_seed_12_without_idempotency_keys() {
    play(12).await;
}

#[tokio::test]
async fn a_seed_always_gives_the_same_history() {
    let (first, second) = (play(15).await, play(15).await);
    assert_eq!(first, second);
    assert!(!first.refunds.is_empty());
}
