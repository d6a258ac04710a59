//! Connecting: a name is resolved once, all of its addresses are checked, and the connection goes
//! to one of the checked addresses. The name is not resolved a second time, so a second answer of
//! the name server cannot lead elsewhere.

use super::target::{Host, Policy, Refused, check_host};
use crate::transport::{self, Resolver};
use http::Uri;
use hyper_util::rt::TokioIo;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::net::TcpStream;

/// Connects only to addresses that the policy permits.
#[derive(Clone)]
pub(super) struct Connector {
    pub(super) policy: Arc<Policy>,
    pub(super) resolver: Arc<dyn Resolver>,
}

impl Connector {
    async fn connect(self, uri: Uri) -> Result<TokioIo<TcpStream>, io::Error> {
        let port =
            uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        let host = check_host(uri.host().unwrap_or_default(), &self.policy).map_err(refused)?;
        let addresses = match host {
            Host::Address(address) => vec![address],
            Host::Name(name) => self.resolve(&name).await?,
        };
        transport::connect(&addresses, port).await.map(TokioIo::new)
    }

    /// One closed address closes the name: there is no good reason to mix closed and open
    /// addresses.
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let addresses = self.resolver.resolve(name).await?;
        if addresses.iter().all(|address| self.policy.permits(*address)) {
            return Ok(addresses);
        }
        Err(refused(Refused::NotPublic))
    }
}

fn refused(why: Refused) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}
