//! The one style sheet and the one script, served from the binary.

use crate::app::App;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use std::sync::Arc;

const STYLE: &str = include_str!("hosted.css");
const SCRIPT: &str = include_str!("hosted.js");

pub(super) async fn style(_: Arc<App>, _: Request) -> Response {
    asset("text/css; charset=utf-8", STYLE)
}

pub(super) async fn script(_: Arc<App>, _: Request) -> Response {
    asset("text/javascript; charset=utf-8", SCRIPT)
}

fn asset(content_type: &'static str, text: &'static str) -> Response {
    let headers = [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, "public, max-age=300"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, text).into_response()
}
