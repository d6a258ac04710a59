//! The Yoco door from outside, as its clients use it: curl against a running server.

mod clients;
mod hooks;
mod idempotency;
mod race;
mod refunds;
mod samples;

use crate::harness::{CONTRACTS, Demo, Reply, eventually};
use hyper::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;
use testkit::Exchange;

const LIMIT: Duration = Duration::from_secs(20);

/// A request as it is typed into a shell.
struct Curl<'a> {
    demo: &'a Demo,
    method: &'a str,
    path: String,
    headers: Vec<String>,
    data: Option<String>,
}

impl<'a> Curl<'a> {
    fn new(demo: &'a Demo, method: &'a str, path: &str) -> Self {
        Self { demo, method, path: path.to_owned(), headers: Vec::new(), data: None }
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push(format!("{name}: {value}"));
        self
    }

    /// Adds a secret key of the demo, `live` or `test`.
    fn key(self, mode: &str) -> Self {
        let secret = self.demo.ready_file[mode]["secret"].as_str().expect("a secret").to_owned();
        assert!(secret.starts_with(&format!("sk_{mode}_")), "clients look at the prefix");
        self.header("Authorization", &format!("Bearer {secret}"))
    }

    fn data(mut self, data: &str) -> Self {
        self.data = Some(data.to_owned());
        self
    }

    fn json(self, data: &Value) -> Self {
        self.header("Content-Type", "application/json").data(&data.to_string())
    }

    fn run(self) -> Reply {
        let url = format!("http://127.0.0.1:{}{}", self.demo.port, self.path);
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--include", "--max-time", "25"]);
        curl.args(["--request", self.method]);
        for header in &self.headers {
            curl.args(["--header", header]);
        }
        if let Some(data) = &self.data {
            curl.args(["--data", data]);
        }
        let output = curl.arg(&url).output().expect("curl runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let answer = String::from_utf8(output.stdout).expect("text");
        let (head, body) = answer.split_once("\r\n\r\n").expect("headers and a body");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status");
        let status = StatusCode::from_bytes(status.as_bytes()).expect("a status");
        let mut headers = HeaderMap::new();
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            let name: hyper::header::HeaderName = name.parse().expect("a name");
            headers.append(name, value.parse().expect("a value"));
        }
        let sent = self.data.unwrap_or_default();
        let exchange = Exchange {
            method: self.method,
            target: &self.path,
            sent: sent.as_bytes(),
            status: status.as_u16(),
            headers: &headers,
            received: body.as_bytes(),
        };
        CONTRACTS.iter().for_each(|contract| contract.check(&exchange));
        let json = serde_json::from_str(body).unwrap_or(Value::Null);
        Reply { status, headers, json, text: body.to_owned() }
    }
}

async fn demo(envs: &[(&'static str, &'static str)]) -> (tempfile::TempDir, Demo) {
    let folder = tempfile::tempdir().expect("a folder");
    let demo = Demo::start(folder.path(), envs).await;
    (folder, demo)
}

/// Creates a checkout of `amount` cents.
fn open(demo: &Demo, mode: &str, amount: i64) -> String {
    let body = json!({"amount": amount, "currency": "ZAR"});
    let reply = Curl::new(demo, "POST", "/api/checkouts").key(mode).json(&body).run();
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json["id"].as_str().expect("an id").to_owned()
}

/// Pays a checkout as a buyer, without a key.
fn charge(demo: &Demo, checkout: &str, method: &str) {
    let path = format!("/api/v1/public/checkout/sessions/{checkout}/charge");
    let reply = Curl::new(demo, "POST", &path).json(&json!({"method": method})).run();
    assert_eq!(reply.status, 200, "{}", reply.text);
}

/// Creates and pays a checkout of `amount` cents.
fn paid(demo: &Demo, mode: &str, amount: i64) -> String {
    let checkout = open(demo, mode, amount);
    charge(demo, &checkout, "card");
    checkout
}

fn get(demo: &Demo, mode: &str, checkout: &str) -> Value {
    let reply = Curl::new(demo, "GET", &format!("/api/checkouts/{checkout}")).key(mode).run();
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json
}

async fn until(demo: &Demo, mode: &str, checkout: &str, status: &str) -> Value {
    eventually(status, LIMIT, async || {
        let now = get(demo, mode, checkout);
        (now["status"] == status).then_some(now)
    })
    .await
}

/// Creates a refund. A null `body` sends no body.
fn refund<'a>(demo: &'a Demo, mode: &str, checkout: &str, body: &Value) -> Curl<'a> {
    let curl = Curl::new(demo, "POST", &format!("/api/checkouts/{checkout}/refund")).key(mode);
    if body.is_null() { curl } else { curl.json(body) }
}

/// The refunds of a payment in the door's list.
fn refunds(demo: &Demo, mode: &str, checkout: &str) -> Vec<Value> {
    let payment =
        get(demo, mode, checkout)["paymentId"].as_str().expect("the checkout is paid").to_owned();
    let path = format!("/api/payments/{payment}/refunds");
    let reply = Curl::new(demo, "GET", &path).key(mode).run();
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json["refunds"].as_array().expect("a list").clone()
}

/// Asserts an error of this door with this status and text. Every field that some client reads must
/// have a text.
#[track_caller]
fn assert_error(reply: &Reply, status: u16, description: &str) {
    assert_eq!(reply.status.as_u16(), status, "{}", reply.text);
    let text = reply.json["description"].as_str().expect("a description");
    assert!(text.contains(description), "{text:?} has {description:?}");
    for field in ["errorType", "errorCode", "errorMessage", "displayMessage", "message"] {
        assert!(reply.json[field].as_str().is_some_and(|text| !text.is_empty()), "{field}");
    }
}

/// Sends a request to the native door of the same account.
async fn native(demo: &Demo, mode: &str, method: &str, path: &str, body: &Value) -> Reply {
    let auth = format!("Bearer {}", demo.ready_file[mode]["bearer"].as_str().expect("a bearer"));
    let mut headers = vec![("authorization", auth.as_str())];
    let mut bytes = Vec::new();
    if !body.is_null() {
        headers.push(("content-type", "application/json"));
        bytes = body.to_string().into_bytes();
    }
    demo.try_send(method, path, &headers, bytes).await.expect("an answer")
}

/// The native id of a checkout's payment.
fn payment(checkout: &str) -> String {
    checkout.replacen("ch_", "pay_", 1)
}
