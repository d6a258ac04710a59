//! When a gate lets nothing through, and when it does again.

use crate::setup::{FAST, Setup, key};
use domain::tenant::{Mode, Tenant};
use engine::gates::{GateKey, Gates, Pace, Permit, Verdict, Why, Work};
use std::time::Duration;

const STRIPE: fn() -> GateKey = || key(1, "stripe");

fn lose(setup: &mut Setup, calls: u32) {
    for _ in 0..calls {
        setup.call(STRIPE(), Verdict::Lost);
    }
}

#[test]
fn the_pace_is_kept_and_the_told_time_is_when_it_goes_on() {
    let mut setup = Setup::new(256, Pace { per_second: 5, burst: 1, at_once: 10 });
    setup.call(STRIPE(), Verdict::Answered);
    assert_eq!(setup.closed(STRIPE()), Some((Why::Paced, Some(200))));
    setup.pass_ms(199);
    assert_eq!(setup.closed(STRIPE()), Some((Why::Paced, Some(1))));
    setup.pass_ms(1);
    setup.call(STRIPE(), Verdict::Answered);
}

#[test]
fn a_further_call_of_a_permit_counts_and_a_call_that_was_not_made_does_not() {
    let mut setup = Setup::new(256, Pace { per_second: 10, burst: 1, at_once: 10 });
    let permit = setup.enter(STRIPE(), Work::Due).expect("open");
    permit.call_again(setup.now);
    permit.call_again(setup.now);
    drop(permit);
    assert_eq!(setup.closed(STRIPE()), Some((Why::Paced, Some(300))));
    setup.pass_ms(300);
    setup.enter(STRIPE(), Work::Due).expect("open").give_back(setup.now);
    setup.call(STRIPE(), Verdict::Answered);
}

#[test]
fn room_is_as_much_as_gets_in() {
    for total in [1, 2, 4, 7, 40, 256] {
        for at_once in [1, 2, 5, 100] {
            for burst in [1, 3, 20] {
                let setup = Setup::new(total, Pace { per_second: 1, burst, at_once });
                let _others = setup.fill(key(2, "paypal"), Work::New);
                let room = setup.gates.room(&STRIPE(), setup.pace, setup.now);
                let entered = setup.fill(STRIPE(), Work::Due).len();
                assert_eq!(usize::try_from(room), Ok(entered), "{total} {at_once} {burst}");
            }
        }
    }
}

#[test]
fn too_many_requests_halves_the_calls_at_once_and_closes_as_long_as_the_provider_says() {
    let mut setup = Setup::new(1_000, Pace { at_once: 32, ..FAST });
    let under_way = setup.fill(STRIPE(), Work::New);
    assert_eq!(under_way.len(), 32);
    for permit in &under_way {
        setup.report(permit, Verdict::Throttled { retry_after_ms: Some(7_000) });
    }
    drop(under_way);
    assert_eq!(setup.closed(STRIPE()), Some((Why::Throttled, Some(7_000))));
    setup.pass_ms(7_000);
    assert_eq!(setup.fill(STRIPE(), Work::New).len(), 16);
    for _ in 0..10 {
        setup.call(STRIPE(), Verdict::Answered);
    }
    assert_eq!(setup.fill(STRIPE(), Work::New).len(), 17);
    for _ in 0..150 {
        setup.call(STRIPE(), Verdict::Answered);
    }
    assert_eq!(setup.fill(STRIPE(), Work::New).len(), 32);
}

#[test]
fn a_pause_of_a_year_is_an_hour() {
    let mut setup = Setup::new(256, FAST);
    setup.call(STRIPE(), Verdict::Throttled { retry_after_ms: Some(365 * 86_400_000) });
    assert_eq!(setup.closed(STRIPE()), Some((Why::Throttled, Some(3_600_000))));
    // Somebody who resumes the gate does not know better than the provider.
    setup.gates.resume(&STRIPE());
    assert_eq!(setup.closed(STRIPE()), Some((Why::Throttled, Some(3_600_000))));
    setup.pass_ms(3_600_000);
    assert_eq!(setup.closed(STRIPE()), None);
}

#[test]
fn a_provider_that_is_down_is_asked_by_one_call_at_a_time() {
    let mut setup = Setup::new(256, FAST);
    lose(&mut setup, 5);
    let (why, wait) = setup.closed(STRIPE()).expect("open breaker");
    assert_eq!(why, Why::BreakerOpen);
    assert_eq!(setup.gates.room(&STRIPE(), setup.pace, setup.now), 0);
    setup.pass_ms(wait.expect("a time"));
    assert_eq!(setup.gates.room(&STRIPE(), setup.pace, setup.now), 1);
    let probe = setup.enter(STRIPE(), Work::New).expect("a probe");
    assert_eq!(setup.closed(STRIPE()), Some((Why::BreakerOpen, None)));
    // Its lease was taken by another node: another call may find out.
    drop(probe);
    let probe = setup.enter(STRIPE(), Work::Due).expect("a probe");
    setup.report(&probe, Verdict::NotConnected);
    drop(probe);
    let (_, longer) = setup.closed(STRIPE()).expect("open again");
    assert!(longer > wait, "{longer:?} after {wait:?}");
    setup.pass_ms(longer.expect("a time"));
    setup.call(STRIPE(), Verdict::Answered);
    assert!(setup.fill(STRIPE(), Work::Due).len() > 1);
}

#[test]
fn gates_do_not_know_of_each_other() {
    let mut setup = Setup::new(256, FAST);
    lose(&mut setup, 5);
    let test_mode = GateKey { tenant: Tenant::new(1, Mode::Test), ..STRIPE() };
    let second_account = GateKey { account: Some(ulid::Ulid(7)), ..STRIPE() };
    for other in [key(2, "stripe"), key(1, "paypal"), test_mode, second_account] {
        assert_eq!(setup.closed(other), None, "{other:?}");
    }
}

#[test]
fn refused_credentials_close_a_gate_until_somebody_resumes_it() {
    let mut setup = Setup::new(256, FAST);
    for _ in 0..3 {
        setup.call(STRIPE(), Verdict::Unauthorized);
    }
    assert_eq!(setup.closed(STRIPE()), Some((Why::Unauthorized, Some(15 * 60_000))));
    setup.gates.resume(&STRIPE());
    setup.call(STRIPE(), Verdict::Answered);
}

#[test]
fn a_pace_of_zero_counts_as_one() {
    let setup = Setup::new(0, Pace { per_second: 0, burst: 0, at_once: 0 });
    let under_way = setup.fill(STRIPE(), Work::Due);
    assert_eq!(under_way.len(), 1);
    assert_eq!(setup.closed(STRIPE()), Some((Why::Busy, None)));
    drop(under_way);
    assert_eq!(setup.closed(STRIPE()), Some((Why::Paced, Some(1_000))));
}

#[test]
fn states_tell_how_each_gate_stands() {
    let mut setup = Setup::new(256, Pace { per_second: 10, burst: 20, at_once: 8 });
    let _under_way = setup.enter(key(2, "adyen"), Work::Due).expect("open");
    setup.call(STRIPE(), Verdict::Throttled { retry_after_ms: Some(2_000) });
    let states = setup.gates.states(setup.now);
    let seen: Vec<_> = states
        .iter()
        .map(|s| (s.key, s.calls_at_once, s.limit, s.calls_left, s.closed.map(|c| c.why)))
        .collect();
    let expected = [(STRIPE(), 0, 4, 19, Some(Why::Throttled)), (key(2, "adyen"), 1, 8, 19, None)];
    assert_eq!(seen, expected);
    let later = setup.gates.states(setup.now.plus_ms(100));
    assert_eq!(later[0].calls_left, 20);
}

#[test]
fn a_panic_gives_the_slot_back() {
    let setup = Setup::new(256, FAST);
    let permit = setup.enter(STRIPE(), Work::Due).expect("open");
    let task = std::thread::spawn(move || {
        let _permit = permit;
        std::panic::resume_unwind(Box::new("an adapter that panics"));
    });
    assert!(task.join().is_err());
    assert_eq!(setup.gates.calls_at_once(), 0);
}

#[test]
fn threads_never_exceed_the_limits_and_return_every_slot() {
    fn sent<T: Send + 'static>(value: T) -> T {
        value
    }
    const PACE: Pace = Pace { per_second: 1_000_000, burst: 1_000_000, at_once: 3 };
    let setup = Setup::new(8, PACE);
    let now = setup.now;
    let threads: Vec<_> = (0..4)
        .map(|account| {
            let gates: Gates = sent(setup.gates.clone());
            std::thread::spawn(move || {
                let mut entered = 0;
                for n in 0..2_000 {
                    let work = if n % 3 == 0 { Work::New } else { Work::Due };
                    let key = key(account % 2, "stripe");
                    let permit = gates.try_enter(&key, PACE, work, now).map(sent::<Permit>);
                    entered += u32::from(permit.is_ok());
                    let states = gates.states(now);
                    assert!(states.iter().all(|state| state.calls_at_once <= 3), "{states:?}");
                    assert!(states.iter().map(|state| state.calls_at_once).sum::<u32>() <= 8);
                }
                entered
            })
        })
        .collect();
    for thread in threads {
        assert!(thread.join().expect("no panic") > 0);
    }
    assert_eq!(setup.gates.calls_at_once(), 0);
}

#[tokio::test]
async fn who_waits_for_room_or_for_the_end_of_all_calls_is_woken() {
    let setup = Setup::new(256, FAST);
    let (first, second) = (setup.enter(STRIPE(), Work::Due), setup.enter(STRIPE(), Work::New));
    let gates = setup.gates.clone();
    let all_out = tokio::spawn(async move { gates.all_out().await });
    let limit = Duration::from_secs(10);
    // It begins to wait while both are under way.
    tokio::task::yield_now().await;
    drop(first);
    tokio::time::timeout(limit, setup.gates.room_made()).await.expect("room was made");
    tokio::task::yield_now().await;
    assert!(!all_out.is_finished());
    drop(second);
    tokio::time::timeout(limit, all_out).await.expect("in time").expect("no panic");
    tokio::time::timeout(limit, setup.gates.all_out()).await.expect("nothing is under way");
}
