//! Nobody keeps others from their turn.

use crate::setup::{FAST, Setup, key};
use engine::gates::{Pace, Permit, RoundRobin, Why, Work};
use std::collections::BTreeMap;

#[test]
fn forty_refunds_at_a_provider_that_hangs_leave_room_for_a_healthy_one() {
    for total in 3..=256 {
        let mut setup = Setup::new(total, FAST);
        let hanging = setup.admit([key(1, "hangs"); 40]);
        assert!(!hanging.is_empty());
        let hanging_too = setup.fill(key(1, "hangs"), Work::New);
        let healthy = setup.enter(key(2, "answers"), Work::Due);
        assert!(healthy.is_ok(), "{total} slots, {} hang", hanging.len());
        drop(healthy);
        assert!(setup.enter(key(2, "answers"), Work::New).is_ok(), "{total} slots, new");
        drop(hanging_too);
    }
}

#[test]
fn a_thousand_tenants_of_a_provider_that_hangs_leave_room_as_well() {
    for total in [3, 4, 5, 6, 7, 8, 9, 16, 33, 64, 256] {
        let mut setup = Setup::new(total, FAST);
        let hanging = setup.admit((0..1_000).flat_map(|account| [key(account, "hangs"); 10]));
        assert!(hanging.len() < total, "{total} slots");
        let new: Vec<_> =
            (0..1_000).filter_map(|n| setup.enter(key(n, "hangs"), Work::New).ok()).collect();
        assert!(!new.is_empty());
        assert!(setup.enter(key(2, "answers"), Work::Due).is_ok(), "{total} slots");
        let closed = setup.enter(key(1_001, "hangs"), Work::Due).expect_err("it hangs");
        assert_eq!(closed.why, Why::ProviderBusy);
    }
}

#[test]
fn one_account_of_a_provider_leaves_room_for_the_others_at_it() {
    for total in [4, 16, 256] {
        let setup = Setup::new(total, FAST);
        let backlog = setup.fill(key(1, "stripe"), Work::Due);
        assert!(!backlog.is_empty());
        assert!(setup.enter(key(2, "stripe"), Work::Due).is_ok(), "{total} slots");
    }
}

#[test]
fn several_hanging_providers_still_leave_room() {
    let setup = Setup::new(256, FAST);
    let hanging: Vec<_> = ["adyen", "mollie", "paypal"]
        .into_iter()
        .map(|name| setup.fill(key(1, name), Work::Due))
        .collect();
    let counts: Vec<_> = hanging.iter().map(Vec::len).collect();
    assert_eq!(counts, [108, 47, 20]);
    assert!(setup.enter(key(2, "stripe"), Work::Due).is_ok());
}

#[test]
fn a_new_refund_does_not_queue_behind_a_backlog() {
    let pace = Pace { per_second: 10, burst: 40, at_once: 16 };
    let mut setup = Setup::new(256, pace);
    let mut backlog = setup.admit(vec![key(1, "stripe"); 1_000]);
    assert_eq!(backlog.len(), 12, "three quarters of the slots");
    assert_eq!(setup.fill(key(1, "stripe"), Work::New).len(), 4, "the rest");
    // Quick calls use up the pace instead.
    loop {
        backlog.clear();
        backlog = setup.admit(vec![key(1, "stripe"); 1_000]);
        if backlog.is_empty() {
            break;
        }
    }
    assert_eq!(setup.closed(key(1, "stripe")).map(|(why, _)| why), Some(Why::Paced));
    assert!(setup.enter(key(1, "stripe"), Work::New).is_ok());
}

#[test]
fn new_refunds_do_not_keep_a_backlog_from_its_turn() {
    for (at_once, burst) in [(1, 1), (2, 2), (1, 100), (100, 1), (16, 40)] {
        let pace = Pace { per_second: 100, burst, at_once };
        let mut setup = Setup::new(256, pace);
        let (mut new, mut due) = (0, 0);
        for _ in 0..1_000 {
            setup.pass_ms(10);
            // There are always more new refunds than the pace allows.
            let under_way = setup.fill(key(1, "stripe"), Work::New);
            new += under_way.len();
            due += setup.admit([key(1, "stripe")]).len();
            drop(under_way);
        }
        assert!(due >= 240, "{pace:?}: {due} due, {new} new");
        assert!(new >= 240, "{pace:?}: {due} due, {new} new");
        assert!(due + new <= 1_000 + usize::try_from(burst).expect("small"));
    }
}

#[test]
fn new_refunds_of_all_accounts_do_not_fill_the_node_while_a_backlog_waits() {
    for total in [1, 2, 3, 4, 256] {
        let mut setup = Setup::new(total, FAST);
        let fill = |setup: &Setup| -> Vec<Permit> {
            (10..1_000).filter_map(|n| setup.enter(key(n, "stripe"), Work::New).ok()).collect()
        };
        let mut turns_until_due = 0;
        let mut under_way = fill(&setup);
        while setup.admit([key(1, "paypal")]).is_empty() {
            turns_until_due += 1;
            assert!(turns_until_due < 3, "{total} slots");
            under_way.clear();
            under_way = fill(&setup);
        }
    }
}

#[test]
fn a_backlog_of_a_million_is_one_turn_in_three() {
    let backlog = std::iter::repeat_n((key(1, "stripe"), 0_u32), 1_000_000);
    let others = (1..=100).flat_map(|n| [(key(2, "stripe"), n), (key(3, "paypal"), n)]);
    let turns = RoundRobin::default().order(backlog.chain(others));
    let mut served: BTreeMap<_, u32> = BTreeMap::new();
    for (key, item) in turns.take(400) {
        let count = served.entry(key).or_default();
        *count += 1;
        assert!(item == 0 || item == *count, "in their own order");
    }
    // PayPal has every second turn until it is done, and the two accounts at Stripe the others.
    assert_eq!(served.get(&key(3, "paypal")), Some(&100));
    assert_eq!(served.get(&key(2, "stripe")), Some(&100));
}

#[test]
fn a_round_begins_behind_the_gate_that_was_served_last() {
    let mut setup = Setup::new(1, FAST);
    let due = [
        key(1, "adyen"),
        key(2, "adyen"),
        key(3, "adyen"),
        key(1, "mollie"),
        key(2, "mollie"),
        key(9, "stripe"),
    ];
    let mut order = Vec::new();
    for _ in 0..9 {
        let admitted = setup.admit(due.into_iter().chain(vec![key(1, "adyen"); 1_000]));
        order.extend(admitted.iter().map(|permit| *permit.key()));
    }
    let expected = [0, 3, 5, 1, 4, 5, 2, 3, 5].map(|at| due[at]);
    assert_eq!(order, expected);
    assert_eq!(setup.turns.last("adyen"), Some(key(3, "adyen")));
}

#[test]
fn a_gate_that_is_passed_over_since_its_provider_is_busy_comes_first_next_time() {
    let pace = Pace { at_once: 1, ..FAST };
    let mut setup = Setup::new(4, pace);
    let mut served = BTreeMap::<_, u32>::new();
    for _ in 0..40 {
        let due = (1..=10).map(|account| key(account, "stripe")).chain([key(1, "paypal")]);
        for permit in setup.admit(due) {
            *served.entry(*permit.key()).or_default() += 1;
        }
    }
    let mut stripe = (1..=10).map(|account| served[&key(account, "stripe")]);
    assert!(stripe.all(|turns| turns == 4), "{served:?}");
}
