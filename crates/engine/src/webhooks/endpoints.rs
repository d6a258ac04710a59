//! Webhook endpoints and the log of deliveries, as their owner sees them.

use crate::{Engine, Error, answered};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::decide::webhook::{EndpointChanges, NewEndpoint, WebhookCommand};
use domain::decide::{Command, Refusal};
use domain::ids::{AccountId, DeliveryId, EndpointId};
use domain::tenant::Tenant;
use domain::webhook::{Attempt, Delivery, Endpoint, Format, Sealed, is_event_name};
use providers::outbound::check_url;
use rand_core::Rng as _;
use secrecy::{ExposeSecret as _, SecretString};
use store::{DeliveryFilter, Page, PageQuery};
use zeroize::Zeroizing;

/// The longest URL of an endpoint, characters.
const LONGEST_URL: usize = 2_000;

/// A new endpoint as it is asked for.
#[derive(Clone, Debug)]
pub struct EndpointDraft {
    pub url: Box<str>,
    /// Names of the events it wants, space-separated; none is all.
    pub events: Box<str>,
    /// The words in which events are sent.
    pub format: Format,
    pub description: Option<Box<str>>,
    pub active: bool,
}

/// An endpoint with a secret that was just made. The secret cannot be shown again.
pub struct NewSecret {
    pub endpoint: Endpoint,
    /// The secret that signs, `whsec_…`.
    pub secret: SecretString,
}

/// A delivery and what is sent.
#[derive(Clone, Debug)]
pub struct DeliveryView {
    pub delivery: Delivery,
    pub body: Box<str>,
}

impl Engine {
    /// Makes a webhook endpoint.
    pub async fn create_endpoint(
        &self,
        tenant: Tenant,
        draft: EndpointDraft,
    ) -> Result<NewSecret, Error> {
        self.check_endpoint(tenant, Some(&draft.url), Some(&draft.events))?;
        let now = self.now();
        let id = self.with_ids(|ids| ids.endpoint(now));
        let (secret, sealed) = self.make_secret(id)?;
        let new = NewEndpoint {
            id,
            url: draft.url,
            events: draft.events,
            format: draft.format,
            description: draft.description,
            active: draft.active,
            secret: sealed,
        };
        let endpoint = self.decide_endpoint(tenant, WebhookCommand::Create(new)).await?;
        Ok(NewSecret { endpoint, secret })
    }

    /// Changes a webhook endpoint. One that is not active any more fails what is queued for it.
    pub async fn change_endpoint(
        &self,
        tenant: Tenant,
        id: EndpointId,
        changes: EndpointChanges,
    ) -> Result<Endpoint, Error> {
        self.check_endpoint(tenant, changes.url.as_deref(), changes.events.as_deref())?;
        let stops = changes.active == Some(false);
        let endpoint = self.decide_endpoint(tenant, WebhookCommand::Change(id, changes)).await?;
        if stops {
            self.fail_queued(tenant, id).await;
        }
        Ok(endpoint)
    }

    /// Gives a webhook endpoint a new secret. The old one still signs for a day.
    pub async fn rotate_endpoint_secret(
        &self,
        tenant: Tenant,
        id: EndpointId,
    ) -> Result<NewSecret, Error> {
        let (secret, sealed) = self.make_secret(id)?;
        let endpoint = self.decide_endpoint(tenant, WebhookCommand::Rotate(id, sealed)).await?;
        Ok(NewSecret { endpoint, secret })
    }

    /// Forgets a webhook endpoint and its secrets. The log of its deliveries stays.
    pub async fn remove_endpoint(&self, tenant: Tenant, id: EndpointId) -> Result<(), Error> {
        self.decide_endpoint(tenant, WebhookCommand::Remove(id)).await?;
        self.fail_queued(tenant, id).await;
        Ok(())
    }

    /// The webhook endpoints of an account and mode, newest first.
    pub async fn list_endpoints(&self, tenant: Tenant) -> Result<Vec<Endpoint>, Error> {
        Ok(self.store().list_endpoints(tenant).await?)
    }

    /// The webhook endpoint with this id.
    pub async fn find_endpoint(
        &self,
        tenant: Tenant,
        id: EndpointId,
    ) -> Result<Option<Endpoint>, Error> {
        Ok(self.store().find_endpoint(tenant, id).await?)
    }

    /// Deliveries of `account`, by time.
    pub async fn list_deliveries(
        &self,
        tenant: Tenant,
        account: AccountId,
        filter: DeliveryFilter,
        page: PageQuery,
    ) -> Result<Page<DeliveryView>, Error> {
        let page = self.store().list_deliveries(tenant, filter, page).await?;
        let view = |due| {
            let (delivery, body) = self.text_of(due, account);
            DeliveryView { delivery, body }
        };
        Ok(Page { items: page.items.into_iter().map(view).collect(), more: page.more })
    }

    /// The delivery with this id, and the attempts at it, oldest first.
    pub async fn find_delivery(
        &self,
        tenant: Tenant,
        account: AccountId,
        id: DeliveryId,
    ) -> Result<Option<(DeliveryView, Vec<Attempt>)>, Error> {
        let found = self.store().find_delivery(tenant, id).await?;
        Ok(found.map(|(due, attempts)| {
            let (delivery, body) = self.text_of(due, account);
            (DeliveryView { delivery, body }, attempts)
        }))
    }

    /// Asks for one more attempt at a delivery that succeeded or failed, at once.
    pub async fn retry_delivery(
        &self,
        tenant: Tenant,
        account: AccountId,
        id: DeliveryId,
    ) -> Result<DeliveryView, Error> {
        let found = self.find_delivery(tenant, account, id).await?;
        let (view, _) = found.ok_or(Refusal::DeliveryNotFound)?;
        let retry = WebhookCommand::Retry { delivery: id, endpoint: view.delivery.endpoint };
        let done = self.commit(Command::Webhook(tenant, Box::new(retry)), None).await?;
        let delivery = answered::delivery(done)?;
        self.outbox().wake();
        Ok(DeliveryView { delivery, ..view })
    }

    async fn decide_endpoint(
        &self,
        tenant: Tenant,
        command: WebhookCommand,
    ) -> Result<Endpoint, Error> {
        answered::endpoint(self.commit(Command::Webhook(tenant, Box::new(command)), None).await?)
    }

    fn check_endpoint(
        &self,
        tenant: Tenant,
        url: Option<&str>,
        events: Option<&str>,
    ) -> Result<(), Error> {
        if let Some(url) = url {
            let invalid = |message| Error::Invalid { field: "url", message };
            if url.chars().count() > LONGEST_URL {
                return Err(invalid(format!("url is longer than {LONGEST_URL} characters")));
            }
            check_url(url, self.outbox().webhooks.policy(tenant))
                .map_err(|why| invalid(format!("url {why}")))?;
        }
        let unknown = events
            .and_then(|names| names.split_ascii_whitespace().find(|name| !is_event_name(name)));
        match unknown {
            Some(name) => {
                let short: String = name.chars().take(80).collect();
                let message = format!(
                    "there is no event {short:?}; use names that GET /api/v1/events/types lists, \
                     or \"*\" for all"
                );
                Err(Error::Invalid { field: "events", message })
            }
            None => Ok(()),
        }
    }

    /// A new secret in the form of Standard Webhooks, and the same sealed for its endpoint.
    fn make_secret(&self, id: EndpointId) -> Result<(SecretString, Sealed), Error> {
        let sealed = self.with_ids(|ids| {
            let mut bytes = Zeroizing::new([0; 32]);
            ids.rng().fill_bytes(&mut *bytes);
            let secret = Zeroizing::new(format!("whsec_{}", STANDARD.encode(*bytes)));
            let sealed = self.master_key().seal(&id.to_string(), secret.as_bytes(), ids.rng());
            sealed.map(|sealed| (SecretString::from(secret.as_str()), Sealed(sealed)))
        });
        sealed.map_err(|error| Error::Invalid { field: "master key", message: error.to_string() })
    }

    pub(super) fn open_secret(&self, id: EndpointId, sealed: &Sealed) -> Option<SecretString> {
        let opened = self.master_key().open(&id.to_string(), &sealed.0);
        if let Err(error) = &opened {
            tracing::error!(%error, endpoint = %id, "a webhook secret cannot be opened");
        }
        let opened = opened.ok()?;
        std::str::from_utf8(opened.expose_secret()).ok().map(SecretString::from)
    }
}
