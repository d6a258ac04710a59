//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;

/// A self-hosted refund engine: never more than was paid, never twice, never forgotten.
#[derive(Debug, Parser)]
#[command(name = "refundry", version, arg_required_else_help = true)]
pub struct Cli {
    /// What to log: error, warn, info, debug, or a filter such as engine=debug
    #[arg(long, env = "REFUNDRY_LOG", default_value = "info", global = true)]
    pub log: String,

    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the API
    Serve(Serve),
    /// Serve a demo: an account with keys and paid payments at a built-in simulated provider
    Demo(Demo),
    /// Create, list and revoke API keys
    #[command(subcommand)]
    Keys(Keys),
    /// Derive every balance and the whole ledger again; exit 1 if anything differs
    Verify(DataArgs),
    /// Copy the database into FILE while the server runs
    Backup(Backup),
    /// Copy a SQLite database into an empty PostgreSQL database; run again, it goes on where it ended
    MigrateStore(MigrateStore),
    /// Check configuration, database and disk; exit 1 if anything is wrong
    Doctor(DataArgs),
    /// Ask the server on this machine whether it answers; exit 1 if it does not
    Health(Health),
    /// Print the OpenAPI document of the API, or of one of its other doors
    Openapi(Openapi),
}

/// Where the data is.
#[derive(Clone, Debug, Args)]
pub struct DataArgs {
    /// Configuration file (TOML)
    #[arg(long, env = "REFUNDRY_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder for the database, the master key and the simulator's book
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// Options of `serve`.
#[derive(Debug, Args)]
pub struct Serve {
    #[command(flatten)]
    pub data: DataArgs,
    /// Address to listen on
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// File to write once the server answers
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
}

/// Options of `health`.
#[derive(Debug, Args)]
pub struct Health {
    #[command(flatten)]
    pub data: DataArgs,
    /// Address that the server listens on
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
}

/// Options of `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    #[command(flatten)]
    pub data: DataArgs,
    /// Address to listen on
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// File to write, with address, keys and payments, once the server answers
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
}

/// Options of `backup`.
#[derive(Debug, Args)]
pub struct Backup {
    #[command(flatten)]
    pub data: DataArgs,
    /// File to create
    pub file: PathBuf,
}

/// Options of `migrate-store`.
#[derive(Debug, Args)]
pub struct MigrateStore {
    /// The database file, as `sqlite:FILE`; its server must be stopped
    #[arg(long, value_name = "URL")]
    pub from: String,
    /// The database to fill, as `postgres://USER:PASSWORD@HOST/DATABASE`
    #[arg(long, value_name = "URL", env = "REFUNDRY_DATABASE_URL", hide_env_values = true)]
    pub to: String,
}

/// Options of `openapi`.
#[derive(Debug, Args)]
pub struct Openapi {
    /// The document: refundry, elasticpay, ...
    #[arg(default_value = "refundry")]
    pub door: String,
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Create a key and print its secrets once
    Create(CreateKey),
    /// List keys without their secrets
    List(DataArgs),
    /// Revoke a key
    Revoke(RevokeKey),
}

/// Options of `keys create`.
#[derive(Debug, Args)]
pub struct CreateKey {
    #[command(flatten)]
    pub data: DataArgs,
    /// Account id; without it the only account there is
    #[arg(long, value_name = "ACCOUNT", conflicts_with = "new_account")]
    pub account: Option<String>,
    /// Create an account with this name for the key
    #[arg(long, value_name = "NAME")]
    pub new_account: Option<String>,
    /// What the key works on
    #[arg(long, value_enum, default_value = "test")]
    pub mode: KeyMode,
    /// What the key may do, such as "refund:write payment:read"
    #[arg(long, default_value = "*")]
    pub scopes: String,
    /// What its bearer token looks like: refundry (`pk_…`) or elasticpay (`sk_sandbox_…`, `sk_live_…`, `oa_…`)
    #[arg(long, default_value = "refundry")]
    pub format: String,
    /// The key acts for other accounts too, named per request, in the mode of --mode
    #[arg(long)]
    pub platform: bool,
    /// Which error table the key is answered with: node or go
    #[arg(long, default_value = "node")]
    pub error_profile: String,
    /// What people call the key
    #[arg(long, default_value = "")]
    pub name: String,
}

/// What a key works on.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum KeyMode {
    /// Test payments of its account
    Test,
    /// Live payments of its account
    Live,
    /// Both, and those of other accounts, named per request
    Platform,
}

/// Options of `keys revoke`.
#[derive(Debug, Args)]
pub struct RevokeKey {
    #[command(flatten)]
    pub data: DataArgs,
    /// The key's id, such as `ak_test_…`
    pub key_id: String,
}
