//! The ground under both HTTP clients: names, TCP connections, TLS.

mod resolver;
mod retry_after;

pub use resolver::{Resolver, SystemResolver};
pub use retry_after::RetryAfter;
pub(crate) use retry_after::read_date;

use http::HeaderValue;
use hyper_rustls::ConfigBuilderExt as _;
use rustls::ClientConfig;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// Time for one address to accept a connection before the next address is tried.
const PER_ADDRESS: Duration = Duration::from_secs(3);

/// Addresses of one name that are tried.
const ADDRESSES: usize = 4;

pub(crate) static AGENT: HeaderValue =
    HeaderValue::from_static(concat!("Refundry/", env!("CARGO_PKG_VERSION")));

/// TLS cannot be used on this machine.
#[derive(Clone, Debug, thiserror::Error)]
#[error("TLS cannot be set up: {0}")]
pub struct TlsError(String);

/// Connects to the first address that accepts.
pub(crate) async fn connect(addresses: &[IpAddr], port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses.iter().take(ADDRESSES) {
        let connecting = TcpStream::connect(SocketAddr::new(*address, port));
        match tokio::time::timeout(PER_ADDRESS, connecting).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::Error::from(io::ErrorKind::TimedOut),
        }
    }
    Err(last)
}

/// Trusts the system's root certificates. A machine without any uses the built-in public ones.
pub(crate) fn public_tls() -> Result<ClientConfig, TlsError> {
    let ring = || Arc::new(rustls::crypto::ring::default_provider());
    let builder = || {
        let builder = ClientConfig::builder_with_provider(ring());
        builder.with_safe_default_protocol_versions().map_err(|error| TlsError(error.to_string()))
    };
    let trusting = match builder()?.with_native_roots() {
        Ok(trusting) => trusting,
        Err(error) => {
            tracing::info!(%error, "the system has no root certificates; using built-in ones");
            builder()?.with_webpki_roots()
        }
    };
    Ok(trusting.with_no_client_auth())
}
