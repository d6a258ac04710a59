//! Configuration: defaults, then the file, then `REFUNDRY_*` in the environment, then flags.

use crate::Failure;
use crate::cli::DataArgs;
use crate::rate_limits;
use crate::retention;
use crate::webhooks;
use api::YocoSettings;
use figment::Figment;
use figment::providers::{Env, Format as _, Serialized, Toml};
use figment::util::bool_from_str_or_int;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Every setting, by the name it has in the file. In the environment a setting is in capitals after
/// `REFUNDRY_`, a part of a group after two underscores: `REFUNDRY_SIMULATOR__ENABLED=true`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Where buyers find this server, http or https; the address it listens on when absent.
    pub public_url: Option<String>,
    /// Folder for the database, the master key and the simulator's book.
    pub data: PathBuf,
    /// `sqlite:FILE` or `postgres://…`; `refundry.db` in the data folder when absent. May hold a
    /// password.
    #[serde(skip_serializing)]
    pub database_url: Option<String>,
    /// The key under which secrets are sealed, 32 bytes in base64. When absent it is read from
    /// `master.key` in the data folder, which is made at the first start.
    #[serde(skip_serializing)]
    pub master_key: Option<String>,
    /// `on`: refunds are sent. `off`: refunds are accepted and held until it is on again.
    pub dispatch: Switch,
    /// Calls to providers under way at the same time, at most.
    pub dispatch_limit: usize,
    /// Seconds for which a node may work on a refund before another takes over.
    pub lease_seconds: u32,
    /// Seconds that a provider may take to answer; less than the lease.
    pub provider_timeout_seconds: u32,
    /// Requests that may wait for the database.
    pub queue: usize,
    /// Transactions under way at the same time; 1 for SQLite, which has one writer.
    pub lanes: Option<usize>,
    /// Seconds that a request waits for its commit.
    pub commit_timeout_seconds: u32,
    /// Seconds in which work under way is finished at shutdown.
    pub shutdown_seconds: u32,
    /// Connections at the same time, at most.
    pub connections: usize,
    /// How much an account or a client may ask for.
    pub rate_limits: rate_limits::Settings,
    /// Seconds from a capture until the provider pays the merchant out, by the provider's name. Where
    /// it is not known, payments settle when somebody says so.
    pub settlement_seconds: BTreeMap<String, u32>,
    /// Yoco door: payments made with test keys can be refunded.
    #[serde(deserialize_with = "bool_from_str_or_int")]
    pub yoco_allow_test_refunds: bool,
    /// Yoco door: whole payments only are refunded.
    #[serde(deserialize_with = "bool_from_str_or_int")]
    pub yoco_full_refunds_only: bool,
    /// Yoco door: the status of an accepted refund, `succeeded`, `successful` or `pending`.
    pub yoco_refund_status: String,
    /// Yoco door: seconds that an answer to a refund waits for the provider's.
    pub yoco_refund_wait_seconds: u32,
    /// Outgoing webhooks.
    pub webhooks: webhooks::Settings,
    /// How long what is kept.
    pub retention: retention::Settings,
    /// The built-in simulated provider.
    pub simulator: Simulator,
    /// The ElasticPay door.
    pub elasticpay: ElasticPay,
}

/// Settings of the ElasticPay door.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ElasticPay {
    /// Seconds that a refund waits for the provider's answer before it is answered as pending.
    pub wait_seconds: u32,
    /// Take only the reasons that its documentation lists.
    pub strict_reasons: bool,
}

/// Where the data is.
#[derive(Clone, PartialEq, Eq)]
pub enum Database {
    /// A file.
    Sqlite(PathBuf),
    /// The address of a server.
    Postgres(String),
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}

/// Settings of the built-in simulated provider.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Simulator {
    /// It exists, and `/simulator` is served.
    pub enabled: bool,
    /// It honours idempotency keys.
    pub honour_keys: bool,
    /// Milliseconds after which a refund with the script `late_failure` is taken back.
    pub late_failure_ms: i64,
    /// The file of its book, which other nodes on this host name, too; `simulator.db` in the data
    /// folder, for this node alone, when absent.
    pub book: Option<PathBuf>,
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

/// True for the name of a setting, or of a part of a group.
fn is_setting(key: &str) -> bool {
    let name = key.to_ascii_lowercase();
    let name = name.split("__").next().unwrap_or_default();
    let settings = figment::value::Value::serialize(Config::default()).ok();
    name == "master_key"
        || name == "database_url"
        || settings.is_some_and(|value| value.find(name).is_some())
}

impl Config {
    /// Reads the configuration. `listen` is the flag, which wins.
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
        // Other programs' variables may share the prefix, so only settings are read.
        let env = Env::prefixed("REFUNDRY_").filter(|key| is_setting(key.as_str())).split("__");
        let mut config: Self = figment
            .merge(env)
            .extract()
            .map_err(|error| Failure::Usage(format!("configuration: {error}")))?;
        if let Some(data) = &args.data {
            config.data.clone_from(data);
        }
        if let Some(listen) = listen {
            config.listen = listen;
        }
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), Failure> {
        let wrong = |text: &str| Err(Failure::Usage(format!("configuration: {text}")));
        if self.provider_timeout_seconds >= self.lease_seconds {
            return wrong("provider_timeout_seconds must be less than lease_seconds");
        }
        let web = |url: &String| url.starts_with("http://") || url.starts_with("https://");
        if !self.public_url.as_ref().is_none_or(web) {
            return wrong("public_url must start with https:// or http://");
        }
        self.rate_limits.limits()?;
        self.webhooks.check()?;
        self.retention.check()?;
        self.yoco()?;
        if !self.lanes.is_none_or(|lanes| (1..=64).contains(&lanes)) {
            return wrong("lanes must be from 1 to 64");
        }
        if self.dispatch_limit == 0 || self.queue == 0 || self.connections == 0 {
            return wrong("dispatch_limit, queue and connections must be at least 1");
        }
        Ok(())
    }

    /// Where buyers find this server, without a slash at the end.
    pub fn public_url(&self) -> String {
        let given = self.public_url.as_deref().map(|url| url.trim_end_matches('/').to_owned());
        given.unwrap_or_else(|| format!("http://{}", self.listen))
    }

    /// What the Yoco door does.
    pub fn yoco(&self) -> Result<YocoSettings, Failure> {
        let word = &self.yoco_refund_status;
        let refund_status = YocoSettings::status_from_text(word).ok_or_else(|| {
            Failure::Usage(format!(
                "configuration: yoco_refund_status must be succeeded, successful or pending, not {word:?}"
            ))
        })?;
        // Who waits longer than its lease answers what another node may be answering.
        let wait = self.yoco_refund_wait_seconds.min(self.lease_seconds / 2);
        Ok(YocoSettings {
            allow_test_refunds: self.yoco_allow_test_refunds,
            full_refunds_only: self.yoco_full_refunds_only,
            refund_status,
            refund_wait: Duration::from_secs(u64::from(wait)),
        })
    }

    /// The database.
    pub fn database(&self) -> Result<Database, Failure> {
        let Some(url) = &self.database_url else {
            return Ok(Database::Sqlite(self.data.join("refundry.db")));
        };
        Database::parse(url)
    }
}

impl Database {
    /// Reads an address.
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
