//! The way to the provider, on which calls get lost, hang and never come back.

use crate::dice::Dice;
use async_trait::async_trait;
use domain::account::Scope;
use domain::outcome::{Failure, ProviderOutcome, Said};
use domain::payment::Capture;
use engine::simulator::Simulator;
use providers::{
    Capabilities, InboundWebhook, Lookup, Notice, PaymentReport, Provider, RefundInstruction,
    WebhookRefused,
};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// What becomes of a call.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Arrives,
    /// No byte left.
    NotConnected,
    /// It left, and never got there.
    LostOnTheWay,
    /// It got there, and the answer never came back.
    AnswerLost,
    /// It hangs before it gets there.
    HangsBefore,
    /// It hangs with the answer in its hands.
    HangsAfter,
}

/// The provider as one node sees it.
pub(crate) struct Chaos {
    simulator: Arc<Simulator>,
    seed: u64,
    calls: Arc<Calls>,
    hanging: AtomicUsize,
    gate: Semaphore,
}

/// How often each refund was called about, by all nodes together, and whether the trouble is over.
#[derive(Default)]
pub(crate) struct Calls {
    by_key: Mutex<BTreeMap<String, u64>>,
    calm: AtomicBool,
}

impl Calls {
    /// From now on, every call arrives.
    pub(crate) fn calm_down(&self) {
        self.calm.store(true, Ordering::SeqCst);
    }

    fn count(&self, key: &str) -> u64 {
        let mut by_key = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_key.entry(key.to_owned()).or_default();
        *count += 1;
        *count
    }
}

impl Chaos {
    pub(crate) fn new(simulator: Arc<Simulator>, seed: u64, calls: Arc<Calls>) -> Arc<Self> {
        let (hanging, gate) = (AtomicUsize::new(0), Semaphore::new(0));
        Arc::new(Self { simulator, seed, calls, hanging, gate })
    }

    /// How many calls hang.
    pub(crate) fn hanging(&self) -> usize {
        self.hanging.load(Ordering::SeqCst)
    }

    /// Lets the call go on that has hung the longest.
    pub(crate) fn let_one_go(&self) {
        if self.hanging() > 0 {
            self.hanging.fetch_sub(1, Ordering::SeqCst);
            self.gate.add_permits(1);
        }
    }

    /// The fate of a call depends on its refund and on how often that was called about, so that it
    /// does not matter what else happens at the same time.
    fn fate(&self, key: &str) -> Fate {
        let call = self.calls.count(key);
        if self.calls.calm.load(Ordering::SeqCst) {
            return Fate::Arrives;
        }
        match Dice::for_occasion(self.seed, &(key, call)).below(100) {
            0..50 => Fate::Arrives,
            50..58 => Fate::NotConnected,
            58..66 => Fate::LostOnTheWay,
            66..74 => Fate::AnswerLost,
            74..90 => Fate::HangsBefore,
            _ => Fate::HangsAfter,
        }
    }

    async fn hang(&self) {
        self.hanging.fetch_add(1, Ordering::SeqCst);
        let permit = self.gate.acquire().await;
        permit.expect("the gate is never closed").forget();
    }
}

fn lost() -> Failure {
    Failure::new("timeout", "the simulation lost a call or its answer")
}

#[async_trait]
impl Provider for Chaos {
    fn name(&self) -> &'static str {
        self.simulator.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.simulator.capabilities()
    }

    async fn submit(&self, order: &RefundInstruction) -> Said {
        match self.fate(&order.key) {
            Fate::Arrives => self.simulator.submit(order).await,
            Fate::NotConnected => Said::new(ProviderOutcome::NeverSent)
                .because(Failure::new("connection_refused", "the simulation sent nothing")),
            Fate::LostOnTheWay => Said::unknown(lost()),
            Fate::AnswerLost => {
                self.simulator.submit(order).await;
                Said::unknown(lost())
            }
            Fate::HangsBefore => {
                self.hang().await;
                self.simulator.submit(order).await
            }
            Fate::HangsAfter => {
                let answer = self.simulator.submit(order).await;
                self.hang().await;
                answer
            }
        }
    }

    async fn lookup(&self, order: &RefundInstruction) -> Lookup {
        match self.fate(&order.key) {
            Fate::Arrives => self.simulator.lookup(order).await,
            Fate::NotConnected | Fate::LostOnTheWay | Fate::AnswerLost => Lookup::Unknown(lost()),
            Fate::HangsBefore => {
                self.hang().await;
                self.simulator.lookup(order).await
            }
            Fate::HangsAfter => {
                let found = self.simulator.lookup(order).await;
                self.hang().await;
                found
            }
        }
    }

    async fn list_for_payment(&self, payment: &Capture) -> Result<Vec<Notice>, Failure> {
        self.simulator.list_for_payment(payment).await
    }

    async fn fetch_payment(
        &self,
        scope: Scope,
        provider_payment_id: &str,
    ) -> Result<Option<PaymentReport>, Failure> {
        self.simulator.fetch_payment(scope, provider_payment_id).await
    }

    fn parse_webhook(&self, webhook: &InboundWebhook) -> Result<Vec<Notice>, WebhookRefused> {
        self.simulator.parse_webhook(webhook)
    }
}
