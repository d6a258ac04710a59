//! A network that fails: what goes through it is passed on, until a commit meets with a fault or the
//! whole of it stands still.

use super::{Cluster, database_of};
use crate::eventually;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

/// What happens at a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is cut before the server has it.
    CutBefore,
    /// The connection is cut when the server has committed.
    CutAfter,
    /// The server never has it, and the client is not told: the connection stays.
    StallBefore,
    /// The server has committed, and its answer never comes: the connection stays.
    StallAfter,
    /// The client is told that nothing more comes, and the commit goes through.
    CloseToClient,
    /// The server is told that nothing more comes, right behind the commit.
    CloseToServer,
    /// The server has committed, and what the client is told is that the disk is full and the server
    /// goes down.
    Panic,
    /// The server has committed, and what the client is told, instead of everything that the server
    /// said, is that somebody between them lost it. `PgBouncer` does that.
    LostBetween,
    /// The server gave the transaction up before it has the commit, and says so.
    TooLate,
}

impl Fault {
    /// All that leave it open what became of the commit.
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

    /// True when the server has the commit all the same.
    pub fn commits(self) -> bool {
        !matches!(self, Self::CutBefore | Self::StallBefore | Self::TooLate)
    }
}

/// `PANIC`, `53100`: what a server says last that could not write its log.
const PANIC: &[u8] = b"E\0\0\0\x24SPANIC\0VPANIC\0C53100\0Mno space\0\0\0";

/// `FATAL`, `08P01`: what `PgBouncer` says when it lost the server.
const LOST: &[u8] = b"E\0\0\0\x21SFATAL\0VFATAL\0C08P01\0Mcrash\0\0";

/// Ready, and no transaction is open.
const READY_IDLE: &[u8] = b"Z\0\0\0\x05I";

/// The answer to a commit.
const COMMITTED: &[u8] = b"C\0\0\0\x0bCOMMIT\0Z\0\0\0\x05I";

#[derive(Default)]
struct Shared {
    next: Mutex<Option<(Vec<u8>, Fault)>>,
    stalled: watch::Sender<bool>,
    open: AtomicUsize,
}

impl Shared {
    /// The fault that this meets with.
    fn strike(&self, asked: &[u8]) -> Option<Fault> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let met = next.take_if(|(text, _)| asked.windows(text.len()).any(|part| part == *text));
        met.map(|(_, fault)| fault)
    }
}

/// A way to a server over TCP.
pub struct Proxy {
    shared: Arc<Shared>,
    port: u16,
}

impl Proxy {
    /// Opens a way to the server.
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

    /// The address of a database of the server, this way.
    pub fn url(&self, url: &str) -> String {
        let name = database_of(url);
        format!("postgres://refundry@127.0.0.1:{}/{name}?sslmode=disable", self.port)
    }

    /// Has the next commit meet with a fault.
    pub fn at_next_commit(&self, fault: Fault) {
        self.at_next("COMMIT\0", fault);
    }

    /// Has the next message meet with a fault in which a text is.
    pub fn at_next(&self, text: &str, fault: Fault) {
        let next = Some((text.as_bytes().to_vec(), fault));
        *self.shared.next.lock().unwrap_or_else(PoisonError::into_inner) = next;
    }

    /// True when the fault has struck.
    pub fn has_struck(&self) -> bool {
        self.shared.next.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Waits until the fault has struck.
    pub async fn struck(&self) {
        eventually("the fault to strike", async || self.has_struck().then_some(())).await;
    }

    /// From now on nothing is passed on, either way, on any connection, and new ones are taken and
    /// left standing; `false` ends that for new ones.
    pub fn stall(&self, stalled: bool) {
        self.shared.stalled.send_replace(stalled);
    }

    /// Connections that clients have open.
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }
}

async fn serve(client: TcpStream, socket: PathBuf, shared: Arc<Shared>) {
    shared.open.fetch_add(1, Ordering::SeqCst);
    let server = pass(client, socket, &shared).await;
    shared.open.fetch_sub(1, Ordering::SeqCst);
    // A server does not hear that somebody is gone behind a network that stands still.
    if let Some(server) = server {
        swallow(server).await;
    }
}

/// Takes whatever comes, until nothing more does.
async fn swallow(mut from: impl AsyncRead + Unpin) {
    let mut ignored = vec![0; 65_536];
    while let Ok(1..) = from.read(&mut ignored).await {}
}

/// Passes on both ways until something happens to it. A server that is not to hear of it is given
/// back.
async fn pass(mut client: TcpStream, socket: PathBuf, shared: &Shared) -> Option<UnixStream> {
    let mut stalled = shared.stalled.subscribe();
    if *stalled.borrow_and_update() {
        swallow(client).await;
        return None;
    }
    let mut server = UnixStream::connect(socket).await.ok()?;
    let (mut asked, mut said) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            biased;
            _ = async { stalled.wait_for(|stalled| *stalled).await.map(|_| ()) } => {
                swallow(client).await;
                return Some(server);
            }
            count = client.read(&mut asked) => {
                let count = count.ok().filter(|count| *count > 0)?;
                if let Some(fault) = shared.strike(&asked[..count]) {
                    return strike(fault, client, server, &asked[..count]).await;
                }
                server.write_all(&asked[..count]).await.ok()?;
            }
            count = server.read(&mut said) => {
                let count = count.ok().filter(|count| *count > 0)?;
                client.write_all(&said[..count]).await.ok()?;
            }
        }
    }
}

/// What the fault does; the server, where it is not to hear of it.
async fn strike(
    fault: Fault,
    mut client: TcpStream,
    mut server: UnixStream,
    commit: &[u8],
) -> Option<UnixStream> {
    if fault == Fault::CloseToClient {
        client.shutdown().await.ok()?;
    }
    if fault == Fault::StallBefore {
        swallow(client).await;
        return Some(server);
    }
    if fault == Fault::CutBefore {
        return None;
    }
    let mut said = Vec::new();
    if fault == Fault::TooLate {
        while server.read_buf(&mut said).await.ok()? > 0 {}
        client.write_all(&said).await.ok()?;
        return None;
    }
    server.write_all(commit).await.ok()?;
    if fault == Fault::CloseToServer {
        server.shutdown().await.ok()?;
    }
    // Up to the answer to the last message.
    while !said.ends_with(READY_IDLE) {
        if server.read_buf(&mut said).await.ok()? == 0 {
            break;
        }
    }
    match fault {
        Fault::StallAfter => {
            swallow(client).await;
            return Some(server);
        }
        Fault::CloseToServer => client.write_all(&said).await.ok()?,
        Fault::LostBetween => client.write_all(LOST).await.ok()?,
        Fault::Panic => {
            let before = said.strip_suffix(COMMITTED).unwrap_or_default();
            client.write_all(&[before, PANIC].concat()).await.ok()?;
        }
        _ => {}
    }
    None
}
