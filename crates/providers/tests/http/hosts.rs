//! A client of one provider reaches that provider alone.

use super::gateway::{Gateway, answered, http, not_connected, reply, soon};
use providers::http::ProviderRequest;

#[test]
fn a_base_url_is_https_or_on_this_machine() {
    for good in [
        "https://api.psp.example",
        "https://api.psp.example/v2/",
        "https://10.0.0.1:8443",
        "http://127.0.0.1:9000",
        "http://localhost:9000/fake",
        "http://[::1]:9000",
    ] {
        assert!(http().for_host(good).is_ok(), "{good}");
    }
    for bad in [
        "",
        "api.psp.example",
        "http://api.psp.example",
        "http://192.168.1.1",
        "ftp://api.psp.example",
        "https://key@api.psp.example",
        "https://api.psp.example?key=1",
        "https://api.psp.example/#v1",
    ] {
        assert!(http().for_host(bad).is_err(), "{bad}");
    }
    let error = http().for_host("http://api.psp.example").expect_err("plain text").to_string();
    assert_eq!(
        error,
        "\"http://api.psp.example\" is no base URL of a provider: the URL must begin with \
         https:// (http:// only for this machine)"
    );
}

#[tokio::test]
async fn no_other_server_is_called_and_links_to_this_one_are_followed() {
    let psp = Gateway::start(vec![vec![reply("200 OK", "{}"); 2]]).await;
    let other = Gateway::start(vec![vec![reply("200 OK", "{}")]]).await;
    let host = psp.http_host("/v1/");
    for url in [
        other.base(),
        psp.base().replace("127.0.0.1", "localhost"),
        psp.base().replace("http:", "https:"),
        format!("{}@127.0.0.1:{}/", psp.base(), other.port),
    ] {
        let exchange = host.send(ProviderRequest::get(&*url), soon()).await;
        let why = not_connected(exchange);
        assert!(matches!(&*why.code, "host_not_allowed" | "request_invalid"), "{url}: {why:?}");
    }
    assert_eq!((psp.connections(), other.connections()), (0, 0));
    let link = format!("{}/v1/refunds?after=2", psp.base());
    answered(host.send(ProviderRequest::get(&*link), soon()).await);
    answered(host.send(ProviderRequest::get(host.path(&["refunds", "../x?y"])), soon()).await);
    let targets: Vec<_> = psp.requests().iter().map(|seen| seen[..30].to_owned()).collect();
    assert!(targets[0].starts_with("GET /v1/refunds?after=2 HTTP"), "{targets:?}");
    assert!(targets[1].starts_with("GET /v1/refunds/..%2Fx%3Fy "), "{targets:?}");
}
