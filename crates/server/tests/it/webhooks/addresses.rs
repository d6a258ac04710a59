//! Webhooks never reach addresses of the private network, neither at registration nor when a name
//! resolves to one later.

use super::world::{TIMEOUT, World, system, webhooks};
use async_trait::async_trait;
use domain::tenant::{Mode, Tenant};
use domain::webhook::Format;
use engine::outbound::{CallError, Network, Outbound, Policy, Resolver};
use engine::webhooks::EndpointDraft;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Spellings of addresses that must not be called.
const INSIDE: &[&str] = &[
    "http://127.0.0.1:PORT/",
    "http://127.1:PORT/",
    "http://2130706433:PORT/",
    "http://017700000001:PORT/",
    "http://0177.0.0.1:PORT/",
    "http://0x7f.1:PORT/",
    "http://0x7f000001:PORT/",
    "http://localhost:PORT/",
    "http://LOCALHOST.:PORT/",
    "http://[::1]:PORT/",
    "http://[::ffff:127.0.0.1]:PORT/",
    "http://[::ffff:7f00:1]:PORT/",
    "http://[::127.0.0.1]:PORT/",
    "http://[64:ff9b::127.0.0.1]:PORT/",
    "http://[2002:7f00:1::]:PORT/",
    "http://0.0.0.0:PORT/",
    "http://[::]:PORT/",
    "http://10.0.0.1/",
    "http://100.64.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://172.16.0.1/",
    "http://192.168.0.1/",
    "http://224.0.0.1/",
    "http://[fd00:ec2::254]/",
    "http://[fe80::1]/",
    "http://user@127.0.0.1:PORT/",
    "http://shop.example@127.0.0.1:PORT/",
    "http://127.0.0.1:PORT/#fragment",
    "ftp://127.0.0.1/",
    "file:///etc/passwd",
];

/// Answers each lookup with the next address of a list.
struct Rebinding {
    answers: Vec<IpAddr>,
    lookups: AtomicUsize,
}

#[async_trait]
impl Resolver for Rebinding {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        let at = self.lookups.fetch_add(1, Ordering::SeqCst);
        Ok(vec![self.answers[at.min(self.answers.len() - 1)]])
    }
}

fn resolver(answers: &[&str]) -> Arc<Rebinding> {
    let answers = answers.iter().map(|text| text.parse().expect("an address")).collect();
    Arc::new(Rebinding { answers, lookups: AtomicUsize::new(0) })
}

#[tokio::test]
async fn no_spelling_of_a_private_address_is_registered_or_called() {
    let world = World::open().await;
    let strict = Outbound::new(Policy::default(), system(), TIMEOUT).expect("TLS");
    let live = Tenant::new(world.rig.tenant.account(), Mode::Live);
    for url in INSIDE {
        let url = url.replace("PORT", &world.receiver.port.to_string());
        let called = strict.post(&url, &[], "{}".into()).await;
        assert!(matches!(called, Err(CallError::Refused(_))), "{url}: {called:?}");
        let draft = EndpointDraft {
            url: url.replacen("http://", "https://", 1).into(),
            events: "".into(),
            format: Format::Refundry,
            description: None,
            active: true,
        };
        let made = world.engine().create_endpoint(live, draft).await;
        assert!(matches!(made, Err(engine::Error::Invalid { field: "url", .. })), "{url}");
    }
    assert!(world.receiver.all().is_empty());
    assert!(world.engine().list_endpoints(live).await.expect("a list").is_empty());
}

#[tokio::test]
async fn live_mode_accepts_https_only() {
    let world = World::open().await;
    let live = Tenant::new(world.rig.tenant.account(), Mode::Live);
    for (url, taken) in [("http://shop.example/", false), ("https://shop.example/", true)] {
        let draft = EndpointDraft {
            url: url.into(),
            events: "".into(),
            format: Format::Refundry,
            description: None,
            active: true,
        };
        assert_eq!(world.engine().create_endpoint(live, draft).await.is_ok(), taken, "{url}");
    }
}

#[tokio::test]
async fn a_name_that_resolves_to_a_private_address_is_not_called() {
    for inside in ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1"] {
        let mut hooks = webhooks(&system());
        let strict = Outbound::new(Policy::default(), resolver(&[inside]), TIMEOUT).expect("TLS");
        hooks.senders = Some((strict.clone(), strict));
        let world = World::with(hooks).await;
        let url = format!("http://shop.example:{}/", world.receiver.port);
        world.endpoint_at(&url, "refund.created", Format::Refundry).await;
        world.refund().await;
        world.send().await;
        let error = world.only_delivery().await.0.delivery.last_error.expect("an error");
        assert_eq!(&*error, "the URL leads to an address that is not public", "{inside}");
        assert!(world.receiver.all().is_empty());
    }
}

#[tokio::test]
async fn the_connection_goes_to_the_address_that_was_checked() {
    // The name server answers with an allowed address first and a forbidden one after that.
    // `127.0.0.2` stands for the public internet: the policy allows this address alone.
    let rebinding = resolver(&["127.0.0.2", "127.0.0.1"]);
    let permitted = Network::parse("127.0.0.2").expect("a network");
    let policy = Policy { https_only: false, allowed: vec![permitted] };
    let outbound = Outbound::new(policy, rebinding.clone(), TIMEOUT).expect("TLS");
    let world = World::open().await;
    let listener = tokio::net::TcpListener::bind(("127.0.0.2", world.receiver.port)).await;
    let listener = listener.expect("another address with the same port");
    let url = format!("http://shop.example:{}/", world.receiver.port);
    let call = outbound.post(&url, &[], "{}".into());
    let (called, accepted) = tokio::join!(call, async {
        let accepted = listener.accept().await.expect("a connection");
        drop(accepted);
    });
    assert_eq!(accepted, ());
    assert!(
        matches!(called, Err(CallError::Failed(_))),
        "the receiver closed the connection: {called:?}"
    );
    let lookups = rebinding.lookups.load(Ordering::SeqCst);
    // The next call resolves the name again, gets the private address, and is refused.
    let again = outbound.post(&url, &[], "{}".into()).await;
    assert_eq!(lookups, 1, "a name is resolved once");
    assert!(matches!(again, Err(CallError::Refused(_))), "{again:?}");
    assert!(world.receiver.all().is_empty(), "the forbidden address was never called");
}
