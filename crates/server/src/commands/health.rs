//! `refundry health`: does the server on this machine answer? For containers, which have no other
//! program to ask with. It asks what does not depend on the database: a database that is away is no
//! reason to start a node again.

use crate::Failure;
use crate::cli::Health;
use crate::config::Config;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(3);

/// What a healthy server's answer begins with.
const HEALTHY: &[u8] = b"HTTP/1.1 200 ";

/// Exit 0 when the server answers, 1 when it does not.
pub async fn run(args: &Health) -> Result<ExitCode, Failure> {
    let mut address = Config::load(&args.data, args.listen)?.listen;
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => {
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            address.set_ip(Ipv6Addr::LOCALHOST.into());
        }
        SocketAddr::V4(_) | SocketAddr::V6(_) => {}
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
