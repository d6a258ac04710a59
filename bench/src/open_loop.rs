//! Creates refunds over HTTP at a fixed rate. Each request leaves at its scheduled time, whether or
//! not earlier requests were answered.

use crate::axum_only;
use crate::fixture::{REASON, Targets};
use crate::measure::{SplitMix, Stopwatch, sleep};
use crate::sink::ulid;
use anyhow::{Context, Result, bail};
use axum::body::Bytes;
use axum::http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use ulid::Ulid;

/// Longest wait for one answer.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// Which server to load, for how long and at which rate.
pub struct Schedule<'a> {
    pub address: SocketAddr,
    pub bearer: &'a str,
    /// Payments to refund.
    pub targets: &'a Targets,
    /// Refunds per second.
    pub per_second: u32,
    pub duration: Duration,
}

/// Result of one run.
#[derive(Default)]
pub struct Created {
    /// Each created refund and the time its request was scheduled for, in microseconds of the
    /// stopwatch.
    pub refunds: Vec<(Ulid, u32)>,
    /// Requests without a 201.
    pub refused: u64,
    /// Time of the last answer, in microseconds of the stopwatch.
    pub over_micros: u32,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    id: &'a str,
}

struct Caller {
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
    authorization: String,
}

/// Creates refunds on `schedule`. The time of a request counts from its scheduled time, even when
/// the request leaves late.
pub async fn create_refunds(schedule: &Schedule<'_>, stopwatch: Stopwatch) -> Result<Created> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let caller = Arc::new(Caller {
        client: Client::builder(TokioExecutor::new()).build(connector),
        url: format!("http://{}{}", schedule.address, axum_only::PATH),
        authorization: format!("Bearer {}", schedule.bearer),
    });
    let mut rng = SplitMix::new(17);
    let mut tasks = JoinSet::new();
    let mut created = Created::default();
    let start = stopwatch.micros();
    for number in 0..count(schedule) {
        let due = start.saturating_add(due_micros(number, schedule.per_second));
        loop {
            let wait = due.saturating_sub(stopwatch.micros());
            if wait == 0 {
                break;
            }
            sleep(Duration::from_micros(wait.into())).await;
        }
        let payment = schedule.targets.payments[schedule.targets.pick(&mut rng)];
        let body = format!(
            r#"{{"sourceType":"payment","sourceId":"{payment}","amount":1,"reason":"{REASON}"}}"#
        );
        let caller = caller.clone();
        tasks.spawn(async move { (caller.refund(number, body).await, due) });
        while let Some(done) = tasks.try_join_next() {
            note(&mut created, done?);
        }
    }
    while let Some(done) = tasks.join_next().await {
        note(&mut created, done?);
    }
    created.over_micros = stopwatch.micros();
    Ok(created)
}

fn note(created: &mut Created, (answer, due): (Result<Ulid>, u32)) {
    match answer {
        Ok(refund) => created.refunds.push((refund, due)),
        Err(error) => {
            if created.refused == 0 {
                eprintln!("a refund was refused: {error:#}");
            }
            created.refused += 1;
        }
    }
}

/// Total number of requests of the schedule.
fn count(schedule: &Schedule<'_>) -> u64 {
    let millis = u64::try_from(schedule.duration.as_millis()).unwrap_or(u64::MAX);
    u64::from(schedule.per_second).saturating_mul(millis) / 1000
}

/// Scheduled time of request `number`, in microseconds after the first request.
fn due_micros(number: u64, per_second: u32) -> u32 {
    let micros = number.saturating_mul(1_000_000) / u64::from(per_second.max(1));
    u32::try_from(micros).unwrap_or(u32::MAX)
}

impl Caller {
    async fn refund(&self, number: u64, body: String) -> Result<Ulid> {
        let request = Request::post(&self.url)
            .header("authorization", &self.authorization)
            .header("content-type", "application/json")
            .header("idempotency-key", format!("open-loop-{number}"))
            .body(Full::new(Bytes::from(body)))?;
        let exchange = async {
            let response = self.client.request(request).await?;
            let status = response.status();
            anyhow::Ok((status, response.into_body().collect().await?.to_bytes()))
        };
        let (status, body) =
            tokio::time::timeout(TIME_LIMIT, exchange).await.context("no answer in time")??;
        if status != StatusCode::CREATED {
            bail!("{status}: {}", String::from_utf8_lossy(&body));
        }
        let answer: Answer<'_> = serde_json::from_slice(&body)?;
        ulid(answer.data.id).context("the answer names no refund")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_leave_evenly() {
        assert_eq!([0, 1, 199, 200].map(|n| due_micros(n, 200)), [0, 5_000, 995_000, 1_000_000]);
        assert_eq!(due_micros(10_000, 3_000), 3_333_333);
        assert_eq!(due_micros(u64::MAX, 1), u32::MAX);
    }
}
