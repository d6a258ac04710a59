//! Calls that never had a connection: it is certain that nothing was sent.

use super::gateway::{
    Gateway, LIMIT, SHORT, Step, http, not_connected, refund, reply, shortly, soon, system,
    within_limit,
};
use async_trait::async_trait;
use domain::outcome::{Failure, ProviderOutcome};
use providers::http::{Deadline, Exchange, Http, ProviderRequest, Resolver};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::ring::default_provider;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A resolver with one answer. `None`: it never answers.
struct Names(Option<Result<IpAddr, &'static str>>);

#[async_trait]
impl Resolver for Names {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        match self.0 {
            Some(Ok(address)) => Ok(vec![address]),
            Some(Err(text)) => Err(io::Error::other(text)),
            None => std::future::pending().await,
        }
    }
}

async fn call(http: &Http, url: &str, deadline: Deadline) -> Exchange {
    let call = http.send(ProviderRequest::post_form(url, &[("charge", "ch_1")]), deadline);
    within_limit("the call", call).await
}

async fn refused_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    listener.local_addr().expect("an address").port()
}

#[tokio::test]
async fn nobody_listens() {
    let url = format!("http://127.0.0.1:{}/", refused_port().await);
    let exchange = call(&http(), &url, soon()).await;
    assert_eq!(not_connected(exchange.clone()).code.as_ref(), "connection_refused");
    let said = exchange.clone().for_submit().expect_err("no answer");
    assert_eq!(said.outcome, ProviderOutcome::NeverSent);
    assert_eq!(said.failure, Some(not_connected(exchange.clone())));
    // A look-up that was not sent says nothing about the refund.
    let why: Failure = exchange.for_lookup().expect_err("no answer");
    assert_eq!(why.code.as_ref(), "connection_refused");
}

#[tokio::test]
async fn a_name_is_not_found() {
    let exchange = call(&http(), "https://refundry.invalid/", soon()).await;
    assert_eq!(not_connected(exchange).code.as_ref(), "dns_failed");
    let names = Http::new(Arc::new(Names(Some(Err("no such name"))))).expect("TLS");
    let why = not_connected(call(&names, "https://api.psp.example/", soon()).await);
    assert_eq!(why, Failure::new("dns_failed", "no such name"));
}

#[tokio::test]
async fn a_name_server_does_not_answer() {
    let names = Http::new(Arc::new(Names(None))).expect("TLS");
    let exchange = call(&names, "https://api.psp.example/", shortly()).await;
    assert_eq!(not_connected(exchange).code.as_ref(), "timeout");
}

#[tokio::test]
async fn plain_text_does_not_leave_this_machine() {
    let elsewhere = Names(Some(Ok(Ipv4Addr::new(192, 0, 2, 1).into())));
    let names = Http::new(Arc::new(elsewhere)).expect("TLS");
    let why = not_connected(call(&names, "http://localhost:9/", shortly()).await);
    assert_eq!(why, Failure::new("dns_failed", "localhost leads to another machine"));
}

#[tokio::test]
async fn nobody_accepts() {
    // The queue of this listener is full, so the system drops further attempts.
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let listener = socket.listen(1).expect("a listener");
    let address = listener.local_addr().expect("an address");
    let mut queued = Vec::new();
    let full = async {
        loop {
            let connecting = TcpStream::connect(address);
            match tokio::time::timeout(Duration::from_millis(200), connecting).await {
                Ok(stream) => queued.push(stream.expect("a place in the queue")),
                Err(_) => return,
            }
        }
    };
    within_limit("a full queue", full).await;
    let exchange = call(&http(), &format!("http://{address}/"), shortly()).await;
    assert_eq!(not_connected(exchange).code.as_ref(), "timeout");
}

#[tokio::test]
async fn tls_is_not_agreed_on() {
    // Not TLS at all, closed at once, and silence.
    let plain = Gateway::start(vec![vec![Step::Answer(b"HTTP/1.1 400 Bad\r\n\r\n".to_vec())]]);
    let plain = plain.await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let silent = listener.local_addr().expect("an address").port();
    let accepting = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut hello = Vec::new();
        let _ = stream.read_to_end(&mut hello).await;
        hello
    });
    let closing = Gateway::start(vec![vec![Step::Close]]).await;
    let http = http();
    for (port, limit, code) in [
        (closing.port, LIMIT, "tls_failed"),
        (silent, SHORT, "timeout"),
        (plain.port, SHORT, "timeout"),
    ] {
        let deadline = Deadline::within(limit);
        let exchange = call(&http, &format!("https://127.0.0.1:{port}/"), deadline).await;
        assert_eq!(not_connected(exchange).code.as_ref(), code);
    }
    assert!(plain.requests().is_empty());
    // The handshake was begun, and cut with the deadline.
    let hello = within_limit("the cut", accepting).await.expect("a hello");
    assert_eq!(hello.first(), Some(&0x16), "a TLS handshake record");
    assert!(!hello.windows(4).any(|bytes| bytes == b"ch_1"), "the request is not in it");
}

/// An acceptor with a certificate for `name`, and a client that trusts it.
fn tls(name: &str) -> (TlsAcceptor, Http) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec![name.to_owned()]).expect("a certificate");
    let key = signing_key.serialize_der().try_into().expect("a key");
    let provider = Arc::new(default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .expect("a server");
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).expect("a root");
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    (TlsAcceptor::from(Arc::new(server)), Http::with_tls(system(), client))
}

#[tokio::test]
async fn a_certificate_is_checked_before_anything_is_sent() {
    let (server, trusting) = tls("127.0.0.1");
    let gateway = Gateway::start_tls(server, vec![vec![reply("200 OK", "{}"), Step::Close]]).await;
    let base = format!("https://127.0.0.1:{}", gateway.port);

    let stranger = call(&http(), &base, soon()).await;
    assert_eq!(not_connected(stranger).code.as_ref(), "tls_failed");
    let other_name = call(&trusting, &base.replace("127.0.0.1", "localhost"), soon()).await;
    let why = not_connected(other_name);
    assert_eq!(why.code.as_ref(), "tls_failed");
    assert!(why.message.contains("certificate"), "{why:?}");
    assert!(gateway.requests().is_empty(), "{:?}", gateway.requests());

    let host = trusting.for_host(&base).expect("a base URL");
    let answer = host.send(refund(&host), soon()).await.for_submit().expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(gateway.requests().len(), 1);
}

#[tokio::test]
async fn a_deadline_that_has_passed_sends_nothing_even_on_an_open_connection() {
    let gateway = Gateway::start(vec![vec![reply("200 OK", "{}"), reply("200 OK", "{}")]]).await;
    let host = gateway.host();
    host.send(refund(&host), soon()).await.for_submit().expect("an answer");
    let exchange = host.send(refund(&host), Deadline::within(Duration::ZERO)).await;
    assert_eq!(not_connected(exchange).code.as_ref(), "timeout");
    assert_eq!(gateway.requests().len(), 1);
}

#[tokio::test]
async fn a_flawed_request_is_not_sent() {
    let gateway = Gateway::start(vec![vec![reply("200 OK", "{}")]]).await;
    let host = gateway.host();
    let unwritable = std::collections::HashMap::from([((1, 2), 3)]);
    for request in [
        refund(&host).header("idempotency-key", "a\r\nx: y"),
        refund(&host).header("no such name", "a"),
        refund(&host).bearer(&"a\nb".into()),
        refund(&host).basic_auth(&"a:b".into(), None),
        ProviderRequest::get(host.path(&["v1", "refunds", ""])),
        ProviderRequest::get("http://psp.example/"),
        ProviderRequest::post_json(host.path(&["v1"]), &unwritable),
    ] {
        let exchange = host.send(request, soon()).await;
        assert_eq!(not_connected(exchange).code.as_ref(), "request_invalid");
    }
    assert_eq!(gateway.connections(), 0);
}
