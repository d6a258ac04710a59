//! The state of one run: its clock, its nodes and the requests of its callers.

use crate::facts::{Disputes, Standby};
use crate::lossy_provider::{LossyProvider, Network};
use crate::lossy_webhooks::LossyWebhooks;
use crate::profile::Profile;
use crate::rng::SeededRng;
use domain::event::Type;
use domain::ids::{EventId, RefundId};
use domain::payment::Payment;
use domain::refund::State;
use domain::time::{Clock, Timestamp};
use engine::{
    AgedUntil, Backoff, Engine, EngineConfig, Registry, Retention, RetryPolicies, RetryPolicy,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use testkit::{EngineRig, ManualClock, RefundRequest, Setup, within_limit};

pub(crate) const HOUR_MS: i64 = 60 * 60_000;

/// Age at which the engine gives an unknown refund up. The faults last less long, so only refunds
/// whose outcome cannot be found out are given up.
const GIVE_UP_AFTER_MS: i64 = 48 * HOUR_MS;

/// Time for which a run continues after the faults have ended.
const AFTER_FAULTS_MS: i64 = GIVE_UP_AFTER_MS + 16 * HOUR_MS;

/// The nodes at the same time, at most.
const NODES: usize = 3;

/// How often statements that fit nothing are tried again after the faults have ended.
const NOTICES_EVERY_MS: i64 = 2 * HOUR_MS;

/// How often changes are read then, and waiting refunds are looked at.
const ROUND_EVERY_MS: i64 = 16 * HOUR_MS;

/// By how much time passes at least where much of it passes, and how many refunds are worked on then.
const PACE_MS: i64 = 20 * 60_000;
const AT_ONCE: u32 = 64;

/// How far the clocks of two nodes are apart, at most.
const SKEW_MS: i64 = 1_500;

/// The course of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    pub acts: Vec<String>,
    /// Each refund with its final state and the number of its events.
    pub refunds: Vec<(RefundId, State, u32)>,
    pub events: Vec<(EventId, Type)>,
    /// Sum of all payouts that were not taken back, in minor units of all currencies.
    pub paid_out: i64,
    /// Refunds that callers asked for.
    pub requests: usize,
    /// How often each fault happened.
    pub faults: BTreeMap<String, u64>,
}

/// A request that its caller repeats until it is answered, and sometimes after that.
pub(crate) struct CallerRequest {
    pub(crate) request: RefundRequest,
    pub(crate) payment: Payment,
    pub(crate) script: &'static str,
    /// The refund in the answer.
    pub(crate) answered: Option<RefundId>,
}

/// A node and its way to the provider.
#[derive(Clone)]
pub(crate) struct SimNode {
    pub(crate) engine: Engine,
    pub(crate) provider: Arc<LossyProvider>,
}

impl SimNode {
    /// True when every call is recorded or hangs.
    fn is_quiet(&self) -> bool {
        let hanging = self.provider.hanging();
        self.engine.calls_under_way() == hanging && self.engine.tasks_under_way() == hanging
    }
}

/// A clock that is ahead or behind.
struct SkewedClock(Arc<ManualClock>, i64);

impl Clock for SkewedClock {
    fn now(&self) -> Timestamp {
        self.0.now().plus_ms(self.1)
    }
}

pub(crate) struct World {
    pub(crate) rig: EngineRig,
    pub(crate) seed: u64,
    pub(crate) rng: SeededRng,
    pub(crate) profile: Profile,
    pub(crate) network: Arc<Network>,
    pub(crate) payments: Vec<Payment>,
    pub(crate) requests: BTreeMap<String, CallerRequest>,
    pub(crate) asked: usize,
    /// The nodes that work. The rig's engine is the first one.
    pub(crate) nodes: Vec<SimNode>,
    /// Nodes that were replaced while they were slow, not dead: only their calls continue.
    pub(crate) slow: Vec<SimNode>,
    /// A copy of the database that is behind.
    pub(crate) standby: Option<Standby>,
    /// Some of the books were lost.
    pub(crate) failed_over: bool,
    pub(crate) disputes: Disputes,
    pub(crate) sending_is_stopped: bool,
    /// Where the looks at waiting refunds go on.
    pub(crate) aged_until: Option<AgedUntil>,
    /// Before the first payment.
    pub(crate) began_at: Timestamp,
    pub(crate) acts: Vec<String>,
}

impl World {
    pub(crate) async fn open(seed: u64) -> Self {
        let mut rng = SeededRng::new(seed);
        let profile = Profile::draw(&mut rng);
        let mut setup = Setup { in_memory: true, ..Setup::default() };
        setup.simulator = profile.simulator;
        let patience = RetryPolicy {
            unknown: Backoff { first_ms: 5_000, most_ms: 8 * HOUR_MS },
            pending: Backoff { first_ms: 10 * 60_000, most_ms: 12 * HOUR_MS },
            give_up_after_ms: GIVE_UP_AFTER_MS,
            ..RetryPolicy::default()
        };
        setup.engine.policies = RetryPolicies { default: patience, ..RetryPolicies::default() };
        setup.engine.retention =
            Retention { events_ms: Some(HOUR_MS), deliveries_ms: Some(HOUR_MS) };
        // Calls hang for as long as the simulated clock says; no timeout in real time may end them.
        setup.engine.provider_timeout = Duration::from_hours(24);
        setup.engine.lease_ms = 30_000;
        setup.engine.commit_timeout = setup.engine.provider_timeout;
        let rig = EngineRig::open_with(setup.clone()).await;
        let (simulator, clock) = (rig.simulator.clone(), rig.clock.clone());
        let began_at = clock.now().plus_ms(-SKEW_MS);
        let network = Network::new(seed, simulator, clock, profile.under_way_ms);
        let mut world = Self {
            rig,
            seed,
            rng,
            profile,
            network,
            payments: Vec::new(),
            requests: BTreeMap::new(),
            asked: 0,
            nodes: Vec::new(),
            slow: Vec::new(),
            standby: None,
            failed_over: false,
            disputes: Disputes::default(),
            sending_is_stopped: false,
            aged_until: None,
            began_at,
            acts: Vec::new(),
        };
        world.start_node();
        for currency in ["USD", "JPY", "KWD"] {
            let captured = world.rng.between(100, 200_000);
            world.payments.push(world.rig.pay(captured, currency).await);
        }
        // The first step stores where the reading of changes begins.
        let engine = world.any_node();
        world.step_reconcile(&engine, 1).await;
        world
    }

    /// Starts one more node. The clocks of all but the first are a little off.
    pub(crate) fn start_node(&mut self) {
        let is_first = self.nodes.is_empty();
        let dispatch_at_once = self.rng.percent(50);
        let config = EngineConfig { dispatch_at_once, ..self.rig.config().clone() };
        let provider = LossyProvider::new(self.network.clone());
        let mut parts = self.rig.parts_with(Registry::new().with(provider.clone()), &config);
        if !is_first {
            let off = self.rng.between(-SKEW_MS, SKEW_MS);
            parts.clock = Arc::new(SkewedClock(self.rig.clock.clone(), off));
        }
        let engine = Engine::start(parts);
        if is_first {
            self.rig.engine = engine.clone();
        }
        self.nodes.push(SimNode { engine, provider });
    }

    /// Ends a node. It either dies with all its hanging calls, or is slow: then its calls continue after
    /// other nodes have taken over.
    pub(crate) fn end_node(&mut self, dies: bool) {
        let Some(at) = self.rng.index(self.nodes.len()) else { return };
        let node = self.nodes.remove(at);
        if !dies {
            self.slow.push(node);
        }
        match self.nodes.first() {
            Some(first) => self.rig.engine = first.engine.clone(),
            None => self.start_node(),
        }
        if self.nodes.len() < NODES && self.rng.percent(50) {
            self.start_node();
        }
    }

    /// Ends all nodes and starts one whose clock is right. `cut_off`: they can no longer write where the
    /// new one reads.
    pub(crate) fn replace_all_nodes(&mut self, cut_off: bool) {
        for node in self.nodes.drain(..) {
            if cut_off {
                node.provider.cut_off();
            }
            self.slow.push(node);
        }
        if cut_off {
            self.slow.iter().for_each(|node| node.provider.cut_off());
        }
        self.start_node();
    }

    pub(crate) fn any_node(&mut self) -> Engine {
        let node = self.rng.pick(&self.nodes).expect("a node");
        node.engine.clone()
    }

    /// Claims due refunds, at most `limit`, and works on one after another, until its call is recorded or
    /// hangs. Returns how many.
    pub(crate) async fn work(&self, engine: &Engine, limit: u32) -> usize {
        let claimed = engine.lease_due(limit).await.expect("a claim");
        let count = claimed.len();
        for claimed in claimed {
            let worker = engine.clone();
            let mut hangs = self.network.hangs.subscribe();
            let (done, ended) = tokio::sync::oneshot::channel();
            engine.spawn(async move {
                worker.work(claimed).await;
                let _ = done.send(());
            });
            tokio::select! {
                _ = ended => {}
                _ = hangs.changed() => {}
            }
        }
        self.wait_for_calls().await;
        count
    }

    /// The slow nodes and the current ones.
    fn all_nodes(&self) -> impl Iterator<Item = &SimNode> {
        self.slow.iter().chain(&self.nodes)
    }

    /// Waits until every call is recorded or hangs.
    pub(crate) async fn wait_for_calls(&self) {
        for node in self.all_nodes() {
            within_limit("calls to end or hang", async {
                while !node.is_quiet() {
                    // The threads of the database and of the provider need the core.
                    std::thread::yield_now();
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }
    }

    /// True while a call under this key is on its way.
    pub(crate) fn hangs(&self, key: &str) -> bool {
        self.all_nodes().any(|node| node.provider.hangs(key))
    }

    /// Lets one hanging call continue, of this node or of a slow one.
    pub(crate) async fn release_one_call(&mut self) -> bool {
        let nodes = self.all_nodes().filter(|node| node.provider.hanging() > 0);
        let nodes: Vec<_> = nodes.map(|node| node.provider.clone()).collect();
        let Some(provider) = self.rng.pick(&nodes) else { return false };
        provider.release_one_call();
        self.wait_for_calls().await;
        true
    }

    /// Does one piece of the provider's work.
    pub(crate) async fn step_simulator(&mut self) {
        let nodes = self.nodes.iter().map(|node| node.engine.clone()).collect();
        let webhooks = LossyWebhooks::unreliable(nodes, &self.network, &mut self.rng);
        self.rig.simulator.step(&webhooks, 1).await;
    }

    /// Ends the faults and runs until every refund had the time to reach a final state.
    pub(crate) async fn end_faults(&mut self) {
        self.network.end_faults();
        self.replace_all_nodes(false);
        let engine = self.any_node();
        self.start_sending(&engine).await;
        // Hanging calls continue only after another node has taken over.
        self.run_for(HOUR_MS).await;
        while self.release_one_call().await {}
        self.slow.clear();
        // Callers without an answer repeat their requests.
        let unanswered = self.requests.iter().filter(|(_, asked)| asked.answered.is_none());
        let keys: Vec<String> = unanswered.map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.create(&key).await;
        }
        self.resend_webhooks().await;
        self.tell_of_all_disputes().await;
        self.run_for(AFTER_FAULTS_MS).await;
        // A webhook may be lost for good. The steps find what it told, where the provider tells what changed.
        if !self.profile.simulator.tells_changes {
            self.read_span(self.began_at).await;
        }
        self.run_for(2 * HOUR_MS).await;
    }

    pub(crate) async fn resend_webhooks(&self) {
        let resent = self.rig.simulator.resend_webhooks(self.rig.tenant).await;
        resent.expect("the simulator is there");
    }

    /// Advances the clock by `ms` and does all work that becomes due, one piece after another, so
    /// that the order follows from the seed.
    pub(crate) async fn run_for(&self, ms: i64) {
        let (engine, simulator, clock) = (&self.rig.engine, &self.rig.simulator, &self.rig.clock);
        let webhooks = LossyWebhooks::reliable(engine.clone(), &self.network);
        let end = clock.now().plus_ms(ms);
        let (mut notices_at, mut round_at) = (clock.now(), clock.now().plus_ms(ROUND_EVERY_MS));
        loop {
            while simulator.next_due().is_some_and(|due| due <= clock.now()) {
                simulator.step(&webhooks, 64).await;
            }
            if notices_at <= clock.now() {
                engine.step_notices(100).await.expect("a step");
                notices_at = clock.now().plus_ms(NOTICES_EVERY_MS);
            }
            if round_at <= clock.now() {
                self.look_around(engine).await;
                round_at = clock.now().plus_ms(ROUND_EVERY_MS);
            }
            let refunds = engine.next_work().await.expect("a read").at;
            if refunds.is_some_and(|due| due <= clock.now()) && self.work(engine, AT_ONCE).await > 0
            {
                continue;
            }
            match refunds
                .into_iter()
                .chain(simulator.next_due())
                .chain([notices_at, round_at])
                .min()
            {
                Some(due) if due <= end => clock.advance_to(due.max(clock.now().plus_ms(PACE_MS))),
                Some(_) | None => break,
            }
        }
        clock.advance_to(end);
    }

    /// The rounds of a server that are about more than due refunds.
    async fn look_around(&self, engine: &Engine) {
        while self.step_reconcile(engine, AT_ONCE).await > 0 {}
        engine.step_left(AT_ONCE).await.expect("a step");
        let mut after = None;
        loop {
            after = engine.step_ageing(after, AT_ONCE).await.expect("a step");
            if after.is_none() {
                break;
            }
        }
    }

    pub(crate) async fn history(mut self) -> History {
        let acts = std::mem::take(&mut self.acts);
        let (mut refunds, mut paid_out) = (Vec::new(), 0);
        for payment in &self.payments {
            paid_out += self.rig.paid_out(payment).await;
            let theirs = self.rig.refunds_of(payment).await;
            refunds.extend(theirs.iter().map(|r| (r.id, r.state, r.last_seq)));
        }
        let events = self.rig.events().await;
        let events = events.iter().map(|view| (view.event.id, view.event.event_type)).collect();
        for word in self.profile.words() {
            self.network.counts.count("provider", word);
        }
        let faults = self.network.counts.take();
        History { acts, refunds, events, paid_out, requests: self.asked, faults }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let (seed, count) = (self.seed, self.acts.len());
            eprintln!("seed {seed}: {}", self.profile.words().join(", "));
            eprintln!("repeat it with REFUNDRY_SIM_SEED={seed}; it failed after {count} acts:");
            for act in self.acts.iter().rev().take(40).rev() {
                eprintln!("  {act}");
            }
        }
    }
}
