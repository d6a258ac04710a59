//! The envelope around every answer: `{data, error, meta}`.

use super::answer::{retry_after, with_body};
use super::problem::{Details, Problem};
use super::time::Iso;
use crate::app::App;
use axum::response::Response;
use domain::ids::RequestId;
use domain::refund::Refund;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, StatusCode};
use serde::Serialize;

#[derive(Serialize)]
struct Envelope<'a, T> {
    data: T,
    error: Option<ErrorBody<'a>>,
    meta: Meta<'a>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a Details>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Meta<'a> {
    request_id: &'a str,
    timestamp: Iso,
    #[serde(flatten)]
    page: Option<PageMeta>,
}

/// The description of a page, under the names that SDKs read and the names in the documentation.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PageMeta {
    cursor: Option<String>,
    has_more: bool,
    page: PageShown,
    #[serde(skip_serializing_if = "Option::is_none")]
    pruned: Option<PrunedWire>,
}

/// The summary of a refund whose first events are no longer kept.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PrunedWire {
    events: u32,
    created_at: Iso,
    status: &'static str,
    status_detail: &'static str,
    updated_at: Iso,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct PageShown {
    limit: u32,
    has_more: bool,
    next_cursor: Option<String>,
}

impl PageMeta {
    /// A page of at most `limit` items; `cursor` leads to the next one, if there is one.
    pub fn new(limit: u32, cursor: Option<String>) -> Self {
        let has_more = cursor.is_some();
        let page = PageShown { limit, has_more, next_cursor: cursor.clone() };
        Self { cursor, has_more, page, pruned: None }
    }

    /// The same for the timeline of a refund, with a summary when its first events are no longer
    /// kept.
    pub fn of_timeline(self, refund: &Refund) -> Self {
        let pruned = PrunedWire {
            events: refund.pruned,
            created_at: Iso(refund.id.at()),
            status: refund.state.status().as_str(),
            status_detail: refund.state.as_str(),
            updated_at: Iso(refund.updated_at),
        };
        Self { pruned: Some(pruned).filter(|pruned| pruned.events > 0), ..self }
    }
}

/// An answer that is not an error.
pub fn answer<T: Serialize>(
    app: &App,
    request_id: RequestId,
    status: StatusCode,
    data: &T,
    page: Option<PageMeta>,
) -> Response {
    let mut body = Vec::with_capacity(1024);
    let id = request_id.to_string();
    let meta = Meta { request_id: &id, timestamp: Iso(app.engine.now()), page };
    let envelope = Envelope { data, error: None, meta };
    match serde_json::to_writer(&mut body, &envelope) {
        Ok(()) => with_body(status, body, &id),
        Err(error) => {
            tracing::error!(%error, request_id = id, "an answer could not be printed");
            refuse(app, request_id, &Problem::internal())
        }
    }
}

pub fn refuse(app: &App, request_id: RequestId, problem: &Problem) -> Response {
    let id = request_id.to_string();
    let error = ErrorBody {
        code: problem.code,
        message: &problem.message,
        field: problem.field.as_deref(),
        details: problem.details.as_deref(),
    };
    let meta = Meta { request_id: &id, timestamp: Iso(app.engine.now()), page: None };
    let envelope = Envelope { data: (), error: Some(error), meta };
    // Strings and numbers always print; an empty body would still carry status and request id.
    let body = serde_json::to_vec(&envelope).unwrap_or_default();
    let mut response = with_body(problem.status, body, &id);
    retry_after(&mut response, problem.retry_after_s);
    if problem.status == StatusCode::UNAUTHORIZED {
        let schemes = HeaderValue::from_static("Bearer, Refundry-HMAC-SHA256");
        response.headers_mut().insert(WWW_AUTHENTICATE, schemes);
    }
    response
}
