//! A TCP proxy in front of a server that injects a fault at a commit, or stalls all connections.

use super::{Cluster, database_of};
use crate::eventually;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Cuts the connection before the server receives the commit.
    CutBefore,
    /// Cuts the connection after the server has committed.
    CutAfter,
    /// The server never receives the commit; both connections stay open.
    StallBefore,
    /// The server commits, and its answer never arrives; both connections stay open.
    StallAfter,
    /// Closes the proxy's sending side to the client, then passes the commit on.
    CloseToClient,
    /// Passes the commit on, then closes the proxy's sending side to the server.
    CloseToServer,
    /// The server commits, and the client receives the error of a server with a full disk that goes
    /// down.
    Panic,
    /// The server commits, and the client receives the error of a `PgBouncer` that lost its server
    /// instead of the server's answer.
    LostBetween,
    /// The server ends the transaction before it receives the commit, and the client receives the
    /// server's error.
    TooLate,
}

impl Fault {
    /// All faults that leave the client without knowledge of the commit's outcome.
    pub const ALL: [Self; 8] = [
        Self::CutBefore,
        Self::CutAfter,
        Self::StallBefore,
        Self::StallAfter,
        Self::CloseToClient,
        Self::CloseToServer,
        Self::Panic,
        Self::LostBetween,
    ];

    /// True when the server commits in spite of the fault.
    pub fn commits(self) -> bool {
        !matches!(self, Self::CutBefore | Self::StallBefore | Self::TooLate)
    }
}

/// `PANIC`, `53100`: the last message of a server that could not write its log.
const PANIC: &[u8] = b"E\0\0\0\x24SPANIC\0VPANIC\0C53100\0Mno space\0\0\0";

/// `FATAL`, `08P01`: the message of `PgBouncer` when it lost the server.
const LOST: &[u8] = b"E\0\0\0\x21SFATAL\0VFATAL\0C08P01\0Mcrash\0\0";

/// Ready for a query, with no transaction open.
const READY_IDLE: &[u8] = b"Z\0\0\0\x05I";

/// The server's answer to a commit.
const COMMITTED: &[u8] = b"C\0\0\0\x0bCOMMIT\0Z\0\0\0\x05I";

#[derive(Default)]
struct Shared {
    next: Mutex<Option<(Vec<u8>, Fault)>>,
    stalled: watch::Sender<bool>,
    open: AtomicUsize,
}

impl Shared {
    /// Takes the waiting fault when `message` contains its text.
    fn take_fault(&self, message: &[u8]) -> Option<Fault> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let met = next.take_if(|(text, _)| message.windows(text.len()).any(|part| part == *text));
        met.map(|(_, fault)| fault)
    }
}

pub struct Proxy {
    shared: Arc<Shared>,
    port: u16,
}

impl Proxy {
    pub async fn start(cluster: &Cluster) -> Self {
        let socket = cluster.folder().join(".s.PGSQL.5432");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared::default());
        let own = shared.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, socket.clone(), own.clone()));
            }
        });
        Self { shared, port }
    }

    /// The URL through the proxy for a database of the server.
    pub fn url(&self, url: &str) -> String {
        let name = database_of(url);
        format!("postgres://refundry@127.0.0.1:{}/{name}?sslmode=disable", self.port)
    }

    pub fn at_next_commit(&self, fault: Fault) {
        self.at_next("COMMIT\0", fault);
    }

    /// Injects `fault` at the next message that contains `text`.
    pub fn at_next(&self, text: &str, fault: Fault) {
        let next = Some((text.as_bytes().to_vec(), fault));
        *self.shared.next.lock().unwrap_or_else(PoisonError::into_inner) = next;
    }

    /// True when the fault was injected.
    pub fn has_struck(&self) -> bool {
        self.shared.next.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Waits until the fault was injected.
    pub async fn struck(&self) {
        eventually("the fault to strike", async || self.has_struck().then_some(())).await;
    }

    /// With `true`, forwards nothing on any connection from now on; new connections are accepted
    /// and get no answer. `false` ends the stall for new connections only.
    pub fn stall(&self, stalled: bool) {
        self.shared.stalled.send_replace(stalled);
    }

    /// Number of connections that clients have open.
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }
}

async fn serve(client: TcpStream, socket: PathBuf, shared: Arc<Shared>) {
    shared.open.fetch_add(1, Ordering::SeqCst);
    let server = pass(client, socket, &shared).await;
    shared.open.fetch_sub(1, Ordering::SeqCst);
    // A server behind a stalled network does not notice that the client is gone, so keep its socket
    // open.
    if let Some(server) = server {
        discard(server).await;
    }
}

/// Reads and drops all input.
async fn discard(mut from: impl AsyncRead + Unpin) {
    let mut ignored = vec![0; 65_536];
    while let Ok(1..) = from.read(&mut ignored).await {}
}

/// Forwards in both directions until a fault or a stall. Returns the server's socket when the
/// server must not notice.
async fn pass(mut client: TcpStream, socket: PathBuf, shared: &Shared) -> Option<UnixStream> {
    let mut stalled = shared.stalled.subscribe();
    if *stalled.borrow_and_update() {
        discard(client).await;
        return None;
    }
    let mut server = UnixStream::connect(socket).await.ok()?;
    let (mut request, mut answer) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            biased;
            _ = async { stalled.wait_for(|stalled| *stalled).await.map(|_| ()) } => {
                discard(client).await;
                return Some(server);
            }
            count = client.read(&mut request) => {
                let count = count.ok().filter(|count| *count > 0)?;
                if let Some(fault) = shared.take_fault(&request[..count]) {
                    return inject(fault, client, server, &request[..count]).await;
                }
                server.write_all(&request[..count]).await.ok()?;
            }
            count = server.read(&mut answer) => {
                let count = count.ok().filter(|count| *count > 0)?;
                client.write_all(&answer[..count]).await.ok()?;
            }
        }
    }
}

/// Injects the fault. Returns the server's socket when the server must not notice.
async fn inject(
    fault: Fault,
    mut client: TcpStream,
    mut server: UnixStream,
    commit: &[u8],
) -> Option<UnixStream> {
    if fault == Fault::CloseToClient {
        client.shutdown().await.ok()?;
    }
    if fault == Fault::StallBefore {
        discard(client).await;
        return Some(server);
    }
    if fault == Fault::CutBefore {
        return None;
    }
    let mut answer = Vec::new();
    if fault == Fault::TooLate {
        while server.read_buf(&mut answer).await.ok()? > 0 {}
        client.write_all(&answer).await.ok()?;
        return None;
    }
    server.write_all(commit).await.ok()?;
    if fault == Fault::CloseToServer {
        server.shutdown().await.ok()?;
    }
    // Reads up to the answer to the last message.
    while !answer.ends_with(READY_IDLE) {
        if server.read_buf(&mut answer).await.ok()? == 0 {
            break;
        }
    }
    match fault {
        Fault::StallAfter => {
            discard(client).await;
            return Some(server);
        }
        Fault::CloseToServer => client.write_all(&answer).await.ok()?,
        Fault::LostBetween => client.write_all(LOST).await.ok()?,
        Fault::Panic => {
            let before = answer.strip_suffix(COMMITTED).unwrap_or_default();
            client.write_all(&[before, PANIC].concat()).await.ok()?;
        }
        _ => {}
    }
    None
}
