//! Loops that call the engine's steps and wait between them. No lower layer waits.

use engine::{Engine, Error, Sweep};
use std::time::Duration;
use tokio::sync::watch;

/// Maximum number of refunds leased in one step.
const LEASES: u32 = 128;

/// Maximum number of checkouts and invoices handled in one step.
const CHECKOUTS: u32 = 64;

/// Maximum number of unmatched notices tried in one step.
const NOTICES: u32 = 64;

/// Maximum number of webhooks leased in one step.
const DELIVERIES: u32 = 256;

/// Shortest pause between two queries for due checkouts or webhooks.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);

/// Longest pause between two queries for due work. Other nodes cannot wake this node, so it must
/// ask.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Time from the first sign of work to the query, so that one query finds several.
const GATHER: Duration = Duration::from_millis(2);

/// Pause between two sweeps of expired idempotency keys, and the number of keys per sweep.
const EXPIRE_EVERY: Duration = Duration::from_mins(1);
const EXPIRE_LIMIT: u32 = 1_000;

/// Pause between two counts of the backlog.
const WATCH_EVERY: Duration = Duration::from_secs(30);

/// Maximum number of pages of changes read in one step, and the longest pause between two looks for
/// pages that are due.
const PAGES: u32 = 16;
const RECONCILE_PAUSE: Duration = Duration::from_mins(1);

/// Maximum number of waiting refunds looked at in one step, and the pause behind the last one of them.
const AGEING: u32 = 256;
const AGE_PAUSE: Duration = Duration::from_mins(1);
/// Longer, since it walks along all work that is overdue.
const LEFT_PAUSE: Duration = Duration::from_mins(10);

/// Pause between two prunings, the number of rows per step, and the pause between steps, which
/// leaves the database to requests.
const PRUNE_EVERY: Duration = Duration::from_hours(1);
const PRUNE_LIMIT: u32 = 100;
const PRUNE_PAUSE: Duration = Duration::from_millis(20);

/// Starts every loop. The loops end when `stop` becomes true.
pub fn start(engine: &Engine, dispatch: bool, stop: &watch::Receiver<bool>) {
    if dispatch {
        tokio::spawn(until(stop.clone(), due_loop(engine.clone())));
    }
    tokio::spawn(until(stop.clone(), checkout_loop(engine.clone())));
    tokio::spawn(until(stop.clone(), deliver_loop(engine.clone())));
    tokio::spawn(until(stop.clone(), notice_loop(engine.clone())));
    tokio::spawn(until(stop.clone(), reconcile_loop(engine.clone())));
    tokio::spawn(until(stop.clone(), age_loop(engine.clone())));
    tokio::spawn(until(stop.clone(), left_loop(engine.clone())));
    tokio::spawn(until(stop.clone(), expire_loop(engine.clone())));
    tokio::spawn(until(stop.clone(), prune_loop(engine.clone())));
    tokio::spawn(until(stop.clone(), watch_loop(engine.clone())));
}

/// Does `work` until it ends or `stop` becomes true.
pub async fn until(mut stop: watch::Receiver<bool>, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        _ = stop.wait_for(|stopped| *stopped) => {}
    }
}

/// The result of a step. Logs a failed step with the text in `what`, and returns `None`.
async fn attempt<T>(what: &str, step: impl Future<Output = Result<T, Error>>) -> Option<T> {
    step.await.inspect_err(|error| tracing::warn!(%error, "{what}")).ok()
}

async fn due_loop(engine: Engine) {
    loop {
        match attempt("due refunds were not leased", engine.lease_due(LEASES)).await {
            Some(leased) if !leased.is_empty() => {
                for leased in leased {
                    let worker = engine.clone();
                    engine.spawn(async move { worker.work(leased).await });
                }
            }
            Some(_) => pause(&engine).await,
            None => rest(LONGEST_PAUSE).await,
        }
    }
}

/// Waits until the next refund is due, new work arrives, or the longest pause is over.
async fn pause(engine: &Engine) {
    let next = engine.next_work().await.unwrap_or_default();
    let wait = match next.at {
        // The refund is due and was not leased, since all calls are taken.
        Some(due) if due <= engine.now() => Duration::from_millis(20),
        Some(due) => milliseconds(due.ms_since(engine.now())).min(LONGEST_PAUSE),
        None => LONGEST_PAUSE,
    };
    tokio::select! {
        () = rest(wait) => {}
        () = engine.work_arrived() => {}
        () = engine.room_made(), if next.waits_for_room => rest(GATHER).await,
    }
}

/// Sends due webhooks.
async fn deliver_loop(engine: Engine) {
    loop {
        let lease = engine.lease_deliveries(DELIVERIES);
        let Some(look) = attempt("due webhooks were not leased", lease).await else {
            rest(LONGEST_PAUSE).await;
            continue;
        };
        for leased in look.leased {
            let worker = engine.clone();
            engine.spawn(async move { worker.deliver(leased).await });
        }
        if look.again {
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

/// Handles payment attempts without an answer, and expired checkouts and invoices.
async fn checkout_loop(engine: Engine) {
    loop {
        let step = engine.step_checkouts(CHECKOUTS);
        if attempt("due checkouts were not handled", step).await.is_some_and(|done| done > 0) {
            continue;
        }
        let next = engine.next_checkout_due().await.ok().flatten();
        let wait = next.map_or(LONGEST_PAUSE, |due| milliseconds(due.ms_since(engine.now())));
        rest(wait.clamp(SHORTEST_PAUSE, LONGEST_PAUSE)).await;
    }
}

/// Tries statements of providers again that fitted nothing.
async fn notice_loop(engine: Engine) {
    loop {
        attempt("unmatched notices were not tried", engine.step_notices(NOTICES)).await;
        let next = engine.next_notice_due().await.ok().flatten();
        let wait = next.map_or(LONGEST_PAUSE, |due| milliseconds(due.ms_since(engine.now())));
        rest(wait.clamp(SHORTEST_PAUSE, LONGEST_PAUSE)).await;
    }
}

/// Reads what changed at the providers.
async fn reconcile_loop(engine: Engine) {
    let pause = engine.reconcile_every().min(RECONCILE_PAUSE);
    if pause.is_zero() {
        return;
    }
    let mut wait = pause;
    loop {
        rest(wait).await;
        let step = engine.step_reconcile(PAGES);
        let step = attempt("what changed at the providers was not read", step).await;
        let goes_on = step.is_some_and(|step| step.more || step.pages > 0);
        wait = if goes_on { SHORTEST_PAUSE } else { pause };
    }
}

/// Tells persons of refunds that have waited for too long.
async fn age_loop(engine: Engine) {
    let mut after = None;
    loop {
        let step = engine.step_ageing(after, AGEING);
        after = attempt("waiting refunds were not looked at", step).await.flatten();
        rest(if after.is_some() { PRUNE_PAUSE } else { AGE_PAUSE }).await;
    }
}

/// Looks at due refunds on which nobody works.
async fn left_loop(engine: Engine) {
    loop {
        let found = attempt("due refunds were not looked at", engine.step_left(AGEING)).await;
        let is_full = found.is_some_and(|found| u32::try_from(found) == Ok(AGEING));
        rest(if is_full { PRUNE_PAUSE } else { LEFT_PAUSE }).await;
    }
}

async fn expire_loop(engine: Engine) {
    loop {
        let step = engine.step_expire(EXPIRE_LIMIT);
        let swept = attempt("expired idempotency keys were not deleted", step).await;
        if swept.is_none_or(|swept| swept == 0) {
            rest(EXPIRE_EVERY).await;
        }
    }
}

/// Sets the metrics of the backlog.
async fn watch_loop(engine: Engine) {
    loop {
        if let Some(backlog) = attempt("the backlog was not counted", engine.backlog()).await {
            metrics::gauge!("refundry_refunds_overdue").set(backlog.overdue_refunds);
            metrics::gauge!("refundry_refunds_unknown").set(backlog.unknown_refunds);
            metrics::gauge!("refundry_refunds_in_review").set(backlog.refunds_in_review);
            metrics::gauge!("refundry_refunds_attention").set(backlog.refunds_for_attention);
            metrics::gauge!("refundry_webhooks_overdue").set(backlog.overdue_deliveries);
        }
        rest(WATCH_EVERY).await;
    }
}

/// Deletes events and deliveries that are older than their retention.
async fn prune_loop(engine: Engine) {
    let mut sweep = Sweep::START;
    loop {
        let step = engine.step_prune(sweep, PRUNE_LIMIT);
        let pause = match attempt("old events and deliveries were not deleted", step).await {
            Some(Sweep::Done) => {
                sweep = Sweep::START;
                PRUNE_EVERY
            }
            Some(next) => {
                sweep = next;
                PRUNE_PAUSE
            }
            None => EXPIRE_EVERY,
        };
        rest(pause).await;
    }
}

pub fn milliseconds(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

#[expect(clippy::disallowed_methods, reason = "the loops are where waiting belongs")]
pub async fn rest(time: Duration) {
    tokio::time::sleep(time).await;
}
