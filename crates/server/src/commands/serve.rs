//! `refundry serve`: runs the server.

use crate::cli::Serve;
use crate::config::{Config, Switch};
use crate::{Failure, http, loops, setup, simulated, telemetry};
use api::{ApiConfig, ElasticPayConfig};
use axum::Router;
use engine::Engine;
use metrics_exporter_prometheus::PrometheusHandle;
use simulator::Simulator;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Longest queue of connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// Serves until SIGINT or SIGTERM.
pub async fn run(args: Serve) -> Result<ExitCode, Failure> {
    let mut config = Config::load(&args.data, args.listen)?;
    let socket = bind(&mut config)?;
    let store = setup::open_store(&config).await?;
    let simulator = simulated::open(&config)?;
    let engine = setup::start_engine(&config, store, simulator.as_ref())?;
    if engine.list_accounts().await?.is_empty() {
        tracing::info!(
            "there is no account yet: refundry keys create --new-account NAME makes one"
        );
    }
    let server = Server::new(config, engine, simulator, socket)?;
    if let Some(file) = &args.ready_file {
        setup::write_private(file, &format!("{{\"baseUrl\":\"{}\"}}\n", server.base_url()))?;
    }
    server.run().await
}

/// Binds the address without accepting connections. When the system chooses the port, writes the
/// port into the configuration, since the engine prints links to this server.
pub fn bind(config: &mut Config) -> Result<TcpSocket, Failure> {
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

/// A server that is bound to its address.
pub struct Server {
    config: Config,
    engine: Engine,
    simulator: Option<Arc<Simulator>>,
    listener: TcpListener,
    signals: Signals,
}

impl Server {
    /// Starts to queue connections and to handle signals.
    pub fn new(
        config: Config,
        engine: Engine,
        simulator: Option<Arc<Simulator>>,
        socket: TcpSocket,
    ) -> Result<Self, Failure> {
        let at = |source| Failure::Listen { address: config.listen.to_string(), source };
        let listener = socket.listen(BACKLOG).map_err(at)?;
        Ok(Self { config, engine, simulator, listener, signals: Signals::catch()? })
    }

    /// The URL of this server for clients.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.config.listen)
    }

    /// Serves until a signal arrives, then finishes the requests and calls under way.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let Self { config, engine, simulator, listener, mut signals } = self;
        let (stop, stopped) = watch::channel(false);
        loops::start(&engine, config.dispatch == Switch::On, &stopped);
        let mut mounts = Router::new();
        if let Some(simulator) = simulator {
            mounts = simulated::pages(&simulator, &engine);
            let work = simulated::run(simulator, engine.clone());
            tokio::spawn(loops::until(stopped.clone(), work));
        }
        let rate_limits = config.rate_limits.limits()?;
        let with_peers = rate_limits.is_some();
        let yoco = config.yoco()?;
        let metrics = telemetry::metrics();
        let render = move || metrics.as_ref().map_or_else(String::new, PrometheusHandle::render);
        let router = api::router(
            engine.clone(),
            ApiConfig {
                metrics: Arc::new(render),
                rate_limits,
                elasticpay: ElasticPayConfig {
                    wait: Duration::from_secs(u64::from(config.elasticpay.wait_seconds)),
                    strict_reasons: config.elasticpay.strict_reasons,
                },
                yoco,
                mounts,
                ..ApiConfig::default()
            },
        );
        let how = http::Service { connections: config.connections, with_peers };
        tracing::info!(address = %config.listen, "serving");
        let serving = tokio::spawn(http::serve(listener, router, how, stopped));
        signals.wait().await;
        tracing::info!("stopping: requests and calls under way are finished first");
        let _ = stop.send(true);
        let _ = serving.await;
        let limit = Duration::from_secs(u64::from(config.shutdown_seconds));
        if !engine.drain(limit).await {
            tracing::warn!(
                "some refunds are still with their providers; the next start takes over"
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The signals that stop a server.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn catch() -> Result<Self, Failure> {
        let at = |source| Failure::File { path: "signals".into(), source };
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(at)?,
            interrupt: signal(SignalKind::interrupt()).map_err(at)?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
