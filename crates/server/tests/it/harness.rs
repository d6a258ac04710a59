//! Runs `refundry demo` and sends requests to it.

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rusqlite::Connection;
use serde_json::Value;
use std::any::Any;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use testkit::postgres::BlockingSession;
pub use testkit::postgres::free_port;
use testkit::{Contract, Exchange};

/// The documents of all doors. Every answer is checked against the document that contains its path.
pub static CONTRACTS: LazyLock<Vec<Contract>> =
    LazyLock::new(|| api::openapi().map(|(_, text)| Contract::new(text)).collect());

/// The binary under test.
pub const REFUNDRY: &str = env!("CARGO_BIN_EXE_refundry");

/// When this variable is set, demos use PostgreSQL.
pub const ON_POSTGRES: &str = "REFUNDRY_TEST_ON_POSTGRES";

/// Longest wait for anything that should be quick.
const LIMIT: Duration = Duration::from_secs(30);

/// Calls `ready` until it returns a value, at most for `limit`.
pub async fn eventually<T>(
    what: &str,
    limit: Duration,
    mut ready: impl AsyncFnMut() -> Option<T>,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = ready().await {
            return value;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A demo server with a folder of its own. Dropping it kills the server.
pub struct Demo {
    child: Option<Child>,
    /// The command of the binary, `demo` or `serve`.
    pub command: &'static str,
    /// The data folder.
    pub data: PathBuf,
    pub port: u16,
    envs: Vec<(&'static str, &'static str)>,
    /// The program that becomes the server, with its first arguments, where that is not the server
    /// itself.
    pub launcher: Vec<String>,
    /// Content of the ready file: account, keys and payments.
    pub ready_file: Value,
    http: Client<HttpConnector, Full<Bytes>>,
}

#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: hyper::HeaderMap,
    pub json: Value,
    pub text: String,
}

impl Reply {
    /// The `data` of a successful answer.
    #[track_caller]
    pub fn data(&self) -> &Value {
        assert!(self.status.is_success(), "{} {}", self.status, self.json);
        &self.json["data"]
    }

    /// The header as text; empty when absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }
}

impl Demo {
    /// Starts a demo on a new or used folder and waits until it answers.
    pub async fn start(data: &Path, envs: &[(&'static str, &'static str)]) -> Self {
        let mut envs = envs.to_vec();
        if std::env::var_os(ON_POSTGRES).is_some() {
            envs.extend(crate::postgres::envs().await.1);
        }
        let mut demo = Self {
            child: None,
            command: "demo",
            data: data.to_owned(),
            port: free_port(),
            envs,
            launcher: Vec::new(),
            ready_file: Value::Null,
            http: Client::builder(TokioExecutor::new()).build_http(),
        };
        demo.restart().await;
        demo
    }

    /// Starts another node with the same settings and `envs`, and waits until it answers.
    pub async fn join(&self, data: &Path, envs: &[(&'static str, &'static str)]) -> Self {
        let mut node = Self {
            child: None,
            command: "serve",
            data: data.to_owned(),
            port: free_port(),
            envs: self.envs.clone(),
            launcher: Vec::new(),
            ready_file: self.ready_file.clone(),
            http: self.http.clone(),
        };
        // Settings that `refundry demo` makes by itself and `serve` does not.
        node.envs.extend([
            ("REFUNDRY_SIMULATOR__ENABLED", "true"),
            ("REFUNDRY_WEBHOOKS__ALLOW_PRIVATE", r#"["127.0.0.1"]"#),
        ]);
        node.envs.extend(envs);
        node.restart().await;
        node
    }

    /// Starts the process again on the same folder and port.
    pub async fn restart(&mut self) {
        let ready = self.data.join("ready.json");
        let _ = std::fs::remove_file(&ready);
        let mut program = self.launcher.iter().map(String::as_str).chain([REFUNDRY]);
        let child = Command::new(program.next().expect("a program"))
            .args(program)
            .args([self.command, "--listen", &format!("127.0.0.1:{}", self.port), "--log", "warn"])
            .arg("--data")
            .arg(&self.data)
            .arg("--ready-file")
            .arg(&ready)
            .envs(self.envs.iter().copied())
            .stdout(Stdio::null())
            .spawn()
            .expect("the server starts");
        self.child = Some(child);
        let content: Value = eventually("the ready file", LIMIT, async || {
            let text = std::fs::read_to_string(&ready).ok()?;
            serde_json::from_str(&text).ok()
        })
        .await;
        if self.command == "demo" {
            self.ready_file = content;
        }
    }

    /// Kills the process with `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts the stopped process again with more settings.
    pub async fn restart_with(&mut self, envs: &[(&'static str, &'static str)]) {
        self.envs.extend(envs);
        self.restart().await;
    }

    /// The exit code of the server, once it has ended by itself.
    pub async fn exit_code(&mut self) -> Option<i32> {
        let mut child = self.child.take().expect("a running server");
        let ended = async || child.try_wait().expect("wait");
        eventually("the server to end", LIMIT, ended).await.code()
    }

    /// Blocks every change of payments until the returned value is dropped.
    pub fn hold_payments(&self) -> Box<dyn Any> {
        let name = "REFUNDRY_DATABASE_URL";
        if let Some((_, url)) = self.envs.iter().find(|(env, _)| *env == name) {
            let session = BlockingSession::connect(url);
            session.run("BEGIN; LOCK TABLE payments IN EXCLUSIVE MODE");
            return Box::new(session);
        }
        let database = Connection::open(self.data.join("refundry.db")).expect("a file");
        database.execute_batch("BEGIN IMMEDIATE").expect("the lock");
        Box::new(database)
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("a running server").id()
    }

    /// Sends SIGTERM and waits for the end of the process. True when its exit code is 0.
    pub async fn stop(&mut self) -> bool {
        let Some(mut child) = self.child.take() else { return false };
        let pid = child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs");
        assert!(sent.success());
        let status =
            eventually("the server to stop", LIMIT, async || child.try_wait().expect("wait")).await;
        status.success()
    }

    /// The Bearer token of the test key.
    pub fn bearer(&self) -> &str {
        self.ready_file["test"]["bearer"].as_str().expect("a bearer")
    }

    /// Sends a request. `None` when the connection failed.
    pub async fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Option<Reply> {
        let mut request =
            Request::builder().method(method).uri(format!("http://127.0.0.1:{}{path}", self.port));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let sent = Bytes::from(body);
        let request = request.body(Full::new(sent.clone())).expect("a request");
        let response = tokio::time::timeout(LIMIT, self.http.request(request)).await.ok()?.ok()?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        let exchange = Exchange {
            method,
            target: path,
            sent: &sent,
            status: parts.status.as_u16(),
            headers: &parts.headers,
            received: &body,
        };
        CONTRACTS.iter().for_each(|contract| contract.check(&exchange));
        let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let text = String::from_utf8_lossy(&body).into_owned();
        Some(Reply { status: parts.status, headers: parts.headers, json, text })
    }

    /// Sends a GET with the test key.
    pub async fn get(&self, path: &str) -> Reply {
        let auth = format!("Bearer {}", self.bearer());
        self.try_send("GET", path, &[("authorization", &auth)], Vec::new())
            .await
            .expect("an answer")
    }

    /// Sends a POST with the test key. `None` when the connection failed.
    pub async fn try_post(&self, path: &str, key: Option<&str>, body: &Value) -> Option<Reply> {
        let auth = format!("Bearer {}", self.bearer());
        let mut headers =
            vec![("authorization", auth.as_str()), ("content-type", "application/json")];
        headers.extend(key.map(|key| ("idempotency-key", key)));
        self.try_send("POST", path, &headers, body.to_string().into_bytes()).await
    }

    /// Sends a POST with the test key.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.try_post(path, None, body).await.expect("an answer")
    }

    /// Registers a payment of `amount` USD cents and returns its id.
    pub async fn pay(&self, charge: &str, amount: i64) -> String {
        let body = serde_json::json!({
            "amount": amount, "currency": "USD", "provider": "simulator",
            "providerPaymentId": charge, "capturedAt": "2026-01-02T03:04:05Z",
        });
        let reply = self.post("/api/v1/payments", &body).await;
        reply.data()["id"].as_str().expect("an id").to_owned()
    }

    /// Reads all pages of a list.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let separator = if path.contains('?') { '&' } else { '?' };
            let mut page = format!("{path}{separator}limit=100");
            if let Some(cursor) = &cursor {
                page.push_str("&cursor=");
                page.push_str(cursor);
            }
            let reply = self.get(&page).await;
            items.extend(reply.data().as_array().expect("a list").iter().cloned());
            cursor = reply.json["meta"]["cursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                return items;
            }
        }
    }

    /// Waits until no refund is pending.
    pub async fn wait_until_decided(&self, limit: Duration) {
        eventually("every refund to be decided", limit, async || {
            self.list("/api/v1/refunds?status=pending").await.is_empty().then_some(())
        })
        .await;
    }

    /// Runs a command of the binary on this folder. Returns exit code and output.
    pub fn run(&self, args: &[&str]) -> (i32, String) {
        run_with(args, &self.data, &self.envs)
    }

    /// Runs a command of the binary on this folder with more settings. Returns exit code and output.
    pub fn run_with(&self, args: &[&str], envs: &[(&'static str, &'static str)]) -> (i32, String) {
        run_with(args, &self.data, &[&self.envs, envs].concat())
    }
}

/// Runs a command of the binary on a folder. Returns exit code and output.
pub fn run(args: &[&str], data: &Path) -> (i32, String) {
    run_with(args, data, &[])
}

fn run_with(args: &[&str], data: &Path, envs: &[(&str, &str)]) -> (i32, String) {
    let output = Command::new(REFUNDRY)
        .args(args)
        .envs(envs.iter().copied())
        .arg("--data")
        .arg(data)
        .output()
        .expect("the command runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap_or(-1), text)
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.kill();
    }
}
