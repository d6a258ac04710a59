//! A provider whose calls get lost, hang or lose their answers.

use crate::counts::Counts;
use crate::rng::SeededRng;
use async_trait::async_trait;
use domain::outcome::{Failure, ProviderOutcome, Said};
use domain::payment::Capture;
use domain::provider::Traits;
use domain::tenant::Tenant;
use domain::time::{Clock, Timestamp};
use providers::{
    Call, Changes, DisputeNotice, Hint, Inbound, InboundWebhook, Listed, Lookup, PaymentReport,
    Provider, RefundInstruction, WebhookRefused,
};
use simulator::Simulator;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use testkit::ManualClock;
use tokio::sync::{Semaphore, watch};

/// A webhook with this header hints at the payment in it. It stands for whatever makes Refundry ask
/// what happened to a payment.
pub(crate) const HINT: &str = "hint";

/// A webhook with this header tells of a dispute: the notice with the number in it.
pub(crate) const DISPUTE: &str = "dispute";

/// How long after the sending was stopped a node may still send: it believes what it read for a second, and
/// the clocks of two nodes differ.
const STILL_SENT_MS: i64 = 5_000;

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

/// The network between all nodes and the provider.
pub(crate) struct Network {
    pub(crate) seed: u64,
    pub(crate) simulator: Arc<Simulator>,
    pub(crate) clock: Arc<ManualClock>,
    /// How long a call that was sent may be under way; for ever when `None`.
    pub(crate) under_way_ms: Option<i64>,
    pub(crate) counts: Counts,
    /// Changes when a call begins to hang.
    pub(crate) hangs: watch::Sender<u64>,
    calls: Mutex<BTreeMap<String, u64>>,
    /// The provider's ids of refunds of which a node was told that they are paid.
    told: Mutex<BTreeSet<Box<str>>>,
    /// The provider's notices about disputes, oldest first, and whether a node was told.
    dispute_notices: Mutex<Vec<(DisputeNotice, bool)>>,
    /// A person reads a span, and does so while little gets lost.
    span_is_read: AtomicBool,
    stopped_at: Mutex<Option<Timestamp>>,
    /// Refunds that were sent although the sending was stopped.
    sent_while_stopped: Mutex<Vec<String>>,
    faults_ended: AtomicBool,
}

impl Network {
    pub(crate) fn new(
        seed: u64,
        simulator: Arc<Simulator>,
        clock: Arc<ManualClock>,
        under_way_ms: Option<i64>,
    ) -> Arc<Self> {
        Arc::new(Self {
            seed,
            simulator,
            clock,
            under_way_ms,
            counts: Counts::default(),
            hangs: watch::Sender::new(0),
            calls: Mutex::default(),
            told: Mutex::default(),
            dispute_notices: Mutex::default(),
            span_is_read: AtomicBool::new(false),
            stopped_at: Mutex::default(),
            sent_while_stopped: Mutex::default(),
            faults_ended: AtomicBool::new(false),
        })
    }

    /// From now on, every call arrives.
    pub(crate) fn end_faults(&self) {
        self.faults_ended.store(true, Ordering::SeqCst);
    }

    pub(crate) fn faults_ended(&self) -> bool {
        self.faults_ended.load(Ordering::SeqCst)
    }

    /// Notes what a node is told about a refund.
    pub(crate) fn tell(&self, said: &Said) {
        if let (ProviderOutcome::Completed, Some(id)) = (said.outcome, &said.provider_refund_id) {
            self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
        }
    }

    pub(crate) fn was_told(&self, id: &str) -> bool {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).contains(id)
    }

    /// Those who were told are gone, and so is what they knew.
    pub(crate) fn forget_what_was_told(&self) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Whether a node was told, for each notice about a dispute.
    pub(crate) fn disputes_told(&self) -> Vec<bool> {
        self.lock_dispute_notices().iter().map(|(_, told)| *told).collect()
    }

    /// Those who were told of more are gone.
    pub(crate) fn forget_disputes_but(&self, known: &[bool]) {
        let known = known.iter().copied().chain(std::iter::repeat(false));
        for ((_, told), known) in self.lock_dispute_notices().iter_mut().zip(known) {
            *told = known;
        }
    }

    fn lock_dispute_notices(&self) -> MutexGuard<'_, Vec<(DisputeNotice, bool)>> {
        self.dispute_notices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns its number.
    pub(crate) fn add_dispute_notice(&self, notice: DisputeNotice) -> usize {
        let mut notices = self.lock_dispute_notices();
        notices.push((notice, false));
        notices.len() - 1
    }

    pub(crate) fn count_dispute_notices(&self) -> usize {
        self.lock_dispute_notices().len()
    }

    /// Those of which a node was told.
    pub(crate) fn dispute_notices_told(&self) -> Vec<DisputeNotice> {
        let notices = self.lock_dispute_notices();
        notices.iter().filter(|(_, told)| *told).map(|(notice, _)| notice.clone()).collect()
    }

    fn dispute_notice(&self, webhook: &InboundWebhook) -> Option<(usize, DisputeNotice)> {
        let number: usize = webhook.header(DISPUTE)?.parse().ok()?;
        self.lock_dispute_notices().get(number).map(|(notice, _)| (number, notice.clone()))
    }

    /// Notes that a node has taken in a webhook about a dispute.
    pub(crate) fn tell_of_dispute(&self, webhook: &InboundWebhook) {
        if let Some((number, _)) = self.dispute_notice(webhook) {
            self.lock_dispute_notices()[number].1 = true;
        }
    }

    pub(crate) fn begin_span(&self) {
        self.span_is_read.store(true, Ordering::SeqCst);
    }

    pub(crate) fn end_span(&self) {
        self.span_is_read.store(false, Ordering::SeqCst);
    }

    /// Notes when the sending was stopped, or that it is started.
    pub(crate) fn stop_sending(&self, at: Option<Timestamp>) {
        *self.stopped_at.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    pub(crate) fn sent_while_stopped(&self) -> Vec<String> {
        self.sent_while_stopped.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note_sent(&self, key: &str) {
        let stopped_at = *self.stopped_at.lock().unwrap_or_else(PoisonError::into_inner);
        if stopped_at.is_some_and(|at| self.clock.now().ms_since(at) > STILL_SENT_MS) {
            let sent = &self.sent_while_stopped;
            sent.lock().unwrap_or_else(PoisonError::into_inner).push(key.to_owned());
        }
    }

    /// The source of the faults of one call, which depends on what the call is about and the number of
    /// earlier calls about it, and on nothing that runs at the same time.
    fn rng(&self, about: &str) -> SeededRng {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let number = calls.entry(about.to_owned()).or_default();
        *number += 1;
        SeededRng::derived(self.seed, &(about, *number))
    }

    /// Whether a page that is read, or its answer, is lost.
    fn loses_page(&self, about: &str) -> bool {
        let percent = if self.span_is_read.load(Ordering::SeqCst) { 5 } else { 45 };
        let is_lost = self.rng(about).percent(percent) && !self.faults_ended();
        if is_lost {
            self.counts.count("page", "lost");
        }
        is_lost
    }

    fn fault(&self, about: &str) -> Fault {
        let mut rng = self.rng(about);
        if self.faults_ended() {
            return Fault::Arrives;
        }
        let fault = match rng.below(100) {
            0..55 => Fault::Arrives,
            55..62 => Fault::NotConnected,
            62..70 => Fault::LostOnTheWay,
            70..78 => Fault::AnswerLost,
            78..90 => Fault::HangsBefore,
            _ => Fault::HangsAfter,
        };
        if !matches!(fault, Fault::Arrives) {
            self.counts.count("call", format!("{fault:?}"));
        }
        fault
    }
}

/// The provider as one node reaches it.
pub(crate) struct LossyProvider {
    network: Arc<Network>,
    /// The keys of the calls that hang, in the order in which they will continue.
    hanging: Mutex<Vec<String>>,
    gate: Semaphore,
    /// The node works on a database that nobody else uses any more.
    cut_off: AtomicBool,
}

impl LossyProvider {
    pub(crate) fn new(network: Arc<Network>) -> Arc<Self> {
        let (hanging, gate) = (Mutex::default(), Semaphore::new(0));
        Arc::new(Self { network, hanging, gate, cut_off: AtomicBool::new(false) })
    }

    /// Number of calls that hang.
    pub(crate) fn hanging(&self) -> usize {
        self.hanging.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// True while a call under this key hangs.
    pub(crate) fn hangs(&self, key: &str) -> bool {
        self.hanging.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|k| k == key)
    }

    /// Lets the call that has hung longest continue.
    pub(crate) fn release_one_call(&self) {
        let mut hanging = self.hanging.lock().unwrap_or_else(PoisonError::into_inner);
        if !hanging.is_empty() {
            hanging.remove(0);
            self.gate.add_permits(1);
        }
    }

    pub(crate) fn cut_off(&self) {
        self.cut_off.store(true, Ordering::SeqCst);
    }

    fn tell(&self, said: &Said) {
        if !self.cut_off.load(Ordering::SeqCst) {
            self.network.tell(said);
        }
    }

    async fn hang(&self, key: &str) {
        self.hanging.lock().unwrap_or_else(PoisonError::into_inner).push(key.to_owned());
        self.network.hangs.send_modify(|count| *count += 1);
        let permit = self.gate.acquire().await;
        permit.expect("the gate is never closed").forget();
    }

    /// Does a call with its fault. Fails when the call or its answer is lost.
    async fn pass<T>(
        &self,
        fault: Fault,
        key: &str,
        call: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        let lost = Failure::new("timeout", "the simulation lost a call or its answer");
        match fault {
            Fault::Arrives => Ok(call.await),
            Fault::NotConnected | Fault::LostOnTheWay => Err(lost),
            Fault::AnswerLost => {
                call.await;
                Err(lost)
            }
            Fault::HangsBefore => {
                let sent_at = self.network.clock.now();
                self.hang(key).await;
                let took_ms = self.network.clock.now().ms_since(sent_at);
                if self.network.under_way_ms.is_some_and(|most| took_ms > most) {
                    return Err(lost);
                }
                Ok(call.await)
            }
            Fault::HangsAfter => {
                let answer = call.await;
                self.hang(key).await;
                Ok(answer)
            }
        }
    }
}

#[async_trait]
impl Provider for LossyProvider {
    fn name(&self) -> &'static str {
        self.network.simulator.name()
    }

    fn traits(&self) -> Traits {
        self.network.simulator.traits()
    }

    fn check(&self, order: &RefundInstruction, now: Timestamp) -> Result<(), Failure> {
        self.network.simulator.check(order, now)
    }

    async fn submit(&self, order: &RefundInstruction, call: Call) -> Said {
        if !self.cut_off.load(Ordering::SeqCst) {
            self.network.note_sent(&order.key);
        }
        let fault = self.network.fault(&order.key);
        if matches!(fault, Fault::NotConnected) {
            return Said::new(ProviderOutcome::NeverSent)
                .because(Failure::new("connection_refused", "the simulation sent nothing"));
        }
        let submitted = self.network.simulator.submit(order, call);
        let said = self.pass(fault, &order.key, submitted).await.unwrap_or_else(Said::unknown);
        self.tell(&said);
        said
    }

    async fn lookup(&self, order: &RefundInstruction, call: Call) -> Lookup {
        let fault = self.network.fault(&order.key);
        let fault = if matches!(fault, Fault::AnswerLost) { Fault::LostOnTheWay } else { fault };
        let found = self.network.simulator.lookup(order, call);
        let found = self.pass(fault, &order.key, found).await.unwrap_or_else(Lookup::Unknown);
        if let Lookup::Found(said) = &found {
            self.tell(said);
        }
        found
    }

    async fn list(
        &self,
        payment: &Capture,
        after: Option<&str>,
        call: Call,
    ) -> Result<Listed, Failure> {
        if self.network.loses_page(&payment.provider_payment_id) {
            return Err(Failure::new("timeout", "the simulation lost a list"));
        }
        self.network.simulator.list(payment, after, call).await
    }

    async fn changes(
        &self,
        tenant: Tenant,
        since: Timestamp,
        after: Option<&str>,
        call: Call,
    ) -> Result<Option<Changes>, Failure> {
        if self.network.loses_page("changes") {
            return Err(Failure::new("timeout", "the simulation lost a page of changes"));
        }
        let changes = self.network.simulator.changes(tenant, since, after, call).await?;
        for notice in changes.iter().flat_map(|changes| &changes.notices) {
            self.tell(&notice.said);
        }
        Ok(changes)
    }

    async fn payment(
        &self,
        tenant: Tenant,
        provider_payment_id: &str,
        call: Call,
    ) -> Result<Option<PaymentReport>, Failure> {
        self.network.simulator.payment(tenant, provider_payment_id, call).await
    }

    async fn receive(
        &self,
        webhook: &InboundWebhook,
        call: Call,
    ) -> Result<Inbound, WebhookRefused> {
        if let Some(payment) = webhook.header(HINT) {
            let hints = vec![Hint::Payment(payment.into())];
            return Ok(Inbound { hints, ..Inbound::default() });
        }
        if let Some((_, told)) = self.network.dispute_notice(webhook) {
            return Ok(Inbound { disputes: vec![told], ..Inbound::default() });
        }
        Provider::receive(&*self.network.simulator, webhook, call).await
    }
}
