//! A receiver of webhooks in this process, on threads of its own: checks every signature, notes what
//! came when and answers 204.

use crate::measure::Stopwatch;
use anyhow::{Context, Result, anyhow};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use sha2::Sha256;
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tokio::runtime::Runtime;
use ulid::Ulid;

/// One webhook that came.
#[derive(Clone, Copy)]
pub struct Heard {
    /// The event it tells of.
    pub event: Ulid,
    /// What the event is about.
    pub subject: Ulid,
    /// Its place among the events of its subject.
    pub seq: u32,
    /// It is `refund.created`.
    pub created: bool,
    /// When it had come, on the sink's stopwatch.
    pub at_micros: u32,
}

/// A receiver that listens. It stops when it is dropped.
pub struct Sink {
    shared: Arc<Shared>,
    address: SocketAddr,
    _runtime: Runtime,
}

struct Shared {
    stopwatch: Stopwatch,
    key: OnceLock<Vec<u8>>,
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    heard: Vec<Heard>,
    forged: u64,
}

#[derive(Deserialize)]
struct Told<'a> {
    #[serde(rename = "type")]
    name: &'a str,
    seq: u32,
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    aggregate_id: &'a str,
}

impl Sink {
    /// Starts to listen. `stopwatch` tells when things come.
    pub fn start(stopwatch: Stopwatch) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("sink")
            .enable_all()
            .build()?;
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let shared = Shared { stopwatch, key: OnceLock::new(), log: Mutex::default() };
        let shared = Arc::new(shared);
        let router = Router::new().route("/", post(hear)).with_state(shared.clone());
        let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
            // A failure only costs speed.
            let _ = stream.set_nodelay(true);
        });
        runtime.spawn(async move { axum::serve(listener, router).await });
        Ok(Self { shared, address, _runtime: runtime })
    }

    /// What to register.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Takes the secret that the endpoint was given. What comes before that is forged.
    pub fn trust(&self, secret: &str) -> Result<()> {
        let key = secret.strip_prefix("whsec_").context("a signing secret begins with whsec_")?;
        let key = STANDARD.decode(key).context("a signing secret is base64")?;
        self.shared.key.set(key).map_err(|_| anyhow!("there is a secret already"))
    }

    /// How many came, forged ones included.
    pub fn count(&self) -> u64 {
        let log = self.shared.log();
        u64::try_from(log.heard.len()).unwrap_or(u64::MAX) + log.forged
    }

    /// Everything that came, in order, and how many had no good signature.
    pub fn all(&self) -> (Vec<Heard>, u64) {
        let log = self.shared.log();
        (log.heard.clone(), log.forged)
    }
}

impl Shared {
    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn hear(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let at_micros = shared.stopwatch.micros();
    let key = shared.key.get().filter(|key| is_signed(key, &headers, &body));
    let heard = key.and_then(|_| read(&headers, &body, at_micros));
    let mut log = shared.log();
    match heard {
        Some(heard) => log.heard.push(heard),
        None => log.forged += 1,
    }
    StatusCode::NO_CONTENT
}

fn is_signed(key: &[u8], headers: &HeaderMap, body: &[u8]) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let parts = text("webhook-id").zip(text("webhook-timestamp")).zip(text("webhook-signature"));
    let Some(((id, at), signature)) = parts else { return false };
    let signature = signature.strip_prefix("v1,").and_then(|text| STANDARD.decode(text).ok());
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return false };
    for part in [id.as_bytes(), b".", at.as_bytes(), b".", body] {
        mac.update(part);
    }
    signature.is_some_and(|signature| mac.verify_slice(&signature).is_ok())
}

fn read(headers: &HeaderMap, body: &[u8], at_micros: u32) -> Option<Heard> {
    let told: Told<'_> = serde_json::from_slice(body).ok()?;
    Some(Heard {
        event: ulid(headers.get("webhook-id")?.to_str().ok()?)?,
        subject: ulid(told.data.aggregate_id)?,
        seq: told.seq,
        created: told.name == "refund.created",
        at_micros,
    })
}

/// The ULID behind an id's prefix.
pub fn ulid(id: &str) -> Option<Ulid> {
    Ulid::from_string(id.rsplit('_').next()?).ok()
}

/// How many came more than once, and how many came before an earlier one of their subject.
pub fn disorder(heard: &[Heard]) -> (u64, u64) {
    let (mut events, mut last) = (HashSet::new(), HashMap::new());
    let (mut repeated, mut unordered) = (0, 0);
    for one in heard {
        if !events.insert(one.event) {
            repeated += 1;
        } else if last.insert(one.subject, one.seq).is_some_and(|before| before > one.seq) {
            unordered += 1;
        }
    }
    (repeated, unordered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(event: u128, subject: u128, seq: u32) -> Heard {
        let (event, subject) = (Ulid(event), Ulid(subject));
        Heard { event, subject, seq, created: seq == 1, at_micros: 0 }
    }

    #[test]
    fn what_comes_twice_or_too_early_is_counted() {
        assert_eq!(disorder(&[heard(1, 9, 1), heard(2, 8, 1), heard(3, 9, 2)]), (0, 0));
        assert_eq!(disorder(&[heard(1, 9, 1), heard(1, 9, 1), heard(3, 9, 2)]), (1, 0));
        assert_eq!(disorder(&[heard(3, 9, 2), heard(1, 9, 1), heard(4, 8, 3)]), (0, 1));
    }

    // The expected signature was made with Python's `hmac` module.
    #[test]
    fn only_the_bytes_that_were_signed_have_a_good_signature() {
        let key = b"01234567890123456789 0123";
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", "evt_00000000000000000000000001".parse().unwrap());
        headers.insert("webhook-timestamp", "1700000000".parse().unwrap());
        let body = br#"{"type":"refund.created","seq":1,"data":{"aggregateId":"rfd_00000000000000000000000002"}}"#;
        assert!(!is_signed(key, &headers, body));
        headers.insert("webhook-signature", SIGNATURE.parse().unwrap());
        assert!(is_signed(key, &headers, body));
        assert!(!is_signed(key, &headers, &body[1..]));
        assert!(!is_signed(b"another", &headers, body));
        let heard = read(&headers, body, 7).unwrap();
        assert_eq!((heard.event, heard.subject, heard.seq), (Ulid(1), Ulid(2), 1));
        assert!(heard.created);
    }

    const SIGNATURE: &str = "v1,3Eda7Gk4q5yu+0EqQdRDtkK5PHa30eR5l6FlNMGAYMQ=";
}
