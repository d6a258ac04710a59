//! What happens around every operation of this door: read the body, authenticate, read the headers
//! that all operations share, and print whatever comes of it.

use super::error::{Problem, type_of};
use crate::App;
use crate::admit::admit;
use crate::auth::Caller;
use crate::body::{self, Object};
use crate::doors::native::{self, read_key};
use crate::headers::{IDEMPOTENCY_KEY, ON_BEHALF_OF, single};
use crate::invalid::Invalid;
use crate::limits::{Class, Standing};
use crate::query::{Query, decode_segment};
use crate::route::Route;
use axum::body::Bytes;
use axum::extract::Request;
use axum::response::Response;
use domain::account::Scope;
use domain::ids::{AccountId, RequestId};
use engine::access::KeyScope;
use engine::{Engine, IdempotencyKey};
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde::Serialize;
use std::borrow::Cow;
use std::sync::Arc;

/// The name of this door in the namespace of idempotency keys.
const DOOR: &str = "elasticpay";
/// How an account's id begins here.
pub const BILLER: &str = "biller_";

/// Which account a platform's key acts for.
static BILLER_ACCOUNT: HeaderName = HeaderName::from_static("x-biller-account");
/// The native name of [`BILLER_ACCOUNT`].
static ACT_FOR: HeaderName = HeaderName::from_static("x-refundry-on-behalf-of");

/// A request from a caller that may make it.
pub struct Call {
    app: Arc<App>,
    caller: Caller,
    request_id: RequestId,
    idempotency_key: Option<IdempotencyKey>,
    parts: Parts,
    body: Bytes,
}

/// An operation of this door. `endpoint` gets only calls of callers that hold `permission`.
pub fn guarded<E, F>(method: Method, path: &'static str, permission: KeyScope, endpoint: E) -> Route
where
    E: Fn(Call) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = Result<Response, Problem>> + Send + 'static,
{
    Route::guarded(method, path, permission, move |app, permission, request| async move {
        let request_id = app.engine.request_id();
        let mut standing = None;
        let answered = match prepare(&app, request_id, permission, request, &mut standing).await {
            Ok(call) => endpoint(call).await,
            Err(problem) => Err(problem),
        };
        let mut response = answered.unwrap_or_else(|problem| refuse(request_id, &problem));
        if let Some(standing) = standing {
            native::show_share(&mut response, &standing, app.engine.now());
        }
        response
    })
}

async fn prepare(
    app: &Arc<App>,
    request_id: RequestId,
    permission: KeyScope,
    request: Request,
    standing: &mut Option<Standing>,
) -> Result<Call, Problem> {
    let (mut parts, body) = request.into_parts();
    name_biller(&mut parts.headers)?;
    let writes = parts.method != Method::GET && parts.method != Method::HEAD;
    let class = if writes { Class::Write } else { Class::Read };
    let (caller, body) = admit::<Problem>(app, &parts, body, (permission, class), standing).await?;
    if caller.key.platform && ON_BEHALF_OF.find(&parts.headers)?.is_none() {
        let message = "a platform's key must say for whom it acts, in X-Biller-Account: biller_…";
        return Err(Invalid::field("X-Biller-Account", message).into());
    }
    let key = if writes { single(&parts.headers, &IDEMPOTENCY_KEY)? } else { None };
    let idempotency_key = key.map(|key| read_key(DOOR, key)).transpose()?;
    let app = Arc::clone(app);
    Ok(Call { app, caller, request_id, idempotency_key, parts, body })
}

/// Says by the header that authentication reads whom `X-Biller-Account` names.
fn name_biller(headers: &mut HeaderMap) -> Result<(), Invalid> {
    let Some(value) = single(headers, &BILLER_ACCOUNT)? else { return Ok(()) };
    let text = value.to_str().unwrap_or_default();
    let account = match text.strip_prefix(BILLER) {
        Some(ulid) => format!("{}{ulid}", AccountId::PREFIX),
        None => text.to_owned(),
    };
    // What is no id of ours names nobody, and is refused as that.
    let account = HeaderValue::try_from(account).unwrap_or(HeaderValue::from_static("?"));
    if headers.get(&ACT_FOR).is_some_and(|other| *other != account) {
        let message = "X-Biller-Account and X-Refundry-On-Behalf-Of name two accounts; send one";
        return Err(Invalid::field("X-Biller-Account", message));
    }
    headers.insert(ACT_FOR.clone(), account);
    Ok(())
}

impl Call {
    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.app.engine
    }

    /// What the doors are configured with.
    pub fn config(&self) -> &crate::ApiConfig {
        &self.app.config
    }

    /// The account that the caller acts on, in the caller's mode.
    pub const fn scope(&self) -> Scope {
        self.caller.scope
    }

    /// The caller's idempotency key.
    pub const fn idempotency_key(&self) -> Option<&IdempotencyKey> {
        self.idempotency_key.as_ref()
    }

    /// The request's headers.
    pub const fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// The request's query.
    pub fn query(&self) -> Query<'_> {
        Query::parse(self.parts.uri.query())
    }

    /// The `{id}` in the path; `None` when it is no text.
    pub fn id(&self) -> Option<Cow<'_, str>> {
        decode_segment(self.parts.uri.path().split('/').nth(4).unwrap_or_default())
    }

    /// The body, which must be a JSON object.
    pub fn object(&self) -> Result<Object<'_>, Problem> {
        if !self.body.is_empty() {
            body::check_json(&self.parts.headers)?;
        }
        Ok(Object::parse(&self.body)?)
    }

    /// The body, which may be absent.
    pub fn optional_object(&self) -> Result<Option<Object<'_>>, Problem> {
        if self.body.is_empty() { Ok(None) } else { self.object().map(Some) }
    }

    /// A success. Every one of this door is a 200.
    pub fn answer<T: Serialize>(&self, data: &T) -> Response {
        match serde_json::to_vec(data) {
            Ok(body) => native::wrap(StatusCode::OK, body, &self.request_id.to_string()),
            Err(error) => {
                tracing::error!(%error, request_id = %self.request_id, "an answer could not be printed");
                refuse(self.request_id, &native::Problem::internal().into())
            }
        }
    }
}

#[derive(Serialize)]
struct Refusal<'a> {
    /// As in the answer to a refund.
    success: bool,
    error: ErrorBody<'a>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
}

/// An answer that is an error.
pub fn refuse(request_id: RequestId, problem: &Problem) -> Response {
    let error = ErrorBody {
        kind: type_of(problem.status.as_u16()),
        code: problem.code,
        message: &problem.message,
        field: problem.field.as_deref(),
    };
    // Strings always print; an empty body would still carry status and request id.
    let body = serde_json::to_vec(&Refusal { success: false, error }).unwrap_or_default();
    let mut response = native::wrap(problem.status, body, &request_id.to_string());
    let headers = response.headers_mut();
    if let Some(seconds) = problem.retry_after_s {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    if problem.status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
