//! (g): how fast webhooks leave, how soon they come, and what a backlog of them costs. Every one is
//! signed and logged, and the receiver is in this process.

use crate::ground::{Ground, in_runtime, wait_until_closed};
use crate::inprocess::CLIENTS;
use crate::lab::{self, Targets};
use crate::load::refund;
use crate::measure::{Dice, Latencies, Stopwatch, pause, real};
use crate::overhttp::pending;
use crate::paced::{self, Asked, Pace};
use crate::process::{Server, get, post};
use crate::sink::{Heard, Sink, disorder};
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
const PATIENCE: Duration = Duration::from_mins(10);

const UNTOLD: &str = "webhooks are still to be sent";

/// How often memory is looked at.
const SAMPLE: Duration = Duration::from_millis(100);

/// The first part of every flow, not counted.
const WARM_UP: Duration = Duration::from_secs(1);

/// Refunds that somebody is told of.
pub struct Course {
    per_second: u32,
    /// They are sent to the simulator, too.
    dispatch: bool,
    /// What the receiver wants to be told of.
    events: &'static [&'static str],
}

/// As many as one process is to tell of at least, and some more.
pub const STEADY: Course =
    Course { per_second: 2_500, dispatch: false, events: &["refund.created"] };

/// Few, with everything that happens to them.
pub const CALM: Course = Course { per_second: 200, dispatch: true, events: &["*"] };

impl fmt::Display for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.per_second.fmt(f)
    }
}

/// What telling of refunds while they are created came to.
pub struct Flow {
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
pub struct Drain {
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

/// Creates refunds at a pace and waits until everything about them was told.
pub fn flow(ground: &Ground, course: &Course, duration: Duration) -> Result<Flow> {
    let stopwatch = Stopwatch::start();
    let sink = Sink::start(stopwatch)?;
    let server = ground.serve(course.dispatch)?;
    register(&server, ground, &sink, course.events)?;
    let begun = stopwatch.micros();
    let pace = Pace {
        address: server.address,
        bearer: ground.bearer(),
        targets: &ground.targets,
        per_second: course.per_second,
        duration: WARM_UP + duration,
    };
    let asked = in_runtime(paced::ask(&pace, stopwatch))?;
    if course.dispatch {
        // Refunds under way have more to tell.
        wait_while("refunds are still pending", || pending(&server, ground))?;
    }
    wait_while(UNTOLD, || is_untold(&server, ground))?;
    server.stop()?;
    let (heard, forged) = sink.all();
    let faults = faults(ground, &heard, forged)? + asked.refused;
    let created = u64::try_from(asked.refunds.len())?;
    let came = heard.iter().filter(|heard| heard.created).count();
    let lost = created.saturating_sub(u64::try_from(came)?);
    Ok(Flow { faults: faults + lost, ..weigh(&asked, &heard, begun, duration) })
}

/// What counts is what came in `duration`, after the warm-up that started at `begun`.
fn weigh(asked: &Asked, heard: &[Heard], begun: u32, duration: Duration) -> Flow {
    let micros = |time: Duration| u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    let from = begun.saturating_add(micros(WARM_UP));
    let to = from.saturating_add(micros(duration));
    let counted = heard.iter().filter(|heard| (from..to).contains(&heard.at_micros)).count();
    let came: HashMap<Ulid, u32> = heard
        .iter()
        .filter(|heard| heard.created)
        .map(|heard| (heard.subject, heard.at_micros))
        .collect();
    let took = asked.refunds.iter().filter(|(_, due)| *due >= from);
    let took = took.filter_map(|(refund, due)| Some(came.get(refund)?.saturating_sub(*due)));
    let last = heard.iter().map(|heard| heard.at_micros).max().unwrap_or_default();
    Flow {
        per_second: real(u64::try_from(counted).unwrap_or(u64::MAX)) / duration.as_secs_f64(),
        latencies: Latencies::of(took.collect()),
        tail_ms: f64::from(last.saturating_sub(asked.over_micros)) / 1000.0,
        faults: 0,
    }
}

/// Piles up `backlog` webhooks while nobody sends, then starts the server and watches its memory
/// until all have come. Half of them wait for the other half: each refund was created and canceled.
pub fn drain(ground: &Ground, backlog: u64) -> Result<Drain> {
    let sink = Sink::start(Stopwatch::start())?;
    let server = ground.serve(false)?;
    register(&server, ground, &sink, &["*"])?;
    server.stop()?;
    in_runtime(async {
        let engine = lab::open_engine(&ground.database(), ground.folder())?;
        pile_up(&engine, &ground.targets, backlog / 2).await
    })?;
    wait_until_closed(&ground.database())?;
    let server = ground.serve(false)?;
    let samples = watch(&server, &sink, backlog)?;
    wait_while(UNTOLD, || is_untold(&server, ground))?;
    server.stop()?;
    let (heard, forged) = sink.all();
    let lost = backlog.saturating_sub(u64::try_from(heard.len())?);
    let faults = faults(ground, &heard, forged)? + lost;
    ground.verify().context("the books after (g)")?;
    let (first, newest) = (heard.first(), heard.last());
    let micros = first.zip(newest).map_or(0, |(from, to)| to.at_micros - from.at_micros);
    let half = backlog / 2;
    let highest = |samples: &[Sample]| samples.iter().map(|s| s.resident_mb).fold(0.0, f64::max);
    let (before, after) = samples.split_at(samples.partition_point(|s| s.came < half));
    let early = samples.iter().find(|s| s.at >= Duration::from_secs(1)).or(samples.last());
    Ok(Drain {
        per_second: real(u64::try_from(heard.len())?) / (f64::from(micros.max(1)) / 1e6),
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
        if stopwatch.elapsed() > PATIENCE {
            bail!("{came} of {backlog} webhooks came in {} s", PATIENCE.as_secs());
        }
        pause(SAMPLE);
    }
}

/// Creates `refunds` refunds and cancels them again.
async fn pile_up(engine: &Engine, targets: &Targets, refunds: u64) -> Result<()> {
    let left = Arc::new(AtomicU64::new(refunds));
    let mut tasks = JoinSet::new();
    for number in 0..CLIENTS {
        let (engine, targets, left) = (engine.clone(), targets.clone(), left.clone());
        tasks.spawn(async move {
            let mut dice = Dice::new(number);
            let one_less = |left: u64| left.checked_sub(1);
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok() {
                let payment = targets.payments[targets.pick(&mut dice)];
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
fn register(server: &Server, ground: &Ground, sink: &Sink, events: &[&str]) -> Result<()> {
    let endpoint = json!({ "url": sink.url(), "events": events, "format": "refundry" }).to_string();
    let (status, body) = post(server.address, "/api/v1/webhooks", ground.bearer(), &endpoint)?;
    let answer: Value = serde_json::from_str(&body)?;
    match (status, answer["data"]["secret"].as_str()) {
        (201, Some(secret)) => sink.trust(secret),
        _ => bail!("the webhook endpoint was not registered: {status} {body}"),
    }
}

fn wait_while(what: &str, mut lasts: impl FnMut() -> Result<bool>) -> Result<()> {
    let stopwatch = Stopwatch::start();
    while lasts()? {
        if stopwatch.elapsed() > PATIENCE {
            bail!("{what} after {} s", PATIENCE.as_secs());
        }
        pause(Duration::from_millis(20));
    }
    Ok(())
}

fn is_untold(server: &Server, ground: &Ground) -> Result<bool> {
    let target = "/api/v1/webhooks/deliveries?status=pending&limit=1";
    let (status, body) = get(server.address, target, ground.bearer())?;
    let answer: Value = serde_json::from_str(&body)?;
    match (status, answer["data"].as_array()) {
        (200, Some(deliveries)) => Ok(!deliveries.is_empty()),
        _ => bail!("the list of pending deliveries: {status} {body}"),
    }
}

/// Webhooks that came twice, too early or with a bad signature, and those of which the log in the
/// database says something else than the receiver. The server has stopped.
fn faults(ground: &Ground, heard: &[Heard], forged: u64) -> Result<u64> {
    let (repeated, unordered) = disorder(heard);
    let connection =
        Connection::open_with_flags(ground.database(), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let one = |sql: &str, code: i64| -> Result<u64> {
        Ok(u64::try_from(connection.query_row(sql, [code], |row| row.get::<_, i64>(0))?)?)
    };
    let done = Status::Succeeded.code();
    let succeeded = one("SELECT count(*) FROM deliveries WHERE status = ?1", done)?;
    let others = one("SELECT count(*) FROM deliveries WHERE status <> ?1", done)?;
    let attempts = one("SELECT count(*) FROM delivery_attempts WHERE response_code = ?1", 204)?;
    let came = u64::try_from(heard.len())?;
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

    fn heard(subject: u128, seq: u32, at_micros: u32) -> Heard {
        let event = Ulid((subject << 8) + u128::from(seq));
        Heard { event, subject: Ulid(subject), seq, created: seq == 1, at_micros }
    }

    #[test]
    fn only_what_comes_after_the_warm_up_counts() {
        let begun = 500_000;
        // Asked for during the warm-up, right after it, and later.
        let refunds = vec![(Ulid(1), 1_400_000), (Ulid(2), 1_500_000), (Ulid(3), 3_000_000)];
        let asked = Asked { refunds, refused: 0, over_micros: 3_010_000 };
        let came = [
            heard(1, 1, 1_420_000),
            heard(2, 1, 1_504_000),
            heard(2, 2, 1_900_000),
            heard(3, 1, 3_020_000),
            heard(3, 2, 3_600_000),
        ];
        let flow = weigh(&asked, &came, begun, Duration::from_secs(2));
        assert!((flow.per_second - 1.5).abs() < 1e-9, "{}", flow.per_second);
        assert!((flow.latencies.max_ms - 20.0).abs() < 1e-9);
        assert!((flow.latencies.p50_ms - 20.0).abs() < 1e-9);
        assert!((flow.tail_ms - 590.0).abs() < 1e-9);
    }
}
