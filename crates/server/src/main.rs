//! The `refundry` binary: commands, configuration, wiring and loops.

mod cli;
mod clock;
mod commands;
mod config;
mod http;
mod loops;
mod settings;
mod setup;
mod simulated;
mod telemetry;

use clap::Parser;
use std::error::Error;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Error of a command, with a text for the person at the terminal.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Usage(String),
    #[error("{path}: {source}")]
    File { path: String, source: std::io::Error },
    #[error("cannot listen on {address}: {source}")]
    Listen { address: String, source: std::io::Error },
    #[error(transparent)]
    Engine(#[from] engine::Error),
    #[error(transparent)]
    Secret(#[from] engine::SecretError),
    #[error("the simulator's book cannot be opened: {0}")]
    Simulator(#[from] simulator::SimulatorError),
}

impl Failure {
    fn causes(&self) -> impl Iterator<Item = &dyn Error> {
        std::iter::successors(self.source(), |&cause| cause.source())
    }
}

impl From<engine::StoreError> for Failure {
    fn from(error: engine::StoreError) -> Self {
        Self::Engine(error.into())
    }
}

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    telemetry::start(&cli.log);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime cannot be started: {error}");
            return ExitCode::from(2);
        }
    };
    match runtime.block_on(commands::run(cli)) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("error: {failure}");
            for cause in failure.causes() {
                eprintln!("  because: {cause}");
            }
            ExitCode::from(2)
        }
    }
}
