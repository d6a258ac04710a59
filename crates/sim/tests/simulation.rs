//! A few seeds in every build, chosen because much happens in them; any other with
//! `REFUNDRY_SIM_SEED=n cargo test -p refundry-sim`, and longer ones with `REFUNDRY_SIM_ACTS=n`.

use std::env;

const ACTS: usize = 120;

fn from_environment<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text:?}")))
}

/// Plays a seed, or the one from the environment instead.
async fn play(seed: u64) -> sim::History {
    let seed = from_environment("REFUNDRY_SIM_SEED").unwrap_or(seed);
    sim::run(seed, from_environment("REFUNDRY_SIM_ACTS").unwrap_or(ACTS)).await
}

#[tokio::test]
async fn everything_adds_up_after_the_trouble_of_seed_1() {
    play(1).await;
}

#[tokio::test]
async fn everything_adds_up_after_the_trouble_of_seed_4() {
    play(4).await;
}

#[tokio::test]
async fn everything_adds_up_after_the_trouble_of_seed_9_whose_provider_honours_no_keys() {
    play(9).await;
}

#[tokio::test]
async fn everything_adds_up_after_the_trouble_of_seed_12_whose_provider_honours_no_keys() {
    play(12).await;
}

#[tokio::test]
async fn a_seed_always_leads_to_the_same_history() {
    let (first, second) = (play(15).await, play(15).await);
    assert_eq!(first, second);
    assert!(!first.refunds.is_empty());
}
