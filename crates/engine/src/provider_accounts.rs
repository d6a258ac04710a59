//! Provider accounts: making, changing and finding them, and their secrets.

use crate::dispatch::gate_key;
use crate::{Engine, Error, SecretError};
use domain::administer::provider_account::{Act, Changes, NewProviderAccount, decide, wanted};
use domain::decide::fan_out;
use domain::ids::ProviderAccountId;
use domain::provider_account::{
    MOST_PROVIDER_ACCOUNTS, ProviderAccount, ProviderAccountState, Refusal, Settings, State,
};
use domain::sealed::Sealed;
use domain::tenant::Tenant;
use domain::view::View;
use providers::{ProviderKind, nearest};
use secrecy::{ExposeSecret as _, SecretString};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{Page, PageQuery, ProviderAccountFilter, StoreError};
use zeroize::Zeroizing;

/// The longest name of a provider account, characters.
pub const LONGEST_NAME: usize = 80;
/// The longest reason for pausing one, characters.
pub const LONGEST_REASON: usize = 500;

/// The end of a secret is shown only where it is this long, in characters.
const SHOWN_FROM: usize = 12;
/// How many characters of its end are shown.
const SHOWN: usize = 4;

/// Secrets by the names of the provider's fields.
pub type Secrets = BTreeMap<Box<str>, SecretString>;

/// A provider account as it is asked for.
#[derive(Debug)]
pub struct ProviderAccountDraft {
    pub provider: Box<str>,
    pub name: Box<str>,
    pub config: Settings,
    pub secrets: Secrets,
}

/// A provider account as it is shown: without its secrets.
#[derive(Clone, Debug)]
pub struct ProviderAccountView {
    pub account: ProviderAccount,
    /// The provider's secrets; none when it is deleted.
    pub secrets: Result<Vec<SecretHint>, SecretError>,
}

/// As much of a secret as people may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretHint {
    pub name: Box<str>,
    /// There is a value.
    pub set: bool,
    /// The last characters of a long value.
    pub last4: Option<Box<str>>,
}

/// All that is needed to speak to a provider.
#[derive(Debug)]
pub struct Credentials {
    pub provider: Box<str>,
    pub state: State,
    /// Changes with the settings and with the secrets.
    pub version: u32,
    pub config: Settings,
    pub secrets: Secrets,
}

/// A draft of a provider account that cannot be accepted.
fn invalid(field: &'static str, message: String) -> Error {
    Error::Invalid { field, message }
}

impl Engine {
    /// Makes a provider account.
    pub async fn create_provider_account(
        &self,
        tenant: Tenant,
        draft: ProviderAccountDraft,
    ) -> Result<ProviderAccountView, Error> {
        let kind = self.provider_kind(&draft.provider)?;
        check_name(&draft.name)?;
        check_config(kind, &draft.config)?;
        check_secrets(kind, &draft.secrets)?;
        if self.store().provider_account_states(tenant).await?.len() >= MOST_PROVIDER_ACCOUNTS {
            return Err(Refusal::TooMany.into());
        }
        let now = self.now();
        let id = self.with_ids(|ids| ids.provider_account(now));
        let new = NewProviderAccount {
            provider: draft.provider,
            name: draft.name,
            config: draft.config,
            secrets: self.seal_secrets((tenant, id), &draft.secrets)?,
        };
        self.act_on_provider_account(tenant, id, Act::Create(new)).await
    }

    /// Changes the name or the settings of a provider account.
    pub async fn change_provider_account(
        &self,
        tenant: Tenant,
        id: ProviderAccountId,
        changes: Changes,
    ) -> Result<ProviderAccountView, Error> {
        if let Some(name) = &changes.name {
            check_name(name)?;
        }
        if let Some(config) = &changes.config {
            check_config(self.kind_of(tenant, id).await?, config)?;
        }
        self.act_on_provider_account(tenant, id, Act::Change(changes)).await
    }

    /// Stops sending through a provider account.
    pub async fn pause_provider_account(
        &self,
        tenant: Tenant,
        id: ProviderAccountId,
        reason: Option<Box<str>>,
    ) -> Result<ProviderAccountView, Error> {
        if reason.as_ref().is_some_and(|reason| reason.chars().count() > LONGEST_REASON) {
            let message = format!("reason is longer than {LONGEST_REASON} characters");
            return Err(invalid("reason", message));
        }
        self.act_on_provider_account(tenant, id, Act::Pause { reason }).await
    }

    /// Sends through a provider account again.
    pub async fn resume_provider_account(
        &self,
        tenant: Tenant,
        id: ProviderAccountId,
    ) -> Result<ProviderAccountView, Error> {
        self.act_on_provider_account(tenant, id, Act::Resume).await
    }

    /// Gives a provider account a new set of secrets and forgets the one before.
    pub async fn rotate_provider_account(
        &self,
        tenant: Tenant,
        id: ProviderAccountId,
        secrets: &Secrets,
    ) -> Result<ProviderAccountView, Error> {
        let kind = self.kind_of(tenant, id).await?;
        check_secrets(kind, secrets)?;
        if secrets.is_empty() {
            let message = format!("an account of {} has no secrets to rotate", kind.name);
            return Err(invalid("secrets", message));
        }
        let sealed = self.seal_secrets((tenant, id), secrets)?;
        self.act_on_provider_account(tenant, id, Act::Rotate(sealed)).await
    }

    /// Deletes a provider account and forgets its secrets. The rest of it can still be found by its id.
    pub async fn delete_provider_account(
        &self,
        tenant: Tenant,
        id: ProviderAccountId,
    ) -> Result<ProviderAccountView, Error> {
        self.act_on_provider_account(tenant, id, Act::Delete).await
    }

    /// The provider account with this id, also a deleted one.
    pub async fn find_provider_account(
        &self,
        tenant: Tenant,
        id: ProviderAccountId,
    ) -> Result<Option<ProviderAccountView>, Error> {
        let found = self.store().find_provider_account(tenant, id).await?;
        Ok(found.map(|account| self.show(account)))
    }

    /// Provider accounts that are not deleted, by time.
    pub async fn list_provider_accounts(
        &self,
        tenant: Tenant,
        filter: ProviderAccountFilter,
        page: PageQuery,
    ) -> Result<Page<ProviderAccountView>, Error> {
        let page = self.store().list_provider_accounts(tenant, filter, page).await?;
        let items = page.items.into_iter().map(|account| self.show(account)).collect();
        Ok(Page { items, more: page.more })
    }

    /// The states of the provider accounts that are not deleted, oldest first. Read at most once a second.
    pub async fn provider_account_states(
        &self,
        tenant: Tenant,
    ) -> Result<Arc<[ProviderAccountState]>, Error> {
        let (cache, now) = (self.account_states(), self.now());
        match cache.fresh(tenant, now) {
            Some(states) => Ok(states),
            None => self.read_account_states(tenant).await,
        }
    }

    /// The same, read now.
    pub(crate) async fn read_account_states(
        &self,
        tenant: Tenant,
    ) -> Result<Arc<[ProviderAccountState]>, Error> {
        let (cache, now) = (self.account_states(), self.now());
        let changes = cache.changes();
        let states: Arc<[_]> = self.store().provider_account_states(tenant).await?.into();
        cache.remember(tenant, states.clone(), now, changes);
        Ok(states)
    }

    /// The credentials of a provider account, also of a paused one; `None` when there is none or it is deleted.
    pub async fn provider_credentials(
        &self,
        tenant: Tenant,
        id: ProviderAccountId,
    ) -> Result<Option<Credentials>, Error> {
        let Some(account) = self.store().find_provider_account(tenant, id).await? else {
            return Ok(None);
        };
        let Some(sealed) = &account.secrets else { return Ok(None) };
        let unreadable = |error| {
            StoreError::Inconsistent(format!("the secrets of provider account {id}: {error}"))
        };
        let secrets = self.open_secrets((tenant, id), sealed).map_err(unreadable)?;
        let ProviderAccount { provider, state, version, config, .. } = account;
        Ok(Some(Credentials { provider, state, version, config, secrets }))
    }

    async fn act_on_provider_account(
        &self,
        tenant: Tenant,
        id: ProviderAccountId,
        act: Act,
    ) -> Result<ProviderAccountView, Error> {
        let (engine, now) = (self.clone(), self.now());
        let decide = move |view: &mut View| {
            engine.with_ids(|ids| {
                let done = decide(view, (tenant, id), &act, now, ids);
                fan_out(view, now, ids);
                done
            })
        };
        let wanted = wanted(tenant, id);
        let done = self.within_commit(self.store().run_batch(wanted, decide)).await;
        // Also after an error, since it may have been saved.
        self.account_states().forget();
        self.adapters().forget((tenant, id));
        let account = done??;
        // Read at once, so that the next refund knows whether its account is there.
        let _ = self.provider_account_states(tenant).await;
        if let Some((name, _)) = self.registry().traits().get_key_value(&*account.provider) {
            // With other credentials, or after a person looked, it is called again at once.
            self.gates().resume(&gate_key(tenant, name, Some(&id.to_string())));
        }
        self.outbox().wake();
        Ok(self.show(account))
    }

    /// The names of the providers that this node can call.
    pub fn provider_names(&self) -> Vec<&'static str> {
        self.registry().called().map(|(name, _)| name).collect()
    }

    /// The kinds of providers that accounts can be made for.
    pub fn provider_kinds(&self) -> impl Iterator<Item = &ProviderKind> {
        self.registry().kinds()
    }

    fn provider_kind(&self, name: &str) -> Result<&ProviderKind, Error> {
        let registry = self.registry();
        let found = registry.kinds().find(|kind| kind.name == name);
        found.ok_or_else(|| {
            let known: Vec<_> = registry.kinds().map(|kind| kind.name).collect();
            let hint = match (nearest(name, known.iter().copied()), known.as_slice()) {
                (Some(near), _) => format!("did you mean {near}?"),
                (None, []) => "this server has no provider that needs an account".to_owned(),
                (None, known) => format!("provider is one of {}", known.join(", ")),
            };
            let name: String = name.chars().take(40).collect();
            invalid("provider", format!("there is no provider {name:?}; {hint}"))
        })
    }

    /// The kind of provider of an account.
    async fn kind_of(&self, tenant: Tenant, id: ProviderAccountId) -> Result<&ProviderKind, Error> {
        let found = self.store().find_provider_account(tenant, id).await?;
        let account = found.ok_or(Refusal::NotFound)?;
        if account.deleted_at.is_some() {
            return Err(Refusal::Deleted.into());
        }
        self.provider_kind(&account.provider)
    }

    fn seal_secrets(
        &self,
        row: (Tenant, ProviderAccountId),
        secrets: &Secrets,
    ) -> Result<Sealed, Error> {
        let sealed = self.with_ids(|ids| {
            self.master_key().seal(&row_name(row), &print_secrets(secrets), ids.rng())
        });
        sealed.map(Sealed).map_err(|error| invalid("master key", error.to_string()))
    }

    fn open_secrets(
        &self,
        row: (Tenant, ProviderAccountId),
        sealed: &Sealed,
    ) -> Result<Secrets, SecretError> {
        let opened = self.master_key().open(&row_name(row), &sealed.0)?;
        let secrets: BTreeMap<Box<str>, String> =
            serde_json::from_slice(opened.expose_secret()).map_err(|_| SecretError::Changed)?;
        Ok(secrets.into_iter().map(|(name, value)| (name, value.into())).collect())
    }

    fn show(&self, account: ProviderAccount) -> ProviderAccountView {
        let row = (account.tenant, account.id);
        let secrets = account.secrets.as_ref().map_or_else(
            || Ok(Vec::new()),
            |sealed| Ok(self.hints(&account.provider, &self.open_secrets(row, sealed)?)),
        );
        if let Err(error) = &secrets {
            tracing::error!(%error, account = %account.id, "the secrets of a provider account cannot be opened");
        }
        ProviderAccountView { account, secrets }
    }

    /// One hint for each secret of the provider, and for any other that is stored.
    fn hints(&self, provider: &str, secrets: &Secrets) -> Vec<SecretHint> {
        let kind = self.registry().kinds().find(|kind| kind.name == provider);
        let fields = kind.into_iter().flat_map(|kind| kind.config_fields);
        let unset = fields.filter(|field| field.secret && !secrets.contains_key(field.name));
        let unset =
            unset.map(|field| SecretHint { name: field.name.into(), set: false, last4: None });
        let set = secrets.iter().map(|(name, value)| SecretHint {
            name: name.clone(),
            set: true,
            last4: last4(value.expose_secret()),
        });
        set.chain(unset).collect()
    }
}

/// The row that sealed secrets are bound to.
fn row_name((tenant, id): (Tenant, ProviderAccountId)) -> String {
    format!("provider account {} {id}", tenant.code())
}

/// Secrets as they are sealed: a JSON object.
fn print_secrets(secrets: &Secrets) -> Zeroizing<Vec<u8>> {
    // Room for every character being escaped, so that no part is left behind in memory that was outgrown.
    let lengths = secrets.iter().map(|(name, value)| name.len() + value.expose_secret().len());
    let room = lengths.fold(2, |room: usize, length| room.saturating_add(length * 6 + 8));
    let mut text = Zeroizing::new(Vec::with_capacity(room));
    let plain: BTreeMap<&str, &str> =
        secrets.iter().map(|(name, value)| (&**name, value.expose_secret())).collect();
    // Texts can be printed, and memory takes them.
    let _ = serde_json::to_writer(&mut *text, &plain);
    text
}

fn last4(value: &str) -> Option<Box<str>> {
    let count = value.chars().count();
    (count >= SHOWN_FROM).then(|| value.chars().skip(count - SHOWN).collect::<String>().into())
}

fn check_name(name: &str) -> Result<(), Error> {
    if name.trim().is_empty() {
        return Err(invalid("name", "name is empty; say what you call the account".into()));
    }
    if name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        let message = format!("name must have at most {LONGEST_NAME} characters on one line");
        return Err(invalid("name", message));
    }
    Ok(())
}

fn check_config(kind: &ProviderKind, config: &Settings) -> Result<(), Error> {
    let given: Vec<_> = config.iter().map(|(name, value)| (&**name, &**value)).collect();
    kind.check_config(&given).map_err(|why| invalid("config", why))
}

fn check_secrets(kind: &ProviderKind, secrets: &Secrets) -> Result<(), Error> {
    let given: Vec<_> =
        secrets.iter().map(|(name, value)| (&**name, value.expose_secret())).collect();
    kind.check_secrets(&given).map_err(|why| invalid("secrets", why))
}
