//! Sending refunds: those that this node commits, and those that it claims when they are due. Loops
//! and waiting live in the server, so tests drive steps by hand.
//!
//! Each refund is sent in three moves: the intent is committed, the provider is called outside of
//! any transaction under the refund's one key, the outcome is committed. A crash between any two
//! leaves a refund whose lease runs out and that another step takes over. One step makes one call.

use crate::Error;
use crate::adapters::{ADAPTER_PANICKED, NoAdapter, answer_within};
use crate::committer::Committed;
use crate::engine::{Engine, Inner};
use crate::gates::{GateKey, Gates, Pace, Permit, Verdict, Work};
use crate::looking::{AMBIGUOUS, LIST_TOO_LONG, said};
use crate::tenant_cache::TenantCache;
use crate::unique_keys::{self, Books};
use crate::waiters::Waiters;
use crate::webhooks::Outbox;
use domain::decide::{Call as Move, Command, Done, RecordOutcome, Refusal};
use domain::ids::ProviderAccountId;
use domain::outcome::{Again, Failure, Observation, ProviderOutcome, Said, Source};
use domain::payment::{Capture, Payment};
use domain::provider::{Rules, Traits};
use domain::provider_account::{ProviderAccountState, State as AccountState};
use domain::refund::{Origin, Refund, State};
use domain::tenant::Tenant;
use domain::time::Timestamp;
use providers::http::Deadline;
use providers::{Attempt, Call, Provider, RefundInstruction, Registry};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use ulid::Ulid;

/// How long a call waits when only a person can mend what is wrong, such as a credential.
const UNTIL_CONFIGURED_MS: i64 = 15 * 60_000;

/// The longest wait that a provider may name.
const LONGEST_PAUSE_MS: i64 = 24 * 60 * 60_000;

/// A refund that this node holds the lease of, and the call that it needs.
pub struct Leased {
    pub(crate) refund: Box<Refund>,
    pub(crate) payment: Arc<Capture>,
    /// The part of the payment that was refunded or is under way without this refund, minor units.
    pub(crate) refunded_before: i64,
    pub(crate) call: Move,
    pub(crate) permit: Permit,
}

impl Leased {
    pub(crate) fn new(refund: Box<Refund>, payment: &Payment, call: Move, permit: Permit) -> Self {
        let refunded_before = refunded_before(&refund, payment);
        let payment = payment.capture.clone();
        Self { refund, payment, refunded_before, call, permit }
    }
}

/// A leased refund without its permit.
struct Todo {
    refund: Box<Refund>,
    payment: Arc<Capture>,
    refunded_before: i64,
    call: Move,
}

/// Acts on a commit before its callers are answered.
pub(crate) struct AfterCommit {
    pub(crate) waiters: Arc<Waiters>,
    pub(crate) work: Notify,
    pub(crate) dispatches: mpsc::Sender<Leased>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) registry: Registry,
    pub(crate) gates: Gates,
    /// Whether the sending of a tenant is stopped.
    pub(crate) switches: TenantCache<bool>,
    pub(crate) account_states: TenantCache<Arc<[ProviderAccountState]>>,
}

impl AfterCommit {
    /// The gate of a payment's provider account; `None` where this node lacks the provider.
    pub(crate) fn gate_of(
        &self,
        tenant: Tenant,
        provider: &str,
        account: Option<&str>,
    ) -> Option<(GateKey, Pace)> {
        let (name, traits) = self.registry.traits().get_key_value(provider)?;
        Some((gate_key(tenant, name, account), traits.pace))
    }
}

impl Committed for AfterCommit {
    fn events_committed(&self) {
        self.outbox.wake();
    }

    fn admit(&self, payment: &Capture, now: Timestamp) -> Option<Permit> {
        let account = payment.provider_account.as_deref();
        let (key, pace) = self.gate_of(payment.tenant, &payment.provider, account)?;
        // As they were seen last; they are read again before the call.
        let is_stopped = self.switches.last(key.tenant).unwrap_or(false);
        let states = self.account_states.last(key.tenant);
        let closed = states.zip(key.account).is_some_and(|(states, id)| is_closed(&states, id));
        if is_stopped || closed {
            return None;
        }
        self.gates.try_enter(&key, pace, Work::New, now).ok()
    }

    fn committed(&self, done: &Done, permit: Option<Permit>) {
        let Done::Refund { refund, payment, replayed: false } = done else { return };
        self.waiters.wake(refund.id);
        match (refund.state, permit) {
            (State::Sending, Some(permit)) => {
                let leased = Leased::new(refund.clone(), payment, Move::Submit, permit);
                // There is room for every permit; without it the lease runs out and a step takes
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
                | State::Held
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
    /// The rules for refunds at a provider. One that this node does not know keeps nothing and cannot
    /// be asked.
    pub(crate) fn rules(&self, provider: &str) -> Rules {
        let traits = self.registry().traits().get(provider).copied().unwrap_or(Traits::UNKNOWN);
        self.config().policies.of(provider).rules(traits)
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

    /// Makes the call that a leased refund needs, and records the outcome.
    pub async fn work(&self, leased: Leased) {
        let Leased { refund, payment, refunded_before, call, permit } = leased;
        let todo = Todo { refund, payment, refunded_before, call };
        let GateKey { tenant, account, .. } = *permit.key();
        let submits = matches!(call, Move::Submit | Move::SubmitAgain);
        if submits && self.is_held_back(tenant, account).await {
            self.record(&todo, held_back()).await;
            return permit.give_back(self.now());
        }
        if call == Move::Wait {
            return permit.give_back(self.now());
        }
        let account = todo.payment.provider_account.as_deref();
        let provider = match self.adapter(tenant, &todo.payment.provider, account).await {
            Ok(provider) => provider,
            Err(why) => {
                self.record(&todo, unconfigured(&todo, why)).await;
                return permit.give_back(self.now());
            }
        };
        let observation = self.call(&*provider, &todo).await;
        let now = self.now();
        let verdict = verdict_of(&observation);
        if let Some(verdict) = verdict {
            self.with_ids(|ids| permit.report(verdict, now, ids.rng()));
        }
        self.record(&todo, observation).await;
        if verdict.is_none() {
            permit.give_back(now);
        }
    }

    async fn call(&self, provider: &dyn Provider, todo: &Todo) -> Observation {
        let now = self.now();
        let until = todo.refund.due_at.unwrap_or(now);
        let left = u64::try_from(until.ms_since(now)).unwrap_or(0);
        let deadline =
            Deadline::within(self.config().provider_timeout.min(Duration::from_millis(left)));
        let submits = todo.call != Move::Look;
        if left == 0 {
            // Another node may be about to take over.
            let why = Failure::new("lease_over", "the lease ran out before the call");
            return said(Source::Submit, nothing_sent(submits, why));
        }
        let instruction = instruction_of(todo);
        if submits && let Err(why) = provider.check(&instruction, now) {
            return said(Source::Submit, Said::new(ProviderOutcome::Impossible).because(why));
        }
        let call = Call { now, deadline };
        let kind = if submits { "submit" } else { "look" };
        metrics::counter!("refundry_provider_calls_total", "provider" => provider.name(), "call" => kind)
            .increment(1);
        let asked = async {
            if submits {
                said(Source::Submit, provider.submit(&instruction, call).await)
            } else {
                self.look(provider, &instruction, call).await
            }
        };
        let source = if submits { Source::Submit } else { Source::Lookup };
        answer_within(deadline.left(), asked).await.unwrap_or_else(|why| {
            if &*why.code == ADAPTER_PANICKED {
                tracing::error!(refund = %todo.refund.id, provider = provider.name(), "the adapter panicked");
            }
            said(source, Said::unknown(why))
        })
    }

    async fn record(&self, todo: &Todo, observation: Observation) {
        let (refund, payment) = (&todo.refund, &todo.payment);
        let policy = self.config().policies.of(&payment.provider);
        let backoff = match refund.state {
            State::Submitted
            | State::RequiresAction
            | State::Held
            | State::NeedsReview
            | State::Succeeded => policy.pending,
            State::AwaitingApproval
            | State::Scheduled
            | State::Queued
            | State::Sending
            | State::Unknown
            | State::WaitingForFunds
            | State::Failed
            | State::Canceled => policy.after(observation.said.outcome),
        };
        let wait = self.with_ids(|ids| backoff.wait_ms(refund.checks, ids.rng()));
        let wait = match observation.said.again {
            Again::Later => wait,
            Again::AfterMs(ms) => wait.max(ms.min(LONGEST_PAUSE_MS)),
            Again::WhenConfigured => wait.max(UNTIL_CONFIGURED_MS),
        };
        let record = self.outcome_of(refund, payment, observation, wait);
        let record = RecordOutcome { lease: Some(refund.lease), ..record };
        // When that fails the lease runs out and a step looks again.
        match self.committer().run(Command::Record(Box::new(record))).await {
            Ok(done) => note_second_payout(refund, &done),
            Err(Error::Refused(refusal @ Refusal::Impossible { .. })) => {
                tracing::error!(refund = %refund.id, %refusal, "an outcome was refused");
                metrics::counter!("refundry_evidence_refused_total").increment(1);
            }
            Err(error) => {
                tracing::warn!(refund = %refund.id, %error, "an outcome was not recorded");
            }
        }
    }

    /// Asks the provider of a refund to take it back, also while sending is stopped, but not through a
    /// provider account that is paused.
    pub(crate) async fn ask_to_cancel(&self, refund: &Refund, payment: &Payment) -> Said {
        let (tenant, capture) = (refund.tenant, payment.capture.clone());
        let account = capture.provider_account.as_deref();
        let adapter = match self.adapter(tenant, &capture.provider, account).await {
            Ok(adapter) => adapter,
            Err(why) => {
                return Said::unknown(Failure::new("provider_not_configured", &why.to_string()));
            }
        };
        let key = gate_key(tenant, adapter.name(), account);
        if self.is_account_closed(tenant, key.account).await {
            let why = "the payment's provider account is paused or deleted";
            return Said::unknown(Failure::new("provider_not_called", why));
        }
        let instruction = instruction_of(&Todo {
            refund: Box::new(refund.clone()),
            payment: capture.clone(),
            refunded_before: refunded_before(refund, payment),
            call: Move::Look,
        });
        let asked = adapter.cancel(&instruction, self.ordinary_call());
        self.within(asked).await.unwrap_or_else(Said::unknown)
    }

    /// The command that records a statement about a refund, under no lease.
    pub(crate) fn outcome_of(
        &self,
        refund: &Refund,
        payment: &Capture,
        observation: Observation,
        wait_ms: i64,
    ) -> RecordOutcome {
        let observation = Observation { said: observation.said.clean(), ..observation };
        let id = observation.said.provider_refund_id.as_deref();
        RecordOutcome {
            of: refund.into(),
            name: id.map(|id| unique_keys::provider_refund(Books::of(payment), id)),
            observation,
            recheck_at: self.now().plus_ms(wait_ms),
            lease: None,
            rules: self.rules(&payment.provider),
        }
    }
}

/// The rest of the payment, refunded or under way without a refund, minor units.
fn refunded_before(refund: &Refund, payment: &Payment) -> i64 {
    let all = payment.refunded.saturating_add(payment.reserved);
    all.saturating_sub(refund.amount).max(0)
}

/// Nothing is sent through a provider account that is paused or was deleted.
pub(crate) fn is_closed(states: &[ProviderAccountState], account: Ulid) -> bool {
    !states.iter().any(|one| one.id.ulid() == account && one.state == AccountState::Active)
}

pub(crate) fn gate_key(tenant: Tenant, provider: &'static str, account: Option<&str>) -> GateKey {
    let account = account.and_then(|id| ProviderAccountId::parse(id).ok());
    GateKey { tenant, provider, account: account.map(ProviderAccountId::ulid) }
}

/// The state of the provider account that a call shows; `None` when nobody was called.
fn verdict_of(observation: &Observation) -> Option<Verdict> {
    let said = &observation.said;
    let code = said.failure.as_ref().map(|failure| &*failure.code);
    Some(match (said.outcome, said.again) {
        (ProviderOutcome::Impossible, _) | (ProviderOutcome::NeverSent, Again::WhenConfigured) => {
            return None;
        }
        (ProviderOutcome::NeverSent, _) if code == Some("lease_over") => return None,
        // Our own code for one odd answer says nothing about the provider, nor does a list from which we
        // learn nothing.
        (ProviderOutcome::Unknown, _)
            if matches!(code, Some(ADAPTER_PANICKED | AMBIGUOUS | LIST_TOO_LONG)) =>
        {
            Verdict::Answered
        }
        (ProviderOutcome::NeverSent, _) => Verdict::NotConnected,
        (ProviderOutcome::Unknown, _) => Verdict::Lost,
        (ProviderOutcome::NotDone, Again::WhenConfigured) => Verdict::Unauthorized,
        (ProviderOutcome::NotDone, Again::AfterMs(ms)) => {
            Verdict::Throttled { retry_after_ms: Some(ms) }
        }
        (ProviderOutcome::NotDone, Again::Later) => Verdict::Throttled { retry_after_ms: None },
        _ => Verdict::Answered,
    })
}

/// Counts money that a provider paid under the key of a refund and that is not this refund.
pub(crate) fn note_second_payout(refund: &Refund, done: &Done) {
    if let Done::Refund { refund: booked, .. } = done
        && booked.id != refund.id
        && booked.origin == Origin::External
    {
        tracing::error!(refund = %refund.id, booked = %booked.id, "the provider paid more under a refund's key");
        metrics::counter!("refundry_second_payouts_total").increment(1);
    }
}

/// A person stopped the sending while the refund was committed or claimed. Nothing was sent.
fn held_back() -> Observation {
    let why =
        "a person has stopped the sending, or paused or deleted the payment's provider account";
    said(Source::Submit, nothing_sent(true, Failure::new("provider_not_called", why)))
}

/// The outcome of a call that was not made.
fn nothing_sent(submits: bool, why: Failure) -> Said {
    let outcome = if submits { ProviderOutcome::NeverSent } else { ProviderOutcome::Unknown };
    Said::new(outcome).because(why)
}

/// Nobody was called. For a refund that was to be sent, that is certain.
fn unconfigured(todo: &Todo, why: NoAdapter) -> Observation {
    let (refund, provider) = (&todo.refund, &todo.payment.provider);
    tracing::error!(refund = %refund.id, provider = %provider, %why, "the provider is not configured");
    let why = Failure::new("provider_not_configured", &why.to_string());
    let said = nothing_sent(todo.call != Move::Look, why);
    Observation { source: Source::Submit, said: Said { again: Again::WhenConfigured, ..said } }
}

fn instruction_of(todo: &Todo) -> RefundInstruction {
    let refund = &todo.refund;
    RefundInstruction {
        key: refund.provider_key(),
        payment: todo.payment.clone(),
        money: refund.money(),
        refunded_before: todo.refunded_before,
        reason: refund.reason.clone(),
        reference: refund.reference.clone(),
        metadata: refund.metadata.clone(),
        provider_refund_id: refund.provider_refund_id.clone(),
        attempt: match (todo.call, refund.first_sent_at) {
            (Move::SubmitAgain | Move::Look, Some(first_sent_at)) => {
                Attempt::Again { first_sent_at }
            }
            (Move::Submit | Move::SubmitAgain | Move::Look | Move::Wait, _) => Attempt::First,
        },
    }
}
