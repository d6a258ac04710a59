//! Schemas as lists of fields.

use super::example::kind;
use super::markup::{escape, inline, paragraphs, text};
use super::outline::anchor;
use serde_json::Value;
use std::fmt::Write as _;

pub fn print_all(page: &mut String, document: &Value) {
    page.push_str("<section aria-labelledby=\"schemas\">\n<h2 id=\"schemas\">Schemas</h2>\n");
    let schemas = document["components"]["schemas"].as_object();
    for (name, schema) in schemas.into_iter().flatten() {
        let id = address(name);
        let _ = write!(
            page,
            "<article aria-labelledby=\"{id}\">\n<h3 id=\"{id}\"><a href=\"#{id}\">{}</a></h3>\n{}",
            escape(name),
            paragraphs(text(&schema["description"])),
        );
        print_fields(page, document, schema);
        page.push_str("</article>\n");
    }
    page.push_str("</section>\n");
}

fn address(name: &str) -> String {
    format!("schema-{}", anchor(name))
}

pub fn print_fields(page: &mut String, document: &Value, schema: &Value) {
    let Some(properties) = schema["properties"].as_object() else { return };
    if properties.is_empty() {
        return;
    }
    page.push_str("<dl>\n");
    // Answers contain all fields, so only optional ones are marked.
    let closed = schema.get("additionalProperties").is_some();
    for (name, field) in properties {
        let listed = schema["required"]
            .as_array()
            .is_some_and(|names| names.contains(&name.as_str().into()));
        print_row(page, document, name, field, listed && !closed, text(&field["description"]));
    }
    page.push_str("</dl>\n");
}

/// One field or parameter.
pub fn print_row(
    page: &mut String,
    document: &Value,
    name: &str,
    schema: &Value,
    required: bool,
    about: &str,
) {
    let _ = write!(page, "<div><dt><code>{}</code>", escape(name));
    let _ = write!(page, " <span class=\"kind\">{}</span>", describe(schema));
    if required {
        page.push_str(" <span class=\"required\">required</span>");
    }
    page.push_str("</dt>\n<dd>");
    let own = text(&schema["description"]);
    let own = if own == about { "" } else { own };
    for text in [about, own].into_iter().filter(|text| !text.is_empty()) {
        let _ = write!(page, "<p>{}</p>", inline(text));
    }
    let limits = limits(schema);
    if !limits.is_empty() {
        let _ = write!(page, "<p class=\"limits\">{limits}</p>");
    }
    let inner = if kind(schema) == "array" { &schema["items"] } else { schema };
    let inner =
        inner["anyOf"].get(0).filter(|one| one.get("properties").is_some()).unwrap_or(inner);
    if inner.get("properties").is_some() {
        print_fields(page, document, inner);
    }
    page.push_str("</dd></div>\n");
}

/// The type in a few words, with links to named schemas.
fn describe(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|text| text.rsplit('/').next()) {
        return format!("<a href=\"#{}\">{}</a>", address(name), escape(name));
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let choices: Vec<_> = choices.iter().map(describe).collect();
        return choices.join(" or ");
    }
    let name = kind(schema);
    let name = match name {
        "array" => return format!("list of {}{}", describe(&schema["items"]), or_null(schema)),
        "" => "anything",
        "integer" => "whole number",
        "string" if schema["format"] == "date-time" => "time",
        other => other,
    };
    format!("{}{}", escape(name), or_null(schema))
}

fn or_null(schema: &Value) -> &'static str {
    let nullable = schema["type"].as_array().is_some_and(|kinds| kinds.len() > 1);
    if nullable { " or null" } else { "" }
}

fn limits(schema: &Value) -> String {
    let mut parts = Vec::new();
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<_> = words
            .iter()
            .filter(|word| !word.is_null())
            .map(|word| format!("<code>{}</code>", escape(text(word))))
            .collect();
        parts.push(format!("One of {}", words.join(" ")));
    }
    for (keyword, before, after) in [
        ("minimum", "at least ", ""),
        ("maximum", "at most ", ""),
        ("minLength", "at least ", " characters"),
        ("maxLength", "at most ", " characters"),
        ("minItems", "at least ", " items"),
        ("maxItems", "at most ", " items"),
        ("maxProperties", "at most ", " keys"),
        ("default", "default ", ""),
    ] {
        let trivial = keyword == "minimum" && schema[keyword] == 0;
        let trivial =
            trivial || (keyword == "minLength" || keyword == "minItems") && schema[keyword] == 1;
        if let Some(value) = schema.get(keyword).filter(|_| !trivial) {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            parts.push(format!("{before}{}{after}", escape(&value)));
        }
    }
    parts.join(" · ")
}

/// Links to the named schemas of an answer's data.
pub fn print_links(page: &mut String, schema: &Value) {
    let data = &schema["properties"]["data"];
    let data = if kind(data) == "array" { &data["items"] } else { data };
    if data.get("$ref").is_some() {
        let _ = writeln!(page, "<p class=\"caption\">data: {}</p>", describe(data));
    }
}
