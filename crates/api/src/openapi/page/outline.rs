//! The operations of a document, and addresses within its page.

use super::markup::text;
use serde_json::Value;

pub struct Operation<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub value: &'a Value,
}

impl Operation<'_> {
    pub fn id(&self) -> &str {
        text(&self.value["operationId"])
    }
}
pub fn operations(document: &Value) -> Vec<Operation<'_>> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().into_iter().flatten();
            methods.map(move |(method, value)| Operation { method, path, value })
        })
        .collect()
}

/// A name as part of an address within the page.
pub fn anchor(name: &str) -> String {
    name.to_ascii_lowercase().replace(' ', "-")
}
