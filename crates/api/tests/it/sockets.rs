//! Behaviour that shows only on a real connection.

use crate::world::World;
use domain::tenant::Mode;
use hyper_util::rt::TokioIo;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use tokio::net::TcpListener;

async fn serve(world: &World) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = world.router();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = router.clone();
            tokio::spawn(async move {
                let builder = hyper::server::conn::http1::Builder::new();
                let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

/// Sends bytes and then reads until the server closes the connection.
async fn exchange(address: SocketAddr, request: Vec<u8>) -> String {
    let talk = move || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.write_all(&request)?;
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply)?;
        std::io::Result::Ok(String::from_utf8_lossy(&reply).into_owned())
    };
    tokio::task::spawn_blocking(talk).await.expect("it runs").expect("the connection holds")
}

fn post(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /api/v1/refunds HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_sends_too_much_still_hears_why() {
    let world = World::new().await;
    let address = serve(&world).await;
    let ten_megabytes = vec![b' '; 10 * 1024 * 1024];
    let length = format!("Content-Length: {}", ten_megabytes.len());
    let reply = exchange(address, post(&length, &ten_megabytes)).await;
    assert!(reply.starts_with("HTTP/1.1 413 "), "{reply}");
    assert!(reply.contains("payload_too_large"), "{reply}");

    let mut chunks = Vec::new();
    for _ in 0..200 {
        chunks.extend_from_slice(b"1000\r\n");
        chunks.extend_from_slice(&[b' '; 4096]);
        chunks.extend_from_slice(b"\r\n");
    }
    chunks.extend_from_slice(b"0\r\n\r\n");
    let reply = exchange(address, post("Transfer-Encoding: chunked", &chunks)).await;
    assert!(reply.starts_with("HTTP/1.1 413 "), "{reply}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_asks_first_is_told_not_to_send() {
    let world = World::new().await;
    let address = serve(&world).await;
    let headers = "Content-Length: 10485760\r\nExpect: 100-continue";
    let reply = exchange(address, post(headers, b"")).await;
    assert!(reply.starts_with("HTTP/1.1 413 "), "{reply}");
    assert!(!reply.contains("100 Continue"), "{reply}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_requests_get_a_4xx_and_chunked_bodies_are_read() {
    let world = World::new().await;
    let address = serve(&world).await;
    let key = world.key(Some(Mode::Test), "*").await;
    world.payment(&key, "ch_1").await;
    let long = "x".repeat(70_000);
    for target in ["/\0", &format!("/{long}"), &format!("/api/v1/refunds/{}", &long[..60_000])] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let reply = exchange(address, request.into_bytes()).await;
        assert!(reply.starts_with("HTTP/1.1 4"), "{}", reply.chars().take(200).collect::<String>());
    }
    let headers = format!(
        "Authorization: Bearer {}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked",
        key.bearer
    );
    let body = b"8\r\n{\"charge\r\nc\r\nId\":\"ch_1\"} \r\n0\r\n\r\n";
    let reply = exchange(address, post(&headers, body)).await;
    assert!(reply.starts_with("HTTP/1.1 201 "), "{reply}");
}
