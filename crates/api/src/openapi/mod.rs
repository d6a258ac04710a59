//! The OpenAPI document of everything that is served, made from the route table: each door
//! describes its operations in its `openapi` module, and a test compares the two.

pub mod operation;
pub mod page;
pub mod schema;

use crate::doors;
use operation::{Answer, Operation, Parameter};
use schema::Schema;
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// What a door, or the operations of the service itself, add to the document.
#[derive(Default)]
pub struct Chapter {
    /// Names and descriptions of its tags, in the order in which they are shown.
    pub tags: Vec<(&'static str, &'static str)>,
    /// Its operations.
    pub operations: Vec<Operation>,
    /// Schemas under their names.
    pub schemas: Vec<(&'static str, Schema)>,
    /// Parameters under their names.
    pub parameters: Vec<(&'static str, Parameter)>,
    /// Answers under their names.
    pub answers: Vec<(&'static str, Answer)>,
    /// Headers of answers under their names.
    pub headers: Vec<(&'static str, Value)>,
    /// Security schemes under their names.
    pub security: Vec<(&'static str, Value)>,
}

/// The document.
pub static DOCUMENT: LazyLock<Value> = LazyLock::new(document);

/// The document as it is served and committed.
pub static TEXT: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", *DOCUMENT));

fn document() -> Value {
    let mut chapters = doors::chapters();
    let operations: Vec<_> =
        chapters.iter_mut().flat_map(|chapter| std::mem::take(&mut chapter.operations)).collect();
    let tags = chapters.iter().flat_map(|chapter| &chapter.tags);
    let tags: Vec<_> =
        tags.map(|(name, text)| json!({"name": name, "description": text})).collect();
    let (mut schemas, mut parameters) = (Map::new(), Map::new());
    let (mut answers, mut headers, mut schemes) = (Map::new(), Map::new(), Map::new());
    for chapter in chapters {
        let named = chapter.schemas.into_iter();
        schemas.extend(named.map(|(name, schema)| (name.to_owned(), schema.into())));
        let named = chapter.parameters.into_iter();
        parameters.extend(named.map(|(name, parameter)| (name.to_owned(), parameter.value())));
        let named = chapter.answers.into_iter();
        answers.extend(named.map(|(name, answer)| (name.to_owned(), answer.value())));
        headers.extend(chapter.headers.into_iter().map(|(name, value)| (name.to_owned(), value)));
        schemes.extend(chapter.security.into_iter().map(|(name, value)| (name.to_owned(), value)));
    }
    let security: Vec<_> = schemes.keys().map(|name| json!({ name: [] })).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Refundry",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "A self-hosted refund engine.",
            "description": include_str!("introduction.md"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The server that this document came from"}],
        "security": security,
        "tags": tags,
        "paths": paths(operations),
        "components": {
            "securitySchemes": schemes, "parameters": parameters, "headers": headers,
            "responses": answers, "schemas": schemas,
        },
    })
}

/// The operations in the order of the route table.
fn paths(mut operations: Vec<Operation>) -> Value {
    let mut paths = Map::new();
    for route in doors::routes() {
        let described =
            |known: &Operation| known.method == route.method && known.path == route.path;
        // A test finds the operations that nothing is said about.
        let Some(at) = operations.iter().position(described) else { continue };
        let operation = operations.swap_remove(at).value(route.permission);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_ascii_lowercase()] = operation;
    }
    paths.into()
}

/// Method and path of every operation that a chapter describes.
#[cfg(test)]
fn described() -> Vec<String> {
    let operations = doors::chapters().into_iter().flat_map(|chapter| chapter.operations);
    operations.map(|known| format!("{} {}", known.method, known.path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Operations that nothing is said about yet. This list may only shrink.
    const UNDESCRIBED: &[&str] = &[];

    #[test]
    fn every_operation_is_described_once_and_nothing_else_is() {
        let described = described();
        let once: BTreeSet<_> = described.iter().cloned().collect();
        assert_eq!(once.len(), described.len(), "an operation is described twice");
        let served: BTreeSet<_> = doors::routes()
            .iter()
            .map(|route| format!("{} {}", route.method, route.path))
            .collect();
        let missing: Vec<_> = served.difference(&once).collect();
        assert_eq!(missing, UNDESCRIBED, "describe these in the door's openapi module");
        let gone: Vec<_> = once.difference(&served).collect();
        assert!(gone.is_empty(), "these are described but not served: {gone:?}");
    }

    #[test]
    fn every_parameter_of_a_path_is_described_and_operation_ids_are_unique() {
        let mut ids = BTreeSet::new();
        for (path, operations) in DOCUMENT["paths"].as_object().expect("paths") {
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
