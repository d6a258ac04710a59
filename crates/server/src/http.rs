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

/// Serves `router` on at most `connections` connections until `stop` becomes true, then finishes the
/// requests under way. With `with_peers`, adds the client's address to every request; the rate
/// limits need the address.
pub async fn serve(
    listener: TcpListener,
    router: axum::Router,
    connections: usize,
    with_peers: bool,
    mut stop: watch::Receiver<bool>,
) {
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).half_close(false);
    let graceful = GracefulShutdown::new();
    let permits = Arc::new(Semaphore::new(connections));
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
            () = async { drop(stop.wait_for(|stopped| *stopped).await) } => break,
        };
        // Answers are small; waiting for a full packet would only delay them.
        let _ = stream.set_nodelay(true);
        let peer = with_peers.then(|| Peer(address.ip()));
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
