//! [`Engine`]: starting it, committing through it, draining it. Its use-cases are in a file per
//! noun.

use crate::Error;
use crate::accounts::KeyCache;
use crate::adapters::Adapters;
use crate::claims::Lanes;
use crate::committer::{Committed, Committer, CommitterConfig, Pending, SharedIds};
use crate::dispatch::{AfterCommit, dispatch_all};
use crate::gates::Gates;
use crate::lane::Batches;
use crate::readiness::{LIMIT, NotReady, Readiness};
use crate::retention::Retention;
use crate::retry_policy::RetryPolicies;
use crate::secrets::MasterKey;
use crate::tenant_cache::TenantCache;
use crate::waiters::Waiters;
use crate::webhooks::{Outbox, Webhooks};
use domain::decide::{Command, Done};
use domain::ids::{Ids, RequestId};
use domain::provider_account::ProviderAccountState;
use domain::tenant::Tenant;
use domain::time::{Clock, Timestamp};
use domain::unique_keys::KeyHash;
use providers::Registry;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use store::Store;
use tokio::sync::{Notify, mpsc};
use tokio_util::task::TaskTracker;

/// How an engine runs.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    pub committer: CommitterConfig,
    /// How long a caller waits for a commit before the answer is that the outcome is open.
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
    /// How often the changes at each provider are read, milliseconds; never when 0.
    pub reconcile_every_ms: i64,
    /// When providers are asked again.
    pub policies: RetryPolicies,
    /// Where buyers find this server, without a slash at the end.
    pub public_url: Arc<str>,
    /// Milliseconds from the capture to the payout, by the provider's name. Payments of other
    /// providers settle when a caller says so.
    pub settlement_ms: BTreeMap<String, i64>,
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
            reconcile_every_ms: 15 * 60_000,
            policies: RetryPolicies::default(),
            public_url: "http://127.0.0.1:8080".into(),
            settlement_ms: BTreeMap::new(),
            retention: Retention::default(),
        }
    }
}

/// The parts of an engine.
pub struct Parts {
    pub store: Store,
    pub registry: Registry,
    /// The key under which secrets are sealed.
    pub master_key: MasterKey,
    pub clock: Arc<dyn Clock>,
    /// Where all randomness comes from.
    pub seed: [u8; 32],
    pub config: EngineConfig,
}

/// The engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    store: Store,
    registry: Registry,
    master_key: MasterKey,
    clock: Arc<dyn Clock>,
    ids: SharedIds,
    config: EngineConfig,
    committer: Committer,
    readiness: Arc<Readiness>,
    pub(crate) hooks: Arc<AfterCommit>,
    lanes: Lanes,
    adapters: Adapters,
    reconciled_until: Mutex<Option<Tenant>>,
    pub(crate) tasks: TaskTracker,
    keys: KeyCache,
    unanswered: UnansweredCommands,
    outbox: Arc<Outbox>,
}

/// Names whose commands were not answered in time and are still under way.
#[derive(Default)]
struct UnansweredCommands {
    count: AtomicUsize,
    names: Mutex<HashSet<(Tenant, KeyHash)>>,
}

impl UnansweredCommands {
    fn contains(&self, tenant: Tenant, name: KeyHash) -> bool {
        self.count.load(Ordering::Acquire) > 0
            && self.names.lock().unwrap_or_else(PoisonError::into_inner).contains(&(tenant, name))
    }

    fn insert(&self, name: (Tenant, KeyHash)) {
        if self.names.lock().unwrap_or_else(PoisonError::into_inner).insert(name) {
            self.count.fetch_add(1, Ordering::Release);
        }
    }

    fn remove(&self, name: (Tenant, KeyHash)) {
        if self.names.lock().unwrap_or_else(PoisonError::into_inner).remove(&name) {
            self.count.fetch_sub(1, Ordering::Release);
        }
    }
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
        let (dispatches, leased) = mpsc::channel(room);
        let hooks = Arc::new(AfterCommit {
            waiters: Arc::default(),
            work: Notify::new(),
            dispatches,
            outbox: outbox.clone(),
            registry: parts.registry.clone(),
            gates: Gates::new(room),
            switches: TenantCache::default(),
            account_states: TenantCache::default(),
        });
        let listener: Arc<dyn Committed> = hooks.clone();
        let readiness = Arc::new(Readiness::new(parts.clock.clone()));
        let shared = Batches {
            store: parts.store.clone(),
            clock: parts.clock.clone(),
            ids: ids.clone(),
            listener,
            readiness: readiness.clone(),
            locked_rows: Arc::default(),
            has_deliveries: Arc::default(),
        };
        let committer = Committer::start(&shared, parts.config.committer);
        let engine = Self(Arc::new(Inner {
            store: parts.store,
            registry: parts.registry,
            master_key: parts.master_key,
            clock: parts.clock,
            ids,
            config: parts.config,
            committer,
            readiness,
            hooks,
            lanes: Lanes::default(),
            adapters: Adapters::default(),
            reconciled_until: Mutex::default(),
            tasks: TaskTracker::new(),
            keys: KeyCache::default(),
            unanswered: UnansweredCommands::default(),
            outbox,
        }));
        // A tracker can only be waited for when it is closed; work may still be added to it.
        engine.0.tasks.close();
        tokio::spawn(dispatch_all(Arc::downgrade(&engine.0), leased));
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

    /// Whether the sending of a tenant is stopped.
    pub(crate) fn switches(&self) -> &TenantCache<bool> {
        &self.0.hooks.switches
    }

    pub(crate) fn account_states(&self) -> &TenantCache<Arc<[ProviderAccountState]>> {
        &self.0.hooks.account_states
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// Where buyers and providers find this server, without a slash at the end.
    pub fn public_url(&self) -> &str {
        &self.0.config.public_url
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

    pub(crate) fn adapters(&self) -> &Adapters {
        &self.0.adapters
    }

    pub(crate) fn lanes(&self) -> &Lanes {
        &self.0.lanes
    }

    /// The tenant at which the reconcile steps of this node are on their way around all.
    pub(crate) fn reconciled_until(&self) -> &Mutex<Option<Tenant>> {
        &self.0.reconciled_until
    }

    pub(crate) fn gates(&self) -> &Gates {
        &self.0.hooks.gates
    }

    pub(crate) fn waiters(&self) -> &Arc<Waiters> {
        &self.0.hooks.waiters
    }

    /// Resolves when there may be new work for a step.
    pub async fn work_arrived(&self) {
        self.0.hooks.work.notified().await;
    }

    /// Resolves when a call to a provider ended, so that there may be room for another.
    pub async fn room_made(&self) {
        self.gates().room_made().await;
    }

    /// Runs `work` so that [`Engine::drain`] waits for it.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.0.tasks.spawn(work);
    }

    /// Waits at most `limit` for everything that was given to [`Engine::spawn`], and until every
    /// call to a provider or a receiver that is under way has been recorded. `false` when something
    /// is left; leases run out and a step takes over.
    pub async fn drain(&self, limit: Duration) -> bool {
        let all = async {
            // Work that was spawned may make a refund, whose call is then waited for as well.
            self.0.tasks.wait().await;
            self.0.outbox.drain().await;
            self.gates().all_out().await;
            self.0.tasks.wait().await;
        };
        tokio::time::timeout(limit, all).await.is_ok()
    }

    /// How many calls to payment providers are under way or about to be.
    pub fn calls_under_way(&self) -> usize {
        usize::try_from(self.gates().calls_at_once()).unwrap_or(usize::MAX)
    }

    /// How many pieces of work that [`Engine::drain`] waits for are under way: calls to providers until
    /// their outcome is recorded, and whatever was given to [`Engine::spawn`].
    pub fn tasks_under_way(&self) -> usize {
        self.0.tasks.len()
    }

    /// Queues a command and waits for its commit, but not forever. A name whose command is overdue
    /// is refused as being in progress until that command is answered.
    pub(crate) async fn commit(
        &self,
        command: Command,
        name: Option<(Tenant, KeyHash)>,
    ) -> Result<Done, Error> {
        if let Some((tenant, hash)) = name
            && self.0.unanswered.contains(tenant, hash)
        {
            return Err(Error::InProgress);
        }
        let mut pending = self.0.committer.submit(command)?;
        if let Ok(answer) = tokio::time::timeout(self.0.config.commit_timeout, &mut pending).await {
            return answer.unwrap_or_else(|_| Err(Error::closed()));
        }
        if let Some(name) = name {
            self.watch_unanswered(name, pending);
        }
        Err(Error::TimedOut)
    }

    fn watch_unanswered(&self, name: (Tenant, KeyHash), pending: Pending) {
        self.0.unanswered.insert(name);
        let engine = self.clone();
        tokio::spawn(async move {
            let _ = pending.await;
            engine.0.unanswered.remove(name);
        });
    }

    /// Whether this node can read, decide and commit. Cheap to ask often.
    pub async fn ready(&self) -> Result<(), NotReady> {
        if !self.0.committer.is_running() {
            return Err(NotReady::LaneEnded);
        }
        let check = async {
            self.0.store.next_due().await.map_err(|error| NotReady::NoReads(error.into()))?;
            let commits = self.0.readiness.commits(&self.0.store).await;
            if commits { Ok(()) } else { Err(NotReady::NoCommits) }
        };
        tokio::time::timeout(LIMIT, check).await.unwrap_or(Err(NotReady::TimedOut))
    }
}
