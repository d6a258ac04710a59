//! Telling the world: webhook endpoints, and the deliveries of events to them.
//!
//! A delivery is committed with its event. A look claims what is due under a lease and fixes its
//! text, the call is made outside of any transaction, and what became of it is committed. A crash
//! between any two sends the same text again: at least once.

mod deliver;
mod endpoints;

pub use deliver::{DueDeliveries, LeasedDelivery};
pub use endpoints::{DeliveryView, EndpointDraft, NewSecret};

use crate::Engine;
use domain::event_view::EventView;
use domain::ids::{AccountId, DeliveryId, EndpointId, EventId};
use domain::tenant::{Mode, Tenant};
use domain::time::Timestamp;
use domain::webhook::{Endpoint, Format};
use providers::outbound::{Outbound, Policy};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The input of a signature.
pub struct Signing<'a> {
    /// The event; the same on every attempt.
    pub event: EventId,
    pub delivery: DeliveryId,
    /// The time of this attempt, seconds since the epoch.
    pub at_s: i64,
    pub body: &'a str,
    /// The endpoint's secrets as they were shown: the current one first, or last on every second
    /// attempt, for receivers that look at one signature only.
    pub secrets: Vec<&'a str>,
}

/// The words in which an endpoint is spoken to. Implemented by the door whose words they are.
pub trait WebhookFormat: Send + Sync {
    /// Which format it is.
    fn format(&self) -> Format;

    /// The text that tells `account` of an event which is called `name` in this format. The same
    /// for the same event however often it is asked for.
    fn body(
        &self,
        name: &'static str,
        event: &EventView,
        account: AccountId,
        engine: &Engine,
    ) -> Result<String, serde_json::Error>;

    /// The headers that go with it.
    fn headers(&self, signing: &Signing<'_>) -> Vec<(&'static str, String)>;
}

/// How webhooks are sent. By default they are not: deliveries are kept until somebody does.
#[derive(Clone)]
pub struct Webhooks {
    pub formats: Vec<Arc<dyn WebhookFormat>>,
    /// Where receivers may be, in test mode and in live mode. Checked when they are registered; the
    /// senders check what they call.
    pub policies: (Policy, Policy),
    /// The callers of receivers in test mode and in live mode.
    pub senders: Option<(Outbound, Outbound)>,
    /// Calls under way at the same time, at most.
    pub concurrency: usize,
    /// Calls to one endpoint at the same time, at most.
    pub per_endpoint: u32,
    /// How long a node may work on a delivery before another may take over, milliseconds. Longer
    /// than a call may take.
    pub lease_ms: i64,
}

impl Default for Webhooks {
    fn default() -> Self {
        Self {
            formats: Vec::new(),
            policies: (Policy::default(), Policy { https_only: true, ..Policy::default() }),
            senders: None,
            concurrency: 512,
            per_endpoint: 64,
            lease_ms: 30_000,
        }
    }
}

/// Calls at the same time to an endpoint whose last call failed: enough to notice that it works
/// again, too few to be in anybody's way.
const PER_FAILING_ENDPOINT: u32 = 4;

impl Webhooks {
    fn sender(&self, tenant: Tenant) -> Option<&Outbound> {
        let (test, live) = self.senders.as_ref()?;
        Some(match tenant.mode() {
            Mode::Test => test,
            Mode::Live => live,
        })
    }

    /// Where endpoints of a tenant may be.
    fn policy(&self, tenant: Tenant) -> &Policy {
        match tenant.mode() {
            Mode::Test => &self.policies.0,
            Mode::Live => &self.policies.1,
        }
    }

    fn format(&self, format: Format) -> Option<&dyn WebhookFormat> {
        self.formats.iter().find(|known| known.format() == format).map(|known| &**known)
    }
}

/// The progress of one scan over all endpoints that have something due, in as many looks as it
/// takes.
#[derive(Default)]
struct ScanProgress {
    cursor: Option<(Tenant, EndpointId)>,
    found: bool,
    next_at: Option<Timestamp>,
}

/// The result of one look.
#[derive(Clone, Copy)]
struct ScanStep {
    found: bool,
    next_at: Option<Timestamp>,
}

/// The sender is idle until it is woken or until this time.
struct Idle {
    until: Option<Timestamp>,
}

/// Deliveries under way, and the progress of the scan for due ones.
pub(crate) struct Outbox {
    webhooks: Webhooks,
    slots: Arc<Semaphore>,
    in_flight: Mutex<HashMap<EndpointId, u32>>,
    progress: Mutex<ScanProgress>,
    changed: Notify,
}

impl Outbox {
    pub(crate) fn new(webhooks: Webhooks) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(webhooks.concurrency.max(1))),
            webhooks,
            in_flight: Mutex::default(),
            progress: Mutex::default(),
            changed: Notify::new(),
        }
    }

    pub(crate) fn format(&self, format: Format) -> Option<&dyn WebhookFormat> {
        self.webhooks.format(format)
    }

    /// Wakes the sender: there may be something to send, or room for it.
    pub(crate) fn wake(&self) {
        self.changed.notify_one();
    }

    /// Waits until every call that is under way has been recorded.
    pub(crate) async fn drain(&self) {
        let all = u32::try_from(self.webhooks.concurrency.max(1)).unwrap_or(u32::MAX);
        let _ = self.slots.acquire_many(all).await;
    }

    fn permit_for(self: &Arc<Self>, endpoint: EndpointId) -> Option<DeliveryPermit> {
        let slot = self.slots.clone().try_acquire_owned().ok()?;
        *self.counts().entry(endpoint).or_default() += 1;
        Some(DeliveryPermit { outbox: self.clone(), to: Some(endpoint), slot: Some(slot) })
    }

    fn counts(&self) -> std::sync::MutexGuard<'_, HashMap<EndpointId, u32>> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The endpoint behind which the next look begins.
    fn cursor(&self) -> Option<(Tenant, EndpointId)> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).cursor
    }

    /// Notes how far a look came. At the end of a scan that found nothing: when the next delivery
    /// is due, as far as it could tell; `None` while there is more to look at.
    fn note_step(&self, cursor: Option<(Tenant, EndpointId)>, step: ScanStep) -> Option<Idle> {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.found |= step.found;
        progress.next_at = progress.next_at.into_iter().chain(step.next_at).min();
        progress.cursor = cursor;
        if cursor.is_some() {
            return None;
        }
        let whole = std::mem::take(&mut *progress);
        (!whole.found).then_some(Idle { until: whole.next_at })
    }

    /// How many more calls each endpoint may get.
    fn room(&self) -> impl Fn(&Endpoint) -> u32 + Send + 'static {
        let in_flight = self.counts().clone();
        let healthy = self.webhooks.per_endpoint.max(1);
        move |endpoint| {
            let failing = endpoint.consecutive_failures > 0;
            let most = if failing { healthy.min(PER_FAILING_ENDPOINT) } else { healthy };
            most.saturating_sub(in_flight.get(&endpoint.id).copied().unwrap_or(0))
        }
    }
}

/// A call under way. It takes room of its endpoint until the call is over, and one of all calls
/// until what became of it is recorded, which is when this is dropped.
struct DeliveryPermit {
    outbox: Arc<Outbox>,
    to: Option<EndpointId>,
    slot: Option<OwnedSemaphorePermit>,
}

impl DeliveryPermit {
    /// Makes room for another call to the endpoint.
    fn free_endpoint(&mut self) {
        let Some(endpoint) = self.to.take() else { return };
        let mut counts = self.outbox.counts();
        if let Some(count) = counts.get_mut(&endpoint) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&endpoint);
            }
        }
        drop(counts);
        self.outbox.wake();
    }
}

impl Drop for DeliveryPermit {
    fn drop(&mut self) {
        self.free_endpoint();
        // Only who is woken afterwards finds it free.
        self.slot.take();
        self.outbox.wake();
    }
}
