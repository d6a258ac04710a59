//! `refundry serve`: runs the server.

use crate::cli::{Serve, StartSending};
use crate::config::{Config, seconds};
use crate::settings::Switch;
use crate::{Failure, http, loops, setup, simulated, telemetry};
use api::ApiConfig;
use axum::Router;
use engine::Engine;
use metrics_exporter_prometheus::PrometheusHandle;
use simulator::Simulator;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::net::TcpSocket;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Longest queue of connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// Serves until SIGINT or SIGTERM.
pub async fn run(args: Serve) -> Result<ExitCode, Failure> {
    let server = Server::open(Config::load(&args.server.data, args.server.listen)?).await?;
    if server.engine.list_accounts().await?.is_empty() {
        tracing::info!(
            "there is no account yet: refundry keys create --new-account NAME makes one"
        );
    }
    let ready = format!("{{\"baseUrl\":\"{}\"}}\n", server.base_url());
    if args.sending == Some(StartSending::Stopped) {
        super::sending::stop_for_everyone(&server.engine, "serve --sending stopped").await?;
    }
    server.run(|| args.ready_file.map_or(Ok(()), |file| setup::write_private(&file, &ready))).await
}

/// Binds the address without accepting connections. When the system chooses the port, writes the
/// port into the configuration, since the engine prints links to this server.
fn bind(config: &mut Config) -> Result<TcpSocket, Failure> {
    let address = config.listen;
    let take = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok((socket.local_addr()?, socket))
    };
    let taken = take().map_err(|source| Failure::Listen { address: address.to_string(), source });
    let (address, socket) = taken?;
    config.listen = address;
    Ok(socket)
}

/// A server that is bound to its address and does not listen yet.
pub struct Server {
    pub engine: Engine,
    config: Config,
    simulator: Option<Arc<Simulator>>,
    socket: TcpSocket,
}

impl Server {
    /// Binds the address, opens the database and the simulator's book, and starts the engine.
    pub async fn open(mut config: Config) -> Result<Self, Failure> {
        let socket = bind(&mut config)?;
        let store = setup::open_store(&config).await?;
        let simulator = simulated::open(&config)?;
        let engine = setup::start_engine(&config, store, simulator.as_ref())?;
        Ok(Self { engine, config, simulator, socket })
    }

    /// The URL of this server for clients.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.config.listen)
    }

    /// Serves until a signal arrives, then finishes the requests and calls under way. Calls
    /// `announce` when connections are queued and signals are handled.
    pub async fn run(
        self,
        announce: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<ExitCode, Failure> {
        let Self { engine, config, simulator, socket } = self;
        let at = |source| Failure::Listen { address: config.listen.to_string(), source };
        let listener = socket.listen(BACKLOG).map_err(at)?;
        let signal = catch_signals()?;
        announce()?;
        let (stop, stopped) = watch::channel(false);
        loops::start(&engine, config.dispatch == Switch::On, &stopped);
        let mut mounts = Router::new();
        if let Some(simulator) = simulator {
            mounts = simulated::pages(&simulator, &engine);
            let work = simulated::run(simulator, engine.clone());
            tokio::spawn(loops::until(stopped.clone(), work));
        }
        let metrics = telemetry::metrics();
        let render = move || metrics.as_ref().map_or_else(String::new, PrometheusHandle::render);
        let doors = ApiConfig { metrics: Arc::new(render), mounts, ..config.api()? };
        let with_peers = doors.rate_limits.is_some();
        let router = api::router(engine.clone(), doors);
        tracing::info!(address = %config.listen, "serving");
        let serving =
            tokio::spawn(http::serve(listener, router, config.connections, with_peers, stopped));
        signal.await;
        tracing::info!("stopping: requests and calls under way are finished first");
        let _ = stop.send(true);
        let _ = serving.await;
        if !engine.drain(seconds(config.shutdown_seconds)).await {
            tracing::warn!(
                "some requests or calls to providers are not finished; the next start takes over"
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Handles the signals that stop a server. The future ends when one arrives.
fn catch_signals() -> Result<impl Future<Output = ()>, Failure> {
    let catch =
        |kind| signal(kind).map_err(|source| Failure::File { path: "signals".into(), source });
    let (mut terminate, mut interrupt) =
        (catch(SignalKind::terminate())?, catch(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
