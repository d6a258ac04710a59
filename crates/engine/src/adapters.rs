//! Finding the adapter that calls the provider of a payment: one that serves everybody, or the one that
//! is made from the credentials of a provider account.

use crate::provider_accounts::Credentials;
use crate::{Engine, Error};
use domain::ids::ProviderAccountId;
use domain::tenant::Tenant;
use providers::{AccountValues, Provider};
use secrecy::ExposeSecret as _;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// How many adapters of accounts are kept; the memory starts over when it is full.
const MOST: usize = 10_000;

/// An adapter, and the version of the account that it was made from.
type Made = (u32, Arc<dyn Provider>);

/// Adapters of provider accounts.
#[derive(Default)]
pub(crate) struct Adapters {
    made: Mutex<HashMap<(Tenant, ProviderAccountId), Made>>,
}

impl Adapters {
    fn of_version(
        &self,
        of: (Tenant, ProviderAccountId),
        version: u32,
    ) -> Option<Arc<dyn Provider>> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, adapter) = made.get(&of)?;
        (*known == version).then(|| adapter.clone())
    }

    fn keep(&self, of: (Tenant, ProviderAccountId), version: u32, adapter: Arc<dyn Provider>) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.len() >= MOST {
            made.clear();
        }
        made.insert(of, (version, adapter));
    }
}

impl Engine {
    /// The adapter for payments at a provider, or at one account there. `None` where this node cannot call
    /// it: it does not know the provider, the account is gone, or its credentials cannot be used.
    pub(crate) async fn adapter(
        &self,
        tenant: Tenant,
        provider: &str,
        account: Option<&str>,
    ) -> Option<Arc<dyn Provider>> {
        if self.registry().adapter_of_account(provider).is_none() {
            return self.registry().find(tenant, provider).cloned();
        }
        let id = ProviderAccountId::parse(account?).ok()?;
        match self.adapter_of_account(tenant, provider, id).await {
            Ok(adapter) => adapter,
            Err(error) => {
                tracing::error!(%error, account = %id, "a provider account cannot be used");
                None
            }
        }
    }

    async fn adapter_of_account(
        &self,
        tenant: Tenant,
        provider: &str,
        id: ProviderAccountId,
    ) -> Result<Option<Arc<dyn Provider>>, Error> {
        let states = self.provider_account_states(tenant).await?;
        let its = states.iter().find(|state| state.id == id && *state.provider == *provider);
        let Some(state) = its else { return Ok(None) };
        if let Some(adapter) = self.adapters().of_version((tenant, id), state.version) {
            return Ok(Some(adapter));
        }
        let Some(credentials) = self.provider_credentials(tenant, id).await? else {
            return Ok(None);
        };
        let adapter = self.make_adapter(id, &credentials)?;
        self.adapters().keep((tenant, id), credentials.version, adapter.clone());
        Ok(Some(adapter))
    }

    fn make_adapter(
        &self,
        id: ProviderAccountId,
        credentials: &Credentials,
    ) -> Result<Arc<dyn Provider>, Error> {
        let not_made = |message| Error::Invalid { field: "provider account", message };
        let Some((build, http)) = self.registry().adapter_of_account(&credentials.provider) else {
            return Err(not_made("this node has no adapter for its provider".to_owned()));
        };
        let config = credentials.config.iter().map(|(name, value)| (&**name, &**value));
        let secrets =
            credentials.secrets.iter().map(|(name, value)| (&**name, value.expose_secret()));
        let account = id.to_string();
        let values =
            AccountValues { account: &account, values: config.chain(secrets).collect(), http };
        build(&values).map_err(not_made)
    }
}
