//! Sending refunds: by the node that commits one, and in steps that take over what is due. Loops
//! and waiting live in the server, so tests drive steps by hand.
//!
//! Each refund is sent in three moves: the intent is committed, the provider is called outside of
//! any transaction under the refund's one key, the outcome is committed. A crash between any two
//! leaves a refund whose lease runs out and that another step takes over.

use crate::Error;
use crate::committer::Committed;
use crate::engine::{Engine, Inner};
use crate::waiters::Waiters;
use crate::webhooks::Outbox;
use domain::decide::{Command, Done, RefundRef, Refusal};
use domain::ids::RefundId;
use domain::outcome::{Failure, Observation, ProviderOutcome, Said, Source};
use domain::payment::Capture;
use domain::refund::{Refund, State};
use domain::time::Timestamp;
use providers::{Lookup, Provider, RefundInstruction};
use std::sync::{Arc, Weak};
use store::Backlog;
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc};

/// Work that has been due for so long is overdue.
const OVERDUE_MS: i64 = 60_000;

/// A refund that this node holds the lease of.
pub struct Leased {
    pub(crate) refund: Box<Refund>,
    pub(crate) payment: Arc<Capture>,
    /// Counts against the calls under way; released when the work is done.
    pub(crate) slot: Option<OwnedSemaphorePermit>,
}

/// Acts on a commit before its callers are answered.
pub(crate) struct AfterCommit {
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) work: Notify,
    pub(crate) dispatches: mpsc::Sender<Leased>,
    pub(crate) outbox: Arc<Outbox>,
}

impl Committed for AfterCommit {
    fn events_committed(&self) {
        self.outbox.wake();
    }

    fn committed(&self, done: &Done, slot: Option<OwnedSemaphorePermit>) {
        let Done::Refund { refund, payment, replayed: false } = done else { return };
        self.waiters.wake(refund.id);
        match (refund.state, slot) {
            (State::Sending, Some(slot)) => {
                let leased = Leased {
                    refund: refund.clone(),
                    payment: payment.capture.clone(),
                    slot: Some(slot),
                };
                // There is room for every slot; without it the lease runs out and a step takes
                // over.
                if self.dispatches.try_send(leased).is_err() {
                    tracing::warn!(refund = %refund.id, "a dispatch waits for its lease to run out");
                }
            }
            (State::Queued | State::Scheduled, _) => self.work.notify_one(),
            (State::Sending, None)
            | (
                State::AwaitingApproval
                | State::Submitted
                | State::Unknown
                | State::RequiresAction
                | State::WaitingForFunds
                | State::NeedsReview
                | State::Succeeded
                | State::Failed
                | State::Canceled,
                _,
            ) => {}
        }
    }
}

/// Sends the refunds that the committer hands over, until the engine is gone.
pub(crate) async fn dispatch_all(engine: Weak<Inner>, mut leased: mpsc::Receiver<Leased>) {
    while let Some(leased) = leased.recv().await {
        let Some(inner) = engine.upgrade() else { return };
        let engine = Engine(inner);
        let tasks = engine.0.tasks.clone();
        tasks.spawn(async move { engine.work(leased).await });
    }
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
    pub async fn lease_due(&self, limit: u32) -> Result<Vec<Leased>, Error> {
        let free = u32::try_from(self.slots().available_permits()).unwrap_or(u32::MAX);
        let limit = limit.min(free);
        if limit == 0 {
            return Ok(Vec::new());
        }
        let now = self.now();
        let lease_until = now.plus_ms(self.config().lease_ms);
        let mut pending = Vec::new();
        for due in self.store().due_refunds(now, limit).await? {
            let of = RefundRef { tenant: due.tenant, refund: due.refund, payment: due.payment };
            let Ok(slot) = self.slots().clone().try_acquire_owned() else { break };
            // A full queue leaves the rest for the next step.
            let Ok(answer) = self.committer().submit(Command::Lease { of, lease_until }, None)
            else {
                break;
            };
            pending.push((answer, slot));
        }
        let (mut leased, mut failed) = (Vec::with_capacity(pending.len()), None);
        for (answer, slot) in pending {
            match answer.await.unwrap_or_else(|_| Err(Error::closed())) {
                Ok(Done::Refund { refund, payment, .. }) => {
                    leased.push(Leased { refund, payment: payment.capture, slot: Some(slot) });
                }
                // Another node was faster, or the refund was decided meanwhile.
                Ok(_) | Err(Error::Refused(_)) => {}
                Err(error) => failed = Some(error),
            }
        }
        // The leases that were taken are worked on even so: otherwise their refunds end as `unknown`.
        match failed {
            Some(error) if leased.is_empty() => Err(error),
            Some(_) | None => Ok(leased),
        }
    }

    /// Leases the refunds that are due and works on them. Returns how many.
    pub async fn step_due(&self, limit: u32) -> Result<usize, Error> {
        let leased = self.lease_due(limit).await?;
        let worked = leased.len();
        let mut tasks = tokio::task::JoinSet::new();
        for leased in leased {
            let engine = self.clone();
            tasks.spawn(async move { engine.work(leased).await });
        }
        tasks.join_all().await;
        Ok(worked)
    }

    /// Asks the provider about a leased refund as its state requires, and records the outcome.
    pub async fn work(&self, leased: Leased) {
        let Leased { refund, payment, slot } = leased;
        let provider = self.registry().find(refund.tenant, &payment.provider).cloned();
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
        payment: &Arc<Capture>,
    ) -> Option<Observation> {
        let Some(provider) = provider else { return Some(unconfigured(refund, payment)) };
        let instruction = instruction_of(refund, payment);
        Some(match refund.state {
            State::Sending => self.submit(provider, &instruction).await,
            State::Unknown => self.resolve(provider, &instruction).await,
            State::Submitted | State::RequiresAction => self.look_up(provider, &instruction).await,
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

    async fn submit(
        &self,
        provider: &dyn Provider,
        instruction: &RefundInstruction,
    ) -> Observation {
        metrics::counter!("refundry_provider_calls_total", "provider" => provider.name(), "call" => "submit")
            .increment(1);
        let answer = self.in_time(provider.submit(instruction)).await;
        Observation { source: Source::Submit, said: answer.unwrap_or_else(Said::unknown) }
    }

    /// Waits for a provider, but not forever.
    async fn in_time<T>(&self, call: impl Future<Output = T>) -> Result<T, Failure> {
        tokio::time::timeout(self.config().provider_timeout, call)
            .await
            .map_err(|_| Failure::new("timeout", "the provider did not answer in time"))
    }

    async fn ask(&self, provider: &dyn Provider, instruction: &RefundInstruction) -> Lookup {
        self.in_time(provider.lookup(instruction)).await.unwrap_or_else(Lookup::Unknown)
    }

    /// Finds out about a refund that may have been sent: first by asking for it, then, where the
    /// provider honours keys, by sending it again under its key.
    async fn resolve(
        &self,
        provider: &dyn Provider,
        instruction: &RefundInstruction,
    ) -> Observation {
        let abilities = provider.capabilities();
        if abilities.can_look_up {
            match self.ask(provider, instruction).await {
                Lookup::Found(said) => return Observation { source: Source::Lookup, said },
                Lookup::Unknown(why) => return unknown(why),
                Lookup::Absent => {}
            }
        }
        if abilities.honours_idempotency_keys {
            return self.submit(provider, instruction).await;
        }
        if abilities.can_list
            && let Ok(Ok(notices)) =
                self.in_time(provider.list_for_payment(&instruction.payment)).await
            && let Some(notice) =
                notices.into_iter().find(|n| n.key.as_ref() == Some(&instruction.key))
        {
            return Observation { source: Source::List, said: notice.said };
        }
        not_found()
    }

    /// Asks the provider how a refund stands that it has.
    async fn look_up(
        &self,
        provider: &dyn Provider,
        instruction: &RefundInstruction,
    ) -> Observation {
        if !provider.capabilities().can_look_up {
            let why = "the provider cannot be asked; its webhook will tell";
            return unknown(Failure::new("no_look_up", why));
        }
        match self.ask(provider, instruction).await {
            Lookup::Found(said) => Observation { source: Source::Lookup, said },
            Lookup::Absent => not_found(),
            Lookup::Unknown(why) => unknown(why),
        }
    }

    async fn record(&self, refund: &Refund, payment: &Capture, observation: Observation) {
        let policy = self.config().policies.of(&payment.provider);
        let now = self.now();
        let waited = now.ms_since(refund.updated_at);
        let outcome = observation.said.outcome;
        if refund.state == State::Unknown
            && outcome == ProviderOutcome::Unknown
            && waited > policy.give_up_after_ms
        {
            return self.finish(refund.id, Command::GiveUp { of: refund.into() }).await;
        }
        let backoff = policy.after(outcome);
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
}

/// Nobody was called. For a refund that was to be sent, that is certain.
fn unconfigured(refund: &Refund, payment: &Capture) -> Observation {
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

fn instruction_of(refund: &Refund, payment: &Arc<Capture>) -> RefundInstruction {
    RefundInstruction {
        key: refund.provider_key(),
        payment: payment.clone(),
        money: refund.money(),
        reason: refund.reason.clone(),
        reference: refund.reference.clone(),
        metadata: refund.metadata.clone(),
        provider_refund_id: refund.provider_refund_id.clone(),
    }
}
