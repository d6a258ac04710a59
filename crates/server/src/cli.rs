//! The command line. clap prints the doc comments of this file as help.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;

/// A self-hosted refund engine: never more than was paid, never twice, never forgotten.
#[derive(Debug, Parser)]
#[command(name = "refundry", version, arg_required_else_help = true)]
pub struct Cli {
    /// Log level or filter: error, warn, info, debug, or a filter such as engine=debug
    #[arg(long, env = "REFUNDRY_LOG", default_value = "info", global = true)]
    pub log: String,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the API
    Serve(Serve),
    /// Serve a demo: an account with keys and paid payments at a built-in simulated provider
    Demo(Demo),
    /// Create, list and revoke API keys
    #[command(subcommand)]
    Keys(Keys),
    /// Verify every balance and the whole ledger; exit 1 if anything differs
    Verify(DataArgs),
    /// Copy the database into FILE while the server runs
    Backup(Backup),
    /// Copy a SQLite database into an empty PostgreSQL database; a second run continues an
    /// interrupted one
    MigrateStore(MigrateStore),
    /// Check configuration, database and disk; exit 1 if anything is wrong
    Doctor(DataArgs),
    /// Ask the server on this machine whether it answers; exit 1 if it does not
    Health(Health),
    /// Print the OpenAPI document of the native API, or of another door
    Openapi(Openapi),
}

/// Where the configuration and the data are.
#[derive(Clone, Debug, Args)]
pub struct DataArgs {
    /// Configuration file (TOML)
    #[arg(long, env = "REFUNDRY_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder for the database, the master key and the simulator's book
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// The server that is run or asked.
#[derive(Clone, Debug, Args)]
pub struct ServerArgs {
    #[command(flatten)]
    pub data: DataArgs,
    /// Address to listen on
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
}

#[derive(Debug, Args)]
pub struct Serve {
    #[command(flatten)]
    pub server: ServerArgs,
    /// File to write once the server answers
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Demo {
    #[command(flatten)]
    pub server: ServerArgs,
    /// File to write, with address, keys and payments, once the server answers
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Health {
    #[command(flatten)]
    pub data: DataArgs,
    /// Address that the server listens on
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
}

#[derive(Debug, Args)]
pub struct Backup {
    #[command(flatten)]
    pub data: DataArgs,
    /// File to create
    pub file: PathBuf,
}

#[derive(Debug, Args)]
pub struct MigrateStore {
    /// The database file, as `sqlite:FILE`; its server must be stopped
    #[arg(long, value_name = "URL")]
    pub from: String,
    /// The database to fill, as `postgres://USER:PASSWORD@HOST/DATABASE`
    #[arg(long, value_name = "URL", env = "REFUNDRY_DATABASE_URL", hide_env_values = true)]
    pub to: String,
}

#[derive(Debug, Args)]
pub struct Openapi {
    /// The document: refundry, elasticpay, ...
    #[arg(default_value = "refundry")]
    pub door: String,
}

/// Commands about keys.
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Create a key and print its secrets once
    Create(CreateKey),
    /// List keys without their secrets
    List(DataArgs),
    /// Revoke a key
    Revoke(RevokeKey),
}

#[derive(Debug, Args)]
pub struct CreateKey {
    #[command(flatten)]
    pub data: DataArgs,
    /// Account id; needed when there is more than one account
    #[arg(long, value_name = "ACCOUNT", conflicts_with = "new_account")]
    pub account: Option<String>,
    /// Create an account with this name for the key
    #[arg(long, value_name = "NAME")]
    pub new_account: Option<String>,
    /// Payments that the key works on
    #[arg(long, value_enum, default_value = "test")]
    pub mode: KeyMode,
    /// Scopes of the key, such as "refund:write payment:read"
    #[arg(long, default_value = "*")]
    pub scopes: String,
    /// Form of the bearer token: refundry (`pk_…`) or elasticpay (`sk_sandbox_…`, `sk_live_…`,
    /// `oa_…`)
    #[arg(long, default_value = "refundry")]
    pub format: String,
    /// Let the key act for other accounts too, named per request, in the mode of --mode
    #[arg(long)]
    pub platform: bool,
    /// Error table for answers to this key: node or go
    #[arg(long, default_value = "node")]
    pub error_profile: String,
    /// Name of the key, for people
    #[arg(long, default_value = "")]
    pub name: String,
}

/// The payments that a key works on.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum KeyMode {
    /// Test payments of its account
    Test,
    /// Live payments of its account
    Live,
    /// Both, and those of other accounts, named per request
    Platform,
}

#[derive(Debug, Args)]
pub struct RevokeKey {
    #[command(flatten)]
    pub data: DataArgs,
    /// The key's id, such as `ak_test_…`
    pub key_id: String,
}
