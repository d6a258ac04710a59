//! The world of one run: its clock, its nodes, and what its callers remember.

use crate::acts::{Act, SCRIPTS};
use crate::chaos::{Calls, Chaos};
use crate::dice::Dice;
use crate::mail::Mail;
use domain::event::Type;
use domain::ids::{EventId, RefundId};
use domain::payment::Payment;
use domain::refund::State;
use domain::time::Clock;
use engine::{Backoff, Engine, EngineConfig, Registry, Retention, RetryPolicies, RetryPolicy};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use testkit::{EngineRig, RefundRequest, Setup, within_limit};

const HOUR_MS: i64 = 60 * 60_000;

/// How long an unknown refund is looked for: longer than the trouble ever lasts, so that it is only
/// given up where nothing can be found out.
const GIVE_UP_AFTER_MS: i64 = 72 * HOUR_MS;

/// How long the world goes on after the trouble is over.
const CALM_MS: i64 = GIVE_UP_AFTER_MS + 12 * HOUR_MS;

/// What happened in one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// The acts in their order.
    pub acts: Vec<String>,
    /// Every refund, the state it ended in and how many events led there.
    pub refunds: Vec<(RefundId, State, u32)>,
    /// Every event, oldest first.
    pub events: Vec<(EventId, Type)>,
    /// What was paid out and not taken back, minor units of all currencies.
    pub paid_out: i64,
}

/// A request that a caller will repeat until it is answered, and after that now and then.
pub(crate) struct Asked {
    pub(crate) request: RefundRequest,
    pub(crate) script: &'static str,
    /// The refund that it was answered with.
    pub(crate) answered: Option<RefundId>,
}

pub(crate) struct World {
    pub(crate) rig: EngineRig,
    pub(crate) seed: u64,
    pub(crate) dice: Dice,
    pub(crate) honours_keys: bool,
    pub(crate) payments: Vec<Payment>,
    pub(crate) asked: BTreeMap<String, Asked>,
    calls: Arc<Calls>,
    chaos: Arc<Chaos>,
    /// The nodes before this one that are not dead but slow.
    slow: Vec<(Engine, Arc<Chaos>)>,
    acts: Vec<String>,
}

/// Plays `acts` random acts, lets the trouble end, and checks that everything adds up. Panics when
/// it does not, and says how to play it again.
pub async fn run(seed: u64, acts: usize) -> History {
    let mut world = World::open(seed).await;
    for _ in 0..acts {
        let act = Act::draw(&mut world.dice);
        world.acts.push(format!("{act:?}"));
        world.play(act).await;
        world.check_books().await;
    }
    world.calm_down().await;
    world.check_outcome().await;
    world.history().await
}

impl World {
    async fn open(seed: u64) -> Self {
        let dice = Dice::new(seed);
        // Every third world has a provider that pays again when it is asked again.
        let honours_keys = !seed.is_multiple_of(3);
        let mut setup = Setup::default();
        setup.simulator.honour_keys = honours_keys;
        let patience = RetryPolicy {
            unknown: Backoff { first_ms: 500, most_ms: 6 * HOUR_MS },
            pending: Backoff { first_ms: 2_000, most_ms: 6 * HOUR_MS },
            give_up_after_ms: GIVE_UP_AFTER_MS,
            ..RetryPolicy::default()
        };
        setup.engine.policies = RetryPolicies { default: patience, ..RetryPolicies::default() };
        setup.engine.retention =
            Retention { events_ms: Some(HOUR_MS), deliveries_ms: Some(HOUR_MS) };
        // Only the clock of this world may pass; real time must not end what hangs.
        setup.engine.provider_timeout = Duration::from_hours(24);
        setup.engine.commit_timeout = setup.engine.provider_timeout;
        let rig = EngineRig::open_with(setup.clone()).await;
        let calls = Arc::new(Calls::default());
        let chaos = Chaos::new(rig.simulator.clone(), seed, calls.clone());
        let mut world = Self {
            rig,
            seed,
            dice,
            honours_keys,
            payments: Vec::new(),
            asked: BTreeMap::new(),
            calls,
            chaos,
            slow: Vec::new(),
            acts: Vec::new(),
        };
        world.start_node(&setup.engine);
        for currency in ["USD", "JPY", "KWD"] {
            let captured = world.dice.between(100, 20_000);
            world.payments.push(world.rig.pay(captured, currency).await);
        }
        world
    }

    /// Puts a new node in the place of the current one.
    fn start_node(&mut self, config: &EngineConfig) {
        let dispatch_at_once = self.dice.percent(50);
        let config = EngineConfig { dispatch_at_once, ..config.clone() };
        self.chaos = Chaos::new(self.rig.simulator.clone(), self.seed, self.calls.clone());
        let registry = Registry::new().with(self.chaos.clone());
        self.rig.engine = Engine::start(self.rig.parts_with(registry, &config));
    }

    /// Replaces the node. The old one dies with all calls that hang, or is only slow: then these
    /// go on some time, long after others have taken over.
    pub(crate) fn replace_node(&mut self, dies: bool) {
        let old = (self.rig.engine.clone(), self.chaos.clone());
        let config = self.rig.config().clone();
        self.start_node(&config);
        if !dies {
            self.slow.push(old);
        }
    }

    /// Works on one refund that is due, until that is recorded or hangs.
    pub(crate) async fn work(&self) -> bool {
        let engine = &self.rig.engine;
        let mut claimed = engine.lease_due(1).await.expect("a claim");
        let Some(claimed) = claimed.pop() else { return false };
        let worker = engine.clone();
        engine.spawn(async move { worker.work(claimed).await });
        self.settle().await;
        true
    }

    /// Waits until every call is recorded or hangs.
    pub(crate) async fn settle(&self) {
        let nodes = self.slow.iter().map(|(engine, chaos)| (engine, chaos));
        for (engine, chaos) in nodes.chain([(&self.rig.engine, &self.chaos)]) {
            within_limit("calls to end or hang", async {
                while engine.calls_under_way() != chaos.hanging() {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }
    }

    /// Lets one call go on that hangs, of this node or of a slow one.
    pub(crate) async fn let_one_go(&mut self) {
        let mut nodes: Vec<&Arc<Chaos>> = self.slow.iter().map(|(_, chaos)| chaos).collect();
        nodes.push(&self.chaos);
        nodes.retain(|chaos| chaos.hanging() > 0);
        if let Some(chaos) = self.dice.pick(&nodes) {
            chaos.let_one_go();
        }
        self.settle().await;
    }

    /// Does one piece of the provider's own work.
    pub(crate) async fn step_simulator(&mut self) {
        let mail = Mail::unreliable(&self.rig.engine, &mut self.dice);
        self.rig.simulator.step(&mail, 1).await;
    }

    /// Ends the trouble and lets time pass until everything had its chance to end.
    async fn calm_down(&mut self) {
        self.calls.calm_down();
        // What hangs goes on only when others have long since taken over.
        self.live_on(HOUR_MS).await;
        while self.slow.iter().any(|(_, chaos)| chaos.hanging() > 0) || self.chaos.hanging() > 0 {
            self.let_one_go().await;
        }
        // Whoever was not answered asks again.
        let unanswered = self.asked.iter().filter(|(_, asked)| asked.answered.is_none());
        let keys: Vec<String> = unanswered.map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.ask(&key).await;
        }
        let resent = self.rig.simulator.resend_webhooks(self.rig.scope).await;
        resent.expect("the simulator is there");
        self.live_on(CALM_MS).await;
    }

    /// Lets time pass and does what becomes due, one thing after the other, so that the order of
    /// things follows from the seed.
    async fn live_on(&self, ms: i64) {
        let (engine, simulator) = (&self.rig.engine, &self.rig.simulator);
        let mail = Mail::reliable(engine);
        let end = self.rig.clock.now().plus_ms(ms);
        loop {
            while !simulator.step(&mail, 1).await.is_idle() || self.work().await {}
            let ours = engine.next_due().await.expect("a read");
            match ours.into_iter().chain(simulator.next_due()).min() {
                Some(due) if due <= end => self.rig.clock.advance_to(due),
                Some(_) | None => return,
            }
        }
    }

    async fn history(mut self) -> History {
        let acts = std::mem::take(&mut self.acts);
        let (mut refunds, mut paid_out) = (Vec::new(), 0);
        for payment in &self.payments {
            paid_out += self.rig.paid_out(payment).await;
            let theirs = self.rig.refunds_of(payment).await;
            refunds.extend(theirs.iter().map(|r| (r.id, r.state, r.last_seq)));
        }
        let events = self.rig.events().await;
        let events = events.iter().map(|view| (view.event.id, view.event.event_type)).collect();
        History { acts, refunds, events, paid_out }
    }

    pub(crate) fn script(&mut self) -> &'static str {
        self.dice.pick(SCRIPTS).copied().unwrap_or("succeed")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let (seed, count) = (self.seed, self.acts.len());
            eprintln!("play it again: REFUNDRY_SIM_SEED={seed}; it failed after {count} acts:");
            for act in self.acts.iter().rev().take(40).rev() {
                eprintln!("  {act}");
            }
        }
    }
}
