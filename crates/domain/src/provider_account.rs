//! Provider accounts: the credentials of a payment provider for one account and mode.

use crate::codes::codes;
use crate::event::ProviderAccountDetail;
use crate::ids::ProviderAccountId;
use crate::sealed::Sealed;
use crate::tenant::Tenant;
use crate::time::Timestamp;
use std::collections::BTreeMap;

/// How many provider accounts that are not deleted an account can have in one mode.
pub const MOST_PROVIDER_ACCOUNTS: usize = 100;

codes! {
    pub enum State {
        Active = 1 "active",
        /// Nothing is sent through it.
        Paused = 2 "paused",
    }
}

/// The settings of a provider account that are no secrets, by the names of the provider's fields.
pub type Settings = BTreeMap<Box<str>, Box<str>>;

/// The credentials of a payment provider for one account and mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderAccount {
    pub tenant: Tenant,
    pub id: ProviderAccountId,
    /// The name of the provider.
    pub provider: Box<str>,
    /// A name for people.
    pub name: Box<str>,
    pub state: State,
    pub config: Settings,
    /// The secrets; `None` once it is deleted.
    pub secrets: Option<Sealed>,
    /// Counts the configurations and sets of secrets from 1.
    pub version: u32,
    pub paused_reason: Option<Box<str>>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub deleted_at: Option<Timestamp>,
    /// The number of its last event.
    pub last_seq: u32,
}

impl ProviderAccount {
    /// Describes it as it is now, for an event.
    pub(crate) fn detail(&self) -> ProviderAccountDetail {
        ProviderAccountDetail {
            provider: self.provider.clone(),
            name: self.name.clone(),
            state: self.state.as_str().into(),
            paused_reason: self.paused_reason.clone(),
            version: self.version,
            deleted: self.deleted_at.is_some(),
        }
    }
}

/// The part of a provider account that decides whether something is sent through it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderAccountState {
    pub id: ProviderAccountId,
    pub provider: Box<str>,
    pub state: State,
    pub version: u32,
}

/// Why a provider account is not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is none with this id for this account and mode.
    #[error("no such provider account")]
    NotFound,
    #[error("the provider account is deleted")]
    Deleted,
    /// The account has as many as it can have.
    #[error("there are {MOST_PROVIDER_ACCOUNTS} provider accounts already")]
    TooMany,
}
