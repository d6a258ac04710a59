//! The doors. Each owns its paths, its wire types and its error table.

mod elasticpay;
pub mod native;
mod simulator;
pub mod yoco;

use crate::http::route::Route;
use crate::openapi::{Chapter, Document};
use crate::{App, hosted, ops};
use axum::response::Response;
use engine::Engine;
use engine::webhooks::WebhookFormat;
use std::sync::Arc;

/// Every operation of every door.
pub fn routes() -> Vec<Route> {
    [
        native::routes(),
        elasticpay::routes(),
        yoco::routes(),
        hosted::routes(),
        simulator::routes(),
        ops::routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The OpenAPI documents. The first is the one of the native door and of everything that is not a
/// door's; a door adds its own with a line.
pub const DOCUMENTS: &[Document] = &[
    Document {
        name: "refundry",
        title: "Refundry",
        summary: "A self-hosted refund engine.",
        introduction: include_str!("../openapi/introduction.md"),
        chapters: native_chapters,
    },
    elasticpay::DOCUMENT,
    yoco::DOCUMENT,
];

fn native_chapters() -> Vec<Chapter> {
    vec![native::chapter(), hosted::chapter(), simulator::chapter(), ops::chapter()]
}

/// The webhook formats of every door.
pub fn formats() -> Vec<Arc<dyn WebhookFormat>> {
    [native::formats(), elasticpay::formats(), yoco::formats()].into_iter().flatten().collect()
}

/// False for operations that this installation does not have.
pub fn is_offered(route: &Route, engine: &Engine) -> bool {
    engine.simulator().is_some() || !route.path.starts_with(simulator::PREFIX)
}

/// The answer to a path that no door has, in the words of the door that it is nearest to.
pub fn unknown_path(app: &App, path: &str) -> Response {
    if elasticpay::owns(path) {
        return elasticpay::unknown_path(app);
    }
    native::unknown_path(app)
}

/// The answer to a method that a path does not have.
pub fn wrong_method(app: &App, path: &str) -> Response {
    if elasticpay::owns(path) {
        return elasticpay::wrong_method(app);
    }
    native::wrong_method(app)
}
