//! Makes connections: tries one host after another, each for a bounded time.

use super::address::{Address, Server};
use super::tls;
use crate::{PostgresError, StoreError};
use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use deadpool_postgres::ClientWrapper;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::lookup_host;
use tokio::time::timeout;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Config, NoTls, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Addresses of one name that are tried at most.
const ADDRESSES: usize = 8;

/// No host accepted a connection.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub(super) struct Unreachable {
    /// The error of each host.
    pub(super) why: String,
    /// One of the hosts used up its time, so another try would take as long.
    pub(super) slow: bool,
}

/// Connects to a database with one or several servers.
pub(super) struct Connector {
    address: Arc<Address>,
    tls: Option<MakeRustlsConnect>,
    /// The server of the last connection. It is tried first, since a dead server costs time.
    last: AtomicUsize,
}

impl Connector {
    pub(super) fn new(address: Arc<Address>) -> Result<Self, StoreError> {
        let tls = match address.config.get_ssl_mode() {
            SslMode::Disable => None,
            _ => Some(tls::connector(&address.verify)?),
        };
        Ok(Self { address, tls, last: AtomicUsize::new(0) })
    }

    /// The number of the server that is tried first.
    pub(super) fn first(&self) -> usize {
        self.last.load(Ordering::Relaxed)
    }

    /// Tries a server last from now on that accepts connections and does not answer, such as an old primary
    /// whose commits no standby confirms any more. Many may tell of the same one.
    pub(super) fn leave(&self, server: usize) {
        let next = server.saturating_add(1).checked_rem(self.address.servers.len()).unwrap_or(0);
        let _ = self.last.compare_exchange(server, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Tries one server, at each of its addresses.
    async fn ask(&self, server: &Server, unreachable: &mut Unreachable) -> Option<ClientWrapper> {
        let mut failed = |why: String, slow| {
            let separator = if unreachable.why.is_empty() { "" } else { "; " };
            let _ = write!(unreachable.why, "{separator}{server}: {why}");
            unreachable.slow |= slow;
        };
        let limit = self.address.connect_timeout;
        let addresses: Vec<Option<IpAddr>> = match (&server.host, server.address) {
            (Some(Host::Tcp(name)), None) => {
                match timeout(limit, lookup_host((name.as_str(), server.port))).await {
                    Ok(Ok(found)) => found.take(ADDRESSES).map(|found| Some(found.ip())).collect(),
                    Ok(Err(error)) => {
                        failed(error.to_string(), false);
                        return None;
                    }
                    Err(_) => {
                        failed("its name was not found in time".into(), true);
                        return None;
                    }
                }
            }
            (_, address) => vec![address],
        };
        for address in addresses {
            let mut config = self.address.config.clone();
            config.port(server.port);
            match &server.host {
                Some(Host::Tcp(name)) => {
                    config.host(name);
                }
                Some(Host::Unix(folder)) => {
                    config.host_path(folder);
                }
                None => {}
            }
            if let Some(address) = address {
                config.hostaddr(address);
            }
            // The future is on the heap: it is large and rarely needed.
            let connecting = Box::pin(async {
                match &self.tls {
                    Some(tls) => connect(&config, tls.clone()).await,
                    None => connect(&config, NoTls).await,
                }
            });
            match timeout(limit, connecting).await {
                Ok(Ok(client)) => return Some(client),
                Ok(Err(error)) => failed(PostgresError(error).to_string(), false),
                Err(_) => failed("it did not answer in time".into(), true),
            }
        }
        None
    }
}

async fn connect<T>(config: &Config, tls: T) -> Result<ClientWrapper, tokio_postgres::Error>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
{
    let (client, connection) = config.connect(tls).await?;
    let connection = tokio::spawn(async move {
        if let Err(error) = connection.await {
            let error = PostgresError(error);
            tracing::warn!(%error, "a connection to the database was lost");
        }
    });
    Ok(ClientWrapper::new(client, connection))
}

impl Manager for Connector {
    type Type = ClientWrapper;
    type Error = Unreachable;

    async fn create(&self) -> Result<ClientWrapper, Unreachable> {
        let mut unreachable = Unreachable { why: String::new(), slow: false };
        let servers = self.address.servers.iter().enumerate();
        let last = self.first();
        for (number, server) in servers.clone().skip(last).chain(servers.take(last)) {
            if let Some(client) = self.ask(server, &mut unreachable).await {
                self.last.store(number, Ordering::Relaxed);
                return Ok(client);
            }
        }
        Err(unreachable)
    }

    async fn recycle(&self, client: &mut ClientWrapper, _: &Metrics) -> RecycleResult<Unreachable> {
        if client.is_closed() { Err(RecycleError::message("it is closed")) } else { Ok(()) }
    }
}
