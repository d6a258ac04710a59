//! (g): how fast webhooks leave, how soon they come, and what a backlog of them costs. Every one is
//! signed and logged, and the receiver is in this process.

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

/// How long the receiver is waited for.
const TIME_LIMIT: Duration = Duration::from_mins(10);

const STILL_PENDING: &str = "webhooks are still to be sent";

/// How often memory is looked at.
const SAMPLE: Duration = Duration::from_millis(100);

/// The first part of every result, not counted.
const WARM_UP: Duration = Duration::from_secs(1);

/// Refunds that somebody is told of.
pub struct WebhookLoad {
    per_second: u32,
    /// They are sent to the simulator, too.
    dispatch: bool,
    /// What the receiver wants to be told of.
    events: &'static [&'static str],
}

/// As many as one process is to tell of at least, and some more.
pub const STEADY: WebhookLoad =
    WebhookLoad { per_second: 2_500, dispatch: false, events: &["refund.created"] };

/// Few, with everything that happens to them.
pub const CALM: WebhookLoad = WebhookLoad { per_second: 200, dispatch: true, events: &["*"] };

impl fmt::Display for WebhookLoad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.per_second.fmt(f)
    }
}

/// What telling of refunds while they are created came to.
pub struct SendResult {
    /// Webhooks per second while refunds were created.
    pub per_second: f64,
    /// From when a refund was to be asked for until its `refund.created` had come.
    pub latencies: Latencies,
    /// From the last answer to a refund to the last webhook, milliseconds.
    pub tail_ms: f64,
    /// What must not be.
    pub faults: u64,
}

/// What working off a backlog came to.
pub struct BacklogResult {
    /// Webhooks per second, from the first to the last.
    pub per_second: f64,
    /// Resident memory one second after the first webhook, MB.
    pub early_mb: f64,
    /// Resident memory at its highest during the first half, MB.
    pub first_mb: f64,
    /// The same for the last half.
    pub last_mb: f64,
    /// What must not be.
    pub faults: u64,
}

/// Creates refunds at a schedule and waits until everything about them was told.
pub fn send_while_creating(
    database: &SqliteDatabase,
    load: &WebhookLoad,
    duration: Duration,
) -> Result<SendResult> {
    let stopwatch = Stopwatch::start();
    let sink = Sink::start(stopwatch)?;
    let server = database.serve(load.dispatch)?;
    register(&server, database, &sink, load.events)?;
    let begun = stopwatch.micros();
    let schedule = Schedule {
        address: server.address,
        bearer: database.bearer(),
        targets: &database.targets,
        per_second: load.per_second,
        duration: WARM_UP + duration,
    };
    let created = in_runtime(open_loop::create_refunds(&schedule, stopwatch))?;
    if load.dispatch {
        // Refunds under way have more to tell.
        wait_while("refunds are still pending", || refunds_pending(&server, database))?;
    }
    wait_while(STILL_PENDING, || deliveries_pending(&server, database))?;
    server.stop()?;
    let (received, forged) = sink.received();
    let faults = faults(database, &received, forged)? + created.refused;
    let count = u64::try_from(created.refunds.len())?;
    let came = received.iter().filter(|received| received.created).count();
    let lost = count.saturating_sub(u64::try_from(came)?);
    Ok(SendResult { faults: faults + lost, ..measure(&created, &received, begun, duration) })
}

/// What counts is what came in `duration`, after the warm-up that started at `begun`.
fn measure(
    created: &Created,
    received: &[ReceivedWebhook],
    begun: u32,
    duration: Duration,
) -> SendResult {
    let micros = |time: Duration| u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    let from = begun.saturating_add(micros(WARM_UP));
    let to = from.saturating_add(micros(duration));
    let counted =
        received.iter().filter(|received| (from..to).contains(&received.at_micros)).count();
    let came: HashMap<Ulid, u32> = received
        .iter()
        .filter(|received| received.created)
        .map(|received| (received.subject, received.at_micros))
        .collect();
    let took = created.refunds.iter().filter(|(_, due)| *due >= from);
    let took = took.filter_map(|(refund, due)| Some(came.get(refund)?.saturating_sub(*due)));
    let last = received.iter().map(|received| received.at_micros).max().unwrap_or_default();
    SendResult {
        per_second: to_f64(u64::try_from(counted).unwrap_or(u64::MAX)) / duration.as_secs_f64(),
        latencies: Latencies::of(took.collect()),
        tail_ms: f64::from(last.saturating_sub(created.over_micros)) / 1000.0,
        faults: 0,
    }
}

/// Piles up `backlog` webhooks while nobody sends, then starts the server and watches its memory
/// until all have come. Half of them wait for the other half: each refund was created and canceled.
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
    let (before, after) = samples.split_at(samples.partition_point(|s| s.came < half));
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
    came: u64,
    resident_mb: f64,
}

/// Looks at the server's memory until `backlog` webhooks have come.
fn watch(server: &Server, sink: &Sink, backlog: u64) -> Result<Vec<Sample>> {
    let stopwatch = Stopwatch::start();
    let mut samples = Vec::new();
    loop {
        let came = sink.count();
        samples.push(Sample { at: stopwatch.elapsed(), came, resident_mb: server.memory_mb()?.0 });
        if came >= backlog {
            return Ok(samples);
        }
        if stopwatch.elapsed() > TIME_LIMIT {
            bail!("{came} of {backlog} webhooks came in {} s", TIME_LIMIT.as_secs());
        }
        sleep_blocking(SAMPLE);
    }
}

/// Creates `refunds` refunds and cancels them again.
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
                let made = engine.create_refund(refund(targets.scope, payment), None).await;
                let id = made.context("a refund was refused")?.value.refund.id;
                let canceled = engine.cancel_refund(targets.scope, id, None).await;
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

/// Registers the receiver.
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

/// Webhooks that came twice, too early or with a bad signature, and those of which the log in the
/// database says something else than the receiver. The server has stopped.
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
    let came = u64::try_from(received.len())?;
    Ok(repeated
        + unordered
        + forged
        + others
        + succeeded.abs_diff(came - repeated)
        + attempts.abs_diff(came))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(subject: u128, seq: u32, at_micros: u32) -> ReceivedWebhook {
        let event = Ulid((subject << 8) + u128::from(seq));
        ReceivedWebhook { event, subject: Ulid(subject), seq, created: seq == 1, at_micros }
    }

    #[test]
    fn only_what_comes_after_the_warm_up_counts() {
        let begun = 500_000;
        // Created for during the warm-up, right after it, and later.
        let refunds = vec![(Ulid(1), 1_400_000), (Ulid(2), 1_500_000), (Ulid(3), 3_000_000)];
        let created = Created { refunds, refused: 0, over_micros: 3_010_000 };
        let came = [
            received(1, 1, 1_420_000),
            received(2, 1, 1_504_000),
            received(2, 2, 1_900_000),
            received(3, 1, 3_020_000),
            received(3, 2, 3_600_000),
        ];
        let result = measure(&created, &came, begun, Duration::from_secs(2));
        assert!((result.per_second - 1.5).abs() < 1e-9, "{}", result.per_second);
        assert!((result.latencies.max_ms - 20.0).abs() < 1e-9);
        assert!((result.latencies.p50_ms - 20.0).abs() < 1e-9);
        assert!((result.tail_ms - 590.0).abs() < 1e-9);
    }
}
