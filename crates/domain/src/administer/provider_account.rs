//! Making and changing provider accounts.

use crate::event::{Detail, Event, Subject, Type};
use crate::ids::{Ids, ProviderAccountId};
use crate::provider_account::{ProviderAccount, Refusal, Settings, State};
use crate::sealed::Sealed;
use crate::tenant::Tenant;
use crate::time::Timestamp;
use crate::view::{NewRows, Row, RowKeys, View};
use rand_core::Rng;

/// A new provider account.
#[derive(Clone, Debug)]
pub struct NewProviderAccount {
    pub provider: Box<str>,
    pub name: Box<str>,
    pub config: Settings,
    /// Sealed for the id.
    pub secrets: Sealed,
}

/// Changes of a provider account. A field that is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    pub name: Option<Box<str>>,
    /// All settings, in place of those before.
    pub config: Option<Settings>,
}

/// Something to do to a provider account.
#[derive(Clone, Debug)]
pub enum Act {
    Create(NewProviderAccount),
    Change(Changes),
    /// Sends nothing through it any more.
    Pause {
        reason: Option<Box<str>>,
    },
    Resume,
    /// Takes a new set of secrets and forgets the one before.
    Rotate(Sealed),
    /// Forgets its secrets. The row stays.
    Delete,
}

impl Act {
    /// The event that tells of it.
    const fn event(&self) -> Option<Type> {
        match self {
            Self::Create(_) => Some(Type::ProviderAccountCreated),
            Self::Change(_) => None,
            Self::Pause { .. } => Some(Type::ProviderAccountPaused),
            Self::Resume => Some(Type::ProviderAccountResumed),
            Self::Rotate(_) => Some(Type::ProviderAccountRotated),
            Self::Delete => Some(Type::ProviderAccountDeleted),
        }
    }
}

/// The rows that an act on a provider account needs.
pub fn wanted(tenant: Tenant, id: ProviderAccountId) -> RowKeys {
    let mut wanted = RowKeys::default();
    wanted.provider_accounts.insert((tenant, id));
    wanted
}

/// Decides one act. An act that was done already changes nothing.
pub fn decide<R: Rng>(
    view: &mut View,
    (tenant, id): (Tenant, ProviderAccountId),
    act: &Act,
    now: Timestamp,
    ids: &mut Ids<R>,
) -> Result<ProviderAccount, Refusal> {
    let row = match act {
        Act::Create(new) => {
            let account = create((tenant, id), new, now);
            view.provider_accounts.entry((tenant, id)).or_insert_with(|| Row::inserted(account))
        }
        Act::Change(_) | Act::Pause { .. } | Act::Resume | Act::Rotate(_) | Act::Delete => {
            view.provider_accounts.get_mut(&(tenant, id)).ok_or(Refusal::NotFound)?
        }
    };
    if changes(row, act, now)? {
        row.value.updated_at = now;
        record(&mut row.value, &mut view.new_rows, act, now, ids);
    }
    Ok(row.value.clone())
}

fn create(
    (tenant, id): (Tenant, ProviderAccountId),
    new: &NewProviderAccount,
    now: Timestamp,
) -> ProviderAccount {
    ProviderAccount {
        tenant,
        id,
        provider: new.provider.clone(),
        name: new.name.clone(),
        state: State::Active,
        config: new.config.clone(),
        secrets: Some(new.secrets.clone()),
        version: 1,
        paused_reason: None,
        created_at: now,
        updated_at: now,
        deleted_at: None,
        last_seq: 0,
    }
}

/// Changes the row. `false` when it is already as the act would make it.
fn changes(row: &mut Row<ProviderAccount>, act: &Act, now: Timestamp) -> Result<bool, Refusal> {
    if row.value.deleted_at.is_some() {
        return if matches!(act, Act::Delete) { Ok(false) } else { Err(Refusal::Deleted) };
    }
    match act {
        Act::Create(_) => return Ok(row.value.last_seq == 0),
        Act::Change(changes) => return Ok(change(row, changes)),
        Act::Pause { .. } if row.value.state == State::Paused => return Ok(false),
        Act::Resume if row.value.state == State::Active => return Ok(false),
        Act::Pause { reason } => {
            let account = row.change();
            account.state = State::Paused;
            account.paused_reason.clone_from(reason);
        }
        Act::Resume => {
            let account = row.change();
            account.state = State::Active;
            account.paused_reason = None;
        }
        Act::Rotate(secrets) => {
            let account = row.change();
            account.secrets = Some(secrets.clone());
            account.version = account.version.saturating_add(1);
        }
        Act::Delete => {
            let account = row.change();
            account.secrets = None;
            account.deleted_at = Some(now);
        }
    }
    Ok(true)
}

fn change(row: &mut Row<ProviderAccount>, changes: &Changes) -> bool {
    let name = changes.name.as_ref().filter(|name| **name != row.value.name);
    let config = changes.config.as_ref().filter(|config| **config != row.value.config);
    if name.is_none() && config.is_none() {
        return false;
    }
    let account = row.change();
    if let Some(name) = name {
        account.name.clone_from(name);
    }
    if let Some(config) = config {
        account.config.clone_from(config);
        account.version = account.version.saturating_add(1);
    }
    true
}

fn record<R: Rng>(
    account: &mut ProviderAccount,
    new_rows: &mut NewRows,
    act: &Act,
    now: Timestamp,
    ids: &mut Ids<R>,
) {
    let Some(event_type) = act.event() else { return };
    account.last_seq = account.last_seq.saturating_add(1);
    let detail = Detail { provider_account: Some(account.detail()), ..Detail::default() };
    new_rows.events.push(Event {
        tenant: account.tenant,
        id: ids.event(now),
        event_type,
        subject: Subject::ProviderAccount(account.id),
        seq: account.last_seq,
        detail: Some(Box::new(detail)),
    });
}
