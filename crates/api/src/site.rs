//! The site: every route, every document and every webhook format. A new door or resource adds its
//! lines here.

use crate::app::App;
use crate::doors::{elasticpay, inbound, native, yoco};
use crate::http::envelope;
use crate::http::problem::Problem;
use crate::http::route::Route;
use crate::openapi::{Chapter, Document, RenderedDocument, Served, render};
use crate::{hosted, ops};
use axum::response::Response;
use engine::webhooks::WebhookFormat;
use http::StatusCode;
use std::sync::{Arc, LazyLock};

/// Every operation, in the order in which the documents show them.
pub fn routes() -> Vec<Route> {
    [
        native::payments::routes(),
        native::holds::routes(),
        native::refunds::routes(),
        native::unmatched_notices::routes(),
        native::ledger::routes(),
        native::events::routes(),
        native::keys::routes(),
        native::provider_accounts::routes(),
        native::sending::routes(),
        native::reports::routes(),
        inbound::routes(),
        native::checkout_sessions::routes(),
        native::invoices::routes(),
        native::webhooks::routes(),
        native::public::routes(),
        elasticpay::routes(),
        yoco::routes(),
        hosted::routes(),
        ops::routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Method, path and permission of every operation.
pub fn operations() -> Vec<Served> {
    routes().into_iter().map(|route| (route.method, route.path, route.permission)).collect()
}

/// The OpenAPI documents. The first one is about everything that has no document of its own.
pub const DOCUMENTS: &[Document] = &[
    Document {
        name: "refundry",
        title: "Refundry",
        summary: "A self-hosted refund engine.",
        introduction: include_str!("openapi/introduction.md"),
        chapters,
    },
    elasticpay::DOCUMENT,
    yoco::DOCUMENT,
];

fn chapters() -> Vec<Chapter> {
    let names: Vec<_> = DOCUMENTS.iter().map(|document| document.name).collect();
    let mut chapters = native::chapters();
    chapters.extend([inbound::describe::chapter(), hosted::chapter(), ops::chapter(&names)]);
    chapters
}

/// The documents as they are served, in the order of [`DOCUMENTS`].
pub static RENDERED: LazyLock<Vec<RenderedDocument>> =
    LazyLock::new(|| render(DOCUMENTS, &operations()));

/// The webhook formats of every door.
pub fn formats() -> Vec<Arc<dyn WebhookFormat>> {
    [native::formats(), elasticpay::formats(), yoco::formats()].into_iter().flatten().collect()
}

/// The answer to a path at which there is nothing.
pub fn unknown_path(app: &App, path: &str) -> Response {
    let message = "there is nothing at this path; check it against the API reference";
    refuse(app, path, &Problem::new(StatusCode::NOT_FOUND, "not_found", message))
}

/// The answer to a method that a path does not have. The router adds the methods that it has.
pub fn wrong_method(app: &App, path: &str) -> Response {
    let message = "this path does not take this method; the Allow header says which it takes";
    let status = StatusCode::METHOD_NOT_ALLOWED;
    refuse(app, path, &Problem::new(status, "method_not_allowed", message))
}

/// Refuses in the words of the door that the path is nearest to.
fn refuse(app: &App, path: &str, problem: &Problem) -> Response {
    let request_id = app.engine.request_id();
    if elasticpay::owns(path) {
        return elasticpay::refuse(request_id, problem);
    }
    envelope::refuse(app, request_id, problem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Operations without a description. This list may only shrink.
    const UNDESCRIBED: &[&str] = &[];

    /// Method and path of every operation that a chapter describes.
    fn described() -> Vec<String> {
        let chapters = DOCUMENTS.iter().flat_map(|document| (document.chapters)());
        let operations = chapters.flat_map(|chapter| chapter.operations);
        operations.map(|known| format!("{} {}", known.method, known.path)).collect()
    }

    #[test]
    fn every_operation_is_described_once_and_nothing_else_is() {
        let described = described();
        let once: BTreeSet<_> = described.iter().cloned().collect();
        assert_eq!(once.len(), described.len(), "an operation is described twice");
        let served: BTreeSet<_> =
            routes().iter().map(|route| format!("{} {}", route.method, route.path)).collect();
        let missing: Vec<_> = served.difference(&once).collect();
        assert_eq!(missing, UNDESCRIBED, "describe these in the describe module of their resource");
        let gone: Vec<_> = once.difference(&served).collect();
        assert!(gone.is_empty(), "these are described but not served: {gone:?}");
    }

    #[test]
    fn every_parameter_of_a_path_is_described_and_operation_ids_are_unique() {
        let mut ids = BTreeSet::new();
        let paths = RENDERED
            .iter()
            .flat_map(|document| document.value["paths"].as_object().expect("paths"));
        for (path, operations) in paths {
            let named: BTreeSet<_> =
                path.split(['{', '}']).skip(1).step_by(2).map(str::to_owned).collect();
            for (method, operation) in operations.as_object().expect("operations") {
                let id = operation["operationId"].as_str().expect("an id");
                assert!(ids.insert(id), "{id} is used twice");
                let parameters = operation["parameters"].as_array().into_iter().flatten();
                let given: BTreeSet<_> = parameters
                    .filter(|parameter| parameter["in"] == "path")
                    .filter_map(|parameter| parameter["name"].as_str().map(str::to_owned))
                    .collect();
                assert_eq!(given, named, "{method} {path}");
            }
        }
    }
}
