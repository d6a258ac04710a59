//! The address of a database: a URL as libpq knows it, and a few settings of ours in it.

use super::tls::Verify;
use crate::StoreError;
use std::path::PathBuf;
use std::time::Duration;
use tokio_postgres::config::SslMode;

/// Connections of one node at most, unless the URL says otherwise.
const POOL_SIZE: usize = 16;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Bounds of every session, milliseconds. `options` in the URL come after them and so win.
const OPTIONS: &str = "-c statement_timeout=10000 -c lock_timeout=5000 \
     -c idle_in_transaction_session_timeout=15000";

/// The same for one transaction, where a session is not ours to change.
pub(super) const BEGIN_BOUNDED: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; \
     SET LOCAL statement_timeout = 10000; SET LOCAL lock_timeout = 5000; \
     SET LOCAL idle_in_transaction_session_timeout = 15000";

pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// Where the database is and how it is spoken to.
pub(super) struct Address {
    pub(super) config: tokio_postgres::Config,
    pub(super) verify: Verify,
    pub(super) pool_size: usize,
    /// Sessions are shared with others, as behind `PgBouncer` in transaction mode: nothing is kept
    /// in them between two transactions.
    pub(super) pooled: bool,
}

impl Address {
    /// Reads a URL such as `postgres://user:password@host/database?sslmode=verify-full`.
    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        let wrong = |text: String| StoreError::Address(format!("database_url: {text}"));
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut pool_size, mut pooled) = (POOL_SIZE, false);
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
            // As with libpq, a root certificate is there to be used.
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
        let rest = format!("{base}?{}", others.join("&"));
        let mut config: tokio_postgres::Config =
            rest.trim_end_matches('?').parse().map_err(|error: tokio_postgres::Error| {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                wrong(source.unwrap_or_else(|| error.to_string()))
            })?;
        config.ssl_mode(mode).keepalives_idle(Duration::from_secs(30));
        config.tcp_user_timeout(Duration::from_secs(30));
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_application_name().is_none() {
            config.application_name("refundry");
        }
        if !pooled {
            let own = config.get_options().unwrap_or_default().to_owned();
            config.options(format!("{OPTIONS} {own}"));
        }
        Ok(Self { config, verify, pool_size, pooled })
    }

    /// Where it is, without the password.
    pub(super) fn to_text(&self) -> String {
        let host = self.config.get_hosts().first().map_or_else(String::new, |host| match host {
            tokio_postgres::config::Host::Tcp(name) => name.clone(),
            tokio_postgres::config::Host::Unix(path) => path.display().to_string(),
        });
        format!("{} on {host}", self.config.get_dbname().unwrap_or("the default database"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(address.to_text(), "refunds on db");
    }

    #[test]
    fn every_session_is_bounded_and_the_urls_own_options_win() {
        let address = Address::parse("postgres://db/x?options=-c%20lock_timeout%3D1");
        let config = address.expect("a URL").config;
        let options = config.get_options().unwrap_or_default();
        assert!(options.starts_with(OPTIONS) && options.ends_with("-c lock_timeout=1"));
        assert_eq!(config.get_connect_timeout(), Some(&CONNECT_TIMEOUT));
    }

    #[test]
    fn what_cannot_be_is_refused_and_named() {
        assert!(wrong("postgres://db/x?sslmode=maybe").contains("sslmode \"maybe\""));
        assert!(wrong("postgres://db/x?pool_size=0").contains("pool_size"));
        assert!(wrong("postgres://db/x?pgbouncer=yes").contains("pgbouncer"));
        assert!(wrong("postgres://db:port/x").contains("database_url"));
    }
}
