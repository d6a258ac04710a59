//! Rate limits as this door shows them (`reference/plugipay.md` §13).

use crate::limits::Standing;
use axum::response::Response;
use domain::time::Timestamp;
use http::{HeaderName, HeaderValue};

static LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
static REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
static RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// Tells a caller how its share stands, and at which second it is whole again.
pub fn show(response: &mut Response, standing: &Standing, now: Timestamp) {
    let full_in_ms = i64::try_from(standing.full_in.as_millis()).unwrap_or(i64::MAX);
    let full_at_s = now.plus_ms(full_in_ms).plus_ms(999).0.div_euclid(1000);
    let headers = response.headers_mut();
    headers.insert(LIMIT.clone(), HeaderValue::from(standing.limit));
    headers.insert(REMAINING.clone(), HeaderValue::from(standing.remaining));
    headers.insert(RESET.clone(), HeaderValue::from(full_at_s));
}
