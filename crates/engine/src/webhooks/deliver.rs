//! Sending what is due.

use super::{DeliveryPermit, ScanStep, Signing, WebhookFormat};
use crate::Engine;
use crate::Error;
use crate::committer::Pending;
use domain::decide::webhook::WebhookCommand;
use domain::decide::{Command, Done};
use domain::event_view::EventView;
use domain::ids::{AccountId, EndpointId};
use domain::tenant::Tenant;
use domain::time::Timestamp;
use domain::webhook::{Delivery, Endpoint, NOT_ACTIVE, Outcome};
use providers::outbound::{CallError, Reply, RetryAfter};
use secrecy::{ExposeSecret as _, SecretString};
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{DueBatch, DueDelivery};

/// Deliveries of a stopped endpoint that are failed in one transaction.
const FAIL_AT_ONCE: u32 = 1_000;

/// How many of those transactions one caller waits for. Further looks do the rest.
const FAIL_ROUNDS: u32 = 20;

/// The result of one look for due deliveries.
#[derive(Default)]
pub struct DueDeliveries {
    /// Deliveries that this node holds the lease of, to be handed to [`Engine::deliver`].
    pub leased: Vec<LeasedDelivery>,
    /// There may be more that could be leased at once.
    pub again: bool,
    /// When the next one is due, as far as this look could tell.
    pub next_at: Option<Timestamp>,
}

/// A delivery that this node holds the lease of.
pub struct LeasedDelivery {
    delivery: Delivery,
    body: Box<str>,
    recipient: Arc<Recipient>,
    permit: DeliveryPermit,
}

/// An endpoint as far as sending to it goes.
struct Recipient {
    url: Box<str>,
    secrets: Vec<SecretString>,
}

impl Engine {
    /// Resolves when there may be something to send.
    pub async fn deliveries_arrived(&self) {
        self.outbox().changed.notified().await;
    }

    /// Takes the leases of deliveries that are due, `limit` at most and as many as there are free
    /// calls, and fixes what will be sent.
    pub async fn lease_deliveries(&self, limit: u32) -> Result<DueDeliveries, Error> {
        let outbox = self.outbox();
        let free = u32::try_from(outbox.slots.available_permits()).unwrap_or(u32::MAX).min(limit);
        if free == 0 || outbox.webhooks.senders.is_none() {
            return Ok(DueDeliveries::default());
        }
        let room = outbox.room();
        let batch = self.store().due_deliveries(self.now(), outbox.cursor(), free, room).await?;
        for endpoint in &batch.stopped {
            let key = *endpoint;
            self.store().fail_queued_deliveries(key, NOT_ACTIVE, self.now(), FAIL_AT_ONCE).await?;
        }
        let (cursor, next_at, stopped) = (batch.place, batch.next_at, !batch.stopped.is_empty());
        let leased = self.lease_all(batch).await?;
        let found = stopped || !leased.is_empty();
        let idle = outbox.note_step(cursor, ScanStep { found, next_at });
        Ok(DueDeliveries {
            again: idle.is_none(),
            leased,
            next_at: idle.and_then(|idle| idle.until),
        })
    }

    async fn lease_all(&self, batch: DueBatch) -> Result<Vec<LeasedDelivery>, Error> {
        let DueBatch { due, endpoints, accounts, .. } = batch;
        let recipients: BTreeMap<_, _> =
            endpoints.iter().map(|(key, endpoint)| (*key, self.recipient(endpoint))).collect();
        let mut pending = Vec::with_capacity(due.len());
        for due in due {
            let (tenant, endpoint) = (due.delivery.tenant, due.delivery.endpoint);
            let Some(recipient) = recipients.get(&(tenant, endpoint)).cloned() else { continue };
            let Some(permit) = self.outbox().permit_for(endpoint) else { break };
            let account = accounts.get(&tenant.account()).copied();
            // A full queue has more urgent things to do.
            let Ok((answer, body)) = self.submit_lease(due, account) else { break };
            pending.push((answer, body, recipient, permit));
        }
        let (mut leased, mut failed) = (Vec::with_capacity(pending.len()), None);
        for (answer, body, recipient, permit) in pending {
            match answer.await.unwrap_or_else(|_| Err(Error::closed())) {
                Ok(Done::Delivery { delivery, .. }) => {
                    leased.push(LeasedDelivery { delivery: *delivery, body, recipient, permit });
                }
                // Another node was faster.
                Ok(_) | Err(Error::Refused(_)) => {}
                Err(error) => failed = Some(error),
            }
        }
        // The deliveries that were leased are sent even so.
        match failed {
            Some(error) if leased.is_empty() => Err(error),
            Some(_) | None => Ok(leased),
        }
    }

    /// Asks for the lease of a delivery, and fixes its text if this is the first time.
    fn submit_lease(
        &self,
        due: DueDelivery,
        account: Option<AccountId>,
    ) -> Result<(Pending, Box<str>), Error> {
        let DueDelivery { delivery, body, event } = due;
        let fresh = body.is_none();
        let body = body.or_else(|| {
            let (event, account) = event.zip(account)?;
            Some(self.render(&delivery, &event, account))
        });
        let body = body.unwrap_or_default();
        let lease = WebhookCommand::Lease {
            delivery: delivery.id,
            // A due delivery has a time; without one the lease is refused.
            seen_at: delivery.next_at.unwrap_or_default(),
            lease_until: self.now().plus_ms(self.outbox().webhooks.lease_ms),
            body: Some(body.clone()).filter(|body| fresh && !body.is_empty()),
        };
        let command = Command::Webhook(delivery.tenant, Box::new(lease));
        Ok((self.committer().submit(command)?, body))
    }

    /// The text of a delivery; empty when it cannot be printed.
    pub(super) fn render(
        &self,
        delivery: &Delivery,
        event: &EventView,
        account: AccountId,
    ) -> Box<str> {
        let format = self.outbox().webhooks.format(delivery.format);
        let name = delivery.format.event_name(delivery.event_type);
        let Some((format, name)) = format.zip(name) else { return Box::default() };
        match format.body(name, event, account, self) {
            Ok(text) => text.into(),
            Err(error) => {
                tracing::error!(%error, delivery = %delivery.id, "an event could not be printed");
                Box::default()
            }
        }
    }

    fn recipient(&self, endpoint: &Endpoint) -> Arc<Recipient> {
        let now = self.now();
        let previous = endpoint.previous.as_ref().filter(|(_, until)| now < *until);
        let sealed = std::iter::once(&endpoint.secret).chain(previous.map(|(secret, _)| secret));
        let secrets = sealed.filter_map(|secret| self.open_secret(endpoint.id, secret));
        Arc::new(Recipient { url: endpoint.url.clone(), secrets: secrets.collect() })
    }

    /// Sends a leased delivery and records what became of it.
    pub async fn deliver(&self, leased: LeasedDelivery) {
        let LeasedDelivery { delivery, body, recipient, mut permit } = leased;
        let outcome = self.try_delivery(&delivery, &body, &recipient).await;
        // One that failed makes room when that is known: its endpoint gets fewer calls then.
        if outcome.is_success() {
            permit.free_endpoint();
        }
        let result = if outcome.is_success() { "succeeded" } else { "failed" };
        metrics::counter!("refundry_webhook_attempts_total", "result" => result).increment(1);
        let (tenant, endpoint) = (delivery.tenant, delivery.endpoint);
        let record = WebhookCommand::Record { delivery: delivery.id, endpoint, outcome };
        match self.committer().run(Command::Webhook(tenant, Box::new(record))).await {
            Ok(Done::Delivery { disabled: true, .. }) => {
                tracing::warn!(%endpoint, "a webhook endpoint was disabled");
                self.fail_queued(tenant, endpoint).await;
            }
            Ok(_) => {}
            // Its lease runs out and it is sent again.
            Err(error) => {
                tracing::warn!(%error, delivery = %delivery.id, "a delivery was not recorded");
            }
        }
        drop(permit);
    }

    async fn try_delivery(
        &self,
        delivery: &Delivery,
        body: &str,
        recipient: &Recipient,
    ) -> Outcome {
        let attempted_at = self.now();
        let answer = self.call_receiver(delivery, body, recipient, attempted_at).await;
        let now = self.now();
        let mut outcome = Outcome {
            attempted_at,
            duration_ms: now.ms_since(attempted_at).max(0),
            response_code: None,
            error: None,
            retry_after_ms: None,
        };
        match answer {
            Ok(reply) => {
                outcome.response_code = Some(reply.status);
                outcome.retry_after_ms = reply.retry_after.map(|after| match after {
                    RetryAfter::Seconds(seconds) => i64::from(seconds) * 1000,
                    RetryAfter::At(at_s) => at_s.saturating_mul(1000).saturating_sub(now.0),
                });
            }
            Err(why) => outcome.error = Some(why),
        }
        outcome
    }

    async fn call_receiver(
        &self,
        delivery: &Delivery,
        body: &str,
        recipient: &Recipient,
        at: Timestamp,
    ) -> Result<Reply, Box<str>> {
        let webhooks = &self.outbox().webhooks;
        let sender = webhooks.sender(delivery.tenant).ok_or("webhooks are not sent here")?;
        let format: &dyn WebhookFormat =
            webhooks.format(delivery.format).ok_or("this format is not known here")?;
        if body.is_empty() {
            return Err("the event cannot be printed, or is no longer kept".into());
        }
        if recipient.secrets.is_empty() {
            return Err("the signing secret cannot be opened".into());
        }
        let mut secrets: Vec<_> =
            recipient.secrets.iter().map(SecretString::expose_secret).collect();
        if delivery.attempts % 2 == 1 {
            secrets.reverse();
        }
        let headers = format.headers(&Signing {
            event: delivery.event,
            delivery: delivery.id,
            at_s: at.0 / 1000,
            body,
            secrets,
        });
        let bytes = body.to_owned().into();
        let explain = |error: CallError| error.to_string().into();
        sender.post(&recipient.url, &headers, bytes).await.map_err(explain)
    }

    /// Leases the deliveries that are due and sends them. Returns how many deliveries were tried.
    /// For tests, which drive it by hand.
    pub async fn step_deliver(&self, limit: u32) -> Result<usize, Error> {
        let mut tried = 0;
        loop {
            let look = self.lease_deliveries(limit).await?;
            let mut tasks = tokio::task::JoinSet::new();
            for leased in look.leased {
                let engine = self.clone();
                tasks.spawn(async move { engine.deliver(leased).await });
            }
            let sent = tasks.join_all().await.len();
            tried += sent;
            if sent > 0 || !look.again {
                return Ok(tried);
            }
        }
    }

    /// Fails the queued deliveries of an endpoint, a bounded number of them; later scans fail the
    /// rest.
    pub(super) async fn fail_queued(&self, tenant: Tenant, endpoint: EndpointId) {
        for _ in 0..FAIL_ROUNDS {
            let key = (tenant, endpoint);
            let failed = self
                .store()
                .fail_queued_deliveries(key, NOT_ACTIVE, self.now(), FAIL_AT_ONCE)
                .await;
            match failed {
                Ok(0) => return,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, %endpoint, "queued deliveries were not failed yet");
                    return;
                }
            }
        }
    }

    /// The text that is sent, or would be.
    pub(super) fn text_of(&self, due: DueDelivery, account: AccountId) -> (Delivery, Box<str>) {
        let DueDelivery { delivery, body, event } = due;
        let body = body.or_else(|| event.map(|event| self.render(&delivery, &event, account)));
        (delivery, body.unwrap_or_default())
    }
}
