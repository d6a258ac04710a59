//! Provider accounts over the native door. Secrets go in and are found nowhere again.

use crate::world::{Ask, Key, Reply, World};
use domain::tenant::Mode;
use http::Method;
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

const ALL: &str = "/api/v1/provider-accounts";

/// Every secret of these tests holds one of these.
const MARKS: [&str; 2] = ["s3cret", "S3CRET"];

fn secrets(number: u32) -> Value {
    json!({"api_key": format!("s3cret-api-key-{number}"), "webhook_secret": "S3CRET-h00k"})
}

fn account() -> Value {
    json!({"provider": "test_psp", "name": "Our shop", "config": {"merchant_account": "ShopECOM"},
        "secrets": secrets(1)})
}

/// The account with a field in place of another value, or without it.
fn with(field: &str, value: Value) -> Value {
    let mut body = account();
    body[field] = value;
    body
}

struct Shop {
    world: World,
    key: Key,
}

impl Shop {
    async fn open() -> Self {
        let world = World::new().await;
        let key = world.key(Some(Mode::Test), "*").await;
        Self { world, key }
    }

    /// Sends a request and checks that no secret comes back.
    async fn send(&self, method: Method, target: &str, body: Option<&Value>) -> Reply {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut ask = Ask::post(target, body).bearer(&self.key);
        ask.method = method;
        let reply = self.world.send(ask).await;
        assert_shows_no_secret(target, reply.body.to_string().as_bytes());
        reply
    }

    async fn post(&self, target: &str, body: &Value) -> Reply {
        self.send(Method::POST, target, Some(body)).await
    }

    async fn get(&self, target: &str) -> Value {
        self.send(Method::GET, target, None).await.data(200).clone()
    }

    async fn make(&self) -> Value {
        self.post(ALL, &account()).await.data(201).clone()
    }
}

fn assert_shows_no_secret(place: &str, bytes: &[u8]) {
    for mark in MARKS {
        let shown = bytes.windows(mark.len()).any(|window| window == mark.as_bytes());
        assert!(!shown, "{place} shows a secret: {}", String::from_utf8_lossy(bytes));
    }
}

fn path(account: &Value) -> String {
    format!("{ALL}/{}", account["id"].as_str().expect("an id"))
}

/// The log of this thread, from the lowest level on.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().expect("the log")
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.text().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn spoil_secrets(world: &World) {
    let file = world.folder().path().join("refundry.db");
    let database = rusqlite::Connection::open(file).expect("it opens");
    let changed = database.execute("UPDATE provider_accounts SET secrets_sealed = x'00'", []);
    assert_eq!(changed.expect("a write"), 1);
}

fn assert_no_file_shows_a_secret(folder: &Path) {
    let mut files = 0;
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let file = entry.expect("an entry").path();
        assert_shows_no_secret(&file.display().to_string(), &std::fs::read(&file).expect("a file"));
        files += 1;
    }
    assert!(files >= 2, "the database and its log");
}

#[tokio::test]
async fn an_account_lives_without_its_secrets_being_seen_anywhere() {
    let log = Log::default();
    let writer = log.clone();
    let logger = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(logger);
    let shop = Shop::open().await;
    let made = shop.make().await;
    let path = path(&made);
    assert!(path.starts_with("/api/v1/provider-accounts/pa_"), "{path}");
    let hints = json!({"api_key": {"set": true, "last4": "ey-1"},
        "webhook_secret": {"set": true, "last4": null}});
    assert_eq!(made["secrets"]["api_key"], hints["api_key"]);
    assert_eq!(made["config"], json!({"merchant_account": "ShopECOM"}));
    assert_eq!((&made["state"], &made["version"]), (&json!("active"), &json!(1)));
    assert_eq!(shop.get(&path).await, made);

    shop.world.clock.advance(1_000);
    let wish = json!({"name": "Other", "config": {"merchant_account": "OtherECOM"}});
    let changed = shop.send(Method::PATCH, &path, Some(&wish)).await.data(200).clone();
    assert_eq!((&changed["name"], &changed["version"]), (&json!("Other"), &json!(2)));
    assert_eq!(changed["secrets"], made["secrets"]);
    assert!(changed["updatedAt"].as_str() > changed["createdAt"].as_str());
    let paused = shop.post(&format!("{path}/pause"), &json!({"reason": "we look at it"})).await;
    let paused = paused.data(200).clone();
    assert_eq!(
        (&paused["state"], &paused["pausedReason"]),
        (&json!("paused"), &json!("we look at it"))
    );
    let resumed = shop.send(Method::POST, &format!("{path}/resume"), None).await;
    assert_eq!(
        (&resumed.data(200)["state"], &resumed.data(200)["pausedReason"]),
        (&json!("active"), &Value::Null)
    );
    // Secrets that do not open are logged, and new ones are the way out.
    spoil_secrets(&shop.world);
    assert_eq!(shop.get(&path).await["secrets"], Value::Null);
    let rotated = shop.post(&format!("{path}/rotate"), &json!({"secrets": secrets(2)})).await;
    let rotated = rotated.data(200).clone();
    assert_eq!(
        (&rotated["version"], &rotated["secrets"]["api_key"]["last4"]),
        (&json!(3), &json!("ey-2"))
    );

    for _ in 0..2 {
        let gone = shop.send(Method::DELETE, &path, None).await;
        assert_eq!((gone.status.as_u16(), &gone.body), (204, &Value::Null));
    }
    let deleted = shop.get(&path).await;
    assert_eq!((deleted["deletedAt"].is_string(), &deleted["secrets"]), (true, &json!({})));
    assert_eq!(shop.get(ALL).await, json!([]));
    for act in ["pause", "resume", "rotate"] {
        let reply = shop.post(&format!("{path}/{act}"), &json!({"secrets": secrets(3)})).await;
        assert_eq!(reply.problem(), "409 state_conflict", "{act}");
    }
    let events = shop.get("/api/v1/events?order=asc").await;
    let told: Vec<_> =
        events.as_array().expect("a list").iter().map(|e| e["type"].as_str()).collect();
    let expected = ["created", "paused", "resumed", "rotated", "deleted"];
    let expected: Vec<_> = expected.map(|act| format!("provider_account.{act}")).into();
    assert_eq!(told, expected.iter().map(|act| Some(&**act)).collect::<Vec<_>>());
    let first = &events[0]["data"];
    assert_eq!(
        (&first["aggregateType"], &first["aggregateId"]),
        (&json!("provider_account"), &made["id"])
    );
    assert_eq!(first["object"]["name"], "Our shop");
    assert!(events.to_string().find("ShopECOM").is_none(), "events tell no settings");

    let log = log.text();
    let text = String::from_utf8_lossy(&log);
    assert!(text.contains("the secrets of a provider account cannot be opened"), "{text}");
    assert_shows_no_secret("the log", &log);
    assert_no_file_shows_a_secret(shop.world.folder().path());
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let shop = Shop::open().await;
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(shop.make().await["id"].clone());
    }
    let id = made[1].as_str().expect("an id");
    shop.post(&format!("{ALL}/{id}/pause"), &json!({})).await.data(200);
    let listed = async |query: &str| {
        let items = shop.get(&format!("{ALL}{query}")).await;
        items.as_array().expect("a list").iter().map(|item| item["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(listed("").await, [made[2].clone(), made[1].clone(), made[0].clone()]);
    assert_eq!(listed("?state=paused").await, made[1..2]);
    assert_eq!(
        listed("?provider=test_psp&state=active&order=asc").await,
        [made[0].clone(), made[2].clone()]
    );
    assert!(listed("?provider=other").await.is_empty());
    let reply = shop.send(Method::GET, &format!("{ALL}?state=gone"), None).await;
    assert_eq!(reply.problem(), "400 validation_error state");
    let first = shop.send(Method::GET, &format!("{ALL}?limit=2"), None).await;
    let cursor = first.body["meta"]["cursor"].as_str().expect("a cursor").to_owned();
    assert_eq!(listed(&format!("?limit=2&cursor={cursor}")).await, made[..1]);
}

#[tokio::test]
async fn requests_that_cannot_be_accepted_name_the_field_and_make_nothing() {
    let shop = Shop::open().await;
    let long = "n".repeat(81);
    for (body, field, message) in [
        (with("provider", Value::Null), "provider", "provider is missing"),
        (with("provider", json!("tset_psp")), "provider", "did you mean test_psp?"),
        (with("provider", json!("simulator")), "provider", "provider is one of test_psp"),
        (with("name", Value::Null), "name", "name is missing"),
        (with("name", json!(long)), "name", "longer than 80"),
        (with("config", json!("ShopECOM")), "config", "object of strings"),
        (with("config", json!({})), "config", "merchant_account is missing"),
        (with("config", Value::Null), "config", "merchant_account is missing"),
        (
            with("config", json!({"merchant_acount": "x"})),
            "config",
            "did you mean merchant_account?",
        ),
        (with("config", json!({"api_key": "s3cret-1"})), "config", "give it among the secrets"),
        (with("config", json!({"merchant_account": 5})), "config", "must be a string"),
        (
            with("config", json!({"merchant_account": "x".repeat(1_001)})),
            "config",
            "longer than 1000",
        ),
        (with("secrets", Value::Null), "secrets", "these are missing: api_key"),
        (with("secrets", json!({"api_key": "s3cret-1"})), "secrets", "webhook_secret is missing"),
        (with("secrets", json!(["s3cret-1"])), "secrets", "object of strings"),
        (with("secrets", json!({"s3cret-1": "api_key"})), "secrets", "it has api_key"),
        (with("secrets", json!({"api_key": {"s3cret-1": 1}})), "secrets", "must be a string"),
        (with("secrets", json!({"api_key": " s3cret-1"})), "secrets", "white space"),
        (
            with("secrets", json!({"api_key": "s3cret".repeat(1_400)})),
            "secrets",
            "longer than 8000",
        ),
        (with("secrets", json!({"api_key": ""})), "secrets", "api_key is empty"),
    ] {
        let reply = shop.post(ALL, &body).await;
        assert_eq!(reply.problem(), format!("400 validation_error {field}"), "{body}");
        let text = reply.body["error"]["message"].as_str().expect("a message");
        assert!(text.contains(message), "{text} does not say {message:?}");
    }
    assert_eq!(shop.get(ALL).await, json!([]));
    let path = path(&shop.make().await);
    for (act, body, field) in [
        ("rotate", json!({}), "secrets"),
        ("rotate", json!({"secrets": {"api_key": "s3cret-1"}}), "secrets"),
        ("pause", json!({"reason": "r".repeat(501)}), "reason"),
        ("pause", json!({"reason": ""}), "reason"),
    ] {
        let reply = shop.post(&format!("{path}/{act}"), &body).await;
        assert_eq!(reply.problem(), format!("400 validation_error {field}"), "{body}");
    }
    let reply = shop.send(Method::PATCH, &path, Some(&json!({"config": {"colour": "red"}}))).await;
    assert_eq!(reply.problem(), "400 validation_error config");
    assert_eq!(shop.get(&path).await["version"], 1);
    for id in ["pa_01KREAEM40E8TXW4VNC0XM1R2P", "acc_01KREAEM40E8TXW4VNC0XM1R2P", "x"] {
        let reply = shop.send(Method::GET, &format!("{ALL}/{id}"), None).await;
        assert_eq!(reply.problem(), "404 not_found", "{id}");
    }
}

#[tokio::test]
async fn a_repeated_request_makes_and_rotates_once() {
    let shop = Shop::open().await;
    let send = async |target: &str, key: &str, body: &Value| {
        let ask = Ask::post(target, body.to_string()).bearer(&shop.key);
        shop.world.send(ask.header("Idempotency-Key", key)).await
    };
    let made = send(ALL, "k1", &account()).await;
    let again = send(ALL, "k1", &account()).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!((made.data(201), again.status.as_u16()), (&again.body["data"], 201));
    let other = send(ALL, "k1", &with("secrets", secrets(9))).await;
    assert_eq!(other.problem(), "409 conflict", "other secrets are another request");
    assert_eq!(shop.get(ALL).await.as_array().expect("a list").len(), 1);
    let rotate = format!("{}/rotate", path(made.data(201)));
    for _ in 0..2 {
        let reply = send(&rotate, "k2", &json!({"secrets": secrets(2)})).await;
        assert_eq!((reply.status.as_u16(), &reply.body["data"]["version"]), (200, &json!(2)));
    }
    assert_no_file_shows_a_secret(shop.world.folder().path());
}
