//! Provider accounts.

use super::put::{bytes, id, int, json, maybe_text, maybe_time, text, time};
use super::{Cells, FromRow, Table, changing, fixed, key};
use crate::StoreError;
use domain::ids::ProviderAccountId;
use domain::provider_account::{ProviderAccount, ProviderAccountState, State};
use domain::sealed::Sealed;

pub(crate) static PROVIDER_ACCOUNTS: Table<ProviderAccount> = Table::new(
    "provider_accounts",
    &[
        key("scope", |a| int(a.tenant.code())),
        key("id", |a| id(a.id.bytes())),
        fixed("provider", |a| text(&a.provider)),
        changing("name", |a| text(&a.name)),
        changing("state", |a| int(a.state.code())),
        changing("config", |a| json(&a.config)),
        changing("secrets_sealed", |a| bytes(a.secrets.as_ref().map(|secrets| &*secrets.0))),
        changing("version", |a| int(a.version)),
        changing("paused_reason", |a| maybe_text(a.paused_reason.as_deref())),
        fixed("created_at", |a| time(a.created_at)),
        changing("updated_at", |a| time(a.updated_at)),
        changing("deleted_at", |a| maybe_time(a.deleted_at)),
        changing("last_seq", |a| int(a.last_seq)),
    ],
);

impl FromRow for ProviderAccount {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        Ok(ProviderAccount {
            tenant: c.tenant()?,
            id: ProviderAccountId::from_ulid(c.ulid()?),
            provider: c.required_text()?,
            name: c.required_text()?,
            state: c.code(State::from_code, "provider_accounts.state")?,
            config: c.json("provider_accounts.config")?,
            secrets: c.take::<Option<Vec<u8>>>()?.map(Sealed),
            version: c.take()?,
            paused_reason: c.text()?,
            created_at: c.time()?,
            updated_at: c.time()?,
            deleted_at: c.maybe_time()?,
            last_seq: c.take()?,
        })
    }
}

/// The columns of [`ProviderAccountState`].
pub(crate) const PROVIDER_ACCOUNT_STATE_COLUMNS: &str = "id, provider, state, version";

impl FromRow for ProviderAccountState {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        Ok(ProviderAccountState {
            id: ProviderAccountId::from_ulid(c.ulid()?),
            provider: c.required_text()?,
            state: c.code(State::from_code, "provider_accounts.state")?,
            version: c.take()?,
        })
    }
}
