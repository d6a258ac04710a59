//! One file per command.

mod backup;
mod demo;
mod doctor;
mod health;
mod keys;
mod migrate_store;
mod offline;
mod openapi;
mod providers;
mod reconcile;
mod sending;
mod serve;
mod verify;

use crate::Failure;
use crate::cli::{Cli, Command};
use std::process::ExitCode;

/// Runs the command.
pub async fn run(cli: Cli) -> Result<ExitCode, Failure> {
    match cli.command {
        Command::Serve(args) => serve::run(args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Keys(keys) => keys::run(keys).await,
        Command::Providers(providers) => providers::run(providers).await,
        Command::Sending(sending) => sending::run(sending).await,
        Command::Reconcile(args) => reconcile::run(&args).await,
        Command::Verify(args) => verify::run(&args).await,
        Command::Backup(args) => backup::run(&args).await,
        Command::MigrateStore(args) => migrate_store::run(&args).await,
        Command::Doctor(args) => doctor::run(&args).await,
        Command::Health(args) => health::run(&args).await,
        Command::Openapi(args) => openapi::run(&args),
    }
}
