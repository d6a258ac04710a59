//! The request of an adapter.

use super::url::{Origin, Url};
use crate::transport::AGENT;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::outcome::Failure;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use hyper::body::Bytes;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use std::fmt;

/// Bytes of an answer's body that are read unless a request says otherwise.
const ANSWER_BYTES: usize = 1024 * 1024;

/// A request to a provider. A flaw in it, such as a header value with a line break, is told when it
/// is sent: the exchange ends as not connected.
#[derive(Clone)]
pub struct ProviderRequest {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
    answer_bytes: usize,
    flaw: Option<&'static str>,
}

/// A request that is ready to be sent to its server.
pub(super) struct Prepared {
    pub(super) origin: Origin,
    pub(super) request: Request<Full<Bytes>>,
    pub(super) answer_bytes: usize,
}

impl ProviderRequest {
    pub fn get(url: impl Into<Url>) -> Self {
        Self::new(Method::GET, url.into())
    }

    pub fn delete(url: impl Into<Url>) -> Self {
        Self::new(Method::DELETE, url.into())
    }

    /// Posts a body of any media type.
    pub fn post(url: impl Into<Url>, media_type: &'static str, body: impl Into<Bytes>) -> Self {
        let mut request = Self::new(Method::POST, url.into());
        request.body = body.into();
        request.header(CONTENT_TYPE.as_str(), media_type)
    }

    pub fn post_json(url: impl Into<Url>, body: &impl Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(body) => Self::post(url, "application/json", body),
            Err(_) => Self {
                flaw: Some("the body cannot be written as JSON"),
                ..Self::new(Method::POST, url.into())
            },
        }
    }

    pub fn post_form(url: impl Into<Url>, fields: &[(&str, &str)]) -> Self {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        Self::post(url, "application/x-www-form-urlencoded", form)
    }

    fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            answer_bytes: ANSWER_BYTES,
            flaw: None,
        }
    }

    /// Sets a header. The value may appear in logs.
    #[must_use]
    pub fn header(self, name: &str, value: &str) -> Self {
        self.set(name, value, false)
    }

    /// Sets a header whose value is never printed.
    #[must_use]
    pub fn secret_header(self, name: &str, value: &SecretString) -> Self {
        self.set(name, value.expose_secret(), true)
    }

    #[must_use]
    pub fn bearer(self, token: &SecretString) -> Self {
        let value = format!("Bearer {}", token.expose_secret());
        self.set(AUTHORIZATION.as_str(), &value, true)
    }

    /// Basic authentication (RFC 7617). Some providers take a key as the user name and no password.
    #[must_use]
    pub fn basic_auth(mut self, user: &SecretString, password: Option<&SecretString>) -> Self {
        let user = user.expose_secret();
        if user.contains(':') {
            self.flaw = Some("a user name has a colon");
        }
        let password = password.map_or("", |password| password.expose_secret());
        let value = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        self.set(AUTHORIZATION.as_str(), &value, true)
    }

    /// Reads up to `bytes` of the answer's body instead of 1 MiB. A longer answer is no answer.
    #[must_use]
    pub fn answer_up_to(self, bytes: usize) -> Self {
        Self { answer_bytes: bytes, ..self }
    }

    /// The body as it is sent, for providers that want a signature over it.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    fn set(mut self, name: &str, value: &str, secret: bool) -> Self {
        let header = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value).ok());
        match header {
            Some((name, mut value)) => {
                value.set_sensitive(secret || name == AUTHORIZATION);
                self.headers.insert(name, value);
            }
            None => self.flaw = Some("a header has a character that no header has"),
        }
        self
    }

    pub(super) fn prepare(self) -> Result<Prepared, Failure> {
        let flawed = |flaw| Failure::new("request_invalid", flaw);
        if let Some(flaw) = self.flaw {
            return Err(flawed(flaw));
        }
        let (uri, origin) = self.url.parse().map_err(flawed)?;
        let mut request = Request::new(Full::new(self.body));
        *request.method_mut() = self.method;
        *request.headers_mut() = self.headers;
        request.headers_mut().insert(HOST, host(&uri, &origin).ok_or_else(|| flawed("no host"))?);
        request.headers_mut().entry(USER_AGENT).or_insert_with(|| AGENT.clone());
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        *request.uri_mut() = target.parse().map_err(|_| flawed("the URL cannot be read"))?;
        Ok(Prepared { origin, request, answer_bytes: self.answer_bytes })
    }
}

/// The host as its header names it: without the scheme's own port.
fn host(uri: &Uri, origin: &Origin) -> Option<HeaderValue> {
    let name = uri.host()?;
    let own_port = if origin.tls { 443 } else { 80 };
    let text =
        if origin.port == own_port { name.to_owned() } else { format!("{name}:{}", origin.port) };
    HeaderValue::try_from(text).ok()
}

/// Without the body, the query and the values of secret headers.
impl fmt::Debug for ProviderRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderRequest")
            .field("method", &self.method)
            .field("url", &self.url)
            .field("headers", &self.headers)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
