//! What happens around every operation of the native door: read the body, authenticate, read the
//! headers that all operations share, and print whatever comes of it.

use super::envelope::{self, PageMeta};
use super::error::Problem;
use super::limit;
use super::page::Paging;
use crate::App;
use crate::admit::admit;
use crate::auth::Caller;
use crate::body::{self, Object};
use crate::headers::{ERROR_PROFILE, IDEMPOTENCY_KEY, single};
use crate::invalid::{Invalid, excerpt};
use crate::limits::{Class, Standing};
use crate::query::Query;
use crate::route::Route;
use axum::body::Bytes;
use axum::extract::Request;
use axum::response::Response;
use domain::account::Scope;
use domain::ids::{AccountId, RequestId};
use engine::access::{ApiKey, ErrorProfile, Permission};
use engine::{Engine, IdempotencyKey};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde::Serialize;
use std::sync::Arc;
use ulid::Ulid;

/// The name of this door in the namespace of idempotency keys.
const DOOR: &str = "native";
/// Characters of an idempotency key.
pub const LONGEST_KEY: usize = 255;
/// Says that an answer is the stored one of an earlier request.
pub static REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// A request from a caller that may make it.
pub struct Call {
    app: Arc<App>,
    caller: Caller,
    request_id: RequestId,
    profile: ErrorProfile,
    idempotency_key: Option<IdempotencyKey>,
    parts: Parts,
    body: Bytes,
}

/// An operation of this door. `endpoint` gets only calls of callers that hold `permission`.
pub fn guarded<E, F>(
    method: Method,
    path: &'static str,
    permission: Permission,
    endpoint: E,
) -> Route
where
    E: Fn(Call) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = Result<Response, Problem>> + Send + 'static,
{
    let class = if reads(&method) { Class::Read } else { Class::Write };
    counted(method, path, permission, class, endpoint)
}

/// The same for an operation that counts as `class`, whatever its method.
pub fn counted<E, F>(
    method: Method,
    path: &'static str,
    permission: Permission,
    class: Class,
    endpoint: E,
) -> Route
where
    E: Fn(Call) -> F + Copy + Send + Sync + 'static,
    F: Future<Output = Result<Response, Problem>> + Send + 'static,
{
    Route::guarded(method, path, permission, move |app, permission, request| async move {
        let request_id = app.engine.request_id();
        let mut standing = None;
        let needs = (permission, class);
        let answered = match prepare(&app, request_id, needs, request, &mut standing).await {
            Ok(call) => endpoint(call).await,
            Err(problem) => Err(problem),
        };
        let mut response =
            answered.unwrap_or_else(|problem| envelope::refuse(&app, request_id, &problem));
        if let Some(standing) = standing {
            limit::show(&mut response, &standing, app.engine.now());
        }
        response
    })
}

fn reads(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}

async fn prepare(
    app: &Arc<App>,
    request_id: RequestId,
    needs: (Permission, Class),
    request: Request,
    standing: &mut Option<Standing>,
) -> Result<Call, Problem> {
    let (parts, body) = request.into_parts();
    let (caller, body) = admit::<Problem>(app, &parts, body, needs, standing).await?;
    let profile = match ERROR_PROFILE.find(&parts.headers)? {
        Some(value) => read_profile(value)?,
        None => caller.key.error_profile,
    };
    let writes = !reads(&parts.method);
    let key = if writes { single(&parts.headers, &IDEMPOTENCY_KEY)? } else { None };
    let idempotency_key = key.map(|key| read_key(DOOR, key)).transpose()?;
    let app = Arc::clone(app);
    Ok(Call { app, caller, request_id, profile, idempotency_key, parts, body })
}

fn read_profile(value: &HeaderValue) -> Result<ErrorProfile, Invalid> {
    let text = value.to_str().unwrap_or_default();
    ErrorProfile::from_text(text).ok_or_else(|| {
        let text = excerpt(text);
        let message = format!("the error profile is node or go, not {text:?}");
        Invalid::field(ERROR_PROFILE.name(), message)
    })
}

/// Reads an idempotency key that came through `door`.
pub fn read_key(door: &'static str, value: &HeaderValue) -> Result<IdempotencyKey, Invalid> {
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

impl Call {
    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.app.engine
    }

    /// What the doors are configured with.
    pub fn config(&self) -> &crate::ApiConfig {
        &self.app.config
    }

    /// The caller's key.
    pub fn key(&self) -> &ApiKey {
        &self.caller.key
    }

    /// The request's own id.
    pub const fn request_id(&self) -> RequestId {
        self.request_id
    }

    /// The account that the caller acts on.
    pub const fn account(&self) -> AccountId {
        self.caller.account
    }

    /// That account in the caller's mode.
    pub const fn scope(&self) -> Scope {
        self.caller.scope
    }

    /// The caller's idempotency key.
    pub const fn idempotency_key(&self) -> Option<&IdempotencyKey> {
        self.idempotency_key.as_ref()
    }

    /// What tells the request from others: method, target and body.
    pub fn request(&self) -> [&[u8]; 3] {
        let target = self.parts.uri.path_and_query().map_or("", |target| target.as_str());
        [self.parts.method.as_str().as_bytes(), target.as_bytes(), &self.body]
    }

    /// The request's headers.
    pub const fn headers(&self) -> &http::HeaderMap {
        &self.parts.headers
    }

    /// The request's query.
    pub fn query(&self) -> Query<'_> {
        Query::parse(self.parts.uri.query())
    }

    /// The `{id}` in `/api/v1/<things>/{id}`, as it was sent: ids hold nothing that needs
    /// percent-encoding, so an encoded one names nothing.
    pub fn id(&self) -> &str {
        self.parts.uri.path().split('/').nth(4).unwrap_or_default()
    }

    /// Another segment of the path, likewise; counted from 1 behind the first slash.
    pub fn segment(&self, at: usize) -> &str {
        self.parts.uri.path().split('/').nth(at).unwrap_or_default()
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

    /// Checks a body that says nothing: absent, or any JSON object.
    pub fn expect_no_fields(&self) -> Result<(), Problem> {
        if !self.body.is_empty() {
            self.object()?;
        }
        Ok(())
    }

    /// What the engine did not do, in the words of the caller's error profile.
    pub fn refused(&self, error: &engine::Error) -> Problem {
        Problem::of_engine(error, self.profile)
    }

    /// An answer with one thing in it.
    pub fn answer<T: Serialize>(&self, status: StatusCode, data: &T) -> Response {
        envelope::answer(&self.app, self.request_id, status, data, None)
    }

    /// An answer that says nothing but that it is done.
    pub fn no_content(&self) -> Response {
        envelope::no_content(self.request_id)
    }

    /// An answer with one page of a list in it.
    pub fn page<T: Serialize>(
        &self,
        items: &[T],
        paging: &Paging,
        last: Option<Ulid>,
        more: bool,
    ) -> Response {
        self.page_with(items, paging.meta(last, more))
    }

    /// The same with what is said about the page.
    pub fn page_with<T: Serialize>(&self, items: &[T], meta: PageMeta) -> Response {
        envelope::answer(&self.app, self.request_id, StatusCode::OK, &items, Some(meta))
    }
}

/// Marks an answer that was given before.
pub fn mark_replayed(response: &mut Response, replayed: bool) {
    if replayed {
        response.headers_mut().insert(REPLAYED.clone(), HeaderValue::from_static("true"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idempotency_keys_are_1_to_255_printable_characters() {
        let read = |text: &str| {
            HeaderValue::from_bytes(text.as_bytes())
                .map(|value| read_key(DOOR, &value).map(|key| key.value))
        };
        for key in ["a", "ticket 42", &"k".repeat(255)] {
            assert_eq!(read(key).expect("a header"), Ok(key.into()));
        }
        for key in ["", &"k".repeat(256), "é", "a\tb"] {
            assert!(read(key).expect("a header").is_err(), "{key}");
        }
    }
}
