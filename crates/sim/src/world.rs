//! The state of one run: its clock, its nodes and the requests of its callers.

use crate::lossy_provider::{Calls, LossyProvider};
use crate::lossy_webhooks::LossyWebhooks;
use crate::rng::SeededRng;
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

/// Age at which the engine gives an unknown refund up. The faults last less long, so only refunds
/// whose outcome cannot be found out are given up.
const GIVE_UP_AFTER_MS: i64 = 72 * HOUR_MS;

/// Time for which a run continues after the faults have ended.
const AFTER_FAULTS_MS: i64 = GIVE_UP_AFTER_MS + 12 * HOUR_MS;

/// The course of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    pub acts: Vec<String>,
    /// Each refund with its final state and the number of its events.
    pub refunds: Vec<(RefundId, State, u32)>,
    pub events: Vec<(EventId, Type)>,
    /// Sum of all payouts that were not taken back, in minor units of all currencies.
    pub paid_out: i64,
}

/// A request that its caller repeats until it is answered, and sometimes after that.
pub(crate) struct CallerRequest {
    pub(crate) request: RefundRequest,
    pub(crate) script: &'static str,
    /// The refund in the answer.
    pub(crate) answered: Option<RefundId>,
}

pub(crate) struct World {
    pub(crate) rig: EngineRig,
    pub(crate) seed: u64,
    pub(crate) rng: SeededRng,
    pub(crate) honours_keys: bool,
    pub(crate) payments: Vec<Payment>,
    pub(crate) requests: BTreeMap<String, CallerRequest>,
    calls: Arc<Calls>,
    provider: Arc<LossyProvider>,
    /// Earlier nodes that were replaced while they were slow, not dead.
    slow: Vec<(Engine, Arc<LossyProvider>)>,
    pub(crate) acts: Vec<String>,
}

impl World {
    pub(crate) async fn open(seed: u64) -> Self {
        let rng = SeededRng::new(seed);
        // For every third seed, the provider ignores idempotency keys and pays again when a refund
        // is sent again.
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
        // Calls hang for as long as the simulated clock says; no timeout in real time may end them.
        setup.engine.provider_timeout = Duration::from_hours(24);
        setup.engine.commit_timeout = setup.engine.provider_timeout;
        let rig = EngineRig::open_with(setup.clone()).await;
        let calls = Arc::new(Calls::default());
        let provider = LossyProvider::new(rig.simulator.clone(), seed, calls.clone());
        let mut world = Self {
            rig,
            seed,
            rng,
            honours_keys,
            payments: Vec::new(),
            requests: BTreeMap::new(),
            calls,
            provider,
            slow: Vec::new(),
            acts: Vec::new(),
        };
        world.start_node(&setup.engine);
        for currency in ["USD", "JPY", "KWD"] {
            let captured = world.rng.between(100, 20_000);
            world.payments.push(world.rig.pay(captured, currency).await);
        }
        world
    }

    /// Starts a node in the place of the current one.
    fn start_node(&mut self, config: &EngineConfig) {
        let dispatch_at_once = self.rng.percent(50);
        let config = EngineConfig { dispatch_at_once, ..config.clone() };
        self.provider =
            LossyProvider::new(self.rig.simulator.clone(), self.seed, self.calls.clone());
        let registry = Registry::new().with(self.provider.clone());
        self.rig.engine = Engine::start(self.rig.parts_with(registry, &config));
    }

    /// Replaces the node. The old one either dies with all its hanging calls, or is slow: then its
    /// calls continue after other nodes have taken over.
    pub(crate) fn replace_node(&mut self, dies: bool) {
        let old = (self.rig.engine.clone(), self.provider.clone());
        let config = self.rig.config().clone();
        self.start_node(&config);
        if !dies {
            self.slow.push(old);
        }
    }

    /// Claims one due refund and works on it until its call is recorded or hangs.
    pub(crate) async fn work(&self) -> bool {
        let engine = &self.rig.engine;
        let mut claimed = engine.lease_due(1).await.expect("a claim");
        let Some(claimed) = claimed.pop() else { return false };
        let worker = engine.clone();
        engine.spawn(async move { worker.work(claimed).await });
        self.wait_for_calls().await;
        true
    }

    /// The slow nodes and the current one.
    fn nodes(&self) -> impl Iterator<Item = (&Engine, &Arc<LossyProvider>)> {
        let slow = self.slow.iter().map(|(engine, provider)| (engine, provider));
        slow.chain([(&self.rig.engine, &self.provider)])
    }

    /// Waits until every call is recorded or hangs.
    pub(crate) async fn wait_for_calls(&self) {
        for (engine, provider) in self.nodes() {
            within_limit("calls to end or hang", async {
                while engine.calls_under_way() != provider.hanging() {
                    tokio::task::yield_now().await;
                }
            })
            .await;
        }
    }

    /// Lets one hanging call continue, of this node or of a slow one.
    pub(crate) async fn release_one_call(&mut self) {
        let nodes = self.nodes().map(|(_, provider)| provider.clone());
        let nodes: Vec<_> = nodes.filter(|provider| provider.hanging() > 0).collect();
        if let Some(provider) = self.rng.pick(&nodes) {
            provider.release_one_call();
        }
        self.wait_for_calls().await;
    }

    /// Does one piece of the provider's work.
    pub(crate) async fn step_simulator(&mut self) {
        let webhooks = LossyWebhooks::unreliable(&self.rig.engine, &mut self.rng);
        self.rig.simulator.step(&webhooks, 1).await;
    }

    /// Ends the faults and runs until every refund had the time to reach a final state.
    pub(crate) async fn end_faults(&mut self) {
        self.calls.end_faults();
        // Hanging calls continue only after other nodes have taken over.
        self.run_for(HOUR_MS).await;
        while self.nodes().any(|(_, provider)| provider.hanging() > 0) {
            self.release_one_call().await;
        }
        // Callers without an answer repeat their requests.
        let unanswered = self.requests.iter().filter(|(_, asked)| asked.answered.is_none());
        let keys: Vec<String> = unanswered.map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.create(&key).await;
        }
        let resent = self.rig.simulator.resend_webhooks(self.rig.tenant).await;
        resent.expect("the simulator is there");
        self.run_for(AFTER_FAULTS_MS).await;
    }

    /// Advances the clock by `ms` and does all work that becomes due, one piece after another, so
    /// that the order follows from the seed.
    async fn run_for(&self, ms: i64) {
        let (engine, simulator) = (&self.rig.engine, &self.rig.simulator);
        let webhooks = LossyWebhooks::reliable(engine);
        let end = self.rig.clock.now().plus_ms(ms);
        loop {
            while !simulator.step(&webhooks, 1).await.is_idle() || self.work().await {}
            let ours = engine.next_due().await.expect("a read");
            match ours.into_iter().chain(simulator.next_due()).min() {
                Some(due) if due <= end => self.rig.clock.advance_to(due),
                Some(_) | None => return,
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
        History { acts, refunds, events, paid_out }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let (seed, count) = (self.seed, self.acts.len());
            eprintln!("repeat it with REFUNDRY_SIM_SEED={seed}; it failed after {count} acts:");
            for act in self.acts.iter().rev().take(40).rev() {
                eprintln!("  {act}");
            }
        }
    }
}
