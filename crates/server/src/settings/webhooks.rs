//! Settings of outgoing webhooks.

use super::{Switch, wrong};
use crate::Failure;
use engine::outbound::{Network, Outbound, Policy, Resolver, SystemResolver};
use engine::webhooks::Webhooks;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// A lease lasts for this many timeouts.
const LEASE_TIMEOUTS: i64 = 3;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `on`: webhooks are sent. `off`: webhooks are kept and sent when this is on again.
    pub send: Switch,
    /// Maximum number of calls to receivers at the same time.
    pub concurrency: usize,
    /// Maximum number of these calls to one endpoint.
    pub per_endpoint: u32,
    /// Longest wait for a receiver's answer, in seconds.
    pub timeout_seconds: u32,
    /// Private addresses and ranges that may be called in test mode. Live mode never calls them.
    pub allow_private: Vec<String>,
    /// Allows receivers on this machine in both modes, over plain HTTP. The demo sets this; the
    /// configuration file cannot.
    #[serde(skip)]
    pub loopback: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            send: Switch::On,
            concurrency: 512,
            per_endpoint: 64,
            timeout_seconds: 10,
            allow_private: Vec::new(),
            loopback: false,
        }
    }
}

impl Settings {
    /// Rules for receivers' addresses in test mode and in live mode.
    fn policies(&self) -> Result<(Policy, Policy), Failure> {
        let network = |text: &String| {
            Network::parse(text).map_err(|error| wrong(format!("webhooks.allow_private: {error}")))
        };
        let mut test = Policy {
            https_only: false,
            allowed: self.allow_private.iter().map(network).collect::<Result<_, _>>()?,
        };
        let mut live = Policy { https_only: true, allowed: Vec::new() };
        if self.loopback {
            test.allowed.extend(Network::LOOPBACK);
            live = Policy { https_only: false, allowed: Network::LOOPBACK.to_vec() };
        }
        Ok((test, live))
    }

    /// Checks the settings.
    pub fn check(&self) -> Result<(), Failure> {
        if self.concurrency == 0 || self.per_endpoint == 0 || self.timeout_seconds == 0 {
            return Err(wrong(
                "webhooks.concurrency, webhooks.per_endpoint and webhooks.timeout_seconds must be \
                 at least 1",
            ));
        }
        self.policies().map(|_| ())
    }

    /// Converts the settings for the engine.
    pub fn build(&self) -> Result<Webhooks, Failure> {
        let policies = self.policies()?;
        let webhooks = Webhooks {
            formats: api::webhook_formats(),
            policies: policies.clone(),
            senders: None,
            concurrency: self.concurrency,
            per_endpoint: self.per_endpoint,
            lease_ms: i64::from(self.timeout_seconds) * 1000 * LEASE_TIMEOUTS,
        };
        if self.send == Switch::Off {
            return Ok(webhooks);
        }
        let (test, live) = policies;
        let timeout = Duration::from_secs(u64::from(self.timeout_seconds));
        let resolver = SystemResolver::new().map_err(|error| Failure::Usage(error.to_string()))?;
        let resolver: Arc<dyn Resolver> = Arc::new(resolver);
        let sender = |policy| {
            Outbound::new(policy, resolver.clone(), timeout)
                .map_err(|error| Failure::Usage(error.to_string()))
        };
        Ok(Webhooks { senders: Some((sender(test)?, sender(live)?)), ..webhooks })
    }
}
