//! Steps: units of background work. A step claims at most so much under leases, does it, and
//! records it. Loops and waiting live in the server, so tests drive steps by hand.
//!
//! A money step is three moves: the intent is committed, the provider is called outside of any
//! transaction under the refund's one key, the outcome is committed. A crash between any two leaves
//! a refund whose lease runs out and that another step takes over.

use crate::facade::Engine;
use crate::{Error, names};
use domain::account::Scope;
use domain::decide::{Command, Done, RefundRef, Refusal};
use domain::ids::RefundId;
use domain::outcome::{Failure, Observation, ProviderOutcome, Said, Source};
use domain::payment::Facts;
use domain::refund::{Refund, State};
use domain::time::Timestamp;
use providers::{InboundWebhook, Lookup, Notice, Provider, RefundOrder, WebhookRefused};
use std::sync::Arc;
use store::{Backlog, Order, PageQuery, RefundFilter};
use tokio::sync::OwnedSemaphorePermit;

/// How many of a payment's refunds are searched for a provider's refund id.
const SEARCH_LIMIT: u32 = 1_000;

/// Work that has been due for so long is overdue.
const OVERDUE_MS: i64 = 60_000;

/// A refund that this node holds the lease of.
pub struct Claimed {
    pub(crate) refund: Box<Refund>,
    pub(crate) payment: Arc<Facts>,
    /// Counts against the calls under way; released when the work is done.
    pub(crate) slot: Option<OwnedSemaphorePermit>,
}

/// Why a webhook was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// No such provider is configured for the account and mode.
    #[error("no such provider is configured")]
    UnknownProvider,
    /// It is not believed.
    #[error(transparent)]
    Refused(#[from] WebhookRefused),
    /// It was believed and could not be recorded; the provider should send it again.
    #[error(transparent)]
    Engine(#[from] Error),
}

impl Engine {
    /// When the next refund is due, if any is.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, Error> {
        Ok(self.store().next_due().await?)
    }

    /// Work that waits although it was due a minute ago, and refunds in doubt.
    pub async fn backlog(&self) -> Result<Backlog, Error> {
        Ok(self.store().backlog(self.now().plus_ms(-OVERDUE_MS)).await?)
    }

    /// Takes the leases of refunds that are due, as many as there are free calls, at most `limit`.
    pub async fn claim_due(&self, limit: u32) -> Result<Vec<Claimed>, Error> {
        let free = u32::try_from(self.slots().available_permits()).unwrap_or(u32::MAX);
        let limit = limit.min(free);
        if limit == 0 {
            return Ok(Vec::new());
        }
        let now = self.now();
        let lease_until = now.plus_ms(self.config().lease_ms);
        let mut claims = Vec::new();
        for due in self.store().due_refunds(now, limit).await? {
            let of = RefundRef { scope: due.scope, refund: due.refund, payment: due.payment };
            let Ok(slot) = self.slots().clone().try_acquire_owned() else { break };
            // A full queue leaves the rest for the next step.
            let Ok(claim) = self.committer().submit(Command::Lease { of, lease_until }, None)
            else {
                break;
            };
            claims.push((claim, slot));
        }
        let (mut claimed, mut failed) = (Vec::with_capacity(claims.len()), None);
        for (claim, slot) in claims {
            match claim.await.unwrap_or_else(|_| Err(Error::closed())) {
                Ok(Done::Refund { refund, payment, .. }) => {
                    claimed.push(Claimed { refund, payment: payment.facts, slot: Some(slot) });
                }
                // Another node was faster, or it was settled meanwhile.
                Ok(_) | Err(Error::Refused(_)) => {}
                Err(error) => failed = Some(error),
            }
        }
        // Whatever became of the others: a lease that is held and not worked on ends as `unknown`.
        match failed {
            Some(error) if claimed.is_empty() => Err(error),
            Some(_) | None => Ok(claimed),
        }
    }

    /// Claims what is due and does it. Returns how many refunds were worked on.
    pub async fn step_due(&self, limit: u32) -> Result<usize, Error> {
        let claimed = self.claim_due(limit).await?;
        let worked = claimed.len();
        let mut tasks = tokio::task::JoinSet::new();
        for claimed in claimed {
            let engine = self.clone();
            tasks.spawn(async move { engine.work(claimed).await });
        }
        tasks.join_all().await;
        Ok(worked)
    }

    /// Forgets idempotency keys that ran out, at most `limit`. Never those of refunds.
    pub async fn step_expire(&self, limit: u32) -> Result<usize, Error> {
        let names = self.store().forget_keys(self.now(), limit).await?;
        Ok(names + self.store().forget_answers(self.now(), limit).await?)
    }

    /// Does what a claimed refund needs, and records it.
    pub async fn work(&self, claimed: Claimed) {
        let Claimed { refund, payment, slot } = claimed;
        let provider = self.registry().find(refund.scope, &payment.provider).cloned();
        if let Some(observation) = self.gather(provider.as_deref(), &refund, &payment).await {
            self.record(&refund, &payment, observation).await;
        }
        drop(slot);
    }

    /// Does at the provider what the refund's state asks for. `None` where it asks for nothing.
    async fn gather(
        &self,
        provider: Option<&dyn Provider>,
        refund: &Refund,
        payment: &Arc<Facts>,
    ) -> Option<Observation> {
        let Some(provider) = provider else { return Some(unconfigured(refund, payment)) };
        let order = order_of(refund, payment);
        Some(match refund.state {
            State::Sending => self.submit(provider, &order).await,
            State::Unknown => self.resolve(provider, &order).await,
            State::Submitted | State::RequiresAction => self.look_up(provider, &order).await,
            State::AwaitingApproval
            | State::Scheduled
            | State::Queued
            | State::WaitingForFunds
            | State::NeedsReview
            | State::Succeeded
            | State::Failed
            | State::Canceled => return None,
        })
    }

    async fn submit(&self, provider: &dyn Provider, order: &RefundOrder) -> Observation {
        metrics::counter!("refundry_provider_calls_total", "provider" => provider.name(), "call" => "submit")
            .increment(1);
        let answer = self.in_time(provider.submit(order)).await;
        Observation { source: Source::Submit, said: answer.unwrap_or_else(Said::unknown) }
    }

    /// Waits for a provider, but not forever.
    async fn in_time<T>(&self, call: impl Future<Output = T>) -> Result<T, Failure> {
        tokio::time::timeout(self.config().provider_timeout, call)
            .await
            .map_err(|_| Failure::new("timeout", "the provider did not answer in time"))
    }

    async fn ask(&self, provider: &dyn Provider, order: &RefundOrder) -> Lookup {
        self.in_time(provider.lookup(order)).await.unwrap_or_else(Lookup::Unknown)
    }

    /// Finds out about a refund that may have been sent: first by asking for it, then, where the
    /// provider honours keys, by sending it again under its key.
    async fn resolve(&self, provider: &dyn Provider, order: &RefundOrder) -> Observation {
        let abilities = provider.capabilities();
        if abilities.can_look_up {
            match self.ask(provider, order).await {
                Lookup::Found(said) => return Observation { source: Source::Lookup, said },
                Lookup::Unknown(why) => return unknown(why),
                Lookup::Absent => {}
            }
        }
        if abilities.honours_idempotency_keys {
            return self.submit(provider, order).await;
        }
        if abilities.can_list
            && let Ok(Ok(notices)) = self.in_time(provider.list_for_payment(&order.payment)).await
            && let Some(notice) = notices.into_iter().find(|n| n.key.as_ref() == Some(&order.key))
        {
            return Observation { source: Source::List, said: notice.said };
        }
        not_found()
    }

    /// Asks the provider how a refund stands that it has.
    async fn look_up(&self, provider: &dyn Provider, order: &RefundOrder) -> Observation {
        if !provider.capabilities().can_look_up {
            let why = "the provider cannot be asked; its webhook will tell";
            return unknown(Failure::new("no_look_up", why));
        }
        match self.ask(provider, order).await {
            Lookup::Found(said) => Observation { source: Source::Lookup, said },
            Lookup::Absent => not_found(),
            Lookup::Unknown(why) => unknown(why),
        }
    }

    async fn record(&self, refund: &Refund, payment: &Facts, observation: Observation) {
        let patience = self.config().policies.of(&payment.provider);
        let now = self.now();
        let waited = now.ms_since(refund.updated_at);
        let outcome = observation.said.outcome;
        if refund.state == State::Unknown
            && outcome == ProviderOutcome::Unknown
            && waited > patience.give_up_after_ms
        {
            return self.finish(refund.id, Command::GiveUp { of: refund.into() }).await;
        }
        let backoff = patience.after(outcome);
        let wait = self.with_ids(|ids| backoff.wait_ms(refund.checks, ids.rng()));
        let recheck_at = now.plus_ms(wait);
        self.finish(refund.id, Command::Record { of: refund.into(), observation, recheck_at })
            .await;
    }

    /// Records the outcome of a call. When that fails the lease runs out and a step looks again.
    async fn finish(&self, refund: RefundId, command: Command) {
        match self.committer().run(command).await {
            Ok(_) => {}
            Err(Error::Refused(refusal @ Refusal::Impossible { .. })) => {
                tracing::error!(%refund, %refusal, "an outcome was refused");
                metrics::counter!("refundry_evidence_refused_total").increment(1);
            }
            Err(error) => tracing::warn!(%refund, %error, "an outcome was not recorded"),
        }
    }

    /// Takes in a provider's webhook: authenticates it and records what it says about each refund.
    pub async fn receive_webhook(
        &self,
        scope: Scope,
        provider: &str,
        webhook: InboundWebhook,
    ) -> Result<(), WebhookError> {
        let provider =
            self.registry().find(scope, provider).cloned().ok_or(WebhookError::UnknownProvider)?;
        for notice in provider.parse_webhook(&webhook)? {
            self.take_notice(scope, &*provider, notice, Source::Webhook).await?;
        }
        Ok(())
    }

    /// Records what a notice says about a refund of ours, or adopts a refund made elsewhere.
    async fn take_notice(
        &self,
        scope: Scope,
        provider: &dyn Provider,
        notice: Notice,
        source: Source,
    ) -> Result<(), Error> {
        let named = crate::input::Source::Charge(notice.provider_payment_id.clone());
        let Some(payment) = self.resolve_source(scope, &named).await? else {
            tracing::warn!(payment = %notice.provider_payment_id, "a webhook speaks of a payment that is not registered");
            return Ok(());
        };
        let observation = Observation { source, said: notice.said };
        let patience = self.config().policies.of(provider.name());
        let wait = self.with_ids(|ids| patience.pending.wait_ms(0, ids.rng()));
        let recheck_at = self.now().plus_ms(wait);
        let ours = match notice.key.as_deref().and_then(|key| RefundId::parse(key).ok()) {
            Some(id) => self.find_refund(scope, id).await?.map(|view| view.refund),
            None => self.find_by_provider_id(scope, payment, &observation.said).await?,
        };
        let command = match (ours, observation.said.provider_refund_id.as_deref()) {
            (Some(refund), _) if refund.payment == payment => {
                Command::Record { of: RefundRef::from(&refund), observation, recheck_at }
            }
            (_, Some(id)) => {
                let name = names::external_refund(provider.name(), id);
                Command::Adopt { scope, payment, name, observation, recheck_at }
            }
            (_, None) => return Ok(()),
        };
        match self.committer().run(command).await {
            Ok(_) => Ok(()),
            // Asking the provider to send it again would change nothing.
            Err(Error::Refused(refusal)) => {
                tracing::error!(%refusal, "a webhook was refused");
                metrics::counter!("refundry_evidence_refused_total").increment(1);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// The payment's refund that the provider knows under the id that it names.
    async fn find_by_provider_id(
        &self,
        scope: Scope,
        payment: domain::ids::PaymentId,
        said: &Said,
    ) -> Result<Option<Refund>, Error> {
        let Some(id) = &said.provider_refund_id else { return Ok(None) };
        let filter = RefundFilter { payment: Some(payment), status: None };
        let page = PageQuery {
            limit: SEARCH_LIMIT,
            after: None,
            order: Order::Descending,
            from: None,
            until: None,
        };
        let refunds = self.store().list_refunds(scope, filter, page).await?;
        let known = |refund: &Refund| refund.provider_refund_id.as_ref() == Some(id);
        Ok(refunds.items.into_iter().map(|(refund, _)| refund).find(known))
    }
}

/// Nobody was called. For a refund that was to be sent, that is certain.
fn unconfigured(refund: &Refund, payment: &Facts) -> Observation {
    tracing::error!(refund = %refund.id, provider = %payment.provider, "the provider is not configured");
    let sending = refund.state == State::Sending;
    let outcome = if sending { ProviderOutcome::NeverSent } else { ProviderOutcome::Unknown };
    let why = "the payment's provider is not configured here";
    let said = Said::new(outcome).because(Failure::new("provider_not_configured", why));
    Observation { source: Source::Submit, said }
}

fn unknown(why: Failure) -> Observation {
    Observation { source: Source::Lookup, said: Said::unknown(why) }
}

fn not_found() -> Observation {
    let why = "the provider does not know of this refund, which is no proof";
    unknown(Failure::new("not_found", why))
}

fn order_of(refund: &Refund, payment: &Arc<Facts>) -> RefundOrder {
    RefundOrder {
        key: refund.provider_key(),
        payment: payment.clone(),
        money: refund.money(),
        reason: refund.reason.clone(),
        reference: refund.reference.clone(),
        metadata: refund.metadata.clone(),
        provider_refund_id: refund.provider_refund_id.clone(),
    }
}
