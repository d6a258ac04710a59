//! Runs the simulation for many seeds, in a few tests, so that they use the cores there are.
//! `REFUNDRY_SIM_SEED=n cargo test -p refundry-sim` runs one seed alone, and `cargo xtask sim` as many as
//! wanted.

use std::env;

/// Refunds of one run.
const REFUNDS: usize = 150;

/// Refunds of one test.
const ALL_REFUNDS: usize = 5_000;

/// Plays seeds from the first one on, or the one in the environment instead.
fn play_from(first: u64) {
    if let Ok(seed) = env::var("REFUNDRY_SIM_SEED") {
        sim::run(seed.parse().expect("a number"), REFUNDS);
        return;
    }
    let (mut seed, mut requests) = (first, 0);
    while requests < ALL_REFUNDS {
        requests += sim::run(seed, REFUNDS).requests;
        seed += 1;
    }
}

#[test]
fn what_was_paid_is_booked_or_waits_for_a_person_from_seed_1() {
    play_from(1);
}

#[test]
fn what_was_paid_is_booked_or_waits_for_a_person_from_seed_1000() {
    play_from(1_000);
}

#[test]
fn what_was_paid_is_booked_or_waits_for_a_person_from_seed_2000() {
    play_from(2_000);
}

#[test]
fn what_was_paid_is_booked_or_waits_for_a_person_from_seed_3000() {
    play_from(3_000);
}

#[test]
fn a_seed_always_gives_the_same_history() {
    let (first, second) = (sim::run(15, 60), sim::run(15, 60));
    assert_eq!(first, second);
    assert!(!first.refunds.is_empty());
}
