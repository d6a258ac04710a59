//! Commands to copy: an operation as a call of curl.

use super::markup::{resolve, text};
use super::outline::Operation;
use crate::openapi::operation::JSON;
use serde_json::Value;
use std::fmt::Write as _;
pub fn command(document: &Value, operation: &Operation<'_>) -> String {
    let value = operation.value;
    let mut command = String::from("curl");
    let body = body(value);
    let method = operation.method.to_ascii_uppercase();
    // curl uses POST when there is a body.
    if method != "GET" && !(method == "POST" && body.is_some()) {
        let _ = write!(command, " -X {method}");
    }
    let _ = write!(command, " \"$REFUNDRY_URL{}\"", path(document, operation));
    if value.get("security").is_none() {
        command.push_str(" \\\n  -H \"Authorization: Bearer $REFUNDRY_KEY\"");
    }
    let named = |name: &str| {
        let parameters = value["parameters"].as_array().into_iter().flatten();
        parameters.map(|one| resolve(document, one)).any(|one| one["name"] == name)
    };
    if named("Idempotency-Key") {
        command.push_str(" \\\n  -H \"Idempotency-Key: $(date +%s%N)\"");
    }
    if named("Prefer") {
        command.push_str(" \\\n  -H 'Prefer: wait=5'");
    }
    if let Some((media_type, body)) = body {
        let body = body.replace('\'', "'\\''");
        let _ = write!(command, " \\\n  -H 'Content-Type: {media_type}' \\\n  -d '{body}'");
    }
    command
}

/// The body of the first example.
fn body(operation: &Value) -> Option<(&str, String)> {
    let content = operation["requestBody"]["content"].as_object()?;
    let (media_type, content) = content.iter().next()?;
    let (_, example) = content["examples"].as_object()?.iter().next()?;
    let value = &example["value"];
    let body = if media_type == JSON { value.to_string() } else { text(value).to_owned() };
    Some((media_type, body))
}

/// The path with an example of each of its parameters.
fn path(document: &Value, operation: &Operation<'_>) -> String {
    let parameters = operation.value["parameters"].as_array().into_iter().flatten();
    let parameters = parameters.map(|parameter| resolve(document, parameter));
    parameters.filter(|parameter| parameter["in"] == "path").fold(
        operation.path.to_owned(),
        |path, parameter| {
            let name = text(&parameter["name"]);
            let schema = &parameter["schema"];
            let example = schema["examples"].get(0).or(schema["enum"].get(0)).map(text);
            let placeholder = format!("<{name}>");
            path.replace(&format!("{{{name}}}"), example.unwrap_or(&placeholder))
        },
    )
}
