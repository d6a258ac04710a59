//! Reconciling: reading what changed at the providers, so that a webhook that was lost, or books that
//! were restored from before a refund, miss nothing.
//!
//! Where a provider can tell what changed, each change is taken as a webhook would be. Where it cannot,
//! the payments of refunds in doubt are listed there.

use crate::Error;
use crate::dispatch::gate_key;
use crate::engine::Engine;
use crate::gates::{GateKey, Pace, Permit, Verdict, Work};
use crate::unique_keys::{self, Books};
use crate::unmatched::NoticeAbout;
use domain::ids::RefundId;
use domain::outcome::{Failure, ProviderOutcome, Source};
use domain::payment::Capture;
use domain::provider::OutcomeBy;
use domain::provider_account::State as AccountState;
use domain::refund::{RefundView, State};
use domain::tenant::Tenant;
use domain::time::Timestamp;
use providers::{Notice, Provider};
use std::ops::AddAssign;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use store::{InDoubt, ReconcileCursor};

/// How many tenants one step looks at.
const TENANTS: u32 = 256;

/// How far back the first round at a provider reaches.
const FIRST_MS: i64 = 24 * 60 * 60_000;

/// How much of what the last round read is read again, beside the time for which the provider may not
/// show a refund: its clock is not ours.
const OVERLAP_MS: i64 = 10 * 60_000;

/// The wait after a page that could not be read, and how many in a row begin the round again, as the
/// provider may have forgotten the place.
const RETRY_MS: i64 = 60_000;
const RETRIES: u32 = 5;

/// How many payments are listed for one page, where the provider cannot tell what changed.
pub(crate) const LISTED: u32 = 16;

/// How long a refund may be with a provider before its payment is listed.
const SUBMITTED_MS: i64 = 60 * 60_000;

/// The result of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Pages that were read.
    pub pages: u32,
    pub tally: Tally,
    /// There are tenants behind the last one that was looked at.
    pub more: bool,
}

/// The fate of statements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Statements that were read.
    pub read: u64,
    /// Those that the books missed.
    pub booked: u64,
    /// Those that the books had.
    pub known: u64,
    /// Those that fit nothing yet and are kept.
    pub unmatched: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.read = self.read.saturating_add(other.read);
        self.booked = self.booked.saturating_add(other.booked);
        self.known = self.known.saturating_add(other.known);
        self.unmatched = self.unmatched.saturating_add(other.unmatched);
    }
}

/// A provider that can be asked, or an account there.
#[derive(Clone)]
pub struct Asked {
    pub(crate) provider: Arc<dyn Provider>,
    account: Option<Box<str>>,
}

impl Asked {
    /// The provider's name.
    pub fn name(&self) -> &'static str {
        self.provider.name()
    }

    /// The provider account, `pa_…`; `None` where one adapter serves everybody.
    pub fn account(&self) -> Option<&str> {
        self.account.as_deref()
    }

    /// Whether it is the one to ask about a payment.
    pub(crate) fn serves(&self, payment: &Capture) -> bool {
        *payment.provider == *self.name()
            && (self.account.is_none() || self.account == payment.provider_account)
    }
}

/// The result of reading a page.
pub(crate) enum PageRead {
    /// The page, and where the next one begins.
    Done(Tally, Option<Box<str>>),
    /// The provider cannot tell what changed.
    CannotTell,
    Failed(Failure),
}

impl Engine {
    /// Reads at most `limit` pages of what changed at the providers, where that is due. Nothing is written
    /// while nothing changed, except how far the reading came.
    pub async fn step_reconcile(&self, limit: u32) -> Result<Reconciled, Error> {
        let mut step = Reconciled::default();
        if self.config().reconcile_every_ms <= 0 {
            return Ok(step);
        }
        let last = self.reconciled_until();
        let after = *last.lock().unwrap_or_else(PoisonError::into_inner);
        let tenants = self.store().tenants_with_payments(after, TENANTS).await?;
        step.more = u32::try_from(tenants.len()) == Ok(TENANTS);
        let mut reached = None;
        for tenant in tenants {
            if step.pages >= limit {
                step.more = true;
                break;
            }
            self.reconcile_tenant(tenant, &mut step).await?;
            reached = Some(tenant);
        }
        let next = reached.filter(|_| step.more);
        *last.lock().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(step)
    }

    /// How often the changes at each provider are read; never when zero.
    pub fn reconcile_every(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.config().reconcile_every_ms).unwrap_or(0))
    }

    /// The providers of a tenant that can be asked, and its accounts at those that need one.
    pub async fn askable(&self, tenant: Tenant) -> Result<Vec<Asked>, Error> {
        let of_everybody =
            self.registry().names(tenant).filter_map(|name| self.registry().find(tenant, name));
        let mut askable: Vec<_> = of_everybody
            .filter(|provider| provider.traits().outcome != OutcomeBy::Person)
            .map(|provider| Asked { provider: provider.clone(), account: None })
            .collect();
        for state in &*self.provider_account_states(tenant).await? {
            let is_asked = state.state == AccountState::Active
                && self.registry().adapter_of_account(&state.provider).is_some();
            if is_asked {
                let account = state.id.to_string();
                let adapter = self.adapter(tenant, &state.provider, Some(&account)).await;
                let asked = |provider| Asked { provider, account: Some(account.into()) };
                askable.extend(adapter.ok().map(asked));
            }
        }
        Ok(askable)
    }

    /// Reads a page at each provider of a tenant where one is due.
    async fn reconcile_tenant(&self, tenant: Tenant, step: &mut Reconciled) -> Result<(), Error> {
        let now = self.now();
        let known = self.store().reconcile_cursors(tenant).await?;
        for asked in self.askable(tenant).await? {
            let is_its = |cursor: &&ReconcileCursor| {
                *cursor.provider == *asked.name()
                    && *cursor.provider_account == *asked.account().unwrap_or_default()
            };
            let Some(cursor) = known.iter().find(is_its) else {
                let first = self.first_cursor(tenant, &asked, now);
                self.store().begin_reconcile_cursor(first).await?;
                continue;
            };
            if cursor.due_at > now {
                continue;
            }
            // A gate that is closed costs no write.
            let Some(permit) = self.may_ask(tenant, &asked, now) else { continue };
            let until = now.plus_ms(self.config().lease_ms);
            let claimed = self.store().claim_reconcile_cursor(cursor, now, until).await?.pop();
            let Some(cursor) = claimed else {
                permit.give_back(now);
                continue;
            };
            step.pages = step.pages.saturating_add(1);
            let (next, tally) = self.read_on(&asked, cursor, &permit).await?;
            step.tally += tally;
            self.store().save_reconcile_cursor(next, until).await?;
        }
        Ok(())
    }

    /// The permission to ask a provider for something that no refund waits for.
    pub(crate) fn may_ask(&self, tenant: Tenant, asked: &Asked, now: Timestamp) -> Option<Permit> {
        let (key, pace) = ask_gate(tenant, asked);
        self.gates().try_enter(&key, pace, Work::Due, now).ok()
    }

    /// When a provider may be asked again; `None` when that is not a matter of time.
    pub(crate) fn may_ask_at(&self, tenant: Tenant, asked: &Asked) -> Option<Timestamp> {
        let (key, pace) = ask_gate(tenant, asked);
        self.gates().closed(&key, pace, self.now())?.until
    }

    /// A provider was just connected, or the books are older than their cursors.
    fn first_cursor(&self, tenant: Tenant, asked: &Asked, now: Timestamp) -> ReconcileCursor {
        ReconcileCursor {
            tenant,
            provider: asked.name().into(),
            provider_account: asked.account().unwrap_or_default().into(),
            since: now.plus_ms(-FIRST_MS),
            page: None,
            began_at: now,
            failures: 0,
            due_at: now.plus_ms(self.config().reconcile_every_ms),
        }
    }

    /// Reads the page at which a cursor stands. Returns where it stands then.
    async fn read_on(
        &self,
        asked: &Asked,
        mut cursor: ReconcileCursor,
        permit: &Permit,
    ) -> Result<(ReconcileCursor, Tally), Error> {
        let (tenant, now) = (cursor.tenant, self.now());
        if cursor.page.is_none() {
            cursor.began_at = now;
        }
        let span = (cursor.since, None);
        let page = cursor.page.as_deref();
        let mut read = self.read_changes(tenant, asked, span, page, permit).await?;
        if matches!(read, PageRead::CannotTell) {
            permit.call_again(self.now());
            read = self.list_in_doubt(tenant, asked, page, permit).await?;
        }
        let every = self.config().reconcile_every_ms;
        let mut tally = Tally::default();
        match read {
            PageRead::Done(some, next) => {
                tally = some;
                cursor.failures = 0;
                cursor.due_at = now;
                if next.is_none() {
                    let lag = asked.provider.traits().lookup.lag_ms;
                    cursor.since = cursor.began_at.plus_ms(-OVERLAP_MS.saturating_add(lag));
                    cursor.due_at = cursor.began_at.plus_ms(every).max(now.plus_ms(1));
                }
                cursor.page = next;
            }
            PageRead::CannotTell => cursor.due_at = now.plus_ms(every),
            PageRead::Failed(why) => {
                tracing::warn!(provider = asked.name(), account = asked.account(), code = %why.code, "what changed at a provider was not read");
                cursor.failures = cursor.failures.saturating_add(1);
                if cursor.failures.is_multiple_of(RETRIES) {
                    cursor.page = None;
                }
                cursor.due_at = now.plus_ms(RETRY_MS.min(every));
            }
        }
        Ok((cursor, tally))
    }

    /// Reads a page of what changed at a provider from a time on, until another time if there is one.
    pub(crate) async fn read_changes(
        &self,
        tenant: Tenant,
        asked: &Asked,
        (since, until): (Timestamp, Option<Timestamp>),
        page: Option<&str>,
        permit: &Permit,
    ) -> Result<PageRead, Error> {
        let changes = asked.provider.changes(tenant, since, page, self.ordinary_call());
        let answer = self.within(changes).await.flatten();
        self.report(permit, answer.as_ref().err());
        let changes = match answer {
            Ok(Some(changes)) => changes,
            Ok(None) => return Ok(PageRead::CannotTell),
            Err(why) => return Ok(PageRead::Failed(why)),
        };
        let mut tally = Tally::default();
        let books = Books { provider: asked.name(), account: asked.account() };
        for notice in changes.notices {
            if until.is_none_or(|until| notice.said.at.is_none_or(|at| at <= until)) {
                tally += self.take_statement(tenant, books, notice, Source::Changes).await?;
            }
        }
        Ok(PageRead::Done(tally, changes.next))
    }

    /// Lists the payments of some refunds in doubt, from behind the refund `page`.
    pub(crate) async fn list_in_doubt(
        &self,
        tenant: Tenant,
        asked: &Asked,
        page: Option<&str>,
        permit: &Permit,
    ) -> Result<PageRead, Error> {
        if !asked.provider.traits().lookup.list {
            return Ok(PageRead::CannotTell);
        }
        let filter = InDoubt {
            provider: Some(asked.name().into()),
            accepted: true,
            waiting_since: self.now().plus_ms(-SUBMITTED_MS),
        };
        let after = page.and_then(|page| RefundId::parse(page).ok());
        let found = self.store().all_refunds_in_doubt(tenant, filter, after, LISTED).await?;
        let next = found.get(usize::try_from(LISTED).unwrap_or(usize::MAX)).is_some();
        let found = &found[..found.len().min(usize::try_from(LISTED).unwrap_or(usize::MAX))];
        let next = found.last().filter(|_| next).map(|view| view.refund.id.to_string().into());
        let mut payments: Vec<_> = found.iter().map(|view| view.payment.clone()).collect();
        payments.retain(|payment| asked.serves(payment));
        payments.sort_by_key(|payment| payment.id);
        payments.dedup_by_key(|payment| payment.id);
        self.list_payments_at(asked, &payments, next, permit).await
    }

    /// Lists payments at their provider and books what the books miss.
    pub(crate) async fn list_payments_at(
        &self,
        asked: &Asked,
        payments: &[Arc<Capture>],
        next: Option<Box<str>>,
        permit: &Permit,
    ) -> Result<PageRead, Error> {
        let mut tally = Tally::default();
        for (number, payment) in payments.iter().enumerate() {
            if number > 0 {
                permit.call_again(self.now());
            }
            let listed = self.take_list(payment.tenant, &*asked.provider, payment).await?;
            self.report(permit, listed.as_ref().err());
            match listed {
                Ok(some) => tally += some,
                Err(why) => return Ok(PageRead::Failed(why)),
            }
        }
        Ok(PageRead::Done(tally, next))
    }

    /// Tells the gate how a call went. A list that a provider refuses says nothing about its refunds, so only
    /// silence counts against it.
    fn report(&self, permit: &Permit, failed: Option<&Failure>) {
        let is_lost = failed.is_some_and(|why| &*why.code == "timeout");
        let verdict = if is_lost { Verdict::Lost } else { Verdict::Answered };
        let now = self.now();
        self.with_ids(|ids| permit.report(verdict, now, ids.rng()));
    }

    /// Books what a statement says that the books do not know. A statement that they know costs no write.
    pub(crate) async fn take_statement(
        &self,
        tenant: Tenant,
        books: Books<'_>,
        notice: Notice,
        source: Source,
    ) -> Result<Tally, Error> {
        let notice = notice.clean();
        let before = self.booked(tenant, books, &notice).await?;
        let mut tally = Tally { read: 1, ..Tally::default() };
        if before.as_ref().is_some_and(|view| is_known(view, &notice)) {
            tally.known = 1;
            return Ok(tally);
        }
        let about = NoticeAbout::Refund(notice.clone());
        if !self.take_in(tenant, books, about, source).await? {
            tally.unmatched = 1;
            return Ok(tally);
        }
        let version = |view: &RefundView| (view.refund.id, view.refund.last_seq);
        let after = self.booked(tenant, books, &notice).await?;
        let is_new = after.as_ref().map(version) != before.as_ref().map(version);
        (tally.booked, tally.known) = (u64::from(is_new), u64::from(!is_new));
        if is_new {
            metrics::counter!("refundry_reconciled_total").increment(1);
        }
        Ok(tally)
    }

    /// The refund that is booked under the id that the provider gave it, or under our key where it gave none.
    async fn booked(
        &self,
        tenant: Tenant,
        books: Books<'_>,
        notice: &Notice,
    ) -> Result<Option<RefundView>, Error> {
        let Some(id) = notice.said.provider_refund_id.as_deref() else {
            return self.refund_of(tenant, books, notice).await;
        };
        let name = unique_keys::provider_refund(books, id);
        self.find_named_refund(tenant, name).await
    }
}

fn ask_gate(tenant: Tenant, asked: &Asked) -> (GateKey, Pace) {
    (gate_key(tenant, asked.name(), asked.account()), asked.provider.traits().pace)
}

/// True when a refund is booked just as the statement says, so that recording it would change nothing.
fn is_known(view: &RefundView, notice: &Notice) -> bool {
    let (refund, said) = (&view.refund, &notice.said);
    let is_there = match refund.state {
        State::Succeeded => said.outcome == ProviderOutcome::Completed && refund.due_at.is_none(),
        State::Failed => said.outcome == ProviderOutcome::Failed,
        State::Canceled => said.outcome == ProviderOutcome::Canceled,
        State::Submitted => said.outcome == ProviderOutcome::Accepted,
        State::RequiresAction => said.outcome == ProviderOutcome::ActionRequired,
        State::Held => said.outcome == ProviderOutcome::Held,
        State::AwaitingApproval
        | State::Scheduled
        | State::Queued
        | State::Sending
        | State::Unknown
        | State::WaitingForFunds
        | State::NeedsReview => false,
    };
    is_there
        && said.provider_refund_id == refund.provider_refund_id
        && said.money.is_none_or(|money| money == refund.money())
        && notice.provider_payment_id == view.payment.provider_payment_id
        && said.at <= refund.evidence_at
}
