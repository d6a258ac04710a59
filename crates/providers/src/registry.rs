//! The registry: maps payments to their providers.

use crate::catalogue::{AdapterOf, Build, ProviderKind, catalogue};
use crate::http::Http;
use crate::{Manual, Provider, TakesPayments};
use domain::provider::{OutcomeBy, Traits, TraitsByName};
use domain::tenant::Tenant;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The configured providers, by name.
#[derive(Clone, Default)]
pub struct Registry {
    everywhere: BTreeMap<&'static str, Arc<dyn Provider>>,
    traits: Arc<TraitsByName>,
    payment_provider: Option<Arc<dyn TakesPayments>>,
    payment_provider_name: Option<&'static str>,
    kinds: Vec<ProviderKind>,
    http: Option<Http>,
}

impl Registry {
    /// A registry with [`Manual`], which needs no configuration.
    pub fn new() -> Self {
        Self::default().with(Arc::new(Manual))
    }

    /// Adds a provider for every account and mode.
    #[must_use]
    pub fn with(mut self, provider: Arc<dyn Provider>) -> Self {
        Arc::make_mut(&mut self.traits).insert(provider.name(), provider.traits());
        self.everywhere.insert(provider.name(), provider);
        self
    }

    /// The traits of every provider, by name.
    pub fn traits(&self) -> &Arc<TraitsByName> {
        &self.traits
    }

    /// The providers that are called, by name, and their traits. A person stands for the others.
    pub fn called(&self) -> impl Iterator<Item = (&'static str, &Traits)> {
        let called = self.traits.iter().filter(|(_, traits)| traits.outcome != OutcomeBy::Person);
        called.map(|(name, traits)| (*name, traits))
    }

    /// Sets the provider that checkouts and invoices are paid through, for every account and mode.
    #[must_use]
    pub fn with_payment_provider(self, provider: Arc<dyn TakesPayments>) -> Self {
        let named = self.with_payment_provider_elsewhere(provider.name());
        Self { payment_provider: Some(provider), ..named }
    }

    /// Names the provider that checkouts and invoices are paid through on other nodes.
    #[must_use]
    pub fn with_payment_provider_elsewhere(self, name: &'static str) -> Self {
        Self { payment_provider_name: Some(name), ..self }
    }

    /// The provider that checkouts and invoices of an account and mode are paid through.
    pub fn payment_provider(&self, _tenant: Tenant) -> Option<&Arc<dyn TakesPayments>> {
        self.payment_provider.as_ref()
    }

    /// The name of that provider, also on a node that does not run it.
    pub fn payment_provider_name(&self, _tenant: Tenant) -> Option<&'static str> {
        self.payment_provider_name
    }

    /// The provider called `name` for an account and mode.
    pub fn find(&self, _tenant: Tenant, name: &str) -> Option<&Arc<dyn Provider>> {
        self.everywhere.get(name)
    }

    /// The names that payments of an account and mode can be registered with.
    pub fn names(&self, _tenant: Tenant) -> impl Iterator<Item = &'static str> {
        self.traits.keys().copied()
    }

    /// Adds a kind of provider to those of the catalogue.
    #[must_use]
    pub fn with_kind(mut self, kind: ProviderKind) -> Self {
        if let AdapterOf::Account { traits, .. } = kind.adapter {
            Arc::make_mut(&mut self.traits).insert(kind.name, *traits);
        }
        self.kinds.push(kind);
        self
    }

    /// Adds the kinds of the catalogue.
    #[must_use]
    pub fn with_catalogue(self) -> Self {
        catalogue().iter().copied().fold(self, Self::with_kind)
    }

    /// The client for adapters that are made for an account.
    #[must_use]
    pub fn with_http(self, http: Http) -> Self {
        Self { http: Some(http), ..self }
    }

    /// How the adapter of an account is made. `None` where every account has the same one, or there is
    /// no such provider.
    pub fn adapter_of_account(&self, name: &str) -> Option<(Build, &Http)> {
        let kind = self.kinds().find(|kind| kind.name == name)?;
        match kind.adapter {
            AdapterOf::Account { build, .. } => Some((build, self.http.as_ref()?)),
            AdapterOf::Everybody => None,
        }
    }

    /// The kinds of providers that provider accounts can be made for.
    pub fn kinds(&self) -> impl Iterator<Item = &ProviderKind> {
        self.kinds.iter()
    }
}
