//! The OpenAPI document: committed as it is served, and true in its examples.

use crate::world::{Ask, World};
use serde_json::{Value, json};

const COMMITTED: &str = include_str!("../../../../openapi/refundry.json");

#[test]
fn the_committed_document_is_the_one_that_is_served() {
    assert!(COMMITTED == api::openapi(), "run: refundry openapi > openapi/refundry.json");
}

#[tokio::test]
async fn the_document_and_its_page_need_no_key() {
    let world = World::new().await;
    let reply = world.send(Ask::get("/openapi.json")).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert_eq!(reply.body, serde_json::from_str::<Value>(COMMITTED).expect("it is JSON"));
    let reply = world.send(Ask::get("/docs")).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = reply.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let page = reply.body.as_str().expect("text");
    for (_, path, _) in api::operations() {
        assert!(page.contains(&format!("<code>{path}</code>")), "{path} is on the page");
    }
    assert!(!page.contains("<script") && !page.contains("src="), "nothing is loaded");
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
    let document: Value = serde_json::from_str(api::openapi()).expect("it is JSON");
    let mut checked = 0;
    let mut check = |schema: &Value, example: &Value| {
        let mut schema = schema.clone();
        schema["components"] = document["components"].clone();
        let validator = jsonschema::draft202012::new(&schema).expect("a schema");
        let flaw = validator.iter_errors(example).next().map(|flaw| flaw.to_string());
        assert_eq!(flaw, None, "{example} in {schema:#}");
        checked += 1;
    };
    each_schema(&document, "examples", &mut |holder, examples| match examples {
        Value::Array(examples) => examples.iter().for_each(|example| check(holder, example)),
        Value::Object(examples) => {
            examples.values().for_each(|example| check(&holder["schema"], &example["value"]));
        }
        _ => {}
    });
    assert!(checked > 20, "{checked}");
}

#[test]
fn every_object_that_is_answered_is_closed() {
    let document: Value = serde_json::from_str(api::openapi()).expect("it is JSON");
    for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
        let read = ["New", "Change"].iter().any(|prefix| name.starts_with(prefix));
        each_schema(schema, "properties", &mut |holder, _| {
            let closed = holder.get("additionalProperties") == Some(&json!(false));
            assert!(closed || read, "{name} has an open object");
        });
    }
}
