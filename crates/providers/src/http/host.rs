//! One provider's API.

use super::url::{Origin, Url};
use super::{Deadline, Exchange, Http, ProviderRequest};
use domain::outcome::Failure;
use std::fmt;

/// A base URL that no provider can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{url:?} is no base URL of a provider: {why}")]
pub struct BadBaseUrl {
    url: String,
    why: &'static str,
}

/// Calls one server and no other, whatever a request says: an adapter can follow a link of an answer
/// without sending its credentials elsewhere.
#[derive(Clone)]
pub struct HostClient {
    http: Http,
    base: String,
    origin: Origin,
}

impl HostClient {
    pub(super) fn new(http: Http, base: &str) -> Result<Self, BadBaseUrl> {
        let bad = |why| BadBaseUrl { url: base.to_owned(), why };
        let (uri, origin) = Url::from(base).parse().map_err(bad)?;
        if uri.query().is_some() {
            return Err(bad("it has a query"));
        }
        let base = base.trim_end_matches('/').to_owned();
        Ok(Self { http, base, origin })
    }

    /// The URL below the base URL with these path segments. An id keeps to its segment, whatever
    /// characters it has.
    pub fn path(&self, segments: &[&str]) -> Url {
        Url::join(&self.base, segments)
    }

    /// Sends a request to this server. A request to another one is not sent.
    pub async fn send(&self, request: ProviderRequest, deadline: Deadline) -> Exchange {
        match request.prepare() {
            Err(flaw) => Exchange::NotConnected(flaw),
            Ok(prepared) if prepared.origin != self.origin => {
                let text = "the URL leads to another server than the provider's";
                Exchange::NotConnected(Failure::new("host_not_allowed", text))
            }
            Ok(prepared) => self.http.carry_out(prepared, deadline).await,
        }
    }
}

impl fmt::Debug for HostClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostClient").field("base", &self.base).finish_non_exhaustive()
    }
}
