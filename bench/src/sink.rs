//! A receiver of webhooks in this process, on its own threads. It checks every signature, records
//! each webhook with its time, and answers 204.

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

/// A webhook with a good signature.
#[derive(Clone, Copy)]
pub struct ReceivedWebhook {
    pub event: Ulid,
    /// Id of the refund, payment or other thing that the event is about.
    pub subject: Ulid,
    /// Sequence number of the event among those of its subject.
    pub seq: u32,
    /// True for `refund.created`.
    pub created: bool,
    /// Time of arrival, in microseconds of the sink's stopwatch.
    pub at_micros: u32,
}

/// A listening receiver. Dropping it stops it.
pub struct Sink {
    shared: Arc<SinkState>,
    address: SocketAddr,
    _runtime: Runtime,
}

struct SinkState {
    stopwatch: Stopwatch,
    key: OnceLock<Vec<u8>>,
    log: Mutex<Received>,
}

#[derive(Default)]
struct Received {
    received: Vec<ReceivedWebhook>,
    forged: u64,
}

#[derive(Deserialize)]
struct WebhookBody<'a> {
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
    /// Starts to listen. `stopwatch` gives the times of arrival.
    pub fn start(stopwatch: Stopwatch) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("sink")
            .enable_all()
            .build()?;
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let shared = SinkState { stopwatch, key: OnceLock::new(), log: Mutex::default() };
        let shared = Arc::new(shared);
        let router = Router::new().route("/", post(receive)).with_state(shared.clone());
        let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
            // A failure only costs speed.
            let _ = stream.set_nodelay(true);
        });
        runtime.spawn(async move { axum::serve(listener, router).await });
        Ok(Self { shared, address, _runtime: runtime })
    }

    /// The URL to register as a webhook endpoint.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Sets the secret of the endpoint. Webhooks that arrive before this call count as forged.
    pub fn set_secret(&self, secret: &str) -> Result<()> {
        let key = secret.strip_prefix("whsec_").context("a signing secret begins with whsec_")?;
        let key = STANDARD.decode(key).context("a signing secret is base64")?;
        self.shared.key.set(key).map_err(|_| anyhow!("there is a secret already"))
    }

    /// Number of received webhooks, forged ones included.
    pub fn count(&self) -> u64 {
        let log = self.shared.log();
        u64::try_from(log.received.len()).unwrap_or(u64::MAX) + log.forged
    }

    /// All webhooks in the order of arrival, and the number of webhooks without a good signature.
    pub fn received(&self) -> (Vec<ReceivedWebhook>, u64) {
        let log = self.shared.log();
        (log.received.clone(), log.forged)
    }
}

impl SinkState {
    fn log(&self) -> std::sync::MutexGuard<'_, Received> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn receive(
    State(shared): State<Arc<SinkState>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let at_micros = shared.stopwatch.micros();
    let key = shared.key.get().filter(|key| is_signed(key, &headers, &body));
    let received = key.and_then(|_| read(&headers, &body, at_micros));
    let mut log = shared.log();
    match received {
        Some(received) => log.received.push(received),
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

fn read(headers: &HeaderMap, body: &[u8], at_micros: u32) -> Option<ReceivedWebhook> {
    let webhook: WebhookBody<'_> = serde_json::from_slice(body).ok()?;
    Some(ReceivedWebhook {
        event: ulid(headers.get("webhook-id")?.to_str().ok()?)?,
        subject: ulid(webhook.data.aggregate_id)?,
        seq: webhook.seq,
        created: webhook.name == "refund.created",
        at_micros,
    })
}

/// Reads the ULID after the prefix of an id.
pub fn ulid(id: &str) -> Option<Ulid> {
    Ulid::from_string(id.rsplit('_').next()?).ok()
}

/// Number of events received more than once, and number received after a later event of the same
/// subject.
pub fn disorder(received: &[ReceivedWebhook]) -> (u64, u64) {
    let (mut events, mut last) = (HashSet::new(), HashMap::new());
    let (mut repeated, mut unordered) = (0, 0);
    for one in received {
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

    fn received(event: u128, subject: u128, seq: u32) -> ReceivedWebhook {
        let (event, subject) = (Ulid(event), Ulid(subject));
        ReceivedWebhook { event, subject, seq, created: seq == 1, at_micros: 0 }
    }

    #[test]
    fn what_comes_twice_or_too_early_is_counted() {
        assert_eq!(disorder(&[received(1, 9, 1), received(2, 8, 1), received(3, 9, 2)]), (0, 0));
        assert_eq!(disorder(&[received(1, 9, 1), received(1, 9, 1), received(3, 9, 2)]), (1, 0));
        assert_eq!(disorder(&[received(3, 9, 2), received(1, 9, 1), received(4, 8, 3)]), (0, 1));
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
        let received = read(&headers, body, 7).unwrap();
        assert_eq!((received.event, received.subject, received.seq), (Ulid(1), Ulid(2), 1));
        assert!(received.created);
    }

    const SIGNATURE: &str = "v1,3Eda7Gk4q5yu+0EqQdRDtkK5PHa30eR5l6FlNMGAYMQ=";
}
