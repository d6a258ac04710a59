//! The ElasticPay door of a real server, as clients of ElasticPay use it.

mod access;
mod idempotency;
mod input;
mod intents;
mod refunds;
mod samples;
mod webhooks;

use crate::harness::{Demo, Reply};
use serde_json::{Value, json};

pub const INTENTS: &str = "/api/v1/payment_intents";

pub async fn demo(envs: &[(&'static str, &'static str)]) -> (tempfile::TempDir, Demo) {
    let folder = tempfile::tempdir().expect("a folder");
    let demo = Demo::start(folder.path(), envs).await;
    (folder, demo)
}

/// Sends a request with a key. A null `body` sends no body.
pub async fn send(demo: &Demo, bearer: &str, method: &str, path: &str, body: &Value) -> Reply {
    let auth = format!("Bearer {bearer}");
    let mut headers = vec![("authorization", auth.as_str())];
    if !body.is_null() {
        headers.push(("content-type", "application/json"));
    }
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    demo.try_send(method, path, &headers, body).await.expect("an answer")
}

/// Runs an operation of an intent with the demo's key.
pub async fn act(demo: &Demo, intent: &str, word: &str, body: &Value) -> Reply {
    send(demo, demo.bearer(), "POST", &format!("{INTENTS}/{intent}/{word}"), body).await
}

pub async fn get(demo: &Demo, intent: &str) -> Value {
    let reply = demo.get(&format!("{INTENTS}/{intent}")).await;
    assert_eq!(reply.status, 200, "{}", reply.json);
    reply.json
}

/// Creates an intent in AUD.
pub async fn open(demo: &Demo, amount: i64, metadata: Value) -> String {
    let body = json!({"amount": amount, "currency": "AUD", "metadata": metadata});
    let reply = demo.post(INTENTS, &body).await;
    assert_eq!(reply.status, 200, "{}", reply.json);
    text(&reply.json, "id").to_owned()
}

/// Creates and pays an intent whose refunds follow the script `simulate`.
pub async fn paid(demo: &Demo, amount: i64, simulate: &str) -> String {
    let intent = open(demo, amount, json!({"simulate": simulate})).await;
    let reply = act(demo, &intent, "confirm", &json!({"payment_method": "pm_card"})).await;
    assert_eq!(reply.json["status"], "succeeded", "{}", reply.json);
    intent
}

pub fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("{field} in {value}"))
}

/// Formats an error as `status type code field`.
#[track_caller]
pub fn problem(reply: &Reply) -> String {
    let error = &reply.json["error"];
    assert_eq!(reply.json["success"], false, "{}", reply.json);
    assert!(text(error, "message").len() > 10, "{error}");
    assert!(reply.header("x-request-id").starts_with("req_"));
    let field = error["field"].as_str().unwrap_or_default();
    let (status, kind) = (reply.status.as_u16(), text(error, "type"));
    format!("{status} {kind} {} {field}", text(error, "code")).trim_end().to_owned()
}

/// Creates a key with the command line. Returns its id and its Bearer token.
pub fn make_key(demo: &Demo, args: &[&str]) -> (String, String, String) {
    let command: Vec<_> = ["keys", "create"].iter().chain(args).copied().collect();
    let (code, text) = demo.run(&command);
    assert_eq!(code, 0, "{text}");
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{name} in {text}")).trim().to_owned()
    };
    (field("account"), field("key id"), field("bearer"))
}
