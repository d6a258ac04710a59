//! Examples of answers, made of the examples of their parts.

use super::markup::{resolve, text};
use serde_json::{Map, Value, json};

/// An example of what fits a schema.
pub fn of(document: &Value, schema: &Value) -> Value {
    if let Some(example) = schema["examples"].get(0) {
        return example.clone();
    }
    let resolved = resolve(document, schema);
    if !std::ptr::eq(resolved, schema) {
        return of(document, resolved);
    }
    if let Some(word) = schema["enum"].get(0) {
        return word.clone();
    }
    if let Some(choice) = schema["anyOf"].get(0) {
        return of(document, choice);
    }
    match kind(schema) {
        "object" => {
            let properties = schema["properties"].as_object().into_iter().flatten();
            let fields = properties.map(|(name, schema)| (name.clone(), of(document, schema)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        "array" => json!([of(document, &schema["items"])]),
        "integer" => schema.get("minimum").cloned().unwrap_or(json!(0)),
        "boolean" => json!(true),
        "string" => json!("…"),
        _ => Value::Null,
    }
}

/// The type of a value, `null` aside.
pub fn kind(schema: &Value) -> &str {
    let kind = &schema["type"];
    text(kind.as_array().and_then(|kinds| kinds.first()).unwrap_or(kind))
}
