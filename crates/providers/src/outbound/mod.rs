//! HTTP calls to URLs that callers registered.
//!
//! A URL of a caller must never lead into the network in which Refundry runs. Therefore the client
//! resolves a name once and connects to a checked address ([`connect`]), follows no redirect, uses
//! no proxy of the environment, and reads only the start of an answer.

mod address;
mod connect;
mod target;

pub use crate::transport::{Resolver, RetryAfter, SystemResolver, TlsError};
pub use address::{BadNetwork, Network, is_public};
pub use target::{Policy, Refused, check_url};

use crate::transport::{self, AGENT};
use connect::Connector;
use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::sync::Arc;
use std::time::Duration;

/// Bytes of an answer that are read.
const ANSWER_BYTES: usize = 64 * 1024;

/// Connections kept open to one host, and for how long.
const IDLE_CONNECTIONS: usize = 64;
const IDLE_TIME: Duration = Duration::from_secs(30);

/// The answer of a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub retry_after: Option<RetryAfter>,
}

/// Reasons for a call without an answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The policy forbids the URL or one of its addresses.
    #[error("the URL {0}")]
    Refused(#[from] Refused),
    #[error("timed out after {0}ms")]
    TimedOut(u128),
    /// There was no connection, or the connection broke.
    #[error("{0}")]
    Failed(String),
}

/// Calls URLs that a policy permits. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Outbound {
    client: Client<HttpsConnector<Connector>, Full<Bytes>>,
    policy: Arc<Policy>,
    timeout: Duration,
}

impl Outbound {
    /// A client that calls only URLs that `policy` permits, each for at most `timeout`.
    pub fn new(
        policy: Policy,
        resolver: Arc<dyn Resolver>,
        timeout: Duration,
    ) -> Result<Self, TlsError> {
        let policy = Arc::new(policy);
        let connector = Connector { policy: policy.clone(), resolver };
        let builder = HttpsConnectorBuilder::new().with_tls_config(transport::public_tls()?);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIME)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .build(builder.https_or_http().enable_http1().wrap_connector(connector));
        Ok(Self { client, policy, timeout })
    }

    /// Posts a JSON body. A redirect counts as an answer.
    pub async fn post(
        &self,
        url: &str,
        headers: &[(&'static str, String)],
        body: Bytes,
    ) -> Result<Reply, CallError> {
        let uri = check_url(url, &self.policy)?;
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(uri)
            .header(USER_AGENT, &AGENT)
            .header(CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request
            .body(Full::new(body))
            .map_err(|error| CallError::Failed(format!("the request cannot be made: {error}")))?;
        match tokio::time::timeout(self.timeout, self.exchange(request)).await {
            Ok(reply) => reply,
            Err(_) => Err(CallError::TimedOut(self.timeout.as_millis())),
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Reply, CallError> {
        let response = self.client.request(request).await.map_err(|error| explain(&error))?;
        let reply = Reply {
            status: response.status().as_u16(),
            retry_after: response.headers().get(RETRY_AFTER).and_then(RetryAfter::read),
        };
        finish(response).await;
        Ok(reply)
    }
}

/// Reads the answer to its end, so that the connection can be used again. Drops the connection if
/// the answer is too long.
async fn finish(response: Response<Incoming>) {
    let _ = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
}

/// The innermost cause, which is the most useful one for people.
fn explain(error: &ClientError) -> CallError {
    let mut cause: &(dyn std::error::Error + 'static) = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let refused = cause.downcast_ref::<Refused>().or_else(|| {
        let error = cause.downcast_ref::<std::io::Error>()?;
        error.get_ref()?.downcast_ref::<Refused>()
    });
    match refused {
        Some(refused) => CallError::Refused(refused.clone()),
        None if error.is_connect() => CallError::Failed(format!("no connection: {cause}")),
        None => CallError::Failed(format!("the connection failed: {cause}")),
    }
}
