//! Accepts connections and serves the router on them.

use api::Peer;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tower_service::Service as _;

/// Longest time for a client to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// Time to finish requests after the stop signal.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);

/// Settings of the HTTP server.
#[derive(Clone, Copy)]
pub struct Service {
    /// Maximum number of connections at the same time.
    pub connections: usize,
    /// Adds the client's address to every request. The rate limits need it.
    pub with_peers: bool,
}

/// Serves `router` until `stop` becomes true, then finishes the requests under way.
pub async fn serve(
    listener: TcpListener,
    router: axum::Router,
    how: Service,
    mut stop: watch::Receiver<bool>,
) {
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).half_close(false);
    let graceful = GracefulShutdown::new();
    let permits = Arc::new(Semaphore::new(how.connections));
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else { break };
        let (stream, address) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Most likely the process has no file descriptor left: wait for connections to
                    // end.
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::task::yield_now().await;
                    continue;
                }
            },
            () = stopped(&mut stop) => break,
        };
        // Answers are small; waiting for a full packet would only delay them.
        let _ = stream.set_nodelay(true);
        let peer = how.with_peers.then(|| Peer(address.ip()));
        let service = service_fn({
            let router = router.clone();
            move |mut request: Request<Incoming>| {
                if let Some(peer) = peer {
                    request.extensions_mut().insert(peer);
                }
                // An axum router is always ready.
                router.clone().call(request)
            }
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // An error here means that the client closed the connection, which is fine.
            let _ = connection.await;
            drop(permit);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(SHUTDOWN_LIMIT, graceful.shutdown()).await;
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // The channel closes only when the server ends.
    let _ = stop.wait_for(|stopped| *stopped).await;
}
