//! Connections, new and kept.
//!
//! A pool of our own instead of `hyper_util`'s client: that one hides how far a request had come when
//! it failed or was given up. Here, opening a connection and using it are two steps, and hyper's
//! [`SendRequest::try_send_request`] returns a request exactly if it did not begin to write it.

use super::answer::Answer;
use super::deadline::now;
use super::url::Origin;
use crate::transport::{self, Resolver};
use domain::outcome::Failure;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::collections::{HashMap, VecDeque};
use std::error::Error as StdError;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

/// Connections kept open to one server, and for how long. Shorter than the minute after which load
/// balancers commonly close theirs.
const IDLE_CONNECTIONS: usize = 64;
const IDLE_TIME: Duration = Duration::from_secs(30);

/// Servers to which connections are kept.
const SERVERS: usize = 256;

/// Time for a connection to become free after an answer. It takes longer than a moment only if the
/// provider answered before it had read the request.
const FREE_TIME: Duration = Duration::from_secs(1);

type Outgoing = Request<Full<Bytes>>;

/// Opens connections and keeps those that can be used again.
pub(super) struct Connections {
    resolver: Arc<dyn Resolver>,
    tls: TlsConnector,
    /// The connection to a server that was used last is at the back.
    idle: Mutex<HashMap<Origin, VecDeque<Idle>>>,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

/// A connection that nobody else uses. Dropping it cuts it: no byte leaves afterwards.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// True after its first request.
    pub(super) reused: bool,
    driver: AbortHandle,
}

/// Why a connection gave no answer.
pub(super) enum NoAnswer {
    /// The connection was dead and the request was not begun.
    Unsent(Box<Outgoing>),
    Lost(Failure),
}

impl Connections {
    pub(super) fn new(resolver: Arc<dyn Resolver>, tls: TlsConnector) -> Self {
        Self { resolver, tls, idle: Mutex::default() }
    }

    /// A connection that was kept, or a new one. An error means that nothing was sent.
    pub(super) async fn get(&self, origin: &Origin) -> Result<Connection, Failure> {
        match self.take(origin) {
            Some(connection) => Ok(connection),
            // A TLS handshake is large, and rare.
            None => Box::pin(self.open(origin)).await,
        }
    }

    fn take(&self, origin: &Origin) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle.get_mut(origin)?;
        kept.retain(Idle::is_usable);
        let connection = kept.pop_back().map(|idle| idle.connection);
        if kept.is_empty() {
            idle.remove(origin);
        }
        connection
    }

    async fn open(&self, origin: &Origin) -> Result<Connection, Failure> {
        let addresses = self.resolve(origin).await?;
        let stream = transport::connect(&addresses, origin.port);
        let stream = stream.await.map_err(|error| not_connected(&error))?;
        if !origin.tls {
            return Connection::start(stream).await;
        }
        let name = ServerName::try_from(origin.host.to_string());
        let name =
            name.map_err(|_| Failure::new("tls_failed", "no certificate has such a name"))?;
        let stream = self.tls.connect(name, stream).await;
        let stream = stream.map_err(|error| Failure::new("tls_failed", &error.to_string()))?;
        Connection::start(stream).await
    }

    /// Plain text does not leave this machine, whatever the system says where `localhost` is.
    async fn resolve(&self, origin: &Origin) -> Result<Vec<IpAddr>, Failure> {
        let failed = |text: &str| Failure::new("dns_failed", text);
        let addresses = if let Some(address) = origin.address() {
            vec![address]
        } else {
            let found = self.resolver.resolve(&origin.host).await;
            found.map_err(|error| failed(&error.to_string()))?
        };
        if !origin.tls && !addresses.iter().all(IpAddr::is_loopback) {
            return Err(failed("localhost leads to another machine"));
        }
        Ok(addresses)
    }

    /// Keeps a connection whose answer was read to its end, as soon as it is free.
    pub(super) fn keep(self: &Arc<Self>, origin: Origin, mut connection: Connection) {
        connection.reused = true;
        if connection.sender.is_ready() {
            self.put(origin, connection);
            return;
        }
        let all = self.clone();
        tokio::spawn(async move {
            let free = tokio::time::timeout(FREE_TIME, connection.sender.ready()).await;
            if matches!(free, Ok(Ok(()))) {
                all.put(origin, connection);
            }
        });
    }

    fn put(&self, origin: Origin, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() >= SERVERS && !idle.contains_key(&origin) {
            return;
        }
        let kept = idle.entry(origin).or_default();
        kept.retain(Idle::is_usable);
        if kept.len() >= IDLE_CONNECTIONS {
            kept.pop_front();
        }
        kept.push_back(Idle { connection, since: now() });
    }
}

impl Idle {
    fn is_usable(&self) -> bool {
        self.connection.sender.is_ready() && now().saturating_duration_since(self.since) < IDLE_TIME
    }
}

impl Connection {
    async fn start<S>(stream: S) -> Result<Self, Failure>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let started = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = started.map_err(|error| broken(&error))?;
        let driver = tokio::spawn(async move {
            // An exchange that waits for an answer is given the error.
            let _ = connection.await;
        });
        Ok(Self { sender, reused: false, driver: driver.abort_handle() })
    }

    /// Sends a request and reads its answer to the end. The connection is of no use after an error.
    pub(super) async fn exchange(
        &mut self,
        request: Outgoing,
        answer_bytes: usize,
    ) -> Result<Answer, NoAnswer> {
        match self.sender.try_send_request(request).await {
            Ok(response) => read(response, answer_bytes).await.map_err(NoAnswer::Lost),
            Err(mut error) => Err(match error.take_message() {
                Some(unsent) => NoAnswer::Unsent(Box::new(unsent)),
                None => NoAnswer::Lost(broken(error.error())),
            }),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

async fn read(response: Response<Incoming>, answer_bytes: usize) -> Result<Answer, Failure> {
    let (head, body) = response.into_parts();
    let too_large = || {
        let text = format!("the answer has more than {answer_bytes} bytes");
        Failure::new("answer_too_large", &text)
    };
    let announced = usize::try_from(body.size_hint().lower());
    if announced.map_or(true, |bytes| bytes > answer_bytes) {
        return Err(too_large());
    }
    match Limited::new(body, answer_bytes).collect().await {
        Ok(body) => Ok(Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.to_bytes(),
        }),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(error) => Err(broken(&*error)),
    }
}

fn not_connected(error: &io::Error) -> Failure {
    let code = match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection_refused",
        io::ErrorKind::TimedOut => "timeout",
        _ => "connection_failed",
    };
    Failure::new(code, &format!("no connection: {error}"))
}

fn broken(error: &(dyn StdError + 'static)) -> Failure {
    let code = match error.downcast_ref::<hyper::Error>() {
        Some(error) if error.is_parse_too_large() => "answer_too_large",
        Some(error) if error.is_parse() => "answer_unreadable",
        _ => "connection_broken",
    };
    // The innermost cause is the most useful one for people.
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    Failure::new(code, &format!("the connection failed: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::super::{Deadline, Exchange, Http, ProviderRequest};
    use super::*;
    use crate::transport::SystemResolver;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

    /// Accepts connections, answers each read, and counts the reads of each connection.
    async fn server(answer: &'static [u8]) -> (String, Arc<Mutex<Vec<usize>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let base = format!("http://{}/", listener.local_addr().expect("an address"));
        let reads: Arc<Mutex<Vec<usize>>> = Arc::default();
        let seen = reads.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                seen.lock().expect("a lock").push(0);
                let number = seen.lock().expect("a lock").len() - 1;
                tokio::spawn(serve(stream, answer, seen.clone(), number));
            }
        });
        (base, reads)
    }

    async fn serve(
        mut stream: TcpStream,
        answer: &'static [u8],
        reads: Arc<Mutex<Vec<usize>>>,
        number: usize,
    ) {
        while stream.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {
            reads.lock().expect("a lock")[number] += 1;
            if stream.write_all(answer).await.is_err() {
                return;
            }
        }
    }

    #[tokio::test]
    async fn a_request_that_was_not_begun_goes_out_on_another_connection() {
        let (base, reads) = server(ANSWER).await;
        let resolver = Arc::new(SystemResolver::new().expect("threads"));
        let http = Http::new(resolver).expect("TLS");
        let call = || {
            let request = ProviderRequest::post_form(&*base, &[("charge", "ch_1")]);
            http.send(request, Deadline::within(Duration::from_secs(20)))
        };
        assert!(matches!(call().await, Exchange::Answered(_)));
        // The connection dies after it was chosen and before it takes the request: its task is
        // stopped, which this thread does only when it waits.
        let kept: Vec<AbortHandle> = {
            let idle = http.connections.idle.lock().expect("a lock");
            idle.values().flatten().map(|idle| idle.connection.driver.clone()).collect()
        };
        assert_eq!(kept.len(), 1);
        kept[0].abort();
        assert!(matches!(call().await, Exchange::Answered(_)));
        assert_eq!(*reads.lock().expect("a lock"), [1, 1]);
    }

    #[tokio::test]
    async fn hyper_returns_a_request_only_if_it_did_not_begin_it() {
        let (base, reads) = server(b"").await;
        let address = base.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let connect = async || {
            let stream = TcpStream::connect(&address).await.expect("a connection");
            Connection::start(stream).await.expect("a connection")
        };
        let request = || {
            let request = ProviderRequest::get(&*base).prepare();
            request.expect("a request").request
        };
        // Stopped before the task of the connection runs for the first time.
        let mut unsent = connect().await;
        unsent.driver.abort();
        let ended = unsent.exchange(request(), 1_000).await;
        assert!(matches!(ended, Err(NoAnswer::Unsent(_))));
        // Stopped after it wrote.
        let mut sent = connect().await;
        let driver = sent.driver.clone();
        let stop = async {
            while reads.lock().expect("a lock").iter().sum::<usize>() == 0 {
                tokio::task::yield_now().await;
            }
            driver.abort();
        };
        let ended = tokio::time::timeout(Duration::from_secs(20), async {
            tokio::join!(sent.exchange(request(), 1_000), stop).0
        });
        assert!(matches!(ended.await.expect("in time"), Err(NoAnswer::Lost(_))));
    }
}
