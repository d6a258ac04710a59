//! A server that misbehaves as a test says, and remembers which requests it got.

use domain::outcome::Failure;
use providers::http::{
    Answer, Deadline, Exchange, HostClient, Http, ProviderRequest, Resolver, SystemResolver,
};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// Longest wait for anything. Only a failing test reaches it.
pub const LIMIT: Duration = Duration::from_secs(20);

/// A deadline that is waited for, long enough for a busy machine to send a request first.
pub const SHORT: Duration = Duration::from_millis(500);

/// One thing that the server does on a connection.
#[derive(Clone)]
pub enum Step {
    /// Reads a request and answers it with these bytes.
    Answer(Vec<u8>),
    /// Reads a request and answers nothing; goes on when the connection is cut.
    Silence,
    /// Reads a request, sends the bytes, and sends the byte again and again.
    Drip(&'static str, &'static str),
    /// Waits for the first byte of a request and reads none of it, so that the connection is reset.
    Reset,
    /// Closes the connection. So does the end of the steps.
    Close,
    /// Reads a request and closes.
    ReadAndClose,
}

pub struct Gateway {
    pub port: u16,
    requests: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
    cut: Arc<AtomicUsize>,
}

impl Gateway {
    /// The first connection takes the first script, and so on; the last one serves the rest.
    pub async fn start(scripts: Vec<Vec<Step>>) -> Self {
        Self::start_with(None, scripts).await
    }

    pub async fn start_tls(tls: TlsAcceptor, scripts: Vec<Vec<Step>>) -> Self {
        Self::start_with(Some(tls), scripts).await
    }

    async fn start_with(tls: Option<TlsAcceptor>, scripts: Vec<Vec<Step>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let gateway = Self {
            port: listener.local_addr().expect("an address").port(),
            requests: Arc::default(),
            connections: Arc::default(),
            cut: Arc::default(),
        };
        let (requests, connections) = (gateway.requests.clone(), gateway.connections.clone());
        let cut = gateway.cut.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = connections.fetch_add(1, Ordering::SeqCst);
                let script = scripts.get(number).or(scripts.last()).expect("a script").clone();
                let (tls, requests, cut) = (tls.clone(), requests.clone(), cut.clone());
                tokio::spawn(async move {
                    match tls {
                        None => play(stream, script, &requests).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                play(stream, script, &requests).await;
                            }
                        }
                    }
                    cut.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        gateway
    }

    pub fn host(&self) -> HostClient {
        http().for_host(&self.base()).expect("a base URL")
    }

    /// A client whose base URL has a path.
    pub fn http_host(&self, path: &str) -> HostClient {
        http().for_host(&format!("{}{path}", self.base())).expect("a base URL")
    }

    pub fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Every request that was read, with its body.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("a lock").clone()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Waits until the server is done with `count` connections.
    pub async fn done_with(&self, count: usize) {
        eventually("the server to be done", || self.cut.load(Ordering::SeqCst) >= count).await;
    }
}

async fn play<S>(mut stream: S, script: Vec<Step>, requests: &Mutex<Vec<String>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Peek,
{
    for step in script {
        match step {
            Step::Close => return,
            Step::Reset => return stream.first_byte().await,
            Step::Answer(_) | Step::Silence | Step::Drip(..) | Step::ReadAndClose => {}
        }
        let Some(request) = read_request(&mut stream).await else { return };
        requests.lock().expect("a lock").push(request);
        match step {
            Step::Answer(answer) => {
                if stream.write_all(&answer).await.is_err() {
                    return;
                }
            }
            Step::Silence => while stream.read(&mut [0; 64]).await.is_ok_and(|read| read > 0) {},
            Step::Drip(head, byte) => {
                let mut next = head;
                while stream.write_all(next.as_bytes()).await.is_ok() {
                    next = byte;
                    let _ = stream.flush().await;
                    pause(Duration::from_millis(5)).await;
                }
            }
            Step::ReadAndClose | Step::Close | Step::Reset => return,
        }
    }
}

async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut seen = Vec::new();
    let mut bytes = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&seen).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length = length.map_or(0, |length| length.parse().expect("a length"));
            if body.len() >= length {
                return Some(text);
            }
        }
        match stream.read(&mut bytes).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => seen.extend(&bytes[..read]),
        }
    }
}

/// Waiting for the first byte without reading it.
pub trait Peek {
    fn first_byte(&self) -> impl Future<Output = ()> + Send;
}

impl Peek for TcpStream {
    async fn first_byte(&self) {
        let _ = self.peek(&mut [0]).await;
    }
}

impl Peek for tokio_rustls::server::TlsStream<TcpStream> {
    async fn first_byte(&self) {
        self.get_ref().0.first_byte().await;
    }
}

pub fn system() -> Arc<dyn Resolver> {
    Arc::new(SystemResolver::new().expect("threads"))
}

pub fn http() -> Http {
    Http::new(system()).expect("TLS")
}

pub fn soon() -> Deadline {
    Deadline::within(LIMIT)
}

pub fn shortly() -> Deadline {
    Deadline::within(SHORT)
}

/// The request whose fate matters most.
pub fn refund(host: &HostClient) -> ProviderRequest {
    ProviderRequest::post_form(host.path(&["v1", "refunds"]), &[("charge", "ch_1")])
}

pub fn reply(head: &str, body: &str) -> Step {
    Step::Answer(format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into())
}

pub fn answered(exchange: Exchange) -> Answer {
    match exchange {
        Exchange::Answered(answer) => answer,
        other => panic!("{other:?}"),
    }
}

pub fn not_connected(exchange: Exchange) -> Failure {
    match exchange {
        Exchange::NotConnected(why) => why,
        other => panic!("{other:?}"),
    }
}

pub fn no_answer(exchange: Exchange) -> Failure {
    match exchange {
        Exchange::SentNoAnswer(why) => why,
        other => panic!("{other:?}"),
    }
}

pub async fn within_limit<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.unwrap_or_else(|_| panic!("waited for {what}"))
}

pub async fn eventually(what: &str, look: impl Fn() -> bool) {
    within_limit(what, async {
        while !look() {
            pause(Duration::from_millis(2)).await;
        }
    })
    .await;
}

#[expect(clippy::disallowed_methods, reason = "a pause of a slow server, or within a bounded wait")]
async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}
