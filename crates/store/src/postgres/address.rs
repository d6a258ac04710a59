//! The address of a database: a URL as libpq knows it, and a few settings of ours in it.

use super::tls::Verify;
use crate::StoreError;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// Connections of one node at most, unless the URL says otherwise.
const POOL_SIZE: usize = 16;

/// Servers that a URL may name.
const MAX_SERVERS: usize = 16;

/// How long one host may take to give a connection, unless the URL says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the client waits for an answer, unless the URL says otherwise. The limit is longer than
/// that of a statement: a connection that does not answer within it is lost or stands still.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(12);

/// Defaults that the URL's own parameters override. On an idle connection a dead network shows
/// within about half a minute; a node always writes.
const DEFAULTS: &str = "connect_timeout=5&tcp_user_timeout=30&keepalives_idle=15\
     &keepalives_interval=5&keepalives_retries=3&application_name=refundry\
     &target_session_attrs=read-write";

/// Settings of every session, times in milliseconds. Rows are found by their keys and lists are
/// read in their order, even if the planner takes a table for small: otherwise every batch would
/// read all rows of a small table. No query is compiled, since compilation takes longer than any
/// query here. `options` in the URL come after these and override them.
const OPTIONS: &str = "-c statement_timeout=10000 -c lock_timeout=5000 \
     -c idle_in_transaction_session_timeout=15000 \
     -c enable_seqscan=off -c enable_bitmapscan=off -c enable_hashjoin=off \
     -c enable_mergejoin=off -c jit=off";

/// The same settings for one transaction, for sessions behind a pooler that Refundry may not
/// change.
pub(super) const BEGIN_BOUNDED: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; \
     SET LOCAL statement_timeout = 10000; SET LOCAL lock_timeout = 5000; \
     SET LOCAL idle_in_transaction_session_timeout = 15000; SET LOCAL enable_seqscan = off; \
     SET LOCAL enable_bitmapscan = off; SET LOCAL enable_hashjoin = off; \
     SET LOCAL enable_mergejoin = off; SET LOCAL jit = off";

pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// The servers of the database and how to connect to them.
pub(super) struct Address {
    /// The configuration without the servers.
    pub(super) config: Config,
    pub(super) servers: Vec<Server>,
    pub(super) connect_timeout: Duration,
    pub(super) answer_timeout: Duration,
    pub(super) verify: Verify,
    pub(super) pool_size: usize,
    /// Other clients share the sessions, as behind `PgBouncer` in transaction mode: a session keeps
    /// nothing between two transactions.
    pub(super) pooled: bool,
}

/// One of the servers that may have the database.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) host: Option<Host>,
    pub(super) address: Option<IpAddr>,
    pub(super) port: u16,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.address) {
            (Some(Host::Tcp(name)), _) => write!(f, "{name}:{}", self.port),
            (Some(Host::Unix(folder)), _) => write!(f, "{}:{}", folder.display(), self.port),
            (None, Some(address)) => write!(f, "{address}:{}", self.port),
            (None, None) => Ok(()),
        }
    }
}

/// The servers that a URL names.
fn servers(config: &Config) -> Result<Vec<Server>, &'static str> {
    let (hosts, addresses, ports) =
        (config.get_hosts(), config.get_hostaddrs(), config.get_ports());
    let count = hosts.len().max(addresses.len());
    let fits = |len: usize| len <= 1 || len == count;
    match count {
        0 => return Err("it names no host"),
        1..=MAX_SERVERS => {}
        _ => return Err("it names too many hosts"),
    }
    if !fits(ports.len())
        || (!hosts.is_empty() && !addresses.is_empty() && hosts.len() != addresses.len())
    {
        return Err("it must have one port in all or one for each host");
    }
    let port = |at: usize| ports.get(at).or(ports.first()).copied().unwrap_or(5432);
    let server = |at| Server {
        host: hosts.get(at).cloned(),
        address: addresses.get(at).copied(),
        port: port(at),
    };
    Ok((0..count).map(server).collect())
}

/// The configuration without its servers and without a time limit, since
/// [`Connector`](super::connect::Connector) limits each server as a whole.
fn without_servers(config: &Config) -> Config {
    let mut bare = Config::new();
    bare.ssl_mode(config.get_ssl_mode())
        .ssl_negotiation(config.get_ssl_negotiation())
        .keepalives(config.get_keepalives())
        .keepalives_idle(config.get_keepalives_idle())
        .target_session_attrs(config.get_target_session_attrs())
        .channel_binding(config.get_channel_binding());
    config.get_user().map(|user| bare.user(user));
    config.get_password().map(|password| bare.password(password));
    config.get_dbname().map(|name| bare.dbname(name));
    config.get_options().map(|options| bare.options(options));
    config.get_application_name().map(|name| bare.application_name(name));
    config.get_tcp_user_timeout().map(|limit| bare.tcp_user_timeout(*limit));
    config.get_keepalives_interval().map(|pause| bare.keepalives_interval(pause));
    config.get_keepalives_retries().map(|count| bare.keepalives_retries(count));
    bare
}

impl Address {
    /// Reads a URL such as `postgres://user:password@host/database?sslmode=verify-full`.
    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        let wrong = |text: String| StoreError::Address(format!("database_url: {text}"));
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut pool_size, mut pooled) = (POOL_SIZE, false);
        let mut answer_timeout = ANSWER_TIMEOUT;
        let (mut sslmode, mut root) = ("prefer", None);
        let mut others = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=').unwrap_or((pair, "")) {
                ("sslmode", value) => sslmode = value,
                ("sslrootcert", value) => root = Some(PathBuf::from(value.replace("%2F", "/"))),
                ("pool_size", value) => {
                    let size = value.parse().ok().filter(|size| (2..=1_000).contains(size));
                    pool_size =
                        size.ok_or_else(|| wrong("pool_size must be from 2 to 1000".into()))?;
                }
                ("answer_timeout", value) => {
                    let seconds = value.parse().ok().filter(|s| (1..=300).contains(s));
                    let seconds = seconds
                        .ok_or_else(|| wrong("answer_timeout must be from 1 to 300".into()))?;
                    answer_timeout = Duration::from_secs(seconds);
                }
                ("pgbouncer", "true") => pooled = true,
                ("pgbouncer", "false") => pooled = false,
                ("pgbouncer", _) => return Err(wrong("pgbouncer must be true or false".into())),
                _ => others.push(pair),
            }
        }
        let (mode, verify) = match (sslmode, root) {
            ("disable", _) => (SslMode::Disable, Verify::Nothing),
            ("prefer", _) => (SslMode::Prefer, Verify::Nothing),
            ("require", None) => (SslMode::Require, Verify::Nothing),
            // As with libpq, a root certificate in the URL means that it is used.
            ("require" | "verify-ca" | "verify-full", Some(root)) => {
                (SslMode::Require, Verify::With(root))
            }
            ("verify-ca" | "verify-full", None) => (SslMode::Require, Verify::Public),
            (other, _) => {
                return Err(wrong(format!(
                    "sslmode {other:?} must be disable, prefer, require, verify-ca or verify-full"
                )));
            }
        };
        let rest = format!("{base}?{DEFAULTS}&{}", others.join("&"));
        let mut config: Config =
            rest.trim_end_matches('&').parse().map_err(|error: tokio_postgres::Error| {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                wrong(source.unwrap_or_else(|| error.to_string()))
            })?;
        config.ssl_mode(mode);
        if !pooled {
            let own = config.get_options().unwrap_or_default().to_owned();
            config.options(format!("{OPTIONS} {own}"));
        }
        let servers = servers(&config).map_err(|text| wrong(text.into()))?;
        let connect_timeout = config.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT);
        let config = without_servers(&config);
        Ok(Self { config, servers, connect_timeout, answer_timeout, verify, pool_size, pooled })
    }

    /// The location of the database, without the password.
    pub(super) fn to_text(&self) -> String {
        let servers: Vec<_> = self.servers.iter().map(ToString::to_string).collect();
        let name = self.config.get_dbname().unwrap_or("the default database");
        format!("{name} on {}", servers.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_postgres::config::TargetSessionAttrs;

    fn wrong(url: &str) -> String {
        Address::parse(url).err().expect("refused").to_string()
    }

    #[test]
    fn settings_of_ours_are_taken_out_of_the_url() {
        let url = "postgres://me:secret@db/refunds?sslmode=verify-full&pool_size=7&pgbouncer=true";
        let address = Address::parse(url).expect("a URL");
        assert_eq!((address.pool_size, address.pooled), (7, true));
        assert!(matches!(address.verify, Verify::Public));
        assert_eq!(address.config.get_ssl_mode(), SslMode::Require);
        assert_eq!(address.config.get_dbname(), Some("refunds"));
        assert_eq!(address.config.get_options(), None, "PgBouncer refuses options");
        assert_eq!(address.to_text(), "refunds on db:5432");
    }

    #[test]
    fn every_session_is_bounded_and_the_urls_own_options_win() {
        let address = Address::parse("postgres://db/x?options=-c%20lock_timeout%3D1");
        let address = address.expect("a URL");
        assert_eq!(address.connect_timeout, CONNECT_TIMEOUT);
        let config = address.config;
        let options = config.get_options().unwrap_or_default();
        assert!(options.starts_with(OPTIONS) && options.ends_with("-c lock_timeout=1"));
    }

    #[test]
    fn several_hosts_are_asked_in_their_order_for_one_that_can_be_written_to() {
        let address = Address::parse("postgres://me@one:1,two:2/x?answer_timeout=3");
        let address = address.expect("a URL");
        assert_eq!(address.to_text(), "x on one:1, two:2");
        assert_eq!(address.config.get_hosts(), []);
        assert_eq!(address.config.get_user(), Some("me"));
        let attributes = address.config.get_target_session_attrs();
        assert_eq!(attributes, TargetSessionAttrs::ReadWrite);
        assert_eq!(address.answer_timeout, Duration::from_secs(3));
        let own = "postgres://db/x?target_session_attrs=any&connect_timeout=2";
        let address = Address::parse(own).expect("a URL");
        assert_eq!(address.config.get_target_session_attrs(), TargetSessionAttrs::Any);
        assert_eq!(address.connect_timeout, Duration::from_secs(2));
    }

    #[test]
    fn what_cannot_be_is_refused_and_named() {
        assert!(wrong("postgres://db/x?sslmode=maybe").contains("sslmode \"maybe\""));
        assert!(wrong("postgres://db/x?pool_size=0").contains("pool_size"));
        assert!(wrong("postgres://db/x?pgbouncer=yes").contains("pgbouncer"));
        assert!(wrong("postgres://db/x?answer_timeout=0").contains("answer_timeout"));
        assert!(wrong("postgres://db:port/x").contains("database_url"));
        assert!(wrong("postgres://one:1,two:2/x?port=3").contains("one port"));
        assert!(wrong("postgres:///x").contains("no host"));
    }
}
