//! Answers, and the headers that they share.

use super::limits::Quota;
use axum::body::Body;
use axum::response::Response;
use domain::time::Timestamp;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};

/// Carries the request id.
pub static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Says that an answer is the stored one of an earlier request.
static REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
static LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
static REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
static RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// An answer with a JSON body, or without one where `body` is empty.
pub fn with_body(status: StatusCode, body: Vec<u8>, request_id: &str) -> Response {
    let has_body = !body.is_empty();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if has_body {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID.clone(), id);
    }
    response
}

/// Marks an answer that was given before.
pub fn mark_replayed(response: &mut Response, replayed: bool) {
    if replayed {
        response.headers_mut().insert(REPLAYED.clone(), HeaderValue::from_static("true"));
    }
}

/// Says where the created resource is.
pub fn locate(response: &mut Response, path: String) {
    if let Ok(path) = HeaderValue::try_from(path) {
        response.headers_mut().insert(LOCATION, path);
    }
}

/// Says after how many seconds it makes sense to try again.
pub fn retry_after(response: &mut Response, seconds: Option<u32>) {
    if let Some(seconds) = seconds {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
}

/// Says how the account's share of requests stands, and at which second it is whole again.
pub fn show_quota(response: &mut Response, quota: &Quota, now: Timestamp) {
    let full_in_ms = i64::try_from(quota.full_in.as_millis()).unwrap_or(i64::MAX);
    let full_at_s = now.plus_ms(full_in_ms).plus_ms(999).0.div_euclid(1000);
    let headers = response.headers_mut();
    headers.insert(LIMIT.clone(), HeaderValue::from(quota.limit));
    headers.insert(REMAINING.clone(), HeaderValue::from(quota.remaining));
    headers.insert(RESET.clone(), HeaderValue::from(full_at_s));
}
