//! The envelope around every answer: `{data, error, meta}`.

use super::answer::{retry_after, with_body};
use super::problem::{Details, Problem};
use super::time::Iso;
use crate::app::App;
use crate::openapi::{Schema, printed};
use axum::response::Response;
use domain::ids::RequestId;
use domain::refund::{Refund, State, Status};
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

printed! {
    /// About the answer and its page.
    #[serde(rename_all = "camelCase")]
    #[derive(Debug)]
    pub struct PageMeta {
        cursor: Option<String> = cursor(),
        has_more: bool = Schema::boolean().says("There is a next page."),
        page: PageShown = PageShown::schema(),
        pruned?: PrunedWire = PrunedWire::schema(),
    }
}

printed! {
    /// On the timeline of a refund whose first events are no longer kept: what is known of it all
    /// the same.
    #[serde(rename_all = "camelCase")]
    #[derive(Debug)]
    struct PrunedWire {
        events: u32 = Schema::integer(1).says("How many of its first events are gone."),
        created_at: Iso = Schema::time().says("When the refund was asked for."),
        status: &'static str = Schema::one_of(Status::ALL, Status::as_str),
        status_detail: &'static str = Schema::one_of(State::DETAILS, State::detail),
        updated_at: Iso = Schema::time().says("When it last changed."),
    }
}

printed! {
    /// The same once more, as some clients read it.
    #[serde(rename_all = "camelCase")]
    #[derive(Debug)]
    struct PageShown {
        limit: u32 = Schema::integer(1).says("Items per page that were asked for."),
        has_more: bool = Schema::boolean(),
        next_cursor: Option<String> = cursor(),
    }
}

fn cursor() -> Schema {
    let cursor = Schema::matching("^[A-Za-z0-9_-]{32}$");
    cursor.says("Leads to the next page; `null` on the last one.").or_null()
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
            status_detail: refund.state.detail(),
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
