//! The OpenAPI documents of everything that is served, made from the route table: each door
//! describes its operations in its `openapi` module, and a test compares the two.

pub mod components;
pub mod operation;
pub mod page;
pub mod problems;
pub mod schema;

use crate::doors;
use operation::{Answer, Operation, Parameter};
use schema::Schema;
use serde_json::{Map, Value, json};
use std::sync::{LazyLock, OnceLock};

/// What a door, or the operations of the service itself, add to the document.
#[derive(Default)]
pub struct Chapter {
    /// Names and descriptions of its tags, in the order in which they are shown.
    pub tags: Vec<(&'static str, &'static str)>,
    /// Its operations.
    pub operations: Vec<Operation>,
    /// What it posts to others, under the name of the event as its path.
    pub webhooks: Vec<Operation>,
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

/// A document as its door describes it.
pub struct Document {
    /// Its name: `openapi/{name}.json` in the repository.
    pub name: &'static str,
    /// What it is called.
    pub title: &'static str,
    /// What it describes.
    pub summary: &'static str,
    /// What holds everywhere in it.
    pub introduction: &'static str,
    /// What it is made of.
    pub chapters: fn() -> Vec<Chapter>,
}

/// A document as it is served.
pub struct Book {
    /// Its name.
    pub name: &'static str,
    /// The document.
    pub value: Value,
    /// The same as it is served and committed.
    pub text: String,
    page: OnceLock<String>,
}

/// Every document, in the order of [`doors::DOCUMENTS`].
pub static BOOKS: LazyLock<Vec<Book>> = LazyLock::new(|| {
    let print = |document: &Document| {
        let value = print(document);
        let text = format!("{value:#}\n");
        Book { name: document.name, value, text, page: OnceLock::new() }
    };
    doors::DOCUMENTS.iter().map(print).collect()
});

impl Book {
    /// The document called `name`; without one the first.
    pub fn find(name: Option<&str>) -> Option<&'static Self> {
        BOOKS.iter().find(|book| name.is_none_or(|name| book.name == name))
    }

    /// Where it is served, and where its page is.
    pub fn places(&self) -> (String, String) {
        if doors::DOCUMENTS.first().is_some_and(|first| first.name == self.name) {
            return ("/openapi.json".to_owned(), "/docs".to_owned());
        }
        (format!("/openapi/{}.json", self.name), format!("/docs/{}", self.name))
    }
}

fn print(document: &Document) -> Value {
    let mut chapters = (document.chapters)();
    let operations: Vec<_> =
        chapters.iter_mut().flat_map(|chapter| std::mem::take(&mut chapter.operations)).collect();
    let webhooks = chapters.iter_mut().flat_map(|chapter| std::mem::take(&mut chapter.webhooks));
    let webhooks: Map<String, Value> =
        webhooks.map(|post| (post.path.to_owned(), json!({"post": post.value(None)}))).collect();
    let tags = chapters.iter().flat_map(|chapter| &chapter.tags);
    let tags: Vec<_> =
        tags.map(|(name, text)| json!({"name": name, "description": text})).collect();
    let mut parts = Parts::default();
    for chapter in chapters {
        parts.add(chapter);
    }
    let schemes = parts.schemes;
    let security: Vec<_> = schemes.keys().map(|name| json!({ name: [] })).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": document.title,
            "version": env!("CARGO_PKG_VERSION"),
            "summary": document.summary,
            "description": document.introduction,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "The server that this document came from"}],
        "security": security,
        "tags": tags,
        "paths": paths(operations),
        "webhooks": webhooks,
        "components": {
            "securitySchemes": schemes, "parameters": parts.parameters,
            "headers": parts.headers, "responses": parts.answers, "schemas": parts.schemas,
        },
    })
}

/// What goes by a name of its own.
#[derive(Default)]
struct Parts {
    schemas: Map<String, Value>,
    parameters: Map<String, Value>,
    answers: Map<String, Value>,
    headers: Map<String, Value>,
    schemes: Map<String, Value>,
}

impl Parts {
    fn add(&mut self, chapter: Chapter) {
        fn named<T>(
            parts: Vec<(&'static str, T)>,
            value: impl Fn(T) -> Value,
        ) -> impl Iterator<Item = (String, Value)> {
            parts.into_iter().map(move |(name, part)| (name.to_owned(), value(part)))
        }
        self.schemas.extend(named(chapter.schemas, Value::from));
        self.parameters.extend(named(chapter.parameters, Parameter::value));
        self.answers.extend(named(chapter.answers, Answer::value));
        self.headers.extend(named(chapter.headers, |header| header));
        self.schemes.extend(named(chapter.security, |scheme| scheme));
    }
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
    let chapters = doors::DOCUMENTS.iter().flat_map(|document| (document.chapters)());
    let operations = chapters.flat_map(|chapter| chapter.operations);
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
        let paths = BOOKS.iter().flat_map(|book| book.value["paths"].as_object().expect("paths"));
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
