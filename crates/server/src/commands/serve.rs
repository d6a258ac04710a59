//! `refundry serve`: the server.

use crate::cli::Serve;
use crate::config::{Config, Switch};
use crate::{Failure, http, loops, setup, telemetry};
use api::ApiConfig;
use engine::Engine;
use metrics_exporter_prometheus::PrometheusHandle;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Serves until a signal comes.
pub async fn run(args: Serve) -> Result<ExitCode, Failure> {
    let config = Config::load(&args.data, args.listen)?;
    let engine = setup::start_engine(&config, setup::open_store(&config).await?)?;
    if engine.list_accounts().await?.is_empty() {
        tracing::info!(
            "there is no account yet: refundry keys create --new-account NAME makes one"
        );
    }
    let server = Server::bind(config, engine).await?;
    if let Some(file) = &args.ready_file {
        setup::write_private(file, &format!("{{\"baseUrl\":\"{}\"}}\n", server.base_url()))?;
    }
    server.run().await
}

/// A server that is bound to its address.
pub struct Server {
    config: Config,
    engine: Engine,
    listener: TcpListener,
    address: std::net::SocketAddr,
    signals: Signals,
}

impl Server {
    /// Binds the address, so that connections queue from here on, and catches signals, so that a
    /// stop is an orderly one from here on.
    pub async fn bind(config: Config, engine: Engine) -> Result<Self, Failure> {
        let at = |source| Failure::Listen { address: config.listen.to_string(), source };
        let listener = TcpListener::bind(config.listen).await.map_err(at)?;
        let address = listener.local_addr().map_err(at)?;
        Ok(Self { config, engine, listener, address, signals: Signals::catch()? })
    }

    /// Where clients find it.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Serves until a signal comes, then finishes what is under way.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let Self { config, engine, listener, address, mut signals } = self;
        let (stop, stopped) = watch::channel(false);
        loops::start(&engine, config.dispatch == Switch::On, &stopped);
        let rate_limits = config.rate_limits.limits()?;
        let with_peers = rate_limits.is_some();
        let metrics = telemetry::metrics();
        let render = move || metrics.as_ref().map_or_else(String::new, PrometheusHandle::render);
        let router = api::router(
            engine.clone(),
            ApiConfig { metrics: Arc::new(render), rate_limits, ..ApiConfig::default() },
        );
        let how = http::Service { connections: config.connections, with_peers };
        tracing::info!(%address, "serving");
        let serving = tokio::spawn(http::serve(listener, router, how, stopped));
        signals.wait().await;
        tracing::info!("stopping: what is under way is finished first");
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

/// The signals that end a server.
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
