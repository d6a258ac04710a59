//! Stopping and starting the sending of refunds, on all nodes. Intake goes on.

use crate::{Engine, Error};
use domain::administer::sending::{ThrowSwitch, throw};
use domain::decide::fan_out;
use domain::sending::{Reach, Switch, everyone};
use domain::tenant::Tenant;
use domain::view::View;

/// The switches that stop the sending of an account in one mode. A switch that was never thrown is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SendingStatus {
    /// That of the account.
    pub account: Option<Switch>,
    /// That of all accounts.
    pub everyone: Option<Switch>,
}

impl SendingStatus {
    fn of(switches: Vec<Switch>, tenant: Tenant) -> Self {
        let mut status = Self::default();
        for switch in switches {
            if switch.tenant == everyone(tenant.mode()) {
                status.everyone = Some(switch);
            } else {
                status.account = Some(switch);
            }
        }
        status
    }

    /// Whether any of them stops it.
    pub fn is_stopped(&self) -> bool {
        [&self.account, &self.everyone].into_iter().flatten().any(|switch| switch.stopped)
    }
}

impl Engine {
    /// Throws a switch. `false` when it stands like that already.
    pub async fn throw_sending_switch(&self, switch: ThrowSwitch) -> Result<bool, Error> {
        let (engine, now, wanted) = (self.clone(), self.now(), switch.wanted());
        let (reach, mode, stop) = (Reach::of(switch.tenant), switch.tenant.mode(), switch.stop);
        let decide = move |view: &mut View| {
            engine.with_ids(|ids| {
                let is_thrown = throw(view, &switch, now, ids);
                fan_out(view, now, ids);
                is_thrown
            })
        };
        let thrown = self.within_commit(self.store().run_batch(wanted, decide)).await;
        // Also after an error, since it may have been saved.
        self.switches().forget();
        if thrown? {
            tracing::warn!(%reach, %mode, stop, "the sending of refunds was stopped or started");
            self.outbox().wake();
            return Ok(true);
        }
        Ok(false)
    }

    /// The switches of an account and mode as they stand.
    pub async fn sending_status(&self, tenant: Tenant) -> Result<SendingStatus, Error> {
        Ok(SendingStatus::of(self.store().switches(tenant).await?, tenant))
    }

    /// Whether refunds of this tenant must not be sent now. Read at most once a second; while the switches cannot be
    /// read, they stand as they were seen last, and nothing is sent where they were never seen.
    pub async fn is_sending_stopped(&self, tenant: Tenant) -> bool {
        let (cache, now) = (self.switches(), self.now());
        if let Some(stopped) = cache.fresh(tenant, now) {
            return stopped;
        }
        let changes = cache.changes();
        match self.sending_status(tenant).await {
            Ok(status) => {
                cache.remember(tenant, status.is_stopped(), now, changes);
                status.is_stopped()
            }
            Err(error) => {
                let stopped = cache.last(tenant).unwrap_or(true);
                tracing::warn!(%error, stopped, "whether refunds are sent could not be read");
                stopped
            }
        }
    }
}
