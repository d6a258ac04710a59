//! `refundry providers` and `refundry sending` beside a running server.

use crate::harness::{Demo, REFUNDRY, Reply};
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::{Command, Stdio};

const SIMULATED: (&str, &str) = ("REFUNDRY_SIMULATOR__ENABLED", "true");

async fn demo() -> (tempfile::TempDir, Demo) {
    let folder = tempfile::tempdir().unwrap();
    let demo = Demo::start(folder.path(), &[SIMULATED]).await;
    (folder, demo)
}

/// Runs a command that must work.
fn run(demo: &Demo, words: &str) -> String {
    let (code, text) = demo.run(&words.split(' ').collect::<Vec<_>>());
    assert_eq!(code, 0, "{words}: {text}");
    text
}

/// Runs a command that must be refused.
fn refused(demo: &Demo, words: &str) -> String {
    let (code, text) = demo.run(&words.split(' ').collect::<Vec<_>>());
    assert_eq!(code, 2, "{words}: {text}");
    text
}

async fn send(demo: &Demo, mode: &str, method: &str, path: &str, body: &Value) -> Reply {
    let bearer = demo.ready_file[mode]["bearer"].as_str().unwrap();
    let auth = format!("Bearer {bearer}");
    let headers = [("authorization", auth.as_str()), ("content-type", "application/json")];
    let body = if method == "GET" { Vec::new() } else { body.to_string().into_bytes() };
    demo.try_send(method, path, &headers, body).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn provider_accounts_are_managed_beside_a_running_server() {
    let (_folder, demo) = demo().await;
    assert_eq!(run(&demo, "providers list"), "");
    let text = run(&demo, "providers add simulator --mode test --name Ours");
    let id = text.lines().next().unwrap().split_whitespace().last().unwrap().to_owned();
    let path = format!("/api/v1/provider-accounts/{id}");
    let seen = demo.get(&path).await.data().clone();
    assert_eq!((&seen["provider"], &seen["name"]), (&json!("simulator"), &json!("Ours")));
    assert_eq!((&seen["state"], &seen["secrets"]), (&json!("active"), &json!({})));

    run(&demo, &format!("providers pause {id} --reason checking"));
    let seen = demo.get(&path).await.data().clone();
    assert_eq!((&seen["state"], &seen["pausedReason"]), (&json!("paused"), &json!("checking")));
    let listed = run(&demo, "providers list");
    assert!(listed.contains(&id) && listed.contains("paused"), "{listed}");
    send(&demo, "test", "POST", &format!("{path}/resume"), &json!({})).await.data();
    assert!(run(&demo, &format!("providers show {id}")).contains("state     active"));
    let why = refused(&demo, &format!("providers rotate {id}"));
    assert!(why.contains("has no secrets to rotate"), "{why}");
    run(&demo, &format!("providers remove {id}"));
    assert_eq!(run(&demo, "providers list"), "");
    assert!(demo.get(&path).await.data()["deletedAt"].is_string());

    let why = refused(&demo, "providers add simulatr --mode test --name Ours");
    assert!(why.contains("did you mean simulator?"), "{why}");
    let events = demo.list("/api/v1/events?order=asc").await;
    let told = events.iter().filter(|event| event["data"]["aggregateId"] == *id);
    let told: Vec<_> = told.map(|event| event["type"].as_str().unwrap()).collect();
    let expected = ["created", "paused", "resumed", "deleted"];
    assert_eq!(told, expected.map(|act| format!("provider_account.{act}")));
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_come_in_over_standard_input_and_are_not_printed() {
    let (_folder, demo) = demo().await;
    let mut child = Command::new(REFUNDRY)
        .args(["--log", "trace", "providers", "add", "simulator", "--mode", "test"])
        .args(["--name", "Ours", "--secrets", "-", "--data"])
        .arg(&demo.data)
        .env(SIMULATED.0, SIMULATED.1)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"api_key=s3cret-api-key\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("simulator does not have every secret that was given"), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
    let why = refused(&demo, "providers add simulator --mode test --name Ours --secret api_key=1");
    assert!(why.contains("unexpected argument"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sending_is_stopped_and_started_by_command_and_seen_by_the_server() {
    let (_folder, demo) = demo().await;
    let stopped = async |mode| {
        let reply = send(&demo, mode, "GET", "/api/v1/sending", &Value::Null).await;
        reply.data()["stopped"].as_bool().unwrap()
    };
    assert!(!stopped("test").await && !stopped("live").await);
    let text = run(&demo, "sending stop --mode live --reason outage");
    assert!(text.contains("live  stopped for everyone"), "{text}");
    assert!(!stopped("test").await && stopped("live").await);
    let text = run(&demo, "sending stop");
    assert!(text.contains("test  stopped for everyone\n"), "{text}");
    assert!(text.contains("live  stopped for everyone already"), "{text}");
    assert!(stopped("test").await && stopped("live").await);
    let status = run(&demo, "sending status");
    assert!(status.contains("live  stopped  for everyone: outage"), "{status}");

    run(&demo, "sending start");
    assert!(!stopped("test").await && !stopped("live").await);
    let account = demo.ready_file["accountId"].as_str().unwrap();
    let text = run(&demo, &format!("sending stop --mode test --account {account}"));
    assert!(text.contains(&format!("test  stopped for {account}")), "{text}");
    assert!(stopped("test").await && !stopped("live").await);
    let status = run(&demo, "sending status");
    assert!(status.contains(&format!("test  stopped  for {account}")), "{status}");
    assert!(status.contains("test  started  for everyone"), "{status}");
    let started = send(&demo, "test", "POST", "/api/v1/sending/start", &json!({})).await;
    assert_eq!(started.data()["stopped"], false);

    let events = demo.list("/api/v1/events?order=asc").await;
    let told = events.iter().filter(|event| event["data"]["aggregateType"] == "sending");
    let told: Vec<_> = told
        .map(|event| {
            (event["type"].as_str().unwrap(), event["data"]["object"]["reach"].as_str().unwrap())
        })
        .collect();
    let expected = [
        ("sending.stopped", "everyone"),
        ("sending.started", "everyone"),
        ("sending.stopped", "account"),
        ("sending.started", "account"),
    ];
    assert_eq!(told, expected);
    let why = refused(&demo, "sending stop --account acc_01KREAEM40E8TXW4VNC0XM1R2P");
    assert!(why.contains("there is no account"), "{why}");
}
