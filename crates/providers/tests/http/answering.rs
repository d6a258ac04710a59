//! Complete answers.

use super::gateway::{Gateway, Step, answered, no_answer, refund, reply, soon};
use providers::http::{Answer, ProviderRequest};
use serde::Deserialize;
use std::time::Duration;

#[derive(Debug, PartialEq, Deserialize)]
struct Refund {
    id: String,
}

async fn answer(step: Step) -> Answer {
    let gateway = Gateway::start(vec![vec![step]]).await;
    let host = gateway.host();
    answered(host.send(refund(&host), soon()).await)
}

#[tokio::test]
async fn json_is_read_whatever_the_answer_calls_it() {
    for head in ["200 OK", "200 OK\r\ncontent-type: text/html", "201 Created\r\ncontent-type: a"] {
        let answer = answer(reply(head, r#"{"id":"re_1"}"#)).await;
        assert!(answer.is_success());
        assert_eq!(answer.json(), Ok(Refund { id: "re_1".to_owned() }));
    }
    let marked = answer(reply("200 OK", "\u{feff}{\"id\":\"re_1\"}")).await;
    assert_eq!(marked.json(), Ok(Refund { id: "re_1".to_owned() }));
}

#[tokio::test]
async fn a_page_of_a_gateway_is_no_json_and_is_not_quoted() {
    // The third is the gzip form of a JSON object.
    let gzip: &[u8] =
        b"\x1f\x8b\x08\0\0\0\0\0\x02\x03\xabV\xcaLQ\xb2R*J\x8d7T\xaa\x05\0U\x8e\x07\x9d\r\0\0\0";
    let mut zipped = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: ".to_vec();
    zipped.extend(format!("{}\r\n\r\n", gzip.len()).bytes());
    zipped.extend(gzip);
    for step in [
        reply("404 Not Found\r\ncontent-type: text/html", "<html>4111111111111111</html>"),
        reply("404 Not Found\r\ncontent-type: application/json", "<html>4111111111111111</html>"),
        Step::Answer(zipped),
        reply("200 OK", ""),
        reply("204 No Content", ""),
        reply("200 OK", r#"{"id":4111111111111111}"#),
        reply("200 OK", r#"{"id":"4111111111111111"#),
        reply("200 OK", r#"{"id":"re_1"}{"id":"re_2"}"#),
    ] {
        let answer = answer(step).await;
        let why = answer.json::<Refund>().expect_err("no refund");
        assert_eq!(why.code.as_ref(), "answer_unreadable");
        assert!(!why.message.contains("411"), "{why:?}");
    }
}

#[tokio::test]
async fn no_redirect_is_followed() {
    let elsewhere = Gateway::start(vec![vec![reply("200 OK", "{}")]]).await;
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"] {
        let head = format!("{status}\r\nlocation: {}/v1/refunds", elsewhere.base());
        let answer = answer(reply(&head, "")).await;
        assert_eq!(answer.status().to_string(), status[..3]);
        assert!(!answer.is_success());
        assert!(answer.header("Location").is_some());
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn the_limit_of_an_answer_is_the_requests() {
    let gateway = Gateway::start(vec![vec![reply("200 OK", "12345")]]).await;
    let host = gateway.host();
    let request = || ProviderRequest::get(host.path(&["v1"]));
    let exact = answered(host.send(request().answer_up_to(5), soon()).await);
    assert_eq!(exact.body(), "12345");
    let more = no_answer(host.send(request().answer_up_to(4), soon()).await);
    assert_eq!(more.code.as_ref(), "answer_too_large");
    let large = "x".repeat(1024 * 1024);
    assert_eq!(answer(reply("200 OK", &large)).await.body().len(), large.len());
}

#[tokio::test]
async fn retry_after_is_a_number_or_a_date() {
    let date = "date: Tue, 01 Jul 2025 10:00:00 GMT\r\nretry-after: ";
    for (headers, wait) in [
        ("retry-after: 120".to_owned(), Some(120)),
        (format!("{date}Tue, 01 Jul 2025 10:01:30 GMT"), Some(90)),
        (format!("{date}Tue, 01 Jul 2025 09:00:00 GMT"), None),
        ("retry-after: Tue, 01 Jul 2025 10:01:30 GMT".to_owned(), None),
        ("retry-after: soon".to_owned(), None),
        ("retry-after: -1".to_owned(), None),
        ("x: y".to_owned(), None),
    ] {
        let answer = answer(reply(&format!("429 Slow Down\r\n{headers}"), "{}")).await;
        assert_eq!(answer.retry_after(), wait.map(Duration::from_secs), "{headers}");
    }
}

#[tokio::test]
async fn a_request_says_what_it_must_and_no_more() {
    let gateway = Gateway::start(vec![vec![reply("200 OK", "{}"); 4]]).await;
    let host = gateway.host();
    let body = serde_json::json!({"amount": 2500});
    for request in [
        ProviderRequest::post_json(host.path(&["v1", "a/b"]).query("q", "a&b"), &body),
        ProviderRequest::post_form("http://x/", &[]).header("x", "y"),
        ProviderRequest::post_form(host.path(&["v1"]), &[("a b", "c&d"), ("e[f]", "\u{e9}")]),
        ProviderRequest::get(host.path(&[])).header("accept", "application/json"),
        ProviderRequest::delete(host.path(&["v1", "hooks", "1"])),
    ] {
        let _ = host.send(request, soon()).await;
    }
    let common = format!("host: 127.0.0.1:{}\r\nuser-agent: Refundry/0.1.0\r\n", gateway.port);
    assert_eq!(
        gateway.requests(),
        [
            format!(
                "POST /v1/a%2Fb?q=a%26b HTTP/1.1\r\ncontent-type: application/json\r\n{common}\
                 content-length: 15\r\n\r\n{{\"amount\":2500}}"
            ),
            format!(
                "POST /v1 HTTP/1.1\r\ncontent-type: application/x-www-form-urlencoded\r\n{common}\
                 content-length: 25\r\n\r\na+b=c%26d&e%5Bf%5D=%C3%A9"
            ),
            format!("GET / HTTP/1.1\r\naccept: application/json\r\n{common}\r\n"),
            format!("DELETE /v1/hooks/1 HTTP/1.1\r\n{common}\r\n"),
        ]
    );
}
