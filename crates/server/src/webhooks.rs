//! Settings of outgoing webhooks, and what they make of them.

use crate::Failure;
use crate::config::Switch;
use engine::outbound::{Network, Outbound, Policy, SystemResolver};
use engine::webhooks::Webhooks;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// Leases last this many times as long as a call may take.
const LEASE_TIMEOUTS: i64 = 3;

/// Settings of outgoing webhooks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// `on`: webhooks are sent. `off`: they are kept until it is on again.
    pub send: Switch,
    /// Calls to receivers under way at the same time, at most.
    pub concurrency: usize,
    /// Of them to one endpoint, at most.
    pub per_endpoint: u32,
    /// Seconds that a receiver may take to answer.
    pub timeout_seconds: u32,
    /// Addresses and ranges that are not public and may be called all the same, in test mode. Never
    /// in live mode.
    pub allow_private: Vec<String>,
    /// Receivers on this machine may be called in both modes, over plain HTTP. For the demo, and not
    /// to be configured.
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
    /// Where receivers may be, in test mode and in live mode.
    fn policies(&self) -> Result<(Policy, Policy), Failure> {
        let network = |text: &String| {
            Network::parse(text).map_err(|error| {
                Failure::Usage(format!("configuration: webhooks.allow_private: {error}"))
            })
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

    /// Checks what can be wrong.
    pub fn check(&self) -> Result<(), Failure> {
        if self.concurrency == 0 || self.per_endpoint == 0 || self.timeout_seconds == 0 {
            return Err(Failure::Usage(
                "configuration: webhooks.concurrency, webhooks.per_endpoint and \
                 webhooks.timeout_seconds must be at least 1"
                    .into(),
            ));
        }
        self.policies().map(|_| ())
    }

    /// What sends webhooks.
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
        let sender = |policy| {
            Outbound::new(policy, Arc::new(SystemResolver), timeout)
                .map_err(|error| Failure::Usage(error.to_string()))
        };
        Ok(Webhooks { senders: Some((sender(test)?, sender(live)?)), ..webhooks })
    }
}
