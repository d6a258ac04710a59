//! Secrets and bodies appear neither in `Debug` nor in what is logged. A program of its own, so that
//! one subscriber sees everything that is logged in it.

#[path = "http/gateway.rs"]
#[expect(dead_code, reason = "a part of it is enough here")]
mod gateway;

use gateway::{Gateway, Step, refund, reply, soon};
use providers::http::{Exchange, ProviderRequest};
use std::io;
use std::sync::{Arc, Mutex};

const SECRET: &str = "sk_live_5f3a";
/// Its form in basic authentication.
const ENCODED: &str = "c2tfbGl2ZV81ZjNh";
const PERSONAL: &str = "ada@shop.example";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("a lock").extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn requests(url: &str) -> Vec<ProviderRequest> {
    let secret = SECRET.into();
    let form = || ProviderRequest::post_form(url, &[("email", PERSONAL), ("key", SECRET)]);
    vec![
        form().bearer(&secret),
        form().basic_auth(&secret, None),
        form().basic_auth(&"user".into(), Some(&secret)),
        form().secret_header("x-api-key", &secret),
        form().header("authorization", SECRET),
        ProviderRequest::post_json(url, &[PERSONAL, SECRET]),
    ]
}

fn assert_silent(text: &str) {
    for word in [SECRET, ENCODED, "ZjNh", PERSONAL, "ada%40", "ada@"] {
        assert!(!text.contains(word), "{word} is in: {text}");
    }
}

#[tokio::test]
async fn neither_debug_nor_logs_tell_a_secret_or_a_body() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).expect("the only subscriber");
    let body = format!("{{\"email\":\"{PERSONAL}\",\"key\":\"{SECRET}\"}}");
    let answer = reply(&format!("200 OK\r\nx-key: {SECRET}"), &body);
    let mut script = vec![answer; 6];
    script.push(Step::ReadAndClose);
    let gateway = Gateway::start(vec![script]).await;
    let host = gateway.host();
    let url = format!("{}/v1/refunds?email={PERSONAL}", gateway.base());
    let mut seen = vec![format!("{host:?}")];
    for request in requests(&url) {
        seen.push(format!("{request:?}{request:#?}"));
        let exchange = host.send(request, soon()).await;
        assert!(matches!(exchange, Exchange::Answered(_)), "{exchange:?}");
        seen.push(format!("{exchange:?}"));
    }
    let broken = host.send(refund(&host).bearer(&SECRET.into()), soon()).await;
    assert!(matches!(broken, Exchange::SentNoAnswer(_)), "{broken:?}");
    let flawed = refund(&host).bearer(&format!("{SECRET}\n").as_str().into());
    seen.push(format!("{broken:?}{flawed:?}{:?}", host.send(flawed.clone(), soon()).await));
    let seen = seen.concat();
    assert_silent(&seen);
    assert!(seen.contains("v1/refunds?..") && seen.contains("authorization\": Sensitive"));

    assert_eq!(gateway.requests().iter().filter(|sent| sent.contains(SECRET)).count(), 6 + 1);
    let log = String::from_utf8(log.0.lock().expect("a lock").clone()).expect("text");
    assert!(log.contains("POST 127.0.0.1/v1/refunds"), "the calls are logged: {log}");
    assert_silent(&log);
}
