//! The OpenAPI documents: the committed files equal the served ones, and examples fit their schemas.

use crate::world::{Ask, World};
use serde_json::{Value, json};
use std::path::Path;

fn documents() -> impl Iterator<Item = (&'static str, Value)> {
    api::openapi().map(|(name, text)| (name, serde_json::from_str(text).expect("it is JSON")))
}

#[test]
fn the_committed_documents_are_the_ones_that_are_served() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../openapi");
    for (name, text) in api::openapi() {
        let file = folder.join(format!("{name}.json"));
        let committed = std::fs::read_to_string(file).unwrap_or_default();
        assert!(committed == text, "run: refundry openapi {name} > openapi/{name}.json");
    }
    let committed = std::fs::read_dir(&folder).expect("a folder").count();
    assert_eq!(committed, api::openapi().count(), "a document that nothing serves");
}

#[tokio::test]
async fn the_documents_and_their_pages_need_no_key() {
    let world = World::new().await;
    let mut described = 0;
    for (name, document) in documents() {
        let (place, page) = match name {
            "refundry" => ("/openapi.json".to_owned(), "/docs".to_owned()),
            name => (format!("/openapi/{name}.json"), format!("/docs/{name}")),
        };
        let reply = world.send(Ask::get(&place)).await;
        assert_eq!(reply.status, 200, "{place}");
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert_eq!(reply.body, document);
        let reply = world.send(Ask::get(&page)).await;
        assert_eq!(reply.status, 200, "{page}");
        assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
        let policy = reply.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        let page = reply.body.as_str().expect("text");
        for path in document["paths"].as_object().expect("paths").keys() {
            assert!(page.contains(&format!("<code>{path}</code>")), "{path} is on the page");
            described += 1;
        }
        assert!(page.contains(&format!("href=\"{place}\"")), "it links to {place}");
        assert!(!page.contains("<script") && !page.contains("src="), "nothing is loaded");
    }
    let mut served: Vec<_> = api::operations().into_iter().map(|(_, path, _)| path).collect();
    served.sort_unstable();
    served.dedup();
    assert_eq!(described, served.len(), "each path is in one document");
    for nothing in ["/openapi/nothing.json", "/openapi/elasticpay", "/docs/nothing"] {
        assert_eq!(world.send(Ask::get(nothing)).await.problem(), "404 not_found", "{nothing}");
    }
}

/// Calls `see` with every schema that has something under `keyword`.
fn each_schema(value: &Value, keyword: &str, see: &mut impl FnMut(&Value, &Value)) {
    match value {
        Value::Object(fields) => {
            if let Some(found) = fields.get(keyword) {
                see(value, found);
            }
            fields.values().for_each(|field| each_schema(field, keyword, see));
        }
        Value::Array(items) => items.iter().for_each(|item| each_schema(item, keyword, see)),
        _ => {}
    }
}

#[test]
fn every_example_fits_its_schema() {
    for (name, document) in documents() {
        let mut checked = 0;
        let mut check = |schema: &Value, example: &Value| {
            let mut schema = schema.clone();
            schema["components"] = document["components"].clone();
            let validator = jsonschema::draft202012::new(&schema).expect("a schema");
            let flaw = validator.iter_errors(example).next().map(|flaw| flaw.to_string());
            assert_eq!(flaw, None, "{name}: {example} in {schema:#}");
            checked += 1;
        };
        each_schema(&document, "examples", &mut |holder, examples| match examples {
            Value::Array(examples) => examples.iter().for_each(|example| check(holder, example)),
            Value::Object(examples) => {
                examples.values().for_each(|example| check(&holder["schema"], &example["value"]));
            }
            _ => {}
        });
        assert!(checked > 20, "{name}: {checked}");
    }
}

#[test]
fn every_object_that_is_answered_is_closed() {
    for (_, document) in documents() {
        for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
            let read = ["New", "Change"].iter().any(|prefix| name.starts_with(prefix));
            each_schema(schema, "properties", &mut |holder, _| {
                let closed = holder.get("additionalProperties") == Some(&json!(false));
                assert!(closed || read, "{name} has an open object");
            });
        }
    }
}
