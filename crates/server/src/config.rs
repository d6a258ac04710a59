//! Reads the configuration: defaults, then the file, then `REFUNDRY_*` in the environment, then
//! flags.

use crate::Failure;
use crate::cli::DataArgs;
use crate::settings::{Switch, rate_limits, reconcile, retention, webhooks, wrong};
use api::{ApiConfig, ElasticPayConfig, YocoSettings};
use engine::{CommitterConfig, EngineConfig};
use figment::Figment;
use figment::providers::{Env, Format as _, Serialized, Toml};
use figment::util::bool_from_str_or_int;
use serde::{Deserialize, Serialize};
use simulator::SimulatorConfig;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Number of concurrent transactions on a database that several nodes share. While one transaction
/// waits for the disk or the network, the other one works.
const SHARED_LANES: usize = 2;

/// All settings, by their names in the file. In the environment, a setting is written in capitals
/// after `REFUNDRY_`, and a group is followed by two underscores:
/// `REFUNDRY_SIMULATOR__ENABLED=true`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub listen: SocketAddr,
    /// URL of this server for buyers, http or https. Default: the address that the server listens
    /// on.
    pub public_url: Option<String>,
    /// Folder for the database, the master key and the simulator's book.
    pub data: PathBuf,
    /// `sqlite:FILE` or `postgres://…`. Default: `refundry.db` in the data folder. May contain a
    /// password.
    #[serde(skip_serializing)]
    pub database_url: Option<String>,
    /// The key that secrets are sealed with, 32 bytes in base64. Default: the content of
    /// `master.key` in the data folder, which the first start creates.
    #[serde(skip_serializing)]
    pub master_key: Option<String>,
    /// `on`: refunds are sent. `off`: refunds are accepted and stay queued until dispatch is on
    /// again.
    pub dispatch: Switch,
    /// Maximum number of calls to providers at the same time.
    pub dispatch_limit: usize,
    /// Seconds for which a node may work on a refund before another node takes over.
    pub lease_seconds: u32,
    /// Longest wait for a provider's answer in seconds; less than the lease.
    pub provider_timeout_seconds: u32,
    /// Maximum number of requests that wait for the database.
    pub queue: usize,
    /// Number of concurrent transactions. Always 1 on SQLite, which has one writer.
    pub lanes: Option<usize>,
    /// Longest wait of a request for its commit, in seconds.
    pub commit_timeout_seconds: u32,
    /// Seconds to finish work under way at shutdown.
    pub shutdown_seconds: u32,
    /// Maximum number of connections at the same time.
    pub connections: usize,
    pub rate_limits: rate_limits::Settings,
    /// Seconds from a capture to the provider's payout to the merchant, by the provider's name. For
    /// a provider without an entry, payments are settled over the API.
    pub settlement_seconds: BTreeMap<String, u32>,
    /// Yoco door: payments made with test keys can be refunded.
    #[serde(deserialize_with = "bool_from_str_or_int")]
    pub yoco_allow_test_refunds: bool,
    /// Yoco door: only whole payments can be refunded.
    #[serde(deserialize_with = "bool_from_str_or_int")]
    pub yoco_full_refunds_only: bool,
    /// Yoco door: the status of an accepted refund, `succeeded`, `successful` or `pending`.
    pub yoco_refund_status: String,
    /// Yoco door: seconds that a refund waits for the provider's answer before the door answers.
    pub yoco_refund_wait_seconds: u32,
    /// How often the providers are asked what changed.
    pub reconcile: reconcile::Settings,
    pub webhooks: webhooks::Settings,
    /// How long events and deliveries are kept.
    pub retention: retention::Settings,
    pub simulator: Simulator,
    pub elasticpay: ElasticPay,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ElasticPay {
    /// Seconds that a refund waits for the provider's answer before the door answers `pending`.
    pub wait_seconds: u32,
    /// Accept only the reasons in ElasticPay's documentation.
    pub strict_reasons: bool,
}

/// The database that the settings name.
#[derive(Clone, PartialEq, Eq)]
pub enum Database {
    Sqlite(PathBuf),
    /// The URL of the database.
    Postgres(String),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Simulator {
    /// Starts the simulator and serves `/simulator`.
    pub enabled: bool,
    /// The simulator honours idempotency keys.
    pub honour_keys: bool,
    /// Milliseconds until the simulator takes a refund with the script `late_failure` back.
    pub late_failure_ms: i64,
    /// File of the simulator's book. Nodes on one host that name the same file share the book.
    /// Default: `simulator.db` in the data folder, for this node alone.
    pub book: Option<PathBuf>,
}

impl Simulator {
    /// Settings of the simulator's behaviour.
    pub fn build(&self) -> SimulatorConfig {
        SimulatorConfig {
            honour_keys: self.honour_keys,
            late_failure_after_ms: self.late_failure_ms,
            shared: self.book.is_some(),
            ..SimulatorConfig::default()
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            public_url: None,
            data: PathBuf::from("refundry-data"),
            database_url: None,
            master_key: None,
            dispatch: Switch::On,
            dispatch_limit: 256,
            lease_seconds: 30,
            provider_timeout_seconds: 20,
            queue: 4_096,
            lanes: None,
            commit_timeout_seconds: 10,
            shutdown_seconds: 25,
            connections: 10_000,
            rate_limits: rate_limits::Settings::default(),
            settlement_seconds: BTreeMap::new(),
            yoco_allow_test_refunds: false,
            yoco_full_refunds_only: false,
            yoco_refund_status: "succeeded".into(),
            yoco_refund_wait_seconds: 3,
            reconcile: reconcile::Settings::default(),
            webhooks: webhooks::Settings::default(),
            retention: retention::Settings::default(),
            simulator: Simulator {
                enabled: false,
                honour_keys: true,
                late_failure_ms: 1_000,
                book: None,
            },
            elasticpay: ElasticPay { wait_seconds: 10, strict_reasons: false },
        }
    }
}

/// True for the name of a setting or of a group.
fn is_setting(key: &str) -> bool {
    let name = key.to_ascii_lowercase();
    let name = name.split("__").next().unwrap_or_default();
    let settings = figment::value::Value::serialize(Config::default()).ok();
    name == "master_key"
        || name == "database_url"
        || settings.is_some_and(|value| value.find(name).is_some())
}

impl Config {
    /// Reads the configuration. `data` in `args` and `listen` are flags, which win over all else.
    pub fn load(args: &DataArgs, listen: Option<SocketAddr>) -> Result<Self, Failure> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(file) = &args.config {
            if !file.is_file() {
                return Err(Failure::Usage(format!(
                    "there is no configuration file {}",
                    file.display()
                )));
            }
            figment = figment.merge(Toml::file_exact(file));
        }
        // Other programs may use the same prefix, so variables without a setting are ignored.
        let env = Env::prefixed("REFUNDRY_").filter(|key| is_setting(key.as_str())).split("__");
        let mut config: Self = figment.merge(env).extract().map_err(wrong)?;
        config.data = args.data.clone().unwrap_or(config.data);
        config.listen = listen.unwrap_or(config.listen);
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), Failure> {
        if self.provider_timeout_seconds >= self.lease_seconds {
            return Err(wrong("provider_timeout_seconds must be less than lease_seconds"));
        }
        let web = |url: &String| url.starts_with("http://") || url.starts_with("https://");
        if !self.public_url.as_ref().is_none_or(web) {
            return Err(wrong("public_url must start with https:// or http://"));
        }
        self.api()?;
        self.webhooks.check()?;
        self.retention.check()?;
        self.reconcile.check()?;
        if !self.lanes.is_none_or(|lanes| (1..=64).contains(&lanes)) {
            return Err(wrong("lanes must be from 1 to 64"));
        }
        if self.dispatch_limit == 0 || self.queue == 0 || self.connections == 0 {
            return Err(wrong("dispatch_limit, queue and connections must be at least 1"));
        }
        Ok(())
    }

    /// URL of this server for buyers, without a slash at the end.
    pub fn public_url(&self) -> String {
        let given = self.public_url.as_deref().map(|url| url.trim_end_matches('/').to_owned());
        given.unwrap_or_else(|| format!("http://{}", self.listen))
    }

    /// Settings of the engine. `shared` is true when several nodes can use the database.
    pub fn engine(&self, shared: bool) -> EngineConfig {
        let ms = |seconds: &u32| i64::from(*seconds) * 1000;
        let settlement = self.settlement_seconds.iter();
        EngineConfig {
            committer: CommitterConfig {
                queue: self.queue,
                lanes: self.lanes.unwrap_or(if shared { SHARED_LANES } else { 1 }),
                ..CommitterConfig::default()
            },
            commit_timeout: seconds(self.commit_timeout_seconds),
            dispatch_limit: self.dispatch_limit,
            dispatch_at_once: self.dispatch == Switch::On,
            lease_ms: ms(&self.lease_seconds),
            provider_timeout: seconds(self.provider_timeout_seconds),
            public_url: self.public_url().into(),
            settlement_ms: settlement.map(|(name, seconds)| (name.clone(), ms(seconds))).collect(),
            retention: self.retention.build(),
            reconcile_every_ms: self.reconcile.every_ms(),
            ..EngineConfig::default()
        }
    }

    /// Settings of the doors.
    pub fn api(&self) -> Result<ApiConfig, Failure> {
        let ElasticPay { wait_seconds, strict_reasons } = self.elasticpay;
        Ok(ApiConfig {
            rate_limits: self.rate_limits.limits()?,
            elasticpay: ElasticPayConfig { wait: seconds(wait_seconds), strict_reasons },
            yoco: self.yoco()?,
            ..ApiConfig::default()
        })
    }

    fn yoco(&self) -> Result<YocoSettings, Failure> {
        let word = &self.yoco_refund_status;
        let refund_status = YocoSettings::status_from_text(word).ok_or_else(|| {
            wrong(format!(
                "yoco_refund_status must be succeeded, successful or pending, not {word:?}"
            ))
        })?;
        // After its lease, another node may work on the refund, so the answer must not wait that
        // long.
        let wait = self.yoco_refund_wait_seconds.min(self.lease_seconds / 2);
        Ok(YocoSettings {
            allow_test_refunds: self.yoco_allow_test_refunds,
            full_refunds_only: self.yoco_full_refunds_only,
            refund_status,
            refund_wait: seconds(wait),
        })
    }

    pub fn database(&self) -> Result<Database, Failure> {
        let own = || Ok(Database::Sqlite(self.data.join("refundry.db")));
        self.database_url.as_deref().map_or_else(own, Database::parse)
    }
}

pub fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds))
}

impl Database {
    /// Parses `database_url`.
    pub fn parse(url: &str) -> Result<Self, Failure> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Postgres(url.to_owned()));
        }
        match url.strip_prefix("sqlite:") {
            Some(path) if !path.is_empty() => {
                Ok(Self::Sqlite(PathBuf::from(path.strip_prefix("//").unwrap_or(path))))
            }
            _ => Err(Failure::Usage(
                "database_url must be sqlite:FILE, such as sqlite:/var/lib/refundry/refundry.db, \
                 or postgres://USER:PASSWORD@HOST/DATABASE"
                    .into(),
            )),
        }
    }
}
