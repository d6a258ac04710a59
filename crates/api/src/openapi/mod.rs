//! OpenAPI documents: what they are made of, and how they are printed. Nothing here names a door.

pub mod components;
mod operation;
pub mod page;
mod printed;
pub mod problems;
mod schema;

pub use operation::{Answer, Example, JSON, Operation, Parameter};
pub use printed::Printed;
pub(crate) use printed::{printed, wire_name};
pub use schema::{Fields, Schema};

use engine::access::KeyScope;
use http::Method;
use serde_json::{Map, Value, json};
use std::sync::OnceLock;

/// The part of a document that describes one group of operations.
#[derive(Default)]
pub struct Chapter {
    /// Names and descriptions of its tags, in the order in which they are shown.
    pub tags: Vec<(&'static str, &'static str)>,
    pub operations: Vec<Operation>,
    /// Webhooks that are sent; the path is the name of the event.
    pub webhooks: Vec<Operation>,
    pub schemas: Vec<(&'static str, Schema)>,
    pub parameters: Vec<(&'static str, Parameter)>,
    pub answers: Vec<(&'static str, Answer)>,
    pub headers: Vec<(&'static str, Value)>,
    pub security: Vec<(&'static str, Value)>,
}

/// A document as its door describes it.
pub struct Document {
    /// Its name: `openapi/{name}.json` in the repository.
    pub name: &'static str,
    pub title: &'static str,
    pub summary: &'static str,
    /// Text that applies to all operations.
    pub introduction: &'static str,
    /// Makes the parts of the document.
    pub chapters: fn() -> Vec<Chapter>,
}

/// A document as it is served.
pub struct RenderedDocument {
    pub name: &'static str,
    pub value: Value,
    /// The same as it is served and committed.
    pub text: String,
    pub path: String,
    pub page_path: String,
    page: OnceLock<String>,
}

/// Method, path and permission of an operation.
pub type Served = (Method, &'static str, Option<KeyScope>);

/// Renders documents; the first one has the shortest paths. Operations are in the order of `routes`.
pub fn render(documents: &[Document], routes: &[Served]) -> Vec<RenderedDocument> {
    let render = |(at, document): (usize, &Document)| {
        let (name, value) = (document.name, print(document, routes));
        let (path, page_path) = match at {
            0 => ("/openapi.json".to_owned(), "/docs".to_owned()),
            _ => (format!("/openapi/{name}.json"), format!("/docs/{name}")),
        };
        let text = format!("{value:#}\n");
        RenderedDocument { name, value, text, path, page_path, page: OnceLock::new() }
    };
    documents.iter().enumerate().map(render).collect()
}

fn print(document: &Document, routes: &[Served]) -> Value {
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
        "paths": paths(operations, routes),
        "webhooks": webhooks,
        "components": {
            "securitySchemes": schemes, "parameters": parts.parameters,
            "headers": parts.headers, "responses": parts.answers, "schemas": parts.schemas,
        },
    })
}

/// The named components of a document.
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
fn paths(mut operations: Vec<Operation>, routes: &[Served]) -> Value {
    let mut paths = Map::new();
    for (method, path, permission) in routes {
        let described = |known: &Operation| known.method == *method && known.path == *path;
        // A test finds operations without a description.
        let Some(at) = operations.iter().position(described) else { continue };
        let operation = operations.swap_remove(at).value(*permission);
        let path = paths.entry(*path).or_insert_with(|| json!({}));
        path[method.as_str().to_ascii_lowercase()] = operation;
    }
    paths.into()
}
