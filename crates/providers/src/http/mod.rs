//! The HTTP client of provider adapters.
//!
//! Money depends on one question here: can the provider have received the request? An [`Exchange`]
//! answers it. [`Exchange::NotConnected`] is certain: no byte left. Everything else without a complete
//! answer is [`Exchange::SentNoAnswer`], and the refund's outcome is unknown. No request is sent
//! twice, no redirect is followed, no proxy of the environment is used, and one [`Deadline`] covers
//! the whole call: name, connection, TLS, request, answer. Answers are asked for without compression
//! and read up to a limit.
//!
//! An adapter never makes these statements of its own accord:
//!
//! - "Never sent" comes from [`Exchange::for_submit`], which alone knows whether anything was sent.
//! - "Failed" comes from a [`Refusal`], which exists only if the body is the provider's own error (its
//!   [`ProviderError`]). An HTML page with status 404 of a gateway is no refusal.
//!
//! An adapter has a [`HostClient`] and gives it requests:
//!
//! ```
//! use domain::outcome::{Failure, ProviderOutcome, Said};
//! use providers::http::{Deadline, HostClient, Http, ProviderError, ProviderRequest};
//! use secrecy::SecretString;
//! use serde::Deserialize;
//! use std::time::Duration;
//!
//! #[derive(Deserialize)]
//! struct Refund {
//!     id: Box<str>,
//! }
//!
//! /// `{"error": {"type": "card_error", "code": "charge_disputed", "message": ".."}}`
//! #[derive(Deserialize)]
//! struct PspError {
//!     error: Detail,
//! }
//!
//! #[derive(Deserialize)]
//! struct Detail {
//!     r#type: String,
//!     code: String,
//!     message: String,
//! }
//!
//! impl ProviderError for PspError {
//!     fn is_of_this_provider(&self) -> bool {
//!         matches!(&*self.error.r#type, "card_error" | "invalid_request_error")
//!     }
//!
//!     fn failure(&self) -> Failure {
//!         Failure::new(&self.error.code, &self.error.message)
//!     }
//! }
//!
//! async fn submit(psp: &HostClient, key: &SecretString, charge: &str) -> Said {
//!     let url = psp.path(&["charges", charge, "refunds"]);
//!     let request = ProviderRequest::post_form(url, &[("amount", "2500")])
//!         .header("idempotency-key", "rf_1")
//!         .bearer(key);
//!     let exchange = psp.send(request, Deadline::within(Duration::from_secs(20))).await;
//!     let answer = match exchange.for_submit() {
//!         Ok(answer) => answer,
//!         Err(said) => return said,
//!     };
//!     if answer.is_success() {
//!         return match answer.json::<Refund>() {
//!             Ok(refund) => Said {
//!                 provider_refund_id: Some(refund.id),
//!                 ..Said::new(ProviderOutcome::Completed)
//!             },
//!             Err(why) => Said::unknown(why),
//!         };
//!     }
//!     match answer.refusal::<PspError>() {
//!         Ok(refusal) => refusal.failed(),
//!         Err(why) => Said::unknown(why),
//!     }
//! }
//! # use providers::http::SystemResolver;
//! # use std::sync::Arc;
//! # use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
//! # async fn said(answer: &'static str) -> Said {
//! #     let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
//! #     let base = format!("http://{}/v1", listener.local_addr().unwrap());
//! #     let psp = tokio::spawn(async move {
//! #         let (mut stream, _) = listener.accept().await.unwrap();
//! #         let mut seen = String::new();
//! #         while !seen.ends_with("amount=2500") {
//! #             let mut bytes = [0; 512];
//! #             let read = stream.read(&mut bytes).await.unwrap();
//! #             seen.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
//! #         }
//! #         let length = answer.split("\r\n\r\n").nth(1).unwrap().len();
//! #         let answer = answer.replacen("\r\n", &format!("\r\ncontent-length: {length}\r\n"), 1);
//! #         stream.write_all(answer.as_bytes()).await.unwrap();
//! #         seen
//! #     });
//! #     let http = Http::new(Arc::new(SystemResolver::new().unwrap())).unwrap();
//! #     let said = submit(&http.for_host(&base).unwrap(), &"key".into(), "ch/1").await;
//! #     assert!(psp.await.unwrap().starts_with("POST /v1/charges/ch%2F1/refunds HTTP/1.1\r\n"));
//! #     said
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! # let paid = said("HTTP/1.1 200 OK\r\n\r\n{\"id\":\"re_1\"}").await;
//! # assert_eq!(paid.outcome, ProviderOutcome::Completed);
//! # assert_eq!(paid.provider_refund_id.as_deref(), Some("re_1"));
//! # let refused = said("HTTP/1.1 402 No\r\n\r\n{\"error\":{\"type\":\"card_error\",\
//! #     \"code\":\"charge_disputed\",\"message\":\"Disputed\"}}").await;
//! # assert_eq!(refused.outcome, ProviderOutcome::Failed);
//! # assert_eq!(refused.failure.unwrap(), Failure::new("charge_disputed", "Disputed"));
//! # for page in ["<html>No such page</html>", "{}", "{\"error\":\"Forbidden\"}"] {
//! #     let page = format!("HTTP/1.1 404 Not Found\r\n\r\n{page}").leak();
//! #     assert_eq!(said(page).await.outcome, ProviderOutcome::Unknown);
//! # }
//! # }
//! ```
//!
//! Refundry calls private addresses here if the operator configures them, unlike
//! [`outbound`](crate::outbound), whose URLs come from callers.

mod answer;
mod connections;
mod deadline;
mod exchange;
mod host;
mod refusal;
mod request;
mod url;

pub use crate::transport::{Resolver, SystemResolver, TlsError};
pub use answer::Answer;
pub use deadline::Deadline;
pub use exchange::Exchange;
pub use host::{BadBaseUrl, HostClient};
pub use refusal::{ProviderError, Refusal};
pub use request::ProviderRequest;
pub use url::Url;

use crate::transport;
use connections::{Connections, NoAnswer};
use domain::outcome::Failure;
use request::Prepared;
use rustls::ClientConfig;
use std::sync::Arc;
use tokio_rustls::TlsConnector;

/// The client. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Http {
    connections: Arc<Connections>,
}

impl Http {
    /// A client that trusts public certificate authorities.
    pub fn new(resolver: Arc<dyn Resolver>) -> Result<Self, TlsError> {
        Ok(Self::with_tls(resolver, transport::public_tls()?))
    }

    /// A client that trusts and authenticates as `tls` says.
    pub fn with_tls(resolver: Arc<dyn Resolver>, tls: ClientConfig) -> Self {
        let connections = Connections::new(resolver, TlsConnector::from(Arc::new(tls)));
        Self { connections: Arc::new(connections) }
    }

    /// A client for one provider. Its base URL begins with `https://`, or with `http://` for a
    /// provider on this machine.
    pub fn for_host(&self, base_url: &str) -> Result<HostClient, BadBaseUrl> {
        HostClient::new(self.clone(), base_url)
    }

    /// Sends a request to any server. Adapters have a [`HostClient`] instead.
    pub async fn send(&self, request: ProviderRequest, deadline: Deadline) -> Exchange {
        match request.prepare() {
            Ok(prepared) => self.carry_out(prepared, deadline).await,
            Err(flaw) => Exchange::NotConnected(flaw),
        }
    }

    async fn carry_out(&self, prepared: Prepared, deadline: Deadline) -> Exchange {
        let Prepared { origin, mut request, answer_bytes } = prepared;
        let described = format!("{} {}{}", request.method(), origin.host, request.uri().path());
        let late = |text| Failure::new("timeout", text);
        let exchange = loop {
            let mut connection = match deadline.limit(self.connections.get(&origin)).await {
                Some(Ok(connection)) => connection,
                Some(Err(why)) => break Exchange::NotConnected(why),
                None => break Exchange::NotConnected(late("no connection in time")),
            };
            if deadline.left().is_zero() {
                break Exchange::NotConnected(late("no connection in time"));
            }
            // From here on bytes may leave.
            match deadline.limit(connection.exchange(request, answer_bytes)).await {
                Some(Ok(answer)) => {
                    self.connections.keep(origin, connection);
                    break Exchange::Answered(answer);
                }
                // hyper gives a request back only if it did not begin to write it. Each turn uses up
                // one connection that was kept, and a new one ends the loop.
                Some(Err(NoAnswer::Unsent(unsent))) if connection.reused => request = *unsent,
                Some(Err(NoAnswer::Unsent(_))) => {
                    let text = "the server closed the new connection at once";
                    break Exchange::NotConnected(Failure::new("connection_failed", text));
                }
                Some(Err(NoAnswer::Lost(why))) => break Exchange::SentNoAnswer(why),
                None => break Exchange::SentNoAnswer(late("no complete answer in time")),
            }
        };
        tracing::debug!(request = described, ?exchange, "a call to a provider");
        exchange
    }
}
