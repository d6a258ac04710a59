//! [`Engine`]: what doors can ask for.

use crate::accounts::KeyCache;
use crate::committer::{Committed, Committer, CommitterConfig, Pending, SharedIds};
use crate::input::{IdempotencyKey, NewPayment, NewRefund};
use crate::policy::Policies;
use crate::retention::Retention;
use crate::secrets::MasterKey;
use crate::steps::Claimed;
use crate::waiters::Waiters;
use crate::webhooks::{Outbox, Webhooks};
use crate::{Error, names};
use domain::account::Scope;
use domain::decide::{
    Command, CreateRefund, Done, KeyUse, RefundRef, Refusal, RegisterPayment, Start,
};
use domain::ids::{Ids, PaymentId, RefundId, RequestId};
use domain::keys::KeyHash;
use domain::payment::{Facts, Payment};
use domain::refund::{Refund, State, Status};
use domain::time::{Clock, Timestamp};
use providers::Registry;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use store::Store;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::task::TaskTracker;

/// How often a refund that is waited for is looked at, where another node may decide it.
const SHARED_POLL: Duration = Duration::from_millis(200);

/// How an engine runs.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// How the committer runs.
    pub committer: CommitterConfig,
    /// How long a caller waits for a commit before it is told that the outcome is open.
    pub commit_timeout: Duration,
    /// Calls to providers under way at the same time, at most.
    pub dispatch_limit: usize,
    /// Send a new refund at once, from the node that committed it. Off, every refund waits for a
    /// step, which tests drive by hand.
    pub dispatch_at_once: bool,
    /// How long a node may work on a refund before another may take over, milliseconds.
    pub lease_ms: i64,
    /// How long a provider may take to answer. Shorter than the lease.
    pub provider_timeout: Duration,
    /// How patiently providers are asked.
    pub policies: Policies,
    /// Where buyers find this server, without a slash at the end.
    pub public_url: Arc<str>,
    /// How long after the capture each provider pays merchants out, milliseconds, by its name. Of
    /// providers that are not in it, payments settle when somebody says so.
    pub settlement_ms: BTreeMap<String, i64>,
    /// How long what is kept.
    pub retention: Retention,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            committer: CommitterConfig::default(),
            commit_timeout: Duration::from_secs(10),
            dispatch_limit: 256,
            dispatch_at_once: true,
            lease_ms: 30_000,
            provider_timeout: Duration::from_secs(20),
            policies: Policies::default(),
            public_url: "http://127.0.0.1:8080".into(),
            settlement_ms: BTreeMap::new(),
            retention: Retention::default(),
        }
    }
}

/// What an engine is made of.
pub struct Parts {
    /// The database.
    pub store: Store,
    /// The providers.
    pub registry: Registry,
    /// The key under which secrets are sealed.
    pub master_key: MasterKey,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Where all randomness comes from.
    pub seed: [u8; 32],
    /// How it runs.
    pub config: EngineConfig,
}

/// The engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    store: Store,
    registry: Registry,
    master_key: MasterKey,
    clock: Arc<dyn Clock>,
    ids: SharedIds,
    config: EngineConfig,
    committer: Committer,
    hooks: Arc<Hooks>,
    slots: Arc<Semaphore>,
    tasks: TaskTracker,
    keys: KeyCache,
    overdue: Overdue,
    outbox: Arc<Outbox>,
}

/// What happens right after a commit.
struct Hooks {
    waiters: Arc<Waiters>,
    work: Notify,
    dispatches: mpsc::Sender<Claimed>,
    outbox: Arc<Outbox>,
}

impl Committed for Hooks {
    fn told(&self) {
        self.outbox.wake();
    }

    fn committed(&self, done: &Done, slot: Option<OwnedSemaphorePermit>) {
        let Done::Refund { refund, payment, replayed: false } = done else { return };
        self.waiters.wake(refund.id);
        match (refund.state, slot) {
            (State::Sending, Some(slot)) => {
                let claimed = Claimed {
                    refund: refund.clone(),
                    payment: payment.facts.clone(),
                    slot: Some(slot),
                };
                // There is room for every slot; without it the lease runs out and a step takes over.
                if self.dispatches.try_send(claimed).is_err() {
                    tracing::warn!(refund = %refund.id, "a dispatch waits for its lease to run out");
                }
            }
            (State::Queued | State::Scheduled, _) => self.work.notify_one(),
            _ => {}
        }
    }
}

/// Names whose commands were not answered in time and are still under way.
#[derive(Default)]
struct Overdue {
    count: AtomicUsize,
    names: Mutex<HashSet<(Scope, KeyHash)>>,
}

impl Overdue {
    fn contains(&self, scope: Scope, name: KeyHash) -> bool {
        self.count.load(Ordering::Acquire) > 0
            && self.names.lock().unwrap_or_else(PoisonError::into_inner).contains(&(scope, name))
    }

    fn insert(&self, name: (Scope, KeyHash)) {
        if self.names.lock().unwrap_or_else(PoisonError::into_inner).insert(name) {
            self.count.fetch_add(1, Ordering::Release);
        }
    }

    fn remove(&self, name: (Scope, KeyHash)) {
        if self.names.lock().unwrap_or_else(PoisonError::into_inner).remove(&name) {
            self.count.fetch_sub(1, Ordering::Release);
        }
    }
}

/// An answer, and whether the same request had come before.
#[derive(Clone, Debug)]
pub struct Answered<T> {
    /// The answer.
    pub value: T,
    /// It is the stored answer of an earlier request.
    pub replayed: bool,
}

/// A refund and what it refunds.
#[derive(Clone, Debug)]
pub struct RefundView {
    /// The refund.
    pub refund: Refund,
    /// The unchanging part of its payment.
    pub payment: Arc<Facts>,
}

impl Engine {
    /// Starts an engine on the current runtime. It keeps deliveries of webhooks and sends none.
    pub fn start(parts: Parts) -> Self {
        Self::start_with(parts, Webhooks::default())
    }

    /// Starts an engine on the current runtime that sends webhooks.
    pub fn start_with(parts: Parts, webhooks: Webhooks) -> Self {
        let outbox = Arc::new(Outbox::new(webhooks));
        let ids: SharedIds = Arc::new(Mutex::new(Ids::new(ChaCha20Rng::from_seed(parts.seed))));
        let room = parts.config.dispatch_limit.max(1);
        let (dispatches, claimed) = mpsc::channel(room);
        let hooks = Arc::new(Hooks {
            waiters: Arc::default(),
            work: Notify::new(),
            dispatches,
            outbox: outbox.clone(),
        });
        let listener: Arc<dyn Committed> = hooks.clone();
        let committer =
            Committer::start(&parts.store, &parts.clock, &ids, parts.config.committer, &listener);
        let engine = Self(Arc::new(Inner {
            store: parts.store,
            registry: parts.registry,
            master_key: parts.master_key,
            clock: parts.clock,
            ids,
            config: parts.config,
            committer,
            hooks,
            slots: Arc::new(Semaphore::new(room)),
            tasks: TaskTracker::new(),
            keys: KeyCache::default(),
            overdue: Overdue::default(),
            outbox,
        }));
        engine.0.tasks.spawn(dispatch_all(Arc::downgrade(&engine.0), claimed));
        engine
    }

    /// The time now, by the engine's clock.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// A new id for a request.
    pub fn request_id(&self) -> RequestId {
        let now = self.now();
        RequestId::from_ulid(self.with_ids(|ids| ids.ulid(now)))
    }

    pub(crate) fn with_ids<T>(&self, make: impl FnOnce(&mut Ids<ChaCha20Rng>) -> T) -> T {
        make(&mut self.0.ids.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn master_key(&self) -> &MasterKey {
        &self.0.master_key
    }

    pub(crate) fn key_cache(&self) -> &KeyCache {
        &self.0.keys
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.0.registry
    }

    pub(crate) fn config(&self) -> &EngineConfig {
        &self.0.config
    }

    pub(crate) fn outbox(&self) -> &Arc<Outbox> {
        &self.0.outbox
    }

    pub(crate) fn committer(&self) -> &Committer {
        &self.0.committer
    }

    pub(crate) fn slots(&self) -> &Arc<Semaphore> {
        &self.0.slots
    }

    /// Resolves when there may be new work for a step.
    pub async fn work_arrived(&self) {
        self.0.hooks.work.notified().await;
    }

    /// Runs `work` so that [`Engine::drain`] waits for it.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.0.tasks.spawn(work);
    }

    /// Waits until every call to a provider or a receiver that is under way has been recorded, at most `limit`.
    /// `false` when some are left; their leases run out and a step takes over.
    pub async fn drain(&self, limit: Duration) -> bool {
        let Ok(all) = u32::try_from(self.0.config.dispatch_limit.max(1)) else { return false };
        let all = async {
            self.0.outbox.drain().await;
            let _ = self.0.slots.acquire_many(all).await;
        };
        tokio::time::timeout(limit, all).await.is_ok()
    }

    /// How many calls to payment providers are under way or about to be.
    pub fn calls_under_way(&self) -> usize {
        let free = self.0.slots.available_permits();
        self.0.config.dispatch_limit.max(1).saturating_sub(free)
    }

    /// Registers a captured payment.
    pub async fn register_payment(
        &self,
        new: NewPayment,
        key: Option<&IdempotencyKey>,
    ) -> Result<Answered<Payment>, Error> {
        if self.0.registry.find(new.scope, &new.provider).is_none() {
            let names: Vec<_> = self.0.registry.names(new.scope).collect();
            return Err(Error::Invalid {
                field: "provider",
                message: format!(
                    "no provider {:?} is configured; configured: {}",
                    new.provider,
                    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
                ),
            });
        }
        let now = self.now();
        let request = names::payment_request(&new);
        let key = key.map(|key| KeyUse { hash: names::idempotency(key), request });
        let scope = new.scope;
        let captured_at = new.captured_at.unwrap_or(now);
        let settles_after = self.settles_after_ms(&new.provider);
        let settles_at = settles_after.map(|ms| captured_at.plus_ms(ms));
        let command = Command::Register(Box::new(RegisterPayment {
            charge: KeyUse { hash: names::charge(&new.provider_payment_id), request },
            key,
            settled_at: new.settled_at.or(settles_at),
            facts: Facts {
                scope,
                id: new.id.unwrap_or_else(|| self.with_ids(|ids| ids.payment(now))),
                kind: new.kind,
                captured: new.captured,
                currency: new.currency,
                provider: new.provider,
                provider_payment_id: new.provider_payment_id,
                captured_at,
                reference: new.reference,
                metadata: new.metadata,
            },
        }));
        match self.commit(command, None, key.map(|key| (scope, key.hash))).await? {
            Done::Payment { payment, replayed } => Ok(Answered { value: payment, replayed }),
            Done::Refund { .. }
            | Done::Checkout { .. }
            | Done::Invoice { .. }
            | Done::Endpoint(_)
            | Done::Delivery { .. } => Err(Error::Refused(Refusal::KeyReused)),
        }
    }

    /// Says when a payment settles or settled. Refunds that are asked for before that are reversals.
    pub async fn settle_payment(
        &self,
        scope: Scope,
        payment: PaymentId,
        at: Timestamp,
    ) -> Result<Payment, Error> {
        match self.commit(Command::Settle { scope, payment, at }, None, None).await? {
            Done::Payment { payment, .. } => Ok(payment),
            // Commands about payments are answered with payments.
            _ => Err(Error::closed()),
        }
    }

    /// How long after the capture a provider pays merchants out, where that is configured.
    pub(crate) fn settles_after_ms(&self, provider: &str) -> Option<i64> {
        self.0.config.settlement_ms.get(provider).copied()
    }

    /// Asks for a refund. Answers when that is durable; the provider is called after that.
    pub async fn create_refund(
        &self,
        new: NewRefund,
        key: Option<&IdempotencyKey>,
    ) -> Result<Answered<RefundView>, Error> {
        let scope = new.scope;
        let request = names::refund_request(&new);
        let key = key.map(names::idempotency);
        let free = || self.0.slots.clone().try_acquire_owned().ok();
        let slot = if self.0.config.dispatch_at_once { free() } else { None };
        let start = match slot {
            Some(_) => Start::Send { lease_until: self.now().plus_ms(self.0.config.lease_ms) },
            None => Start::Queue,
        };
        let reference = new.reference.map(|text| {
            let name = names::reference(&text);
            (text, name)
        });
        let command = Command::Create(Box::new(CreateRefund {
            scope,
            payment: new.payment,
            kind: new.kind,
            amount: new.amount,
            currency: new.currency,
            expected_refundable: new.expected_refundable,
            reason: new.reason,
            reference,
            metadata: new.metadata,
            key,
            request,
            start,
        }));
        match self.commit(command, slot, key.map(|key| (scope, key))).await {
            Err(Error::Refused(Refusal::PaymentNotFound)) => {
                Err(self.why_not_paid(scope, new.payment, new.kind).await?.into())
            }
            done => refund_answer(done?),
        }
    }

    /// Withdraws a refund that was not sent yet.
    pub async fn cancel_refund(
        &self,
        scope: Scope,
        id: RefundId,
        key: Option<&IdempotencyKey>,
    ) -> Result<Answered<RefundView>, Error> {
        let found = self.find_refund(scope, id).await?.ok_or(Refusal::RefundNotFound)?;
        let request = names::cancel_request(id);
        let key = key.map(|key| KeyUse { hash: names::idempotency(key), request });
        let command = Command::Cancel { of: RefundRef::from(&found.refund), key };
        refund_answer(self.commit(command, None, key.map(|key| (scope, key.hash))).await?)
    }

    /// Queues a command and waits for its commit, but not forever. A name whose command is overdue
    /// is refused as being in progress until that command is answered.
    pub(crate) async fn commit(
        &self,
        command: Command,
        slot: Option<OwnedSemaphorePermit>,
        name: Option<(Scope, KeyHash)>,
    ) -> Result<Done, Error> {
        if let Some((scope, hash)) = name
            && self.0.overdue.contains(scope, hash)
        {
            return Err(Error::InProgress);
        }
        let mut pending = self.0.committer.submit(command, slot)?;
        if let Ok(answer) = tokio::time::timeout(self.0.config.commit_timeout, &mut pending).await {
            return answer.unwrap_or_else(|_| Err(Error::closed()));
        }
        if let Some(name) = name {
            self.watch_overdue(name, pending);
        }
        Err(Error::TimedOut)
    }

    fn watch_overdue(&self, name: (Scope, KeyHash), pending: Pending) {
        self.0.overdue.insert(name);
        let engine = self.clone();
        tokio::spawn(async move {
            let _ = pending.await;
            engine.0.overdue.remove(name);
        });
    }

    /// Waits until the refund is decided or needs a person, or `limit` is over. Always the refund
    /// as it is then.
    pub async fn wait_for_refund(
        &self,
        scope: Scope,
        id: RefundId,
        limit: Duration,
    ) -> Result<Option<RefundView>, Error> {
        let Some(waiter) = self.0.hooks.waiters.wait(id) else {
            return self.find_refund(scope, id).await;
        };
        let decided = async {
            loop {
                let changed = waiter.changed();
                tokio::pin!(changed);
                changed.as_mut().enable();
                let found = self.find_refund(scope, id).await?;
                let settled = found.as_ref().is_none_or(|view| {
                    let state = view.refund.state;
                    state.status() != Status::Pending || state == State::NeedsReview
                });
                if settled {
                    return Ok(found);
                }
                if self.0.store.is_shared() {
                    // Other nodes wake nobody here.
                    let _ = tokio::time::timeout(SHARED_POLL, changed).await;
                } else {
                    changed.await;
                }
            }
        };
        match tokio::time::timeout(limit, decided).await {
            Ok(found) => found,
            Err(_) => self.find_refund(scope, id).await,
        }
    }

    /// One read of the database.
    pub async fn health(&self) -> Result<(), Error> {
        self.0.store.next_due().await?;
        Ok(())
    }
}

/// Sends what the committer hands over, until the engine is gone.
async fn dispatch_all(engine: std::sync::Weak<Inner>, mut claimed: mpsc::Receiver<Claimed>) {
    while let Some(claimed) = claimed.recv().await {
        let Some(inner) = engine.upgrade() else { return };
        let engine = Engine(inner);
        let tasks = engine.0.tasks.clone();
        tasks.spawn(async move { engine.work(claimed).await });
    }
}

fn refund_answer(done: Done) -> Result<Answered<RefundView>, Error> {
    match done {
        Done::Refund { refund, payment, replayed } => {
            let value = RefundView { refund: *refund, payment: payment.facts };
            Ok(Answered { value, replayed })
        }
        Done::Payment { .. }
        | Done::Checkout { .. }
        | Done::Invoice { .. }
        | Done::Endpoint(_)
        | Done::Delivery { .. } => Err(Error::Refused(Refusal::KeyReused)),
    }
}
