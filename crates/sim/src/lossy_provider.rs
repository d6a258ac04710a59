//! A provider whose calls get lost, hang or lose their answers.

use crate::rng::SeededRng;
use async_trait::async_trait;
use domain::outcome::{Failure, ProviderOutcome, Said};
use domain::payment::Capture;
use domain::tenant::Tenant;
use providers::{
    Capabilities, InboundWebhook, Lookup, Notice, PaymentReport, Provider, RefundInstruction,
    WebhookRefused,
};
use simulator::Simulator;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// The fault of one call.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Arrives,
    /// The call fails before a byte is sent.
    NotConnected,
    /// The call is sent and never reaches the provider.
    LostOnTheWay,
    /// The provider handles the call, and the answer is lost.
    AnswerLost,
    /// The call hangs before the provider handles it.
    HangsBefore,
    /// The provider handles the call, and the answer hangs.
    HangsAfter,
}

/// The provider as one node reaches it.
pub(crate) struct LossyProvider {
    simulator: Arc<Simulator>,
    seed: u64,
    calls: Arc<Calls>,
    hanging: AtomicUsize,
    gate: Semaphore,
}

/// Number of calls per refund over all nodes, and whether the faults have ended.
#[derive(Default)]
pub(crate) struct Calls {
    by_key: Mutex<BTreeMap<String, u64>>,
    faults_ended: AtomicBool,
}

impl Calls {
    /// From now on, every call arrives.
    pub(crate) fn end_faults(&self) {
        self.faults_ended.store(true, Ordering::SeqCst);
    }

    fn count(&self, key: &str) -> u64 {
        let mut by_key = self.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_key.entry(key.to_owned()).or_default();
        *count += 1;
        *count
    }
}

impl LossyProvider {
    pub(crate) fn new(simulator: Arc<Simulator>, seed: u64, calls: Arc<Calls>) -> Arc<Self> {
        let (hanging, gate) = (AtomicUsize::new(0), Semaphore::new(0));
        Arc::new(Self { simulator, seed, calls, hanging, gate })
    }

    /// Number of calls that hang.
    pub(crate) fn hanging(&self) -> usize {
        self.hanging.load(Ordering::SeqCst)
    }

    /// Lets the call that has hung longest continue.
    pub(crate) fn release_one_call(&self) {
        if self.hanging() > 0 {
            self.hanging.fetch_sub(1, Ordering::SeqCst);
            self.gate.add_permits(1);
        }
    }

    /// Draws the fault of a call from its refund and the number of earlier calls for that refund.
    /// The fault therefore does not depend on anything that runs at the same time.
    fn fault(&self, key: &str) -> Fault {
        let call = self.calls.count(key);
        if self.calls.faults_ended.load(Ordering::SeqCst) {
            return Fault::Arrives;
        }
        match SeededRng::derived(self.seed, &(key, call)).below(100) {
            0..50 => Fault::Arrives,
            50..58 => Fault::NotConnected,
            58..66 => Fault::LostOnTheWay,
            66..74 => Fault::AnswerLost,
            74..90 => Fault::HangsBefore,
            _ => Fault::HangsAfter,
        }
    }

    async fn hang(&self) {
        self.hanging.fetch_add(1, Ordering::SeqCst);
        let permit = self.gate.acquire().await;
        permit.expect("the gate is never closed").forget();
    }

    /// Does a call with its fault. Fails when the call or its answer is lost.
    async fn pass<T>(&self, fault: Fault, call: impl Future<Output = T>) -> Result<T, Failure> {
        let lost = Failure::new("timeout", "the simulation lost a call or its answer");
        match fault {
            Fault::Arrives => Ok(call.await),
            Fault::NotConnected | Fault::LostOnTheWay => Err(lost),
            Fault::AnswerLost => {
                call.await;
                Err(lost)
            }
            Fault::HangsBefore => {
                self.hang().await;
                Ok(call.await)
            }
            Fault::HangsAfter => {
                let answer = call.await;
                self.hang().await;
                Ok(answer)
            }
        }
    }
}

#[async_trait]
impl Provider for LossyProvider {
    fn name(&self) -> &'static str {
        self.simulator.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.simulator.capabilities()
    }

    async fn submit(&self, order: &RefundInstruction) -> Said {
        let fault = self.fault(&order.key);
        if matches!(fault, Fault::NotConnected) {
            return Said::new(ProviderOutcome::NeverSent)
                .because(Failure::new("connection_refused", "the simulation sent nothing"));
        }
        self.pass(fault, self.simulator.submit(order)).await.unwrap_or_else(Said::unknown)
    }

    async fn lookup(&self, order: &RefundInstruction) -> Lookup {
        let fault = self.fault(&order.key);
        let fault = if matches!(fault, Fault::AnswerLost) { Fault::LostOnTheWay } else { fault };
        self.pass(fault, self.simulator.lookup(order)).await.unwrap_or_else(Lookup::Unknown)
    }

    async fn list_for_payment(&self, payment: &Capture) -> Result<Vec<Notice>, Failure> {
        self.simulator.list_for_payment(payment).await
    }

    async fn fetch_payment(
        &self,
        tenant: Tenant,
        provider_payment_id: &str,
    ) -> Result<Option<PaymentReport>, Failure> {
        self.simulator.fetch_payment(tenant, provider_payment_id).await
    }

    fn parse_webhook(&self, webhook: &InboundWebhook) -> Result<Vec<Notice>, WebhookRefused> {
        self.simulator.parse_webhook(webhook)
    }
}
