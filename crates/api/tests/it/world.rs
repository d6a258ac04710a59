//! A running engine behind the router, and callers to send requests as.

use api::ApiConfig;
use axum::body::Body;
use domain::ids::AccountId;
use domain::tenant::Mode;
use domain::time::{Clock, Timestamp};
use engine::access::{ErrorProfile, KeyForm};
use engine::{Engine, EngineConfig, KeyRequest, MasterKey, Parts, Registry, SqliteStore};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use providers::Inbound;
use secrecy::ExposeSecret;
use serde_json::Value;
use sha2::{Digest, Sha256};
use simulator::{Simulator, SimulatorConfig};
use std::fmt::Write;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use tempfile::TempDir;
use testkit::{Contract, Exchange, TEST_PSP, TellingProvider, http};

/// Every answer is held against the document that has its path.
static CONTRACTS: LazyLock<Vec<Contract>> =
    LazyLock::new(|| api::openapi().map(|(_, text)| Contract::new(text)).collect());

/// A clock that stands still until it is moved.
pub struct TestClock(AtomicI64);

impl TestClock {
    pub fn advance(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// Everything that a test talks to.
pub struct World {
    router: TowerToHyperService<axum::Router>,
    pub engine: Engine,
    pub clock: Arc<TestClock>,
    /// Its webhooks say what a test says.
    pub teller: Arc<TellingProvider>,
    pub account: AccountId,
    folder: TempDir,
}

/// A key and its secrets.
#[derive(Clone)]
pub struct Key {
    pub id: String,
    pub secret: String,
    pub bearer: String,
}

/// An answer, taken apart.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Reply {
    /// `status code field`, as the tables of the tests write it.
    pub fn problem(&self) -> String {
        let error = &self.body["error"];
        let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        assert!(self.body["data"].is_null(), "an error has no data: {}", self.body);
        assert!(!text("message").is_empty(), "an error has a message: {}", self.body);
        // Not every door has the envelope; each answer is held against its door's document.
        if self.body.get("meta").is_some() {
            self.assert_enveloped();
        }
        format!("{} {} {}", self.status.as_u16(), text("code"), text("field")).trim().to_owned()
    }

    /// The data of an answer with this status.
    pub fn data(&self, status: u16) -> &Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        assert!(self.body["error"].is_null(), "{}", self.body);
        self.assert_enveloped();
        &self.body["data"]
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    fn assert_enveloped(&self) {
        let id = self.body["meta"]["requestId"].as_str().expect("a request id");
        assert!(id.starts_with("req_"));
        assert_eq!(self.header("x-request-id"), Some(id));
        assert!(self.body["meta"]["timestamp"].as_str().is_some_and(|text| text.ends_with('Z')));
        assert_eq!(self.header("content-type"), Some("application/json"));
    }
}

/// A request as a test writes it.
#[derive(Clone)]
pub struct Ask {
    pub method: Method,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Ask {
    pub fn new(method: Method, target: &str) -> Self {
        Self { method, target: target.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    pub fn get(target: &str) -> Self {
        Self::new(Method::GET, target)
    }

    pub fn post(target: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref().to_vec();
        Self { body, ..Self::new(Method::POST, target) }.header("Content-Type", "application/json")
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn bearer(self, key: &Key) -> Self {
        let value = format!("Bearer {}", key.bearer);
        self.header("Authorization", &value)
    }

    /// Signs the request as it stands at `at_s`.
    pub fn signed(self, key: &Key, at_s: i64) -> Self {
        let signature = self.signature(&key.secret, at_s);
        let value =
            format!("Plugipay-HMAC-SHA256 keyId={}, scope=*, signature={signature}", key.id);
        self.header("Authorization", &value).header("X-Plugipay-Timestamp", &at_s.to_string())
    }

    pub fn signature(&self, secret: &str, at_s: i64) -> String {
        let digest = hex(&Sha256::digest(&self.body));
        let mut text = format!("{}\n{}\n{at_s}\n{digest}", self.method, self.target);
        if let Some((_, key)) = self.headers.iter().find(|(name, _)| name == "Idempotency-Key") {
            text.push('\n');
            text.push_str(key);
        }
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
        mac.update(text.as_bytes());
        hex(&mac.finalize().into_bytes())
    }
}

impl World {
    /// An account on an empty database, dispatching at once.
    pub async fn new() -> Self {
        Self::with(EngineConfig::default()).await
    }

    /// The same with an engine that runs otherwise.
    pub async fn with(config: EngineConfig) -> Self {
        Self::with_both(config, ApiConfig::default()).await
    }

    /// The same with doors that run otherwise.
    pub async fn with_doors(config: ApiConfig) -> Self {
        Self::with_both(EngineConfig::default(), config).await
    }

    async fn with_both(config: EngineConfig, doors: ApiConfig) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Arc::new(TestClock(AtomicI64::new(1_778_582_520_000)));
        let book = folder.path().join("simulator.db");
        let simulator = Simulator::open(&book, SimulatorConfig::default(), clock.clone(), [1; 32]);
        let simulator = simulator.expect("a simulator");
        let teller = TellingProvider::new();
        let registry = Registry::new().with(simulator.clone()).with(teller.clone());
        let engine = Engine::start(Parts {
            store: SqliteStore::open(&folder.path().join("refundry.db"))
                .expect("a database")
                .into(),
            registry: registry
                .with_payment_provider(simulator)
                .with_kind(TEST_PSP)
                .with_http(http()),
            master_key: MasterKey::from_bytes([2; 32]),
            clock: clock.clone(),
            seed: [3; 32],
            config,
        });
        let account = engine.create_account("Test").await.expect("an account").id;
        let router = TowerToHyperService::new(api::router(engine.clone(), doors));
        Self { router, engine, clock, teller, account, folder }
    }

    pub fn now_s(&self) -> i64 {
        self.clock.now().0 / 1000
    }

    /// A key of this world's account.
    pub async fn key(&self, mode: Option<Mode>, scopes: &str) -> Key {
        self.key_of(self.account, mode, scopes, ErrorProfile::Node).await
    }

    pub async fn key_of(
        &self,
        account: AccountId,
        mode: Option<Mode>,
        scopes: &str,
        error_profile: ErrorProfile,
    ) -> Key {
        let request = KeyRequest {
            account,
            mode,
            platform: mode.is_none(),
            form: KeyForm::default(),
            scopes: scopes.into(),
            error_profile,
            name: "k".into(),
        };
        let key = self.engine.create_key(request).await.expect("a key");
        Key {
            id: key.key_id,
            secret: key.secret.expose_secret().into(),
            bearer: key.bearer.expose_secret().into(),
        }
    }

    pub async fn send(&self, ask: Ask) -> Reply {
        let mut request = Request::builder().method(&ask.method).uri(&ask.target);
        for (name, value) in &ask.headers {
            request = request.header(name, value);
        }
        let request = request.body(Body::from(ask.body.clone())).expect("a request");
        let Ok(response) = self.router.call(request).await;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        let exchange = Exchange {
            method: ask.method.as_str(),
            target: &ask.target,
            sent: &ask.body,
            status: parts.status.as_u16(),
            headers: &parts.headers,
            received: &bytes,
        };
        CONTRACTS.iter().for_each(|contract| contract.check(&exchange));
        let body = if bytes.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&bytes)
                .unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into_owned().into())
        };
        Reply { status: parts.status, headers: parts.headers, body }
    }

    /// Registers a payment of 100.00 USD and gives its id.
    pub async fn payment(&self, key: &Key, charge: &str) -> String {
        let body = format!(
            r#"{{"amount":10000,"currency":"USD","provider":"simulator","providerPaymentId":"{charge}"}}"#
        );
        let reply = self.send(Ask::post("/api/v1/payments", body).bearer(key)).await;
        reply.data(201)["id"].as_str().expect("an id").to_owned()
    }

    /// Takes in a webhook of the provider whose webhooks say what a test says.
    pub async fn hear(&self, inbound: Inbound) {
        self.teller.says(inbound);
        let path = format!("/api/v1/inbound-webhooks/telling/{}/test", self.account);
        let reply = self.send(Ask::post(&path, "{}")).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
    }

    /// Every row of the books, to see that nothing changed.
    pub async fn books(&self, key: &Key) -> Value {
        let mut all = Vec::new();
        for list in ["payments", "refunds", "ledger", "ledger/balances", "events"] {
            let reply = self.send(Ask::get(&format!("/api/v1/{list}")).bearer(key)).await;
            all.push(reply.data(200).clone());
        }
        all.into()
    }

    /// The router, to be served on a socket.
    pub fn router(&self) -> TowerToHyperService<axum::Router> {
        self.router.clone()
    }

    pub const fn folder(&self) -> &TempDir {
        &self.folder
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
