//! The loops that drive the engine's steps. Waiting lives here and nowhere below.

use async_trait::async_trait;
use domain::account::Scope;
use engine::simulator::{Simulator, WebhookSink};
use engine::{Engine, InboundWebhook, Sweep};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Refunds claimed in one step at most.
const CLAIM: u32 = 128;

/// Checkouts and invoices seen to in one step at most.
const CHECKOUTS: u32 = 64;

/// Webhooks claimed in one step at most.
const DELIVERIES: u32 = 256;

/// The shortest pause between two looks for due checkouts.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);

/// The longest pause between two looks for due work; other nodes do not wake this one.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// For how long what there is to send is gathered once some of it is known: one look finds all of it.
const GATHER: Duration = Duration::from_millis(2);

/// How often names that ran out are swept away, and how many at once.
const EXPIRE_EVERY: Duration = Duration::from_mins(1);
const EXPIRE_LIMIT: u32 = 1_000;

/// How often what waits is counted.
const WATCH_EVERY: Duration = Duration::from_secs(30);

/// How often what was kept for long enough is looked for, how many rows at once, and the pause after
/// them, which leaves the database to others.
const PRUNE_EVERY: Duration = Duration::from_hours(1);
const PRUNE_LIMIT: u32 = 100;
const PRUNE_PAUSE: Duration = Duration::from_millis(20);

/// Starts every loop. They end when `stop` becomes true.
pub fn start(engine: &Engine, dispatch: bool, stop: &watch::Receiver<bool>) {
    if dispatch {
        tokio::spawn(until(stop.clone(), due_loop(engine.clone())));
    }
    tokio::spawn(until(stop.clone(), checkout_loop(engine.clone())));
    tokio::spawn(until(stop.clone(), deliver_loop(engine.clone())));
    tokio::spawn(until(stop.clone(), expire_loop(engine.clone())));
    tokio::spawn(until(stop.clone(), prune_loop(engine.clone())));
    tokio::spawn(until(stop.clone(), watch_loop(engine.clone())));
    if let Some(simulator) = engine.simulator() {
        tokio::spawn(until(stop.clone(), simulator_loop(engine.clone(), simulator.clone())));
    }
}

async fn until(mut stop: watch::Receiver<bool>, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        _ = stop.wait_for(|stopped| *stopped) => {}
    }
}

async fn due_loop(engine: Engine) {
    loop {
        match engine.lease_due(CLAIM).await {
            Ok(claimed) if !claimed.is_empty() => {
                for claimed in claimed {
                    let worker = engine.clone();
                    engine.spawn(async move { worker.work(claimed).await });
                }
            }
            Ok(_) => pause(&engine).await,
            Err(error) => {
                tracing::warn!(%error, "due refunds were not claimed");
                rest(LONGEST_PAUSE).await;
            }
        }
    }
}

/// Waits until the next refund is due, new work arrives, or the longest pause is over.
async fn pause(engine: &Engine) {
    let next = engine.next_due().await.ok().flatten();
    let wait = match next {
        // Due and not claimed: every call is taken. Look again soon.
        Some(due) if due <= engine.now() => Duration::from_millis(20),
        Some(due) => milliseconds(due.ms_since(engine.now())).min(LONGEST_PAUSE),
        None => LONGEST_PAUSE,
    };
    tokio::select! {
        () = rest(wait) => {}
        () = engine.work_arrived() => {}
    }
}

/// Sends webhooks while there are some that are due.
async fn deliver_loop(engine: Engine) {
    loop {
        let look = match engine.lease_deliveries(DELIVERIES).await {
            Ok(look) => look,
            Err(error) => {
                tracing::warn!(%error, "due webhooks were not claimed");
                rest(LONGEST_PAUSE).await;
                continue;
            }
        };
        let again = look.again;
        for claimed in look.leased {
            let worker = engine.clone();
            engine.spawn(async move { worker.deliver(claimed).await });
        }
        if again {
            continue;
        }
        let wait =
            look.next_at.map_or(LONGEST_PAUSE, |due| milliseconds(due.ms_since(engine.now())));
        tokio::select! {
            () = rest(wait.clamp(SHORTEST_PAUSE, LONGEST_PAUSE)) => {}
            () = engine.deliveries_arrived() => rest(GATHER).await,
        }
    }
}

/// Sees to checkouts and invoices: attempts without an answer, times that ran out.
async fn checkout_loop(engine: Engine) {
    loop {
        match engine.step_checkouts(CHECKOUTS).await {
            Ok(0) => {}
            Ok(_) => continue,
            Err(error) => tracing::warn!(%error, "due checkouts were not seen to"),
        }
        let next = engine.next_checkout_due().await.ok().flatten();
        let wait = next.map_or(LONGEST_PAUSE, |due| milliseconds(due.ms_since(engine.now())));
        rest(wait.clamp(SHORTEST_PAUSE, LONGEST_PAUSE)).await;
    }
}

async fn expire_loop(engine: Engine) {
    loop {
        match engine.step_expire(EXPIRE_LIMIT).await {
            Ok(swept) if swept > 0 => continue,
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "old idempotency keys were not swept away"),
        }
        rest(EXPIRE_EVERY).await;
    }
}

/// Counts what waits, for whoever watches.
async fn watch_loop(engine: Engine) {
    loop {
        match engine.backlog().await {
            Ok(backlog) => {
                metrics::gauge!("refundry_refunds_overdue").set(backlog.overdue_refunds);
                metrics::gauge!("refundry_refunds_unknown").set(backlog.unknown_refunds);
                metrics::gauge!("refundry_refunds_in_review").set(backlog.refunds_in_review);
                metrics::gauge!("refundry_webhooks_overdue").set(backlog.overdue_deliveries);
            }
            Err(error) => tracing::warn!(%error, "what waits was not counted"),
        }
        rest(WATCH_EVERY).await;
    }
}

/// Forgets events and deliveries that were kept for long enough.
async fn prune_loop(engine: Engine) {
    let mut sweep = Sweep::START;
    loop {
        match engine.step_prune(sweep, PRUNE_LIMIT).await {
            Ok(Sweep::Done) => {
                sweep = Sweep::START;
                rest(PRUNE_EVERY).await;
            }
            Ok(next) => {
                sweep = next;
                rest(PRUNE_PAUSE).await;
            }
            Err(error) => {
                tracing::warn!(%error, "old events and deliveries were not forgotten yet");
                rest(EXPIRE_EVERY).await;
            }
        }
    }
}

async fn simulator_loop(engine: Engine, simulator: Arc<Simulator>) {
    let sink = Sink(engine.clone());
    loop {
        match simulator.next_due() {
            None => simulator.wait_for_work().await,
            Some(due) if due <= engine.now() => {
                simulator.step(&sink, 64).await;
            }
            Some(due) => {
                tokio::select! {
                    () = rest(milliseconds(due.ms_since(engine.now()))) => {}
                    () = simulator.wait_for_work() => {}
                }
            }
        }
    }
}

/// Takes the simulator's webhooks in as if they had come over the network.
struct Sink(Engine);

#[async_trait]
impl WebhookSink for Sink {
    async fn deliver(&self, scope: Scope, webhook: InboundWebhook) -> bool {
        self.0.receive_webhook(scope, "simulator", webhook).await.is_ok()
    }
}

fn milliseconds(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

#[expect(clippy::disallowed_methods, reason = "the loops are where waiting belongs")]
async fn rest(time: Duration) {
    tokio::time::sleep(time).await;
}
