//! The shapes of provider accounts.

use crate::http::print::Shown;
use crate::http::time::Iso;
use crate::openapi::{Schema, components, printed};
use domain::event::{Event, ProviderAccountDetail};
use domain::ids::{AccountId, ProviderAccountId};
use domain::provider_account::{Settings, State};
use engine::provider_accounts::{ProviderAccountView, SecretHint};
use std::collections::BTreeMap;

printed! {
    /// The credentials of a payment provider, without their secrets.
    #[serde(rename_all = "camelCase")]
    pub struct ProviderAccountWire<'a> {
        id: Shown<ProviderAccountId> = id(),
        account_id: Shown<AccountId> = components::account_id(),
        mode: &'static str = components::mode(),
        provider: &'a str = provider(),
        name: &'a str = Schema::string().like("Our shop"),
        state: &'static str = state(),
        paused_reason: Option<&'a str> = paused_reason(),
        config: &'a Settings = Schema::map(Schema::string()).says("The settings that are no secrets."),
        secrets: Option<BTreeMap<&'a str, HintWire<'a>>> = Schema::map(HintWire::schema())
            .says(
                "The provider's secrets by name, without their values. `null` when this server cannot open them, \
                 because it runs with another master key.",
            )
            .or_null(),
        version: u32 = version(),
        created_at: Iso = Schema::time(),
        updated_at: Iso = Schema::time(),
        deleted_at: Option<Iso> = Schema::time().or_null(),
    }
}

printed! {
    /// A secret without its value.
    #[serde(rename_all = "camelCase")]
    pub struct HintWire<'a> {
        set: bool = Schema::boolean().says("There is a value."),
        last4: Option<&'a str> =
            Schema::text_or_null("Its last 4 characters, where it has 12 or more.").like("c0de"),
    }
}

impl<'a> ProviderAccountWire<'a> {
    pub fn new(view: &'a ProviderAccountView, account: AccountId) -> Self {
        let of = &view.account;
        let hint = |hint: &'a SecretHint| {
            (&*hint.name, HintWire { set: hint.set, last4: hint.last4.as_deref() })
        };
        Self {
            id: Shown(of.id),
            account_id: Shown(account),
            mode: of.tenant.mode().as_str(),
            provider: &of.provider,
            name: &of.name,
            state: of.state.as_str(),
            paused_reason: of.paused_reason.as_deref(),
            config: &of.config,
            secrets: view.secrets.as_ref().ok().map(|hints| hints.iter().map(hint).collect()),
            version: of.version,
            created_at: Iso(of.created_at),
            updated_at: Iso(of.updated_at),
            deleted_at: of.deleted_at.map(Iso),
        }
    }
}

printed! {
    /// A provider account as events tell of it: without its settings and secrets.
    #[serde(rename_all = "camelCase")]
    pub struct ToldProviderAccountWire<'a> {
        id: Shown<ProviderAccountId> = id(),
        mode: &'static str = components::mode(),
        provider: &'a str = provider(),
        name: &'a str = Schema::string().like("Our shop"),
        state: &'a str = state(),
        paused_reason: Option<&'a str> = paused_reason(),
        version: u32 = version(),
        deleted: bool = Schema::boolean().like(false),
    }
}

impl<'a> ToldProviderAccountWire<'a> {
    pub fn new(event: &Event, detail: &'a ProviderAccountDetail) -> Self {
        Self {
            id: Shown(ProviderAccountId::from_ulid(event.subject.ulid())),
            mode: event.tenant.mode().as_str(),
            provider: &detail.provider,
            name: &detail.name,
            state: &detail.state,
            paused_reason: detail.paused_reason.as_deref(),
            version: detail.version,
            deleted: detail.deleted,
        }
    }
}

pub fn id() -> Schema {
    components::id(&[ProviderAccountId::PREFIX])
}

fn provider() -> Schema {
    Schema::string().says("The name of the provider.").like("stripe")
}

pub fn state() -> Schema {
    Schema::one_of(State::ALL, State::as_str)
}

fn paused_reason() -> Schema {
    Schema::rare_text("Why it is paused, as it was given.")
}

fn version() -> Schema {
    Schema::integer(1).says("Counts its configurations and sets of secrets.").like(1)
}
