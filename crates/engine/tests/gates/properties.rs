//! Random steps in random order.

use crate::setup::{Setup, key};
use domain::time::Timestamp;
use engine::gates::{GateKey, Pace, Permit, Verdict, Why, Work};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};

const PROVIDERS: [&str; 3] = ["adyen", "mollie", "stripe"];

const LARGEST_SETBACK_MS: i64 = 5_000_000;

#[derive(Clone, Debug)]
enum Step {
    Enter(GateKey, Work),
    Room(GateKey),
    Admit(Vec<GateKey>),
    /// The number counts the calls under way, again from the first behind the last.
    Report(usize, Verdict),
    CallAgain(usize),
    Leave(usize),
    GiveBack(usize),
    Pass(i64),
    Resume(GateKey),
}

fn keys() -> impl Strategy<Value = GateKey> {
    (0..3_u32, 0..PROVIDERS.len()).prop_map(|(account, at)| key(account, PROVIDERS[at]))
}

fn works() -> impl Strategy<Value = Work> {
    prop_oneof![Just(Work::New), Just(Work::Due)]
}

fn verdicts() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        4 => Just(Verdict::Answered),
        2 => Just(Verdict::NotConnected),
        4 => Just(Verdict::Lost),
        2 => Just(Verdict::Unauthorized),
        2 => proptest::option::of(any::<i64>())
            .prop_map(|retry_after_ms| Verdict::Throttled { retry_after_ms }),
    ]
}

fn times() -> impl Strategy<Value = i64> {
    prop_oneof![6 => 0..50_i64, 4 => 0..3_000_i64, 2 => 0..4_000_000_i64, 1 => -LARGEST_SETBACK_MS..0]
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (keys(), works()).prop_map(|(key, work)| Step::Enter(key, work)),
        3 => keys().prop_map(Step::Room),
        4 => proptest::collection::vec(keys(), 0..20).prop_map(Step::Admit),
        6 => (any::<usize>(), verdicts()).prop_map(|(at, verdict)| Step::Report(at, verdict)),
        1 => any::<usize>().prop_map(Step::CallAgain),
        6 => any::<usize>().prop_map(Step::Leave),
        2 => any::<usize>().prop_map(Step::GiveBack),
        6 => times().prop_map(Step::Pass),
        2 => keys().prop_map(Step::Resume),
    ]
}

fn paces() -> impl Strategy<Value = Pace> {
    (1..200_u32, 1..20_u32, 1..12_u32).prop_map(|(per_second, burst, at_once)| Pace {
        per_second,
        burst,
        at_once,
    })
}

/// The calls under way, and when calls of each gate went since the clock was last set back.
struct Seen {
    setup: Setup,
    total: usize,
    under_way: Vec<(Permit, Timestamp)>,
    went: BTreeMap<GateKey, Vec<Timestamp>>,
}

impl Seen {
    fn entered(&mut self, permit: Permit) {
        self.went.entry(*permit.key()).or_default().push(self.setup.now);
        self.under_way.push((permit, self.setup.now));
    }

    fn take(&mut self, at: usize) -> Option<(Permit, Timestamp)> {
        let at = at.checked_rem(self.under_way.len())?;
        Some(self.under_way.swap_remove(at))
    }

    fn step(&mut self, step: Step) {
        let now = self.setup.now;
        match step {
            Step::Enter(key, work) => {
                if let Ok(permit) = self.setup.enter(key, work) {
                    self.entered(permit);
                }
            }
            Step::Room(key) => {
                let room = self.setup.gates.room(&key, self.setup.pace, now);
                for _ in 0..room {
                    let permit = self.setup.enter(key, Work::Due).expect("there was room");
                    self.entered(permit);
                }
                assert!(self.setup.enter(key, Work::Due).is_err(), "there was no more room");
            }
            Step::Admit(due) => {
                for permit in self.setup.admit(due) {
                    self.entered(permit);
                }
            }
            Step::Report(at, verdict) => {
                if let Some(at) = at.checked_rem(self.under_way.len()) {
                    self.setup.report(&self.under_way[at].0, verdict);
                }
            }
            Step::CallAgain(at) => {
                if let Some(at) = at.checked_rem(self.under_way.len()) {
                    self.under_way[at].0.call_again(now);
                }
            }
            Step::Leave(at) => drop(self.take(at)),
            Step::GiveBack(at) => {
                if let Some((permit, entered_at)) = self.take(at) {
                    // As if it had never gone.
                    let went = self.went.entry(*permit.key()).or_default();
                    if let Some(at) = went.iter().position(|at| *at == entered_at) {
                        went.remove(at);
                    }
                    permit.give_back(now);
                }
            }
            Step::Pass(ms) => {
                self.setup.pass_ms(ms);
                if ms < 0 {
                    self.went.values_mut().for_each(Vec::clear);
                }
            }
            Step::Resume(key) => self.setup.gates.resume(&key),
        }
    }

    fn check(&self) {
        let Pace { burst, at_once, .. } = self.setup.pace;
        let states = self.setup.gates.states(self.setup.now);
        let all: u32 = states.iter().map(|state| state.calls_at_once).sum();
        assert_eq!(all, self.setup.gates.calls_at_once());
        assert_eq!(usize::try_from(all), Ok(self.under_way.len()), "a slot was lost or doubled");
        assert!(self.under_way.len() <= self.total);
        for state in states {
            assert!(state.calls_at_once <= at_once, "{state:?}");
            assert!((1..=at_once).contains(&state.limit), "{state:?}");
            assert!(state.calls_left <= burst, "{state:?}");
        }
    }

    /// No span of time had more calls than the burst and the pace of that span.
    fn check_pace(&self) {
        let Pace { per_second, burst, .. } = self.setup.pace;
        for went in self.went.values() {
            let Some(last) = went.last() else { continue };
            for (at, first) in went.iter().enumerate() {
                let calls = i64::try_from(went.len() - at).expect("few");
                let ms = last.ms_since(*first);
                let most = i64::from(burst) * 1_000 + i64::from(per_second) * ms;
                assert!(calls * 1_000 <= most, "{calls} calls in {ms} ms");
            }
        }
    }
}

fn under_way_is_bounded(total: usize, pace: Pace, steps: Vec<Step>) {
    let setback = steps.iter().any(|step| matches!(step, Step::Pass(ms) if *ms < 0));
    let mut seen = Seen {
        setup: Setup::new(total, pace),
        total,
        under_way: Vec::new(),
        went: BTreeMap::new(),
    };
    for step in steps {
        seen.step(step);
        seen.check();
        if !setback {
            seen.check_pace();
        }
    }
    // Everything is given back, and every gate opens after the longest wait, and after what the
    // clock was set back.
    seen.under_way.clear();
    seen.check();
    seen.setup.pass_ms(3_600_000 + 120 * LARGEST_SETBACK_MS);
    for (account, provider) in (0..3).flat_map(|n| PROVIDERS.map(|name| (n, name))) {
        let key = key(account, provider);
        seen.setup.gates.resume(&key);
        assert!(seen.setup.enter(key, Work::Due).is_ok(), "{:?}", seen.setup.closed(key));
    }
}

/// While the breaker is open, one call at a time passes, and none before its time. Returns how many
/// did.
fn one_probe_passes(steps: Vec<Step>) -> usize {
    let wide = Pace { per_second: 1_000_000, burst: 1_000_000, at_once: 1_000 };
    let mut setup = Setup::new(10_000, wide);
    let stripe = key(1, "stripe");
    let mut under_way: Vec<(Permit, bool)> = Vec::new();
    let mut passed = 0;
    for step in steps {
        let breaker = setup
            .gates
            .states(setup.now)
            .first()
            .and_then(|state| state.closed)
            .filter(|closed| matches!(closed.why, Why::BreakerOpen | Why::Unauthorized));
        let probing = under_way.iter().filter(|(_, probe)| *probe).count();
        assert!(probing <= 1);
        match step {
            Step::Enter(_, work) => {
                let entered = setup.enter(stripe, work);
                assert_eq!(entered.is_ok(), breaker.is_none());
                if let Ok(permit) = entered {
                    // After a probe entered, the gate is closed for everybody else.
                    let probe = setup.gates.states(setup.now)[0].closed.is_some();
                    passed += usize::from(probe);
                    under_way.push((permit, probe));
                }
            }
            Step::Report(at, verdict) => {
                if let Some(at) = at.checked_rem(under_way.len()) {
                    let (permit, _) = under_way.swap_remove(at);
                    setup.report(&permit, verdict);
                }
            }
            Step::Leave(at) => {
                if let Some(at) = at.checked_rem(under_way.len()) {
                    drop(under_way.swap_remove(at));
                }
            }
            Step::Pass(ms) => setup.pass_ms(ms.max(0)),
            _ => {}
        }
        if probing == 1 {
            let still_closed = setup.gates.states(setup.now)[0].closed.is_some();
            let probe_left = !under_way.iter().any(|(_, probe)| *probe);
            assert!(still_closed || probe_left, "the probe was overtaken");
        }
    }
    passed
}

/// An account with due work, and how long its calls take, in steps.
#[derive(Clone, Debug)]
struct Customer {
    key: GateKey,
    takes: u32,
    new_per_step: u8,
}

fn customers() -> impl Strategy<Value = Vec<Customer>> {
    let one = (0..PROVIDERS.len(), 1..6_u32, 0..4_u8);
    proptest::collection::vec(one, 1..16).prop_map(|all| {
        let number = |(account, (at, takes, new_per_step))| Customer {
            key: key(account, PROVIDERS[at]),
            takes,
            new_per_step,
        };
        (0..).zip(all).map(number).collect()
    })
}

/// Everybody has more work than fits, due and new; everybody's due work gets its turn in time.
fn nobody_starves(total: usize, at_once: u32, customers: &[Customer]) {
    let wide = Pace { per_second: 1_000_000, burst: 1_000_000, at_once };
    let mut setup = Setup::new(total, wide);
    let mut under_way: VecDeque<(u32, Permit)> = VecDeque::new();
    let mut served: BTreeMap<GateKey, u32> = customers.iter().map(|c| (c.key, 0)).collect();
    let takes: BTreeMap<GateKey, u32> = customers.iter().map(|c| (c.key, c.takes)).collect();
    // A slot is taken for five steps at most, by a new refund and by due work in turn. Providers
    // have turns, and within one its accounts.
    let most = PROVIDERS.map(|name| customers.iter().filter(|c| c.key.provider == name).count());
    let providers = most.iter().filter(|accounts| **accounts > 0).count();
    let rounds = providers * most.into_iter().max().unwrap_or(0);
    let bound = 10 * u32::try_from(rounds + 1).expect("few");
    for step in 1..=2 * bound {
        setup.pass_ms(100);
        under_way.retain(|(until, _)| *until > step);
        for customer in customers {
            for _ in 0..customer.new_per_step {
                if let Ok(permit) = setup.enter(customer.key, Work::New) {
                    under_way.push_back((step + customer.takes, permit));
                }
            }
        }
        let due = customers.iter().flat_map(|customer| [customer.key; 8]);
        for permit in setup.admit(due) {
            served.insert(*permit.key(), step);
            under_way.push_back((step + takes[permit.key()], permit));
        }
        for (key, last) in &served {
            assert!(step - last <= bound, "{key:?} was last served in step {last} of {step}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn limits_hold_and_every_slot_comes_back(
        total in 1..20_usize,
        pace in paces(),
        all in proptest::collection::vec(steps(), 1..120),
    ) {
        under_way_is_bounded(total, pace, all);
    }

    #[test]
    fn nobody_starves_whoever_else_is_there(
        total in 1..24_usize,
        at_once in 1..6_u32,
        all in customers(),
    ) {
        nobody_starves(total, at_once, &all);
    }
}

#[test]
fn a_breaker_lets_one_probe_through_whatever_happens() {
    let calls = prop_oneof![
        5 => (keys(), works()).prop_map(|(key, work)| Step::Enter(key, work)),
        4 => (any::<usize>(), prop_oneof![
            1 => Just(Verdict::Answered),
            6 => Just(Verdict::Lost),
            2 => Just(Verdict::Unauthorized),
        ]).prop_map(|(at, verdict)| Step::Report(at, verdict)),
        1 => any::<usize>().prop_map(Step::Leave),
        2 => times().prop_map(Step::Pass),
    ];
    let mut runner = TestRunner::new(ProptestConfig::with_cases(600));
    let probes = Cell::new(0);
    let run = runner.run(&proptest::collection::vec(calls, 1..150), |steps| {
        probes.set(probes.get() + one_probe_passes(steps));
        Ok(())
    });
    run.expect("it holds");
    assert!(probes.get() > 100, "{} probes: the breaker was hardly ever open", probes.get());
}
