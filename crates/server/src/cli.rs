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
    /// Manage provider accounts: the credentials of payment providers
    #[command(subcommand)]
    Providers(Providers),
    /// Stop and start the sending of refunds to all providers
    #[command(subcommand)]
    Sending(Sending),
    /// Ask the providers what changed since a time and book what the books miss, as after a restore; exit 1 if
    /// a refund is left in doubt or a provider could not be asked
    Reconcile(Reconcile),
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
    /// `stopped`: stop the sending of refunds for everyone before the first request, as `refundry sending stop`
    /// does; it stays stopped until `refundry sending start`
    #[arg(long, value_enum, env = "REFUNDRY_SENDING")]
    pub sending: Option<StartSending>,
}

/// How the sending of refunds stands when a server starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StartSending {
    Stopped,
}

#[derive(Debug, Args)]
pub struct Reconcile {
    #[command(flatten)]
    pub owner: OwnedData,
    /// Begin of the span: a time such as 2026-05-12T10:42:00Z, or a date (midnight UTC). After a restore: when the
    /// backup was made, or earlier
    #[arg(long, value_name = "TIME")]
    pub since: String,
    /// End of the span; now, if not given
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Ask only this provider
    #[arg(long, value_name = "NAME")]
    pub provider: Option<String>,
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

/// Commands about provider accounts.
#[derive(Debug, Subcommand)]
pub enum Providers {
    /// List provider accounts
    List(OwnedData),
    /// Add a provider account. No secret is an argument: they come from --secrets or the environment
    Add(AddProvider),
    /// Show a provider account without its secrets
    Show(NamedProvider),
    /// Send nothing through a provider account
    Pause(PauseProvider),
    /// Send through a provider account again
    Resume(NamedProvider),
    /// Replace all secrets of a provider account
    Rotate(RotateProvider),
    /// Delete a provider account and forget its secrets
    Remove(NamedProvider),
}

/// Where the data are, and whose of them are meant.
#[derive(Clone, Debug, Args)]
pub struct OwnedData {
    #[command(flatten)]
    pub data: DataArgs,
    /// Account id
    #[arg(long, value_name = "ACCOUNT")]
    pub account: Option<String>,
    /// Mode
    #[arg(long, value_enum)]
    pub mode: Option<OneMode>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OneMode {
    Test,
    Live,
}

#[derive(Clone, Debug, Args)]
pub struct SecretsArgs {
    /// File with the secrets, or `-` for standard input: lines NAME=VALUE, or a JSON object. Without it each secret
    /// is read from a variable such as `REFUNDRY_SECRET_API_KEY` for `api_key`
    #[arg(long, value_name = "FILE")]
    pub secrets: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct AddProvider {
    #[command(flatten)]
    pub owner: OwnedData,
    /// Name of the provider, such as stripe
    pub provider: String,
    /// Name of the account, for people
    #[arg(long)]
    pub name: String,
    /// Setting of the provider that is no secret; can be repeated
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub settings: Vec<String>,
    #[command(flatten)]
    pub secrets: SecretsArgs,
}

#[derive(Debug, Args)]
pub struct NamedProvider {
    #[command(flatten)]
    pub owner: OwnedData,
    /// The provider account's id, `pa_…`
    pub id: String,
}

#[derive(Debug, Args)]
pub struct PauseProvider {
    #[command(flatten)]
    pub named: NamedProvider,
    /// Why, for people
    #[arg(long)]
    pub reason: Option<String>,
}

#[derive(Debug, Args)]
pub struct RotateProvider {
    #[command(flatten)]
    pub named: NamedProvider,
    #[command(flatten)]
    pub secrets: SecretsArgs,
}

/// Commands about the switches that stop sending.
#[derive(Debug, Subcommand)]
pub enum Sending {
    /// Send no refunds any more, in one mode or in both, for everyone or for one account
    Stop(ThrowSwitch),
    /// Send refunds again
    Start(ThrowSwitch),
    /// Tell what is stopped
    Status(OwnedData),
}

#[derive(Debug, Args)]
pub struct ThrowSwitch {
    #[command(flatten)]
    pub owner: OwnedData,
    /// Why, for people
    #[arg(long)]
    pub reason: Option<String>,
}
