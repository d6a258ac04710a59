//! What happens around every operation of this door: read the body, authenticate, see to the
//! idempotency key, and print whatever comes of it.
//!
//! A request under a key is processed by a task of its own, so that its answer is kept also when the
//! client does not stay to hear it.

use super::Settings;
use super::error::Problem;
use crate::App;
use crate::admit::admit;
use crate::auth::Caller;
use crate::body::Object;
use crate::doors::native::{REQUEST_ID, mark_replayed, read_key};
use crate::headers::{IDEMPOTENCY_KEY, single};
use crate::limits::Class;
use crate::query::{Query, decode_segment};
use crate::route::Route;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use domain::account::Scope;
use domain::ids::{AccountId, RequestId};
use engine::access::KeyScope;
use engine::{Begun, Engine, IdempotencyKey, Keyed};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use serde::Serialize;
use std::borrow::Cow;
use std::sync::Arc;

/// The name of this door in the namespace of idempotency keys.
const DOOR: &str = "yoco";

/// A request from a caller that may make it.
pub struct Call {
    app: Arc<App>,
    caller: Caller,
    key: Option<IdempotencyKey>,
    parts: Parts,
    body: Bytes,
}

/// What is answered, ready to be kept.
pub struct Reply {
    status: StatusCode,
    body: Vec<u8>,
    retry_after_s: Option<u32>,
    replayed: bool,
}

/// An operation of this door. `endpoint` gets only calls of callers that hold `permission`.
pub fn guarded<E, F>(method: Method, path: &'static str, permission: KeyScope, endpoint: E) -> Route
where
    E: Fn(Call) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = Result<Reply, Problem>> + Send + 'static,
{
    let class = if method == Method::GET { Class::Read } else { Class::Write };
    Route::guarded(method, path, permission, move |app, permission, request| async move {
        let request_id = app.engine.request_id();
        let reply = match prepare(&app, permission, class, request).await {
            Ok((call, None)) => endpoint(call).await.unwrap_or_else(Reply::from),
            Ok((call, Some(key))) => answer_once(call, &key, endpoint).await,
            Err(problem) => problem.into(),
        };
        reply.print(request_id)
    })
}

/// Reads and authenticates a request. With it comes its idempotency key, where that counts.
async fn prepare(
    app: &Arc<App>,
    permission: KeyScope,
    class: Class,
    request: Request,
) -> Result<(Call, Option<IdempotencyKey>), Problem> {
    let (parts, body) = request.into_parts();
    let (caller, body) =
        admit::<Problem>(app, &parts, body, (permission, class), &mut None).await?;
    let posts = parts.method == Method::POST;
    let key = if posts { single(&parts.headers, &IDEMPOTENCY_KEY)? } else { None };
    let key = key.map(|key| read_key(DOOR, key)).transpose()?;
    Ok((Call { app: Arc::clone(app), caller, key: None, parts, body }, key))
}

/// Answers a request under a key: processes it when nobody has, repeats the answer that it got.
async fn answer_once<E, F>(call: Call, key: &IdempotencyKey, endpoint: E) -> Reply
where
    E: Fn(Call) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = Result<Reply, Problem>> + Send + 'static,
{
    let engine = call.app.engine.clone();
    let target = call.parts.uri.path_and_query().map_or("", |target| target.as_str());
    let request = [call.parts.method.as_str().as_bytes(), target.as_bytes(), &call.body];
    match engine.begin_request(call.scope(), key, &request).await {
        Ok(Begun::Process(keyed)) => {
            let (tell, told) = tokio::sync::oneshot::channel();
            let call = Call { key: Some(keyed.key()), ..call };
            let worker = engine.clone();
            engine.spawn(async move {
                let reply = endpoint(call).await.unwrap_or_else(Reply::from);
                keep(&worker, &keyed, &reply).await;
                let _ = tell.send(reply);
            });
            told.await.unwrap_or_else(|_| Problem::internal().into())
        }
        Ok(Begun::Running) => Problem::running().into(),
        Ok(Begun::Other) => Problem::mismatch().into(),
        Ok(Begun::Answered { status, body }) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
            Reply { replayed: true, body, ..Reply::empty(status) }
        }
        Err(error) => Problem::from(error).into(),
    }
}

/// Keeps an answer. What is only about this moment is not the request's answer: it can be tried again
/// under the key. Where keeping fails, repeating the request comes to the same.
async fn keep(engine: &Engine, keyed: &Keyed, reply: &Reply) {
    let kept = if reply.status.is_server_error() {
        engine.abandon_request(keyed).await
    } else {
        engine.keep_answer(keyed, reply.status.as_u16(), &reply.body).await
    };
    if let Err(error) = kept {
        tracing::warn!(%error, "an answer was not kept under its idempotency key");
    }
}

impl Call {
    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.app.engine
    }

    /// What this door does where it can do otherwise.
    pub fn settings(&self) -> &Settings {
        &self.app.config.yoco
    }

    /// The account that the caller acts on.
    pub const fn account(&self) -> AccountId {
        self.caller.account
    }

    /// That account in the caller's mode.
    pub const fn scope(&self) -> Scope {
        self.caller.scope
    }

    /// The key under which the engine does once what the request asks for.
    pub const fn key(&self) -> Option<&IdempotencyKey> {
        self.key.as_ref()
    }

    /// The request's query.
    pub fn query(&self) -> Query<'_> {
        Query::parse(self.parts.uri.query())
    }

    /// The `{id}` in `/api/<things>/{id}`. Some clients percent-encode it.
    pub fn id(&self) -> Cow<'_, str> {
        let segment = self.parts.uri.path().split('/').nth(3).unwrap_or_default();
        decode_segment(segment).unwrap_or_default()
    }

    /// The body, which must be a JSON object; whatever it is said to be.
    pub fn object(&self) -> Result<Object<'_>, Problem> {
        Ok(Object::parse(&self.body)?)
    }

    /// The body, which may be absent.
    pub fn optional_object(&self) -> Result<Option<Object<'_>>, Problem> {
        if self.body.is_empty() { Ok(None) } else { self.object().map(Some) }
    }
}

impl Reply {
    /// An answer with something in it.
    pub fn json<T: Serialize>(status: StatusCode, data: &T) -> Result<Self, Problem> {
        match serde_json::to_vec(data) {
            Ok(body) => Ok(Self { body, ..Self::empty(status) }),
            Err(error) => {
                tracing::error!(%error, "an answer could not be printed");
                Err(Problem::internal())
            }
        }
    }

    /// An answer that says nothing but that it is done.
    pub const fn empty(status: StatusCode) -> Self {
        Self { status, body: Vec::new(), retry_after_s: None, replayed: false }
    }

    fn print(self, request_id: RequestId) -> Response {
        let has_body = !self.body.is_empty();
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if has_body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Ok(id) = HeaderValue::try_from(request_id.to_string()) {
            headers.insert(REQUEST_ID.clone(), id);
        }
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        mark_replayed(&mut response, self.replayed);
        response
    }
}

impl From<Problem> for Reply {
    fn from(problem: Problem) -> Self {
        let (body, retry_after_s) = (problem.body(), problem.retry_after_s);
        Self { body, retry_after_s, ..Self::empty(problem.status) }
    }
}
