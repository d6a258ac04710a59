//! (g): the rate of webhooks, the time from a refund to its webhook, and the memory that a backlog
//! takes. Refundry signs and logs every webhook; the receiver runs in this process.

use crate::database::{SqliteDatabase, in_runtime, wait_until_closed};
use crate::fixture::{self, Targets};
use crate::in_process::CLIENTS;
use crate::load::refund;
use crate::measure::{Latencies, SplitMix, Stopwatch, sleep_blocking, to_f64};
use crate::open_loop::{self, Created, Schedule};
use crate::over_http::refunds_pending;
use crate::process::{Server, get, post};
use crate::sink::{ReceivedWebhook, Sink, disorder};
use anyhow::{Context, Result, bail};
use domain::webhook::Status;
use engine::Engine;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use ulid::Ulid;

/// Longest wait for the receiver.
const TIME_LIMIT: Duration = Duration::from_mins(10);

const STILL_PENDING: &str = "webhooks are still to be sent";

/// Pause between two samples of the memory.
const SAMPLE: Duration = Duration::from_millis(100);

/// Every run starts with a warm-up of this length, which is not counted.
const WARM_UP: Duration = Duration::from_secs(1);

/// Refunds to create, and the events to send webhooks for.
pub struct WebhookLoad {
    per_second: u32,
    /// Whether the refunds are sent to the simulator.
    dispatch: bool,
    /// Events that the endpoint subscribes to.
    events: &'static [&'static str],
}

/// Somewhat more refunds per second than the target of webhooks per second.
pub const STEADY: WebhookLoad =
    WebhookLoad { per_second: 2_500, dispatch: false, events: &["refund.created"] };

/// Few refunds, with webhooks for all of their events.
pub const CALM: WebhookLoad = WebhookLoad { per_second: 200, dispatch: true, events: &["*"] };

impl fmt::Display for WebhookLoad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.per_second.fmt(f)
    }
}

/// Result of a run that creates refunds and receives their webhooks.
pub struct SendResult {
    /// Webhooks per second while refunds were created.
    pub per_second: f64,
    /// Time from the scheduled request of a refund to the arrival of its `refund.created`.
    pub latencies: Latencies,
    /// Time from the last answer to a refund to the last webhook, in milliseconds.
    pub tail_ms: f64,
    /// Number of errors: refused refunds, and webhooks that were lost, repeated, unordered or
    /// forged.
    pub faults: u64,
}

/// Result of a run that sends a backlog.
pub struct BacklogResult {
    /// Webhooks per second from the first to the last.
    pub per_second: f64,
    /// Resident memory one second after the first webhook, in MB.
    pub early_mb: f64,
    /// Peak of the resident memory during the first half, in MB.
    pub first_mb: f64,
    /// Peak of the resident memory during the last half, in MB.
    pub last_mb: f64,
    /// Number of webhooks that were lost, repeated, unordered or forged.
    pub faults: u64,
}

/// Creates refunds at the rate of `load` and waits until all their webhooks were sent.
pub fn send_while_creating(
    database: &SqliteDatabase,
    load: &WebhookLoad,
    duration: Duration,
) -> Result<SendResult> {
    let stopwatch = Stopwatch::start();
    let sink = Sink::start(stopwatch)?;
    let server = database.serve(load.dispatch)?;
    register(&server, database, &sink, load.events)?;
    let start = stopwatch.micros();
    let schedule = Schedule {
        address: server.address,
        bearer: database.bearer(),
        targets: &database.targets,
        per_second: load.per_second,
        duration: WARM_UP + duration,
    };
    let created = in_runtime(open_loop::create_refunds(&schedule, stopwatch))?;
    if load.dispatch {
        // Refunds that are still pending will have more events.
        wait_while("refunds are still pending", || refunds_pending(&server, database))?;
    }
    wait_while(STILL_PENDING, || deliveries_pending(&server, database))?;
    server.stop()?;
    let (received, forged) = sink.received();
    let faults = faults(database, &received, forged)? + created.refused;
    let count = u64::try_from(created.refunds.len())?;
    let count_created = received.iter().filter(|received| received.created).count();
    let lost = count.saturating_sub(u64::try_from(count_created)?);
    Ok(SendResult { faults: faults + lost, ..measure(&created, &received, start, duration) })
}

/// Computes the result from the webhooks that arrived within `duration` after the warm-up. The
/// warm-up started at `start`.
fn measure(
    created: &Created,
    received: &[ReceivedWebhook],
    start: u32,
    duration: Duration,
) -> SendResult {
    let micros = |time: Duration| u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    let from = start.saturating_add(micros(WARM_UP));
    let to = from.saturating_add(micros(duration));
    let counted =
        received.iter().filter(|received| (from..to).contains(&received.at_micros)).count();
    let arrivals: HashMap<Ulid, u32> = received
        .iter()
        .filter(|received| received.created)
        .map(|received| (received.subject, received.at_micros))
        .collect();
    let took = created.refunds.iter().filter(|(_, due)| *due >= from);
    let took = took.filter_map(|(refund, due)| Some(arrivals.get(refund)?.saturating_sub(*due)));
    let last = received.iter().map(|received| received.at_micros).max().unwrap_or_default();
    SendResult {
        per_second: to_f64(u64::try_from(counted).unwrap_or(u64::MAX)) / duration.as_secs_f64(),
        latencies: Latencies::of(took.collect()),
        tail_ms: f64::from(last.saturating_sub(created.over_micros)) / 1000.0,
        faults: 0,
    }
}

/// Creates `backlog` webhooks without a server that sends them, then starts the server and samples
/// its memory until all have arrived. Each refund is created and canceled, so half of the webhooks
/// wait for an earlier one.
pub fn send_backlog(database: &SqliteDatabase, backlog: u64) -> Result<BacklogResult> {
    let sink = Sink::start(Stopwatch::start())?;
    let server = database.serve(false)?;
    register(&server, database, &sink, &["*"])?;
    server.stop()?;
    in_runtime(async {
        let engine = fixture::open_engine(&database.file(), database.folder())?;
        create_backlog(&engine, &database.targets, backlog / 2).await
    })?;
    wait_until_closed(&database.file())?;
    let server = database.serve(false)?;
    let samples = watch(&server, &sink, backlog)?;
    wait_while(STILL_PENDING, || deliveries_pending(&server, database))?;
    server.stop()?;
    let (received, forged) = sink.received();
    let lost = backlog.saturating_sub(u64::try_from(received.len())?);
    let faults = faults(database, &received, forged)? + lost;
    database.verify().context("the books after (g)")?;
    let (first, newest) = (received.first(), received.last());
    let micros = first.zip(newest).map_or(0, |(from, to)| to.at_micros - from.at_micros);
    let half = backlog / 2;
    let highest = |samples: &[Sample]| samples.iter().map(|s| s.resident_mb).fold(0.0, f64::max);
    let (before, after) = samples.split_at(samples.partition_point(|s| s.arrived < half));
    let early = samples.iter().find(|s| s.at >= Duration::from_secs(1)).or(samples.last());
    Ok(BacklogResult {
        per_second: to_f64(u64::try_from(received.len())?) / (f64::from(micros.max(1)) / 1e6),
        early_mb: early.map_or(0.0, |sample| sample.resident_mb),
        first_mb: highest(before),
        last_mb: highest(after),
        faults,
    })
}

struct Sample {
    at: Duration,
    arrived: u64,
    resident_mb: f64,
}

/// Samples the server's memory until `backlog` webhooks have arrived.
fn watch(server: &Server, sink: &Sink, backlog: u64) -> Result<Vec<Sample>> {
    let stopwatch = Stopwatch::start();
    let mut samples = Vec::new();
    loop {
        let arrived = sink.count();
        samples.push(Sample {
            at: stopwatch.elapsed(),
            arrived,
            resident_mb: server.memory_mb()?.0,
        });
        if arrived >= backlog {
            return Ok(samples);
        }
        if stopwatch.elapsed() > TIME_LIMIT {
            bail!("{arrived} of {backlog} webhooks arrived in {} s", TIME_LIMIT.as_secs());
        }
        sleep_blocking(SAMPLE);
    }
}

/// Creates `refunds` refunds and cancels them.
async fn create_backlog(engine: &Engine, targets: &Targets, refunds: u64) -> Result<()> {
    let left = Arc::new(AtomicU64::new(refunds));
    let mut tasks = JoinSet::new();
    for number in 0..CLIENTS {
        let (engine, targets, left) = (engine.clone(), targets.clone(), left.clone());
        tasks.spawn(async move {
            let mut rng = SplitMix::new(number);
            let one_less = |left: u64| left.checked_sub(1);
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok() {
                let payment = targets.payments[targets.pick(&mut rng)];
                let made = engine.create_refund(refund(targets.tenant, payment), None).await;
                let id = made.context("a refund was refused")?.value.refund.id;
                let canceled = engine.cancel_refund(targets.tenant, id, None).await;
                canceled.context("a refund was not canceled")?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.context("a task died")??;
    }
    Ok(())
}

/// Registers the receiver as a webhook endpoint.
fn register(
    server: &Server,
    database: &SqliteDatabase,
    sink: &Sink,
    events: &[&str],
) -> Result<()> {
    let endpoint = json!({ "url": sink.url(), "events": events, "format": "refundry" }).to_string();
    let (status, body) = post(server.address, "/api/v1/webhooks", database.bearer(), &endpoint)?;
    let answer: Value = serde_json::from_str(&body)?;
    match (status, answer["data"]["secret"].as_str()) {
        (201, Some(secret)) => sink.set_secret(secret),
        _ => bail!("the webhook endpoint was not registered: {status} {body}"),
    }
}

fn wait_while(what: &str, mut lasts: impl FnMut() -> Result<bool>) -> Result<()> {
    let stopwatch = Stopwatch::start();
    while lasts()? {
        if stopwatch.elapsed() > TIME_LIMIT {
            bail!("{what} after {} s", TIME_LIMIT.as_secs());
        }
        sleep_blocking(Duration::from_millis(20));
    }
    Ok(())
}

fn deliveries_pending(server: &Server, database: &SqliteDatabase) -> Result<bool> {
    let target = "/api/v1/webhooks/deliveries?status=pending&limit=1";
    let (status, body) = get(server.address, target, database.bearer())?;
    let answer: Value = serde_json::from_str(&body)?;
    match (status, answer["data"].as_array()) {
        (200, Some(deliveries)) => Ok(!deliveries.is_empty()),
        _ => bail!("the list of pending deliveries: {status} {body}"),
    }
}

/// Number of webhooks that were repeated, unordered or forged, plus the differences between the
/// receiver and the delivery log in the database. The server must have stopped.
fn faults(database: &SqliteDatabase, received: &[ReceivedWebhook], forged: u64) -> Result<u64> {
    let (repeated, unordered) = disorder(received);
    let connection =
        Connection::open_with_flags(database.file(), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let one = |sql: &str, code: i64| -> Result<u64> {
        Ok(u64::try_from(connection.query_row(sql, [code], |row| row.get::<_, i64>(0))?)?)
    };
    let done = Status::Succeeded.code();
    let succeeded = one("SELECT count(*) FROM deliveries WHERE status = ?1", done)?;
    let others = one("SELECT count(*) FROM deliveries WHERE status <> ?1", done)?;
    let attempts = one("SELECT count(*) FROM delivery_attempts WHERE response_code = ?1", 204)?;
    let count = u64::try_from(received.len())?;
    Ok(repeated
        + unordered
        + forged
        + others
        + succeeded.abs_diff(count - repeated)
        + attempts.abs_diff(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(subject: u128, seq: u32, at_micros: u32) -> ReceivedWebhook {
        let event = Ulid((subject << 8) + u128::from(seq));
        ReceivedWebhook { event, subject: Ulid(subject), seq, created: seq == 1, at_micros }
    }

    #[test]
    fn only_webhooks_after_the_warm_up_are_counted() {
        let start = 500_000;
        // Scheduled during the warm-up, right after it, and later.
        let refunds = vec![(Ulid(1), 1_400_000), (Ulid(2), 1_500_000), (Ulid(3), 3_000_000)];
        let created = Created { refunds, refused: 0, over_micros: 3_010_000 };
        let arrived = [
            received(1, 1, 1_420_000),
            received(2, 1, 1_504_000),
            received(2, 2, 1_900_000),
            received(3, 1, 3_020_000),
            received(3, 2, 3_600_000),
        ];
        let result = measure(&created, &arrived, start, Duration::from_secs(2));
        assert!((result.per_second - 1.5).abs() < 1e-9, "{}", result.per_second);
        assert!((result.latencies.max_ms - 20.0).abs() < 1e-9);
        assert!((result.latencies.p50_ms - 20.0).abs() < 1e-9);
        assert!((result.tail_ms - 590.0).abs() < 1e-9);
    }
}
