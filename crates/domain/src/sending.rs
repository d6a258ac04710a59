//! The switches that stop all sending of refunds to providers: one per account and mode, and one per mode for all
//! accounts. Intake goes on.

use crate::codes::codes;
use crate::tenant::{Mode, Tenant};
use crate::time::Timestamp;

codes! {
    /// Whose sending a switch stops.
    pub enum Reach {
        /// One account, in one mode.
        Account = 1 "account",
        /// Every account, in one mode.
        Everyone = 2 "everyone",
    }
}

/// A switch as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switch {
    /// The account and mode, or [`everyone`].
    pub tenant: Tenant,
    pub stopped: bool,
    /// Why it was thrown last.
    pub reason: Option<Box<str>>,
    /// When it was thrown last; never where it only counts the events of the other switch.
    pub thrown_at: Option<Timestamp>,
    pub updated_at: Timestamp,
    /// The number of the last event about sending in this tenant.
    pub last_seq: u32,
}

/// The tenant that stands for all accounts in a mode. No account has the number 0.
pub fn everyone(mode: Mode) -> Tenant {
    Tenant::new(0, mode)
}

impl Reach {
    /// The reach of the switch of a tenant.
    pub fn of(tenant: Tenant) -> Self {
        if tenant == everyone(tenant.mode()) { Self::Everyone } else { Self::Account }
    }
}
