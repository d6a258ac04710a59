//! A provider that keeps its own books, nodes that stop at any moment, webhooks that come late, twice and
//! in any order: whatever happens, no refund is paid twice and none that was paid is given away again.

use crate::harness::*;
use crate::traits::*;
use domain::decide::{
    Call, Command, CreateRefund, Done, RefundRef, Resolution, ResolveRefund, Start,
};
use domain::ids::{PaymentId, RefundId};
use domain::money::Money;
use domain::outcome::{Failure, Observation, ProviderOutcome as Is, Said, Source};
use domain::provider::{Idempotency, Times, Traits};
use domain::refund::{Origin, Refund, State, Status};
use domain::time::Timestamp;
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use std::collections::BTreeMap;

const CAPTURED: i64 = 10_000;

/// A refund in the provider's books.
#[derive(Clone, Debug)]
struct Made {
    key: RefundId,
    id: String,
    amount: i64,
    /// Every state it had, and since when.
    history: Vec<(Is, Timestamp)>,
}

impl Made {
    fn state(&self) -> Is {
        self.history.last().map_or(Is::Accepted, |(state, _)| *state)
    }

    fn made_at(&self) -> Timestamp {
        self.history.first().map_or(START, |(_, at)| *at)
    }

    /// Its money went or may go.
    fn is_live(&self) -> bool {
        matches!(self.state(), Is::Accepted | Is::Held | Is::Completed)
    }
}

/// An answer that is kept under a key.
#[derive(Clone, Debug)]
struct Kept {
    since: Timestamp,
    /// The refusal; the refund that was made under the key when `None`.
    refusal: Option<Is>,
}

struct Provider {
    traits: Traits,
    /// Its webhooks name our key.
    echoes_keys: bool,
    made: Vec<Made>,
    kept: BTreeMap<RefundId, Kept>,
}

impl Provider {
    /// The answer that is still kept under a key.
    fn kept_under(&self, key: RefundId, now: Timestamp) -> Option<&Kept> {
        let kept_ms = match self.traits.idempotency {
            Idempotency::None => return None,
            Idempotency::Key { kept_ms, .. } | Idempotency::Twin { kept_ms } => kept_ms,
        };
        let kept = self.kept.get(&key)?;
        kept_ms.is_none_or(|ms| now < kept.since.plus_ms(ms)).then_some(kept)
    }

    /// A call under a key, where `wish` is how it would end if nothing were known of the key.
    fn submit(&mut self, refund: &Refund, wish: Is, now: Timestamp) -> Said {
        if let Some(kept) = self.kept_under(refund.id, now) {
            let twin = matches!(self.traits.idempotency, Idempotency::Twin { .. });
            return match (kept.refusal, self.made_under(refund.id).last()) {
                (Some(refusal), _) => refused(refusal),
                (None, Some(made)) if twin => {
                    Said { outcome: Is::Twin, ..self.say(made, made.history.len() - 1) }
                }
                (None, Some(made)) => self.say(made, made.history.len() - 1),
                (None, None) => refused(Is::Unknown),
            };
        }
        let gone: i64 = self.made.iter().filter(|made| made.is_live()).map(|m| m.amount).sum();
        let outcome = if gone + refund.amount > CAPTURED { Is::Spent } else { wish };
        let is_made = matches!(outcome, Is::Accepted | Is::Held | Is::Completed);
        let replays =
            matches!(self.traits.idempotency, Idempotency::Key { replays_errors: true, .. });
        if is_made || replays {
            let refusal = (!is_made).then_some(outcome);
            self.kept.insert(refund.id, Kept { since: now, refusal });
        }
        if !is_made {
            return refused(outcome);
        }
        let made = Made {
            key: refund.id,
            id: format!("re_{}", self.made.len()),
            amount: refund.amount,
            history: vec![(outcome, now)],
        };
        self.made.push(made.clone());
        self.say(&made, 0)
    }

    fn look(&self, refund: &Refund, now: Timestamp) -> Said {
        let by = self.traits.lookup;
        let known = refund.provider_refund_id.as_deref();
        let found = self.made.iter().rfind(|made| {
            let by_id = by.id && known == Some(&*made.id);
            by_id || (by.our_key || by.list) && made.key == refund.id
        });
        let seen = found.filter(|made| made.made_at().plus_ms(by.lag_ms) <= now);
        seen.map_or_else(|| refused(Is::Absent), |made| self.say(made, made.history.len() - 1))
    }

    /// The words about a state that a refund has or had.
    fn say(&self, made: &Made, index: usize) -> Said {
        let (outcome, at) = made.history[index];
        let is_ordered = matches!(self.traits.times, Times::Ordered { .. });
        Said {
            provider_refund_id: Some(made.id.as_str().into()),
            money: Some(Money::new(made.amount, usd())),
            at: is_ordered.then_some(at),
            ..Said::new(outcome)
        }
    }

    fn made_under(&self, key: RefundId) -> impl Iterator<Item = &Made> {
        self.made.iter().filter(move |made| made.key == key)
    }
}

fn refused(outcome: Is) -> Said {
    Said::new(outcome).because(Failure::new(outcome.as_str(), "no"))
}

/// A call of a node that holds, or held, a lease.
#[derive(Clone, Debug)]
struct Flight {
    of: RefundRef,
    lease: u32,
    call: Call,
    until: Timestamp,
    /// Not yet recorded, once the call was made.
    answer: Option<Observation>,
}

struct World {
    harness: Harness,
    provider: Provider,
    payment: PaymentId,
    flights: Vec<Flight>,
    rng: ChaCha8Rng,
    log: Vec<String>,
}

impl World {
    fn open(traits: Traits, seed: u64) -> Self {
        let mut harness = Harness::at(traits);
        let payment = harness.pay(CAPTURED);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let echoes_keys = rng.next_u32().is_multiple_of(2);
        let provider = Provider { traits, echoes_keys, made: Vec::new(), kept: BTreeMap::new() };
        Self { harness, provider, payment, flights: Vec::new(), rng, log: Vec::new() }
    }

    fn below(&mut self, count: usize) -> usize {
        let count = u64::try_from(count).unwrap_or(1).max(1);
        usize::try_from(self.rng.next_u64() % count).unwrap_or(0)
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        let index = self.below(from.len());
        from.get(index).cloned()
    }

    fn note(&mut self, what: std::fmt::Arguments<'_>) {
        self.log.push(format!("{} {what}", self.harness.now.ms_since(START)));
    }

    fn step(&mut self) {
        match self.below(20) {
            0..=2 => self.wait(),
            3 => self.ask(),
            4 => self.withdraw(),
            5..=9 => self.lease(),
            10..=12 => self.call(),
            13..=15 => self.record(),
            16 => self.lose(),
            17 => self.change(),
            18 => self.decide(),
            _ => self.tell(),
        }
        self.check();
    }

    fn wait(&mut self) {
        let pauses = [
            100,
            1_000,
            5_000,
            LEASE_MS,
            61_000,
            5 * MINUTE_MS,
            20 * MINUTE_MS,
            9 * HOUR_MS,
            60 * HOUR_MS,
        ];
        let ms = self.pick(&pauses).unwrap_or(0);
        self.harness.now = self.harness.now.plus_ms(ms);
    }

    fn ask(&mut self) {
        let amount = self.pick(&[1_000, 4_000, CAPTURED]).unwrap_or(1);
        let starts = [Start::Send { lease_ms: LEASE_MS }, Start::Queue];
        let start = self.pick(&starts).unwrap_or(Start::Queue);
        let create = CreateRefund { start, ..ask(self.payment, amount) };
        if let Ok(created) = self.harness.create(create) {
            let refund = created.refund;
            self.note(format_args!("{} of {amount} is {}", refund.id, refund.state));
            if refund.state == State::Sending {
                self.fly(&refund, Call::Submit);
            }
        }
    }

    fn withdraw(&mut self) {
        if let Some(refund) = self.any_refund() {
            let of = RefundRef::from(&refund);
            let done = self.harness.run(Command::Cancel { of, key: None });
            self.note(format_args!("{} canceled: {}", refund.id, done.is_ok()));
        }
    }

    fn lease(&mut self) {
        let now = self.harness.now;
        let is_due = |refund: &&Refund| refund.due_at.is_some_and(|at| at <= now);
        let due: Vec<Refund> = self.harness.rows.refunds.values().filter(is_due).cloned().collect();
        let Some(refund) = self.pick(&due) else { return };
        let of = RefundRef::from(&refund);
        let begin = self.harness.claim(of);
        // The node may stop between the two.
        if self.below(10) == 0 {
            return;
        }
        if let Ok(Done::Leased { refund, call, .. }) = self.harness.run(begin) {
            self.note(format_args!("{} leased in {} for {call:?}", refund.id, refund.state));
            self.fly(&refund, call);
        }
    }

    fn fly(&mut self, refund: &Refund, call: Call) {
        if call == Call::Wait {
            return;
        }
        let until = refund.due_at.expect("a lease");
        let of = RefundRef::from(refund);
        self.flights.push(Flight { of, lease: refund.lease, call, until, answer: None });
    }

    /// A node makes its call, and may lose the answer.
    fn call(&mut self) {
        let waiting: Vec<usize> =
            (0..self.flights.len()).filter(|i| self.flights[*i].answer.is_none()).collect();
        let Some(index) = self.pick(&waiting) else { return };
        let flight = self.flights[index].clone();
        let wishes = [
            Is::Completed,
            Is::Completed,
            Is::Accepted,
            Is::Held,
            Is::WaitingForFunds,
            Is::NotDone,
            Is::Failed,
        ];
        let wish = self.pick(&wishes).unwrap_or(Is::Completed);
        let is_lost = self.below(3) == 0;
        self.flights[index].answer = Some(self.answer_to(&flight, wish, is_lost));
    }

    fn answer_to(&mut self, flight: &Flight, wish: Is, is_lost: bool) -> Observation {
        let now = self.harness.now;
        // The refund as it was when the lease was taken is all that a node knows of it.
        let refund = self.harness.refund(flight.of).clone();
        let submits = flight.call != Call::Look;
        let source = if submits { Source::Submit } else { Source::Lookup };
        let said = match (now < flight.until, submits) {
            (false, true) => refused(Is::NeverSent),
            (false, false) => refused(Is::Unknown),
            (true, true) => self.provider.submit(&refund, wish, now),
            (true, false) => self.provider.look(&refund, now),
        };
        self.note(format_args!(
            "{} {:?} got {} lost: {is_lost}",
            refund.id, flight.call, said.outcome
        ));
        let said = if is_lost { refused(Is::Unknown) } else { said };
        Observation { source, said }
    }

    /// The answer is recorded, perhaps long after the lease.
    fn record(&mut self) {
        let ready: Vec<usize> =
            (0..self.flights.len()).filter(|i| self.flights[*i].answer.is_some()).collect();
        let Some(index) = self.pick(&ready) else { return };
        let flight = self.flights.remove(index);
        let Some(answer) = flight.answer else { return };
        let outcome = answer.said.outcome;
        let state = self.harness.say_under(Some(flight.lease), flight.of, answer);
        self.note(format_args!("{} told {outcome} is {state:?}", flight.of.refund));
    }

    /// A node stops.
    fn lose(&mut self) {
        if !self.flights.is_empty() {
            let index = self.below(self.flights.len());
            self.flights.remove(index);
        }
    }

    /// A refund goes on at the provider.
    fn change(&mut self) {
        let index = self.below(self.provider.made.len());
        let to_failed = self.below(4) == 0;
        let now = self.harness.now;
        let Some(made) = self.provider.made.get_mut(index) else { return };
        let next = match made.state() {
            Is::Accepted | Is::Held if to_failed => Is::Failed,
            Is::Accepted | Is::Held => Is::Completed,
            Is::Completed if to_failed => Is::Failed,
            other => other,
        };
        if next != made.state() && made.history.last().is_some_and(|(_, at)| *at < now) {
            made.history.push((next, now));
            let id = made.id.clone();
            self.note(format_args!("{id} became {next}"));
        }
    }

    /// A webhook about any state that a refund had comes now.
    fn tell(&mut self) {
        let made = self.provider.made.clone();
        let Some(made) = self.pick(&made) else { return };
        let index = self.below(made.history.len());
        self.receive(&made, index);
    }

    /// Books a webhook as the engine does.
    fn receive(&mut self, made: &Made, index: usize) {
        let said = self.provider.say(made, index);
        let outcome = said.outcome;
        let rows = &self.harness.rows;
        let by_key = self.provider.echoes_keys.then_some(made.key);
        let named = rows.keys.get(&(tenant(), external(&made.id)));
        let by_name = named.map(|key| RefundId::from_ulid(key.id));
        let state = if let Some(refund) = by_key.or(by_name) {
            let of = RefundRef { tenant: tenant(), refund, payment: self.payment };
            self.harness.say(of, webhook(said)).map(|state| (refund, state))
        } else if self.in_doubt() {
            // It is kept until nothing is in doubt.
            return;
        } else {
            let adopted = self.harness.adopt(self.payment, &made.id, webhook(said));
            adopted.map(|refund| (refund.id, refund.state))
        };
        self.note(format_args!("a webhook says {} {outcome}: {state:?}", made.id));
    }

    fn in_doubt(&self) -> bool {
        self.harness.rows.refunds.values().any(|refund| {
            let may_be_there = !matches!(
                refund.state,
                State::AwaitingApproval | State::Scheduled | State::Queued | State::WaitingForFunds
            );
            refund.state.status() == Status::Pending
                && may_be_there
                && refund.provider_refund_id.is_none()
        })
    }

    /// A person looks at the provider's books, and decides by what stands there at this moment.
    fn decide(&mut self) {
        let Some(refund) = self.any_refund() else { return };
        let of = RefundRef::from(&refund);
        let made = self.provider.made_under(refund.id).next().cloned();
        let resolution = match made.as_ref().map(Made::state) {
            Some(Is::Completed) => Resolution::Succeeded { amount: None },
            Some(Is::Failed) => Resolution::Failed,
            Some(_) => return,
            None if self.below(2) == 0 => Resolution::Failed,
            None => Resolution::SendAgain,
        };
        let id = made.map(|made| made.id);
        let resolve = ResolveRefund {
            name: id.as_deref().map(external),
            provider_refund_id: id.map(Into::into),
            ..decision(of, resolution)
        };
        let state = self.harness.resolve_by(resolve);
        self.note(format_args!("a person says {resolution:?} of {}: {state:?}", refund.id));
    }

    fn any_refund(&mut self) -> Option<Refund> {
        let refunds: Vec<Refund> = self.harness.rows.refunds.values().cloned().collect();
        self.pick(&refunds)
    }

    /// The promises about money.
    fn check(&self) {
        let log = || self.log.join("\n");
        let live: i64 = self.provider.made.iter().filter(|m| m.is_live()).map(|m| m.amount).sum();
        assert!(live <= CAPTURED, "{live} was paid:\n{}", log());
        for refund in self.harness.rows.refunds.values() {
            let id = refund.id;
            assert_eq!(refund.origin, Origin::Api, "{id} was booked twice:\n{}", log());
            let made: Vec<&Made> = self.provider.made_under(id).collect();
            assert!(made.len() <= 1, "{id} was made twice: {made:?}\n{}", log());
            let is_released = matches!(refund.state, State::Failed | State::Canceled);
            let is_live = made.iter().any(|made| made.is_live());
            assert!(!is_released || !is_live, "{id} is {} and live:\n{}", refund.state, log());
            let was_done = made.iter().any(|m| m.history.iter().any(|(s, _)| *s == Is::Completed));
            let is_done = refund.state == State::Succeeded;
            assert!(!is_done || was_done, "{id} succeeded and was never made:\n{}", log());
        }
    }

    /// Nodes and provider work without a fault until nothing more changes.
    fn settle(&mut self) {
        self.flights.clear();
        for index in 0..self.provider.made.len() {
            let made = self.provider.made[index].clone();
            self.receive(&made, made.history.len() - 1);
            self.check();
        }
        for _ in 0..400 {
            let next = self.harness.rows.refunds.values().filter(|r| r.due_at.is_some());
            let Some(refund) = next.min_by_key(|refund| refund.due_at).cloned() else { break };
            self.harness.now = self.harness.now.max(refund.due_at.unwrap_or(START));
            let begin = self.harness.claim(RefundRef::from(&refund));
            let Ok(Done::Leased { refund, call, .. }) = self.harness.run(begin) else { continue };
            if call == Call::Wait {
                continue;
            }
            self.fly(&refund, call);
            let Some(flight) = self.flights.pop() else { continue };
            let answer = self.answer_to(&flight, Is::Completed, false);
            let state = self.harness.say_under(Some(flight.lease), flight.of, answer);
            self.note(format_args!("{} is {state:?}", refund.id));
            self.check();
            // Waits of a whole week go by.
            self.harness.now = self.harness.now.plus_ms(HOUR_MS);
        }
    }

    /// Everything is known in the end, or a person knows that it is not.
    fn check_settled(&self) {
        for refund in self.harness.rows.refunds.values() {
            let truth = self.provider.made_under(refund.id).next().map(Made::state);
            let fits = match truth {
                Some(Is::Completed) => refund.state == State::Succeeded,
                Some(Is::Failed) => refund.state == State::Failed,
                Some(_) => refund.state.status() == Status::Pending,
                None => matches!(refund.state, State::Failed | State::Canceled),
            };
            let is_persons = refund.needs_attention || refund.state == State::NeedsReview;
            let log = self.log.join("\n");
            assert!(fits || is_persons, "{refund:?} and in truth {truth:?}:\n{log}");
        }
    }
}

/// Providers of every kind, with and without times of their states.
fn providers() -> Vec<Traits> {
    let timeless = |traits| Traits { times: Times::None, ..traits };
    vec![
        SIMULATOR,
        timeless(SIMULATOR),
        HOUR,
        timeless(HOUR),
        DAY,
        timeless(DAY),
        KEYLESS,
        Traits { times: Times::Ordered { resolution_ms: 1 }, ..KEYLESS },
        BLIND,
        timeless(BLIND),
        TWIN,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 500,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_refund_is_paid_twice_or_given_away_whatever_happens(
        traits in proptest::sample::select(providers()), seed in any::<u64>(), steps in 1..200_usize
    ) {
        let mut world = World::open(traits, seed);
        for _ in 0..steps {
            world.step();
        }
        world.settle();
        world.check_settled();
    }
}

#[test]
fn the_worlds_get_into_trouble() {
    use State as S;
    use std::collections::BTreeSet;

    let (mut ways, mut again, mut late) = (BTreeSet::new(), 0, 0);
    for (number, traits) in (0_u64..).zip(providers().into_iter().cycle()).take(400) {
        let mut world = World::open(traits, number);
        for _ in 0..200 {
            world.step();
        }
        for refund in world.harness.rows.refunds.values() {
            let states = world.harness.rows.states_of(refund);
            ways.extend(states.windows(2).map(|pair| (pair[0], pair[1])));
            late += usize::from(refund.late);
        }
        again += world.log.iter().filter(|line| line.contains("SubmitAgain got")).count();
    }
    for way in [
        (S::Sending, S::Unknown),
        (S::Sending, S::WaitingForFunds),
        (S::Unknown, S::Queued),
        (S::Unknown, S::NeedsReview),
        (S::Unknown, S::Failed),
        (S::NeedsReview, S::Queued),
        (S::NeedsReview, S::Succeeded),
        (S::Succeeded, S::Failed),
        (S::Failed, S::NeedsReview),
        (S::Queued, S::Canceled),
    ] {
        assert!(ways.contains(&way), "{way:?} {ways:?}");
    }
    assert!(again > 100 && late > 10, "{again} {late}");
}
