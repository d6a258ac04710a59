//! Webhooks that providers send: each statement is recorded for a refund of ours, or the refund
//! that it is about is adopted, or it is kept until it fits something.

use crate::Error;
use crate::adapters::{NoAdapter, answer_within};
use crate::dispatch::note_second_payout;
use crate::engine::Engine;
use crate::reconcile::Tally;
use crate::unique_keys::{self, Books};
use crate::unmatched::{NoticeAbout, Unmatched};
use domain::decide::{AdoptRefund, Command, Refusal};
use domain::ids::{PaymentId, ProviderAccountId, RefundId};
use domain::money::MAX_AMOUNT;
use domain::outcome::{Failure, Observation, ProviderOutcome, Source};
use domain::payment::Capture;
use domain::provider_account::ProviderAccount;
use domain::refund::{Refund, RefundView, State};
use domain::tenant::Tenant;
use domain::unique_keys::{KeyHash, KeyTarget, UniqueKey};
use domain::view::{Row, RowKeys, View};
use providers::http::Deadline;
use providers::{
    Call, Hint, Inbound, InboundWebhook, Notice, Provider, WebhookAnswer, WebhookRefused,
};

/// How many pages of a payment's refunds are read when a webhook only hints at it, or when a payment is
/// registered.
const PAGES: usize = 20;

/// How long an event of a provider is remembered: longer than any provider repeats it.
const REMEMBERED_MS: i64 = 30 * 24 * 60 * 60_000;

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
    /// It only hints at something, and the provider could not be asked; the provider should send it
    /// again.
    #[error("the provider could not be asked: {0}")]
    NotAsked(Box<str>),
}

impl WebhookError {
    fn of(why: NoAdapter) -> Self {
        match why {
            NoAdapter::NotConfigured | NoAdapter::Deleted => Self::UnknownProvider,
            NoAdapter::Unusable => Self::NotAsked(why.to_string().into()),
        }
    }
}

impl Engine {
    /// Takes in a provider's webhook: authenticates it and records what it says about each refund.
    /// Returns the answer that the provider waits for, where it wants one of its own, once everything is
    /// durable.
    pub async fn receive_webhook(
        &self,
        tenant: Tenant,
        provider: &str,
        account: Option<&str>,
        webhook: InboundWebhook,
    ) -> Result<Option<WebhookAnswer>, WebhookError> {
        let provider = self.adapter(tenant, provider, account).await.map_err(WebhookError::of)?;
        let books = Books { provider: provider.name(), account };
        let read = provider.receive(&webhook, self.ordinary_call());
        let inbound = match self.within(read).await {
            Ok(inbound) => inbound?,
            Err(why) => return Err(WebhookError::NotAsked(why.message)),
        };
        let Inbound { event, notices, disputes, hints, answer } = inbound;
        // An event without a name is none that could come again.
        let event = event.filter(|event| !event.is_empty());
        let event = event.map(|event| unique_keys::inbound_event(books, &event));
        if let Some(name) = event
            && self.store().find_key(tenant, name).await.map_err(Error::from)?.is_some()
        {
            metrics::counter!("refundry_inbound_webhooks_repeated_total").increment(1);
            return Ok(answer);
        }
        let refunds = notices.into_iter().map(|notice| NoticeAbout::Refund(notice.clean()));
        let disputes = disputes.into_iter().map(|told| NoticeAbout::Dispute(told.clean()));
        for about in refunds.chain(disputes) {
            self.take_in(tenant, books, about, Source::Webhook).await?;
        }
        for hint in hints {
            self.follow(tenant, &*provider, books, hint).await?;
        }
        if let Some(name) = event {
            self.note_event(tenant, name).await?;
        }
        Ok(answer)
    }

    /// Remembers an event of a provider, now that all of it is recorded. Two that take in the same one
    /// at once record the same.
    async fn note_event(&self, tenant: Tenant, hash: KeyHash) -> Result<(), Error> {
        let expires_at = Some(self.now().plus_ms(REMEMBERED_MS));
        let key = UniqueKey {
            tenant,
            hash,
            request: hash.0,
            target: KeyTarget::InboundEvent,
            id: self.with_ids(|ids| ids.ulid(self.now())),
            state: None,
            expires_at,
        };
        let mut wanted = RowKeys::default();
        wanted.keys.insert((tenant, hash));
        let insert = move |view: &mut View| {
            view.keys.entry((tenant, hash)).or_insert_with(|| Row::inserted(key.clone()));
        };
        self.within_commit(self.store().run_batch(wanted, insert)).await
    }

    /// Whether webhooks of this provider can be read here.
    pub fn receives_webhooks(&self, provider: &str) -> bool {
        self.registry().traits().contains_key(provider)
    }

    /// The account and mode of a provider account that webhooks may come for: one of this provider that is
    /// not deleted.
    pub async fn webhook_tenant(
        &self,
        provider: &str,
        id: ProviderAccountId,
    ) -> Result<Option<Tenant>, Error> {
        let found = self.store().find_provider_account_anywhere(id).await?.into_iter().next();
        let is_its = |account: &ProviderAccount| {
            *account.provider == *provider && account.deleted_at.is_none()
        };
        Ok(found.filter(is_its).map(|account| account.tenant))
    }

    /// A call that nobody holds a lease for.
    pub(crate) fn ordinary_call(&self) -> Call {
        Call { now: self.now(), deadline: Deadline::within(self.config().provider_timeout) }
    }

    /// Waits for a call that nobody holds a lease for.
    pub(crate) async fn within<T>(&self, call: impl Future<Output = T>) -> Result<T, Failure> {
        answer_within(self.config().provider_timeout, call).await
    }

    /// Asks the provider about what a webhook only hints at.
    async fn follow(
        &self,
        tenant: Tenant,
        provider: &dyn Provider,
        books: Books<'_>,
        hint: Hint,
    ) -> Result<(), WebhookError> {
        let payment = match &hint {
            Hint::Payment(id) => self.find_charge(tenant, books, id).await?,
            Hint::Refund(id) => {
                let name = unique_keys::provider_refund(books, id);
                let refund = self.find_named_refund(tenant, name).await?;
                refund.map(|view| view.refund.payment)
            }
        };
        let Some(payment) = payment else {
            tracing::info!(?hint, "a webhook hints at something that is not registered");
            return Ok(());
        };
        let payment = self.find_payment(tenant, payment).await?;
        let Some(payment) = payment else { return Ok(()) };
        let asked = self.take_list(tenant, provider, &payment.capture).await?;
        asked.map(|_| ()).map_err(|why| WebhookError::NotAsked(why.message))
    }

    /// Reads the refunds of a payment at its provider and books what the books miss.
    pub(crate) async fn take_list(
        &self,
        tenant: Tenant,
        provider: &dyn Provider,
        payment: &Capture,
    ) -> Result<Result<Tally, Failure>, Error> {
        let (mut after, mut tally): (Option<Box<str>>, _) = (None, Tally::default());
        for _ in 0..PAGES {
            let list = provider.list(payment, after.as_deref(), self.ordinary_call());
            let page = match self.within(list).await {
                Ok(Ok(page)) => page,
                Ok(Err(why)) | Err(why) => return Ok(Err(why)),
            };
            for notice in page.notices {
                let books = Books::of(payment);
                tally += self.take_statement(tenant, books, notice, Source::List).await?;
            }
            after = page.next;
            if after.is_none() {
                return Ok(Ok(tally));
            }
        }
        let (provider, payment) = (&*payment.provider, &*payment.provider_payment_id);
        tracing::warn!(provider, payment, "the payment has more refunds than are read at once");
        Ok(Ok(tally))
    }

    /// Records what a notice says. Returns why it fits nothing, if so.
    pub(crate) async fn apply_notice(
        &self,
        tenant: Tenant,
        books: Books<'_>,
        notice: &Notice,
        source: Source,
    ) -> Result<Option<Unmatched>, Error> {
        let mut said = notice.said.clone();
        // It is compared with the payment of the refund whose key it names.
        said.provider_payment_id.get_or_insert_with(|| notice.provider_payment_id.clone());
        let observation = Observation { source, said };
        if let Some(ours) = self.refund_of(tenant, books, notice).await? {
            if may_be_of_an_earlier_call(&ours.refund, notice) {
                return Ok(Some(Unmatched::RefundInDoubt));
            }
            return self.record_notice(&ours, observation).await;
        }
        let charge = self.find_charge(tenant, books, &notice.provider_payment_id).await?;
        let Some(payment) = charge else {
            return Ok(Some(Unmatched::PaymentNotRegistered));
        };
        let Some(id) = notice.said.provider_refund_id.as_deref() else {
            return Ok(Some(Unmatched::NoRefundId));
        };
        let has_our_key = notice.key.as_deref().is_some_and(|key| RefundId::parse(key).is_ok());
        // A refund of ours whose id is not known yet may be the one that is told, unless the provider names the key
        // of another one, which other books of ours had.
        if !has_our_key && !self.store().refunds_in_doubt(tenant, payment, 1).await?.is_empty() {
            return Ok(Some(Unmatched::RefundInDoubt));
        }
        let name = unique_keys::provider_refund(books, id);
        self.adopt(tenant, payment, name, books, observation).await
    }

    /// The refund of ours that a notice is about: by our key, or by the provider's refund id.
    pub(crate) async fn refund_of(
        &self,
        tenant: Tenant,
        books: Books<'_>,
        notice: &Notice,
    ) -> Result<Option<RefundView>, Error> {
        let key = notice.key.as_deref().and_then(|key| RefundId::parse(key).ok());
        if let Some(id) = key
            && let Some(found) = self.find_refund(tenant, id).await?
            && books.hold(&found.payment)
        {
            return Ok(Some(found));
        }
        let Some(id) = notice.said.provider_refund_id.as_deref() else { return Ok(None) };
        let name = unique_keys::provider_refund(books, id);
        if let Some(found) = self.find_named_refund(tenant, name).await? {
            return Ok(Some(found));
        }
        let name = unique_keys::external_refund(books.provider, id);
        self.find_named_refund(tenant, name).await
    }

    pub(crate) async fn find_named_refund(
        &self,
        tenant: Tenant,
        name: KeyHash,
    ) -> Result<Option<RefundView>, Error> {
        let key = self.store().find_key(tenant, name).await?;
        match key.filter(|key| key.target == KeyTarget::Refund) {
            Some(key) => self.find_refund(tenant, RefundId::from_ulid(key.id)).await,
            None => Ok(None),
        }
    }

    async fn record_notice(
        &self,
        ours: &RefundView,
        observation: Observation,
    ) -> Result<Option<Unmatched>, Error> {
        let policy = self.config().policies.of(&ours.payment.provider);
        let wait = self.with_ids(|ids| policy.pending.wait_ms(0, ids.rng()));
        let record = self.outcome_of(&ours.refund, &ours.payment, observation, wait);
        match self.committer().run(Command::Record(Box::new(record))).await {
            Ok(done) => {
                note_second_payout(&ours.refund, &done);
                Ok(None)
            }
            Err(Error::Refused(refusal)) => Ok(Some(Unmatched::of(&refusal))),
            Err(error) => Err(error),
        }
    }

    async fn adopt(
        &self,
        tenant: Tenant,
        payment: PaymentId,
        name: KeyHash,
        books: Books<'_>,
        observation: Observation,
    ) -> Result<Option<Unmatched>, Error> {
        // An amount that cannot be would fill the ledger, in which everybody's refunds are booked.
        if observation.said.money.is_some_and(|money| money.minor > MAX_AMOUNT) {
            return Ok(Some(Unmatched::of(&Refusal::TooLarge)));
        }
        let policy = self.config().policies.of(books.provider);
        let wait = self.with_ids(|ids| policy.pending.wait_ms(0, ids.rng()));
        let recheck_at = self.now().plus_ms(wait);
        let rules = self.rules(books.provider);
        let adopt = AdoptRefund { tenant, payment, name, observation, recheck_at, rules };
        match self.committer().run(Command::Adopt(Box::new(adopt))).await {
            Ok(_) => Ok(None),
            Err(Error::Refused(refusal)) => Ok(Some(Unmatched::of(&refusal))),
            Err(error) => Err(error),
        }
    }
}

/// A late word that an earlier call came to nothing must not fail the call that is under way. Once that one is
/// answered, the provider's refund id tells which of them is meant. The same goes for a refund that was not sent
/// as far as these books know: after a restore they are older than the provider's, which answers the call that
/// comes now as it answered the first.
fn may_be_of_an_earlier_call(refund: &Refund, notice: &Notice) -> bool {
    let said = &notice.said;
    let is_sent_again = refund.state == State::Sending && refund.sends > 1;
    (is_sent_again || matches!(refund.state, State::Scheduled | State::Queued))
        && said.provider_refund_id.is_some()
        && matches!(said.outcome, ProviderOutcome::Failed | ProviderOutcome::Canceled)
}

impl Unmatched {
    /// Why a statement could not be booked.
    pub(crate) fn of(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::CurrencyMismatch { .. } => Self::OtherCurrency,
            Refusal::NoAmount => Self::NoAmount,
            refusal => {
                tracing::error!(%refusal, "a provider's statement was refused");
                metrics::counter!("refundry_evidence_refused_total").increment(1);
                Self::Refused
            }
        }
    }
}
