//! A receiver that records webhooks and answers as a test decides.

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;

/// A received webhook.
#[derive(Clone, Debug)]
pub struct Received {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Received {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub fn kind(&self) -> String {
        self.json()["type"].as_str().expect("a type").to_owned()
    }

    /// Id of the refund, payment or other object of the event.
    pub fn subject(&self) -> String {
        self.json()["data"]["aggregateId"].as_str().expect("an id").to_owned()
    }
}

/// An answer of the receiver.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    after: Duration,
    body: usize,
}

impl Answer {
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), after: Duration::ZERO, body: 2 }
    }

    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub fn after(mut self, time: Duration) -> Self {
        self.after = time;
        self
    }

    pub fn long(mut self, bytes: usize) -> Self {
        self.body = bytes;
        self
    }
}

type Script = Box<dyn FnMut(&Received) -> Answer + Send>;

/// A receiver on this machine.
pub struct Receiver {
    pub port: u16,
    received: Arc<Mutex<Vec<Received>>>,
    script: Arc<Mutex<Script>>,
    task: tokio::task::JoinHandle<()>,
}

impl Receiver {
    /// Starts a receiver that answers every webhook with success.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let received = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Mutex<Script>> =
            Arc::new(Mutex::new(Box::new(|_: &Received| Answer::status(200))));
        let shared = (received.clone(), script.clone());
        let task = tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let (received, script) = shared.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let (received, script) = (received.clone(), script.clone());
                        async move { Ok::<_, Infallible>(take(request, &received, &script).await) }
                    });
                    let io = TokioIo::new(stream);
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(io, service)
                        .await;
                });
            }
        });
        Self { port, received, script, task }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Sets the answers from now on.
    pub fn answers(&self, script: impl FnMut(&Received) -> Answer + Send + 'static) {
        *locked(&self.script) = Box::new(script);
    }

    /// All received webhooks.
    pub fn all(&self) -> Vec<Received> {
        locked(&self.received).clone()
    }

    /// Names of the received events, in order.
    pub fn kinds(&self) -> Vec<String> {
        self.all().iter().map(Received::kind).collect()
    }

    /// Number of webhooks received at a path.
    pub fn count(&self, path: &str) -> usize {
        locked(&self.received).iter().filter(|one| one.path == path).count()
    }

    pub fn forget(&self) {
        locked(&self.received).clear();
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[expect(clippy::disallowed_methods, reason = "a receiver with a configured delay")]
async fn take(
    request: Request<Incoming>,
    received: &Mutex<Vec<Received>>,
    script: &Mutex<Script>,
) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
    let one = Received { path: parts.uri.path().to_owned(), headers: parts.headers, body };
    let answer = (locked(script))(&one);
    locked(received).push(one);
    tokio::time::sleep(answer.after).await;
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response.body(Full::new(Bytes::from(vec![b'x'; answer.body]))).expect("an answer")
}

fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
