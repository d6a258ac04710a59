//! The way of a request with a key through a door: read the body, authenticate, read the shared
//! headers, call the endpoint, print the result.

use super::admit::{RateLimited, admit};
use super::answer;
use super::auth::{Caller, Refused};
use super::body::{self, BodyError, Object};
use super::headers::{IDEMPOTENCY_KEY, single};
use super::invalid::Invalid;
use super::limits::{Class, Quota};
use super::query::Query;
use super::route::Route;
use crate::app::{ApiConfig, App};
use axum::body::Bytes;
use axum::extract::Request;
use axum::response::Response;
use domain::ids::{AccountId, RequestId};
use domain::tenant::Tenant;
use engine::access::{ApiKey, KeyScope};
use engine::{Engine, IdempotencyKey, RefundView};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

pub const LONGEST_KEY: usize = 255;

/// The differences between doors.
pub trait Door: Sized + 'static {
    /// The door's namespace of idempotency keys.
    const NAME: &'static str;
    /// The content type of a body must be JSON in UTF-8.
    const CHECKS_MEDIA_TYPE: bool = true;
    /// Answers carry headers about the account's share of requests.
    const SHOWS_QUOTA: bool = true;
    /// A refusal is stored under the idempotency key like any other answer; otherwise it is decided
    /// anew.
    const STORES_REFUSALS: bool = false;

    type Problem: From<Invalid>
        + From<BodyError>
        + From<Refused>
        + From<RateLimited>
        + From<engine::Error>
        + Send
        + 'static;
    /// The error table for a caller, in a door that has several.
    type Profile: Copy + Default + Send + Sync + 'static;

    /// Translates headers of the door into those that authentication reads.
    fn translate(_: &mut HeaderMap) -> Result<(), Self::Problem> {
        Ok(())
    }

    /// Checks the door's own conditions on an authenticated caller, and chooses the error table.
    fn check_caller(caller: &Caller, headers: &HeaderMap) -> Result<Self::Profile, Self::Problem>;

    /// True when the door reads the idempotency key of a request with this method.
    fn takes_key(method: &Method) -> bool {
        !is_read(method)
    }

    fn internal() -> Self::Problem;

    fn refuse(
        app: &App,
        request_id: RequestId,
        profile: Self::Profile,
        problem: Self::Problem,
    ) -> Response;
}

/// A request from a caller that may make it.
pub struct Call<D: Door> {
    app: Arc<App>,
    caller: Caller,
    request_id: RequestId,
    profile: D::Profile,
    pub(super) idempotency_key: Option<IdempotencyKey>,
    parts: Parts,
    body: Bytes,
}

/// A function that answers a call.
pub trait Endpoint<D: Door>: Fn(Call<D>) -> Self::Answer + Copy + Send + Sync + 'static {
    type Answer: Future<Output = Result<Response, D::Problem>> + Send;
}

impl<D, E, F> Endpoint<D> for E
where
    D: Door,
    E: Fn(Call<D>) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = Result<Response, D::Problem>> + Send,
{
    type Answer = F;
}

/// An operation of a door. `endpoint` gets only calls of callers that hold `permission`.
pub fn guarded<D: Door>(
    method: Method,
    path: &'static str,
    permission: KeyScope,
    endpoint: impl Endpoint<D>,
) -> Route {
    let class = if is_read(&method) { Class::Read } else { Class::Write };
    counted(method, path, permission, class, endpoint)
}

/// The same for an operation whose class does not follow from its method.
pub fn counted<D: Door>(
    method: Method,
    path: &'static str,
    permission: KeyScope,
    class: Class,
    endpoint: impl Endpoint<D>,
) -> Route {
    Route::guarded(method, path, permission, move |app, permission, request| async move {
        let request_id = app.engine.request_id();
        let (needs, mut quota) = ((permission, class), None);
        let prepared = Call::<D>::prepare(&app, request_id, needs, request, &mut quota).await;
        let (profile, answered) = match prepared {
            Ok(call) => (call.profile, endpoint(call).await),
            Err(problem) => (D::Profile::default(), Err(problem)),
        };
        let mut response =
            answered.unwrap_or_else(|problem| D::refuse(&app, request_id, profile, problem));
        if let Some(quota) = quota.filter(|_| D::SHOWS_QUOTA) {
            answer::show_quota(&mut response, &quota, app.engine.now());
        }
        response
    })
}

fn is_read(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}

/// Reads an idempotency key that came through `door`.
fn read_key(door: &'static str, value: &HeaderValue) -> Result<IdempotencyKey, Invalid> {
    let text = value.to_str().ok().filter(|text| {
        (1..=LONGEST_KEY).contains(&text.len())
            && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
    });
    let text = text.ok_or_else(|| {
        let message =
            format!("Idempotency-Key must be 1 to {LONGEST_KEY} printable ASCII characters");
        Invalid::field("Idempotency-Key", message)
    })?;
    Ok(IdempotencyKey { door, value: text.into() })
}

impl<D: Door> Call<D> {
    async fn prepare(
        app: &Arc<App>,
        request_id: RequestId,
        needs: (KeyScope, Class),
        request: Request,
        quota: &mut Option<Quota>,
    ) -> Result<Self, D::Problem> {
        let (mut parts, body) = request.into_parts();
        D::translate(&mut parts.headers)?;
        let (caller, body) = admit::<D::Problem>(app, &parts, body, needs, quota).await?;
        let profile = D::check_caller(&caller, &parts.headers)?;
        let takes_key = D::takes_key(&parts.method);
        let key = if takes_key { single(&parts.headers, &IDEMPOTENCY_KEY)? } else { None };
        let idempotency_key = key.map(|key| read_key(D::NAME, key)).transpose()?;
        let app = Arc::clone(app);
        Ok(Self { app, caller, request_id, profile, idempotency_key, parts, body })
    }

    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    pub fn engine(&self) -> &Engine {
        &self.app.engine
    }

    pub fn config(&self) -> &ApiConfig {
        &self.app.config
    }

    pub fn key(&self) -> &ApiKey {
        &self.caller.key
    }

    pub const fn request_id(&self) -> RequestId {
        self.request_id
    }

    pub const fn profile(&self) -> D::Profile {
        self.profile
    }

    /// The account that the caller acts on.
    pub const fn account(&self) -> AccountId {
        self.caller.account
    }

    /// That account in the caller's mode.
    pub const fn tenant(&self) -> Tenant {
        self.caller.tenant
    }

    pub const fn idempotency_key(&self) -> Option<&IdempotencyKey> {
        self.idempotency_key.as_ref()
    }

    /// The parts that identify a request: method, target and body.
    pub fn request(&self) -> [&[u8]; 3] {
        let target = self.parts.uri.path_and_query().map_or("", |target| target.as_str());
        [self.parts.method.as_str().as_bytes(), target.as_bytes(), &self.body]
    }

    pub const fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    pub fn query(&self) -> Query<'_> {
        Query::parse(self.parts.uri.query())
    }

    /// The refund as it stands once the provider has answered, or as it was made where that takes
    /// longer than `limit`. The refund is committed before the wait, so a failed wait is no failure.
    pub async fn wait_for(&self, made: RefundView, limit: Duration) -> RefundView {
        let later = self.engine().wait_for_refund(self.tenant(), made.refund.id, limit).await;
        later.ok().flatten().unwrap_or(made)
    }

    /// A segment of the path as it was sent, counted from 1 behind the first slash.
    pub fn segment(&self, at: usize) -> &str {
        self.parts.uri.path().split('/').nth(at).unwrap_or_default()
    }

    /// The body, which must be a JSON object.
    pub fn object(&self) -> Result<Object<'_>, D::Problem> {
        if D::CHECKS_MEDIA_TYPE && !self.body.is_empty() {
            body::check_json(&self.parts.headers)?;
        }
        Ok(Object::parse(&self.body)?)
    }

    /// The body, which may be absent.
    pub fn optional_object(&self) -> Result<Option<Object<'_>>, D::Problem> {
        if self.body.is_empty() { Ok(None) } else { self.object().map(Some) }
    }

    /// Checks a body without fields to read: absent, or any JSON object.
    pub fn expect_no_fields(&self) -> Result<(), D::Problem> {
        self.optional_object().map(drop)
    }

    /// An answer in JSON without an envelope.
    pub fn json<T: Serialize>(&self, status: StatusCode, data: &T) -> Response {
        match serde_json::to_vec(data) {
            Ok(body) => answer::with_body(status, body, &self.request_id.to_string()),
            Err(error) => {
                tracing::error!(%error, request_id = %self.request_id, "an answer could not be printed");
                D::refuse(&self.app, self.request_id, self.profile, D::internal())
            }
        }
    }

    pub fn no_content(&self) -> Response {
        answer::with_body(StatusCode::NO_CONTENT, Vec::new(), &self.request_id.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idempotency_keys_are_1_to_255_printable_characters() {
        let read = |text: &str| {
            HeaderValue::from_bytes(text.as_bytes())
                .map(|value| read_key("native", &value).map(|key| key.value))
        };
        for key in ["a", "ticket 42", &"k".repeat(255)] {
            assert_eq!(read(key).expect("a header"), Ok(key.into()));
        }
        for key in ["", &"k".repeat(256), "é", "a\tb"] {
            assert!(read(key).expect("a header").is_err(), "{key}");
        }
    }
}
