//! Calls that ended after bytes may have left: whatever happened, the outcome is unknown.

use super::gateway::{
    Gateway, Step, eventually, no_answer, refund, reply, shortly, soon, within_limit,
};
use domain::outcome::ProviderOutcome;
use providers::http::{Exchange, ProviderRequest};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

async fn after(step: Step) -> (Exchange, Gateway) {
    let gateway = Gateway::start(vec![vec![step], vec![reply("200 OK", "{}")]]).await;
    let host = gateway.host();
    let exchange = within_limit("the call", host.send(refund(&host), soon())).await;
    (exchange, gateway)
}

#[tokio::test]
async fn the_request_was_read_and_the_connection_closed() {
    let (exchange, gateway) = after(Step::ReadAndClose).await;
    assert_eq!(no_answer(exchange.clone()).code.as_ref(), "connection_broken");
    let said = exchange.for_submit().expect_err("no answer");
    assert_eq!(said.outcome, ProviderOutcome::Unknown);
    assert_eq!((gateway.requests().len(), gateway.connections()), (1, 1), "sent once");
}

#[tokio::test]
async fn the_connection_was_reset_with_the_request_unread() {
    // This side cannot know that the request was not read.
    let (exchange, gateway) = after(Step::Reset).await;
    assert_eq!(no_answer(exchange).code.as_ref(), "connection_broken");
    assert_eq!((gateway.requests().len(), gateway.connections()), (0, 1), "sent once");
}

#[tokio::test]
async fn the_connection_is_closed_as_soon_as_it_is_open() {
    // Depending on which side is faster, the request was not begun, or is lost. Never is there an
    // answer or a second try.
    for _ in 0..50 {
        let (exchange, gateway) = after(Step::Close).await;
        match exchange {
            Exchange::NotConnected(why) => assert_eq!(why.code.as_ref(), "connection_failed"),
            Exchange::SentNoAnswer(why) => assert_eq!(why.code.as_ref(), "connection_broken"),
            Exchange::Answered(answer) => panic!("{answer:?}"),
        }
        assert_eq!(gateway.connections(), 1);
    }
}

#[tokio::test]
async fn half_an_answer_is_no_answer() {
    let half_a_head = "HTTP/1.1 200 OK\r\ncontent-le";
    let half_a_body = "HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{\"id\":\"re_1\"}";
    let half_a_chunk =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nd\r\n{\"id\":\"re_1\"}\r\n";
    for half in [half_a_head, half_a_body, half_a_chunk] {
        let (exchange, gateway) = after(Step::Answer(half.into())).await;
        assert_eq!(no_answer(exchange).code.as_ref(), "connection_broken", "{half}");
        assert_eq!(gateway.connections(), 1, "sent once");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_http_is_no_answer() {
    for (garbage, code) in [
        ("SSH-2.0-OpenSSH_9.6\r\n\r\n".to_owned(), "answer_unreadable"),
        ("HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n".to_owned(), "answer_unreadable"),
        (format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(2_000)), "answer_too_large"),
        (format!("HTTP/1.1 200 OK\r\na: {}\r\n\r\n", "b".repeat(2_000_000)), "answer_too_large"),
    ] {
        let (exchange, _) = after(Step::Answer(garbage.into())).await;
        assert_eq!(no_answer(exchange).code.as_ref(), code);
    }
}

#[tokio::test]
async fn silence_and_a_slow_drip_end_at_the_deadline() {
    let endless = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let continued = "HTTP/1.1 100 Continue\r\n\r\n";
    for step in [
        Step::Silence,
        Step::Drip("HTTP/1.1 200 OK\r\n", "a"),
        Step::Drip(continued, continued),
        Step::Drip("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n", " "),
        Step::Drip(endless, "1\r\n \r\n"),
    ] {
        let gateway = Gateway::start(vec![vec![step]]).await;
        let host = gateway.host();
        let exchange = within_limit("the call", host.send(refund(&host), shortly())).await;
        assert_eq!(no_answer(exchange).code.as_ref(), "timeout");
        // The connection is cut with the deadline.
        gateway.done_with(1).await;
        assert_eq!(gateway.requests().len(), 1);
    }
}

#[tokio::test]
async fn nothing_leaves_after_the_deadline() {
    // The server reads nothing, so most of the request waits in the client.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let read = Arc::new(AtomicUsize::new(0));
    let (go_on, mut may_read) = tokio::sync::mpsc::channel::<()>(1);
    let count = read.clone();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        may_read.recv().await;
        let mut bytes = vec![0; 65_536];
        while let Ok(more) = stream.read(&mut bytes).await
            && more > 0
        {
            count.fetch_add(more, Ordering::SeqCst);
        }
    });
    let host = super::gateway::http().for_host(&base).expect("a base URL");
    let body = vec![b'x'; 64 * 1024 * 1024];
    let request = ProviderRequest::post(host.path(&["v1"]), "text/plain", body);
    let exchange = within_limit("the call", host.send(request, shortly())).await;
    assert_eq!(no_answer(exchange).code.as_ref(), "timeout");
    go_on.send(()).await.expect("a server");
    within_limit("the end of the connection", server).await.expect("a server");
    let read = read.load(Ordering::SeqCst);
    assert!(read < 32 * 1024 * 1024, "{read} bytes came after all");
}

#[tokio::test]
async fn a_huge_answer_is_no_answer() {
    let announced = "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n";
    let endless = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk: &'static str = format!("10000\r\n{}\r\n", " ".repeat(0x10000)).leak();
    let too_much = " ".repeat(1024 * 1024 + 1);
    let in_a_chunk = format!("{endless}{:x}\r\n{too_much}\r\n0\r\n\r\n", too_much.len());
    for step in [
        Step::Drip(announced, " "),
        Step::Drip(endless, chunk),
        Step::Answer(in_a_chunk.into()),
        reply("200 OK", &too_much),
    ] {
        let (exchange, gateway) = after(step).await;
        assert_eq!(no_answer(exchange).code.as_ref(), "answer_too_large");
        eventually("the cut", || gateway.connections() == 1).await;
        gateway.done_with(1).await;
    }
}
