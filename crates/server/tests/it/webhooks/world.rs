//! An engine that sends webhooks, a receiver and independent verifiers.

use super::receiver::{Received, Receiver};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::decide::webhook::EndpointChanges;
use domain::ids::AccountId;
use domain::time::Clock as _;
use domain::webhook::{Attempt, Endpoint, Format, Status};
use engine::outbound::{Network, Outbound, Policy, Resolver, SystemResolver};
use engine::webhooks::{DeliveryView, EndpointDraft, Webhooks};
use engine::{DeliveryFilter, Engine, PageQuery, SortOrder};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::ExposeSecret as _;
use sha2::Sha256;
use std::sync::Arc;
use std::time::Duration;
use testkit::EngineRig;

/// Longest wait for a receiver in these tests.
pub const TIMEOUT: Duration = Duration::from_millis(700);
/// Length of a lease.
pub const LEASE_MS: i64 = 30_000;
const MANY: u32 = 1_000;

/// A rig whose engine sends webhooks, and a receiver.
pub struct World {
    pub rig: EngineRig,
    pub receiver: Receiver,
    pub account: AccountId,
}

/// An endpoint and its secret.
pub struct Made {
    pub endpoint: Endpoint,
    pub secret: String,
}

pub fn webhooks(resolver: &Arc<dyn Resolver>) -> Webhooks {
    let test = Policy { https_only: false, allowed: Network::LOOPBACK.to_vec() };
    let sender = |policy| Outbound::new(policy, resolver.clone(), TIMEOUT).expect("TLS");
    let live = Policy { https_only: true, allowed: Vec::new() };
    Webhooks {
        formats: api::webhook_formats(),
        policies: (test.clone(), live.clone()),
        senders: Some((sender(test), sender(live))),
        lease_ms: LEASE_MS,
        ..Webhooks::default()
    }
}

pub fn system() -> Arc<dyn Resolver> {
    Arc::new(SystemResolver::new().expect("threads"))
}

impl World {
    pub async fn open() -> Self {
        Self::with(webhooks(&system())).await
    }

    pub async fn with(webhooks: Webhooks) -> Self {
        let mut rig = EngineRig::open().await;
        rig.engine = Engine::start_with(rig.parts(rig.simulator.clone()), webhooks);
        let account = rig.engine.list_accounts().await.expect("accounts")[0].id;
        Self { rig, receiver: Receiver::start().await, account }
    }

    /// Replaces the engine with a new one on the same database, like a restart of the process.
    pub fn restart(&mut self) {
        let parts = self.rig.parts(self.rig.simulator.clone());
        self.rig.engine = Engine::start_with(parts, webhooks(&system()));
    }

    pub fn engine(&self) -> &Engine {
        &self.rig.engine
    }

    pub async fn endpoint(&self, path: &str, events: &str, format: Format) -> Made {
        self.endpoint_at(&self.receiver.url(path), events, format).await
    }

    pub async fn endpoint_at(&self, url: &str, events: &str, format: Format) -> Made {
        let draft = EndpointDraft {
            url: url.into(),
            events: events.into(),
            format,
            description: None,
            active: true,
        };
        let made =
            self.engine().create_endpoint(self.rig.tenant, draft).await.expect("an endpoint");
        Made { endpoint: made.endpoint, secret: made.secret.expose_secret().to_owned() }
    }

    /// Reads an endpoint again.
    pub async fn reload(&self, made: &Made) -> Endpoint {
        let found = self.engine().find_endpoint(self.rig.tenant, made.endpoint.id).await;
        found.expect("a read").expect("an endpoint")
    }

    pub async fn set_active(&self, made: &Made, active: bool) -> Endpoint {
        let changes = EndpointChanges { active: Some(active), ..EndpointChanges::default() };
        let id = made.endpoint.id;
        self.engine().change_endpoint(self.rig.tenant, id, changes).await.expect("a change")
    }

    /// Sends due webhooks until none is due. Returns the number of attempts.
    pub async fn send(&self) -> usize {
        let mut sent = 0;
        loop {
            let now = self.engine().step_deliver(MANY).await.expect("a step");
            if now == 0 {
                return sent;
            }
            sent += now;
        }
    }

    pub fn advance(&self, ms: i64) {
        self.rig.clock.advance(ms);
    }

    pub fn now(&self) -> domain::time::Timestamp {
        self.rig.clock.now()
    }

    /// Creates a refund and runs it to success, which makes two deliveries.
    pub async fn refund(&self) -> domain::refund::Refund {
        let payment = self.rig.pay(10_000, "USD").await;
        let refund = self.rig.refund(&payment).amount(100).create().await;
        self.rig.run_now().await;
        refund
    }

    pub async fn deliveries(&self) -> Vec<DeliveryView> {
        let page = PageQuery {
            limit: 100,
            after: None,
            order: SortOrder::Ascending,
            from: None,
            until: None,
        };
        let filter = DeliveryFilter::default();
        let (tenant, account) = (self.rig.tenant, self.account);
        self.engine().list_deliveries(tenant, account, filter, page).await.expect("a list").items
    }

    pub async fn statuses(&self) -> Vec<Status> {
        self.deliveries().await.iter().map(|view| view.delivery.status).collect()
    }

    /// The only delivery, and its log.
    pub async fn only_delivery(&self) -> (DeliveryView, Vec<Attempt>) {
        let all = self.deliveries().await;
        assert_eq!(all.len(), 1, "{all:?}");
        let (tenant, account, id) = (self.rig.tenant, self.account, all[0].delivery.id);
        self.engine().find_delivery(tenant, account, id).await.expect("a read").expect("a delivery")
    }
}

/// Verifies a Standard Webhook as its receivers do. Returns the index of the matching signature.
pub fn verify_standard(one: &Received, secret: &str, now_s: i64) -> Option<usize> {
    let at: i64 = one.header("webhook-timestamp").parse().expect("a time");
    assert!((now_s - at).abs() <= 300, "signed at {at}");
    let key = STANDARD.decode(secret.strip_prefix("whsec_").expect("a prefix")).expect("base64");
    let text = format!("{}.{at}.{}", one.header("webhook-id"), one.text());
    let expected = format!("v1,{}", STANDARD.encode(mac(&key, &text)));
    one.header("webhook-signature").split(' ').position(|signature| signature == expected)
}

/// Verifies a Plugipay webhook as Plugipay's SDKs do.
pub fn verify_plugipay(one: &Received, secret: &str, now_s: i64) -> Option<usize> {
    let header = one.header("x-plugipay-signature");
    let part = |name: &str| {
        let pairs = header.split(',').filter_map(|pair| pair.split_once('='));
        let name = name.to_owned();
        pairs.filter(move |(key, _)| *key == name).map(|(_, value)| value).collect::<Vec<_>>()
    };
    let at: i64 = part("t")[0].parse().expect("a time");
    assert!((now_s - at).abs() <= 300, "signed at {at}");
    let bytes = mac(secret.as_bytes(), &format!("{at}.{}", one.text()));
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).expect("a nibble");
    let expected: String = bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]).collect();
    part("v1").iter().position(|signature| *signature == expected)
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}
