//! Finding the adapter that calls the provider of a payment: one that serves everybody, or the one that
//! is made from the credentials of a provider account; and waiting for what it answers.

use crate::provider_accounts::Credentials;
use crate::{Engine, Error};
use domain::ids::ProviderAccountId;
use domain::outcome::Failure;
use domain::tenant::{Mode, Tenant};
use futures_util::FutureExt as _;
use providers::{AccountValues, Provider};
use secrecy::ExposeSecret as _;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How many adapters of accounts are kept; the memory starts over when it is full.
const MOST: usize = 10_000;

/// The code of a failure of our own code for a provider.
pub(crate) const ADAPTER_PANICKED: &str = "adapter_panicked";

/// Why this node cannot call the provider of a payment. It says nothing about any refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoAdapter {
    #[error("the payment's provider is not configured here")]
    NotConfigured,
    #[error("the payment's provider account was deleted")]
    Deleted,
    /// The log says why.
    #[error(
        "the payment's provider account cannot be used for now; the log of the server says why"
    )]
    Unusable,
}

/// An adapter, and the version of the account that it was made from.
type Made = (u32, Arc<dyn Provider>);

/// Adapters of provider accounts.
#[derive(Default)]
pub(crate) struct Adapters {
    made: Mutex<HashMap<(Tenant, ProviderAccountId), Made>>,
}

impl Adapters {
    /// The adapter of an account of this version, or of a newer one that was read meanwhile.
    fn since_version(
        &self,
        of: (Tenant, ProviderAccountId),
        version: u32,
    ) -> Option<Arc<dyn Provider>> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, adapter) = made.get(&of)?;
        (*known >= version).then(|| adapter.clone())
    }

    fn keep(&self, of: (Tenant, ProviderAccountId), version: u32, adapter: Arc<dyn Provider>) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if made.len() >= MOST {
            made.clear();
        }
        if made.get(&of).is_none_or(|(known, _)| *known <= version) {
            made.insert(of, (version, adapter));
        }
    }

    /// Forgets the adapter of an account, and so its secrets.
    pub(crate) fn forget(&self, of: (Tenant, ProviderAccountId)) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).remove(&of);
    }
}

impl Engine {
    /// The adapter for payments at a provider, or at one account there.
    pub(crate) async fn adapter(
        &self,
        tenant: Tenant,
        provider: &str,
        account: Option<&str>,
    ) -> Result<Arc<dyn Provider>, NoAdapter> {
        if self.registry().adapter_of_account(provider).is_none() {
            let of_everybody = self.registry().find(tenant, provider).cloned();
            return of_everybody.ok_or(NoAdapter::NotConfigured);
        }
        let id = account.and_then(|account| ProviderAccountId::parse(account).ok());
        let id = id.ok_or(NoAdapter::NotConfigured)?;
        match self.adapter_of_account(tenant, provider, id).await {
            Ok(adapter) => adapter.ok_or(NoAdapter::Deleted),
            Err(error) => {
                tracing::error!(%error, account = %id, "a provider account cannot be used");
                Err(NoAdapter::Unusable)
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
        if let Some(state) = its
            && let Some(adapter) = self.adapters().since_version((tenant, id), state.version)
        {
            return Ok(Some(adapter));
        }
        // It has changed, or another node may have made it a moment ago.
        let credentials = self.provider_credentials(tenant, id).await?;
        let Some(credentials) = credentials.filter(|its| *its.provider == *provider) else {
            self.adapters().forget((tenant, id));
            return Ok(None);
        };
        let adapter = self.make_adapter(tenant.mode(), id, &credentials)?;
        self.adapters().keep((tenant, id), credentials.version, adapter.clone());
        Ok(Some(adapter))
    }

    fn make_adapter(
        &self,
        mode: Mode,
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
        let values = config.chain(secrets).collect();
        let values = AccountValues { account: &account, mode, values, http };
        let adapter = catch_unwind(AssertUnwindSafe(|| build(&values)));
        adapter
            .unwrap_or_else(|_| Err("the adapter's own code failed".to_owned()))
            .map_err(not_made)
    }
}

/// Waits for an adapter, but not forever, and survives one that panics.
pub(crate) async fn answer_within<T>(
    limit: Duration,
    call: impl Future<Output = T>,
) -> Result<T, Failure> {
    match tokio::time::timeout(limit, AssertUnwindSafe(call).catch_unwind()).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(Failure::new(ADAPTER_PANICKED, "our code for this provider failed")),
        Err(_) => Err(Failure::new("timeout", "the provider did not answer in time")),
    }
}
