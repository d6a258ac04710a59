//! Operations for the people and machines that run the service.

mod describe;

pub use describe::chapter;

use crate::app::App;
use crate::http::route::Route;
use crate::openapi::{RenderedDocument, page};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use std::sync::Arc;

/// Health and metrics.
pub fn routes() -> Vec<Route> {
    vec![
        Route::open(Method::GET, "/health", alive),
        Route::open(Method::GET, "/healthz", alive),
        Route::open(Method::GET, "/readyz", ready),
        Route::open(Method::GET, "/metrics", metrics),
        Route::open(Method::GET, "/openapi.json", openapi_json),
        Route::open(Method::GET, "/openapi/{document}", openapi_json),
        Route::open(Method::GET, "/docs", docs),
        Route::open(Method::GET, "/docs/{document}", docs),
    ]
}

/// The process answers. The database is not asked, so that its outage does not restart every node.
async fn alive(_: Arc<App>, _: Request) -> Response {
    status(StatusCode::OK, "{\"status\":\"ok\"}")
}

/// The process can do its work.
async fn ready(app: Arc<App>, _: Request) -> Response {
    match app.engine.ready().await {
        Ok(()) => status(StatusCode::OK, "{\"status\":\"ok\"}"),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            status(StatusCode::SERVICE_UNAVAILABLE, "{\"status\":\"unavailable\"}")
        }
    }
}

async fn metrics(app: Arc<App>, _: Request) -> Response {
    let text = (app.config.metrics)();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

/// An OpenAPI document, byte for byte as it is committed.
async fn openapi_json(app: Arc<App>, request: Request) -> Response {
    let path = request.uri().path();
    let name = path.strip_prefix("/openapi/");
    // A name without the ending `.json` is no document; the first document has a path of its own.
    match find(&app, name.map(|name| name.strip_suffix(".json").unwrap_or_default())) {
        Some(document) => {
            ([(CONTENT_TYPE, "application/json")], document.text.as_str()).into_response()
        }
        None => (app.unknown_path)(&app, path),
    }
}

/// The same as text for people.
async fn docs(app: Arc<App>, request: Request) -> Response {
    let path = request.uri().path();
    match find(&app, path.strip_prefix("/docs/")) {
        Some(document) => page::answer(document, app.documents),
        None => (app.unknown_path)(&app, path),
    }
}

/// The document called `name`; without a name the first.
fn find(app: &App, name: Option<&str>) -> Option<&'static RenderedDocument> {
    app.documents.iter().find(|document| name.is_none_or(|name| document.name == name))
}

fn status(status: StatusCode, body: &'static str) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}
