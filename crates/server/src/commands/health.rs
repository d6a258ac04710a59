//! `refundry health`: asks the server on this machine whether it answers, for containers without a
//! HTTP client. The request does not need the database: a node should not be restarted because its
//! database is away.

use crate::Failure;
use crate::cli::Health;
use crate::config::Config;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longest wait for the answer.
const LIMIT: Duration = Duration::from_secs(3);

/// Start of the answer of a healthy server.
const HEALTHY: &[u8] = b"HTTP/1.1 200 ";

/// Exits with 0 when the server answers, with 1 otherwise.
pub async fn run(args: &Health) -> Result<ExitCode, Failure> {
    let mut address = Config::load(&args.data, args.listen)?.listen;
    if address.ip().is_unspecified() {
        let v6 = address.is_ipv6();
        address.set_ip(if v6 { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() });
    }
    let healthy = tokio::time::timeout(LIMIT, ask(address)).await.is_ok_and(|it| it.is_ok());
    println!("{address} {}", if healthy { "answers" } else { "does not answer" });
    Ok(ExitCode::from(u8::from(!healthy)))
}

async fn ask(address: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut begin = [0; HEALTHY.len()];
    stream.read_exact(&mut begin).await?;
    if begin == HEALTHY { Ok(()) } else { Err(std::io::ErrorKind::InvalidData.into()) }
}
