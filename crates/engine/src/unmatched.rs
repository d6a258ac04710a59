//! Authentic statements of providers that fit nothing yet. They are kept, listed, and tried again until
//! they do: a webhook may come before its payment is registered, or before our own call is answered.

use crate::Error;
use crate::engine::Engine;
use crate::retry_policy::Backoff;
use crate::unique_keys::{self, Books};
use domain::ids::NoticeId;
use domain::money::{Currency, Money};
use domain::outcome::{Failure, ProviderOutcome, Said, Source};
use domain::tenant::Tenant;
use domain::time::Timestamp;
use providers::{DisputeNotice, DisputeStage, Notice};
use serde::{Deserialize, Serialize};
use store::{NoticeFilter, Page, PageQuery, SortOrder, UnmatchedNotice};

/// The waits between two tries.
const TRIES: Backoff = Backoff { first_ms: 1_000, most_ms: 60 * 60_000 };

/// How long a notice is kept about a payment that nobody registers: the provider's account may be used for other
/// payments, too.
const KEPT_MS: i64 = 90 * 24 * 60 * 60_000;

/// How many notices about a payment are tried when it is registered.
const OF_A_PAYMENT: u32 = 100;

/// Why a notice fits nothing yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmatched {
    /// Its payment is not registered.
    PaymentNotRegistered,
    /// A refund of ours of the same payment is in doubt, and may be the one that it is about.
    RefundInDoubt,
    /// It names no refund, so that a repetition of it would be booked again.
    NoRefundId,
    /// It speaks of money in another currency than the payment's.
    OtherCurrency,
    /// It names no amount.
    NoAmount,
    /// It is about a dispute whose hold ended otherwise, or was booked with another amount.
    HoldEnded,
    /// It cannot be booked at all; the log says why.
    Refused,
}

impl Unmatched {
    /// Every reason.
    pub const ALL: &[Self] = &[
        Self::PaymentNotRegistered,
        Self::RefundInDoubt,
        Self::NoRefundId,
        Self::OtherCurrency,
        Self::NoAmount,
        Self::HoldEnded,
        Self::Refused,
    ];

    /// The word that is stored and printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PaymentNotRegistered => "payment_not_registered",
            Self::RefundInDoubt => "refund_in_doubt",
            Self::NoRefundId => "no_refund_id",
            Self::OtherCurrency => "other_currency",
            Self::NoAmount => "no_amount",
            Self::HoldEnded => "hold_ended",
            Self::Refused => "refused",
        }
    }

    /// True when time may bring what is missing.
    const fn may_fit_later(self) -> bool {
        matches!(self, Self::PaymentNotRegistered | Self::RefundInDoubt | Self::Refused)
    }
}

/// A notice as it is stored.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    source: i64,
    /// `None` for a dispute.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dispute: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_refund_id: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Box<str>>,
}

/// The thing that a notice is about, and what it says.
#[derive(Clone, Debug)]
pub enum NoticeAbout {
    Refund(Notice),
    Dispute(DisputeNotice),
}

impl NoticeAbout {
    /// The provider's id of the payment.
    pub fn provider_payment_id(&self) -> &str {
        match self {
            Self::Refund(notice) => &notice.provider_payment_id,
            Self::Dispute(dispute) => &dispute.provider_payment_id,
        }
    }

    /// The provider's id of the refund or of the dispute.
    fn id(&self) -> Option<&str> {
        match self {
            Self::Refund(notice) => notice.said.provider_refund_id.as_deref(),
            Self::Dispute(told) => Some(&told.dispute),
        }
    }

    fn stored(&self, source: Source) -> Stored {
        let source = source.code();
        match self {
            Self::Refund(Notice { key, said, .. }) => Stored {
                key: key.clone(),
                source,
                outcome: Some(said.outcome.code()),
                provider_refund_id: said.provider_refund_id.clone(),
                amount: said.money.map(|money| money.minor),
                currency: said.money.map(|money| money.currency.as_str().into()),
                at: said.at.map(|at| at.0),
                code: said.failure.as_ref().map(|failure| failure.code.clone()),
                message: said.failure.as_ref().map(|failure| failure.message.clone()),
                ..Stored::default()
            },
            Self::Dispute(told) => Stored {
                source,
                dispute: Some(told.dispute.clone()),
                stage: Some(told.stage.as_str().into()),
                amount: Some(told.money.minor),
                currency: Some(told.money.currency.as_str().into()),
                ..Stored::default()
            },
        }
    }
}

impl Stored {
    fn money(&self) -> Option<Money> {
        let currency = self.currency.as_deref().and_then(|code| Currency::parse(code).ok());
        self.amount.zip(currency).map(|(minor, currency)| Money::new(minor, currency))
    }

    /// `None` when it makes no sense.
    fn about(self, provider_payment_id: &str) -> Option<NoticeAbout> {
        let (money, provider_payment_id) = (self.money(), Box::from(provider_payment_id));
        if let Some(dispute) = self.dispute {
            let stage = self.stage?;
            let named = |stage_of: &DisputeStage| stage_of.as_str() == &*stage;
            let stage = DisputeStage::ALL.iter().copied().find(named)?;
            let told = DisputeNotice { provider_payment_id, dispute, money: money?, stage };
            return Some(NoticeAbout::Dispute(told));
        }
        let failure = self.code.zip(self.message);
        let said = Said {
            provider_refund_id: self.provider_refund_id,
            money,
            provider_payment_id: Some(Box::clone(&provider_payment_id)),
            at: self.at.map(Timestamp),
            failure: failure.map(|(code, message)| Failure { code, message }),
            ..Said::new(ProviderOutcome::from_code(self.outcome?)?)
        };
        Some(NoticeAbout::Refund(Notice { provider_payment_id, key: self.key, said }))
    }
}

/// A kept notice, as people see it.
#[derive(Clone, Debug)]
pub struct KeptNotice {
    pub id: NoticeId,
    pub provider: Box<str>,
    pub provider_account: Option<Box<str>>,
    pub reason: Box<str>,
    pub tries: u32,
    /// When it is tried again; `None` when only a person can tell where it belongs.
    pub due_at: Option<Timestamp>,
    pub source: Source,
    pub about: NoticeAbout,
}

impl Engine {
    /// Records what a provider says, or keeps that until it fits something. `true` when it is recorded.
    pub(crate) async fn take_in(
        &self,
        tenant: Tenant,
        books: Books<'_>,
        about: NoticeAbout,
        source: Source,
    ) -> Result<bool, Error> {
        let Some(why) = self.apply(tenant, books, &about, source).await? else { return Ok(true) };
        self.keep_notice(tenant, books, &about, source, why).await?;
        Ok(false)
    }

    /// Records what a provider says. Returns why it fits nothing, if so.
    async fn apply(
        &self,
        tenant: Tenant,
        books: Books<'_>,
        about: &NoticeAbout,
        source: Source,
    ) -> Result<Option<Unmatched>, Error> {
        match about {
            NoticeAbout::Refund(notice) => self.apply_notice(tenant, books, notice, source).await,
            NoticeAbout::Dispute(told) => self.apply_dispute(tenant, books, told, source).await,
        }
    }

    /// Keeps a notice that fits nothing.
    async fn keep_notice(
        &self,
        tenant: Tenant,
        books: Books<'_>,
        about: &NoticeAbout,
        source: Source,
        why: Unmatched,
    ) -> Result<(), Error> {
        let text = serde_json::to_string(&about.stored(source)).map_err(|_| Error::closed())?;
        let account = books.account.unwrap_or_default();
        let payment = about.provider_payment_id();
        tracing::warn!(
            provider = books.provider,
            payment,
            id = about.id(),
            reason = why.as_str(),
            "a provider's statement fits nothing yet and is kept"
        );
        metrics::counter!("refundry_unmatched_notices_total", "reason" => why.as_str())
            .increment(1);
        let now = self.now();
        let wait = self.with_ids(|ids| TRIES.wait_ms(0, ids.rng()));
        let kept = UnmatchedNotice {
            tenant,
            id: NoticeId::from_ulid(self.with_ids(|ids| ids.ulid(now))),
            hash: unique_keys::notice(&[books.provider, account, payment, &text]),
            provider: books.provider.into(),
            provider_account: account.into(),
            provider_payment_id: payment.into(),
            reason: why.as_str().into(),
            notice: text.into(),
            tries: 0,
            due_at: why.may_fit_later().then(|| now.plus_ms(wait)),
        };
        Ok(self.store().keep_notice(kept).await?)
    }

    /// Tries the notices again that are due. Returns how many fit now.
    pub async fn step_notices(&self, limit: u32) -> Result<usize, Error> {
        let mut matched = 0;
        for kept in self.store().due_notices(self.now(), limit).await? {
            matched += usize::from(self.try_again(&kept).await?);
        }
        Ok(matched)
    }

    /// When the next notice is due.
    pub async fn next_notice_due(&self) -> Result<Option<Timestamp>, Error> {
        Ok(self.store().next_notice_due().await?)
    }

    /// Tries the notices about a payment that has just been registered.
    pub(crate) async fn match_notices(
        &self,
        tenant: Tenant,
        provider: &str,
        provider_payment_id: &str,
    ) -> Result<(), Error> {
        let filter = NoticeFilter { payment: Some((provider.into(), provider_payment_id.into())) };
        let page = PageQuery {
            limit: OF_A_PAYMENT,
            after: None,
            order: SortOrder::Ascending,
            from: None,
            until: None,
        };
        for kept in self.store().list_unmatched_notices(tenant, filter, page).await?.items {
            self.try_again(&kept).await?;
        }
        Ok(())
    }

    /// `true` when the notice fits now.
    async fn try_again(&self, kept: &UnmatchedNotice) -> Result<bool, Error> {
        let of = (kept.tenant, kept.id);
        let why = match read(kept) {
            Some(KeptNotice { about, source, provider, provider_account, .. }) => {
                // A list that was read then says nothing about now.
                let source = match source {
                    Source::Submit | Source::Lookup | Source::List => Source::Webhook,
                    Source::Webhook | Source::Changes | Source::Operator => source,
                };
                let books = Books { provider: &provider, account: provider_account.as_deref() };
                self.apply(kept.tenant, books, &about, source).await?
            }
            None => Some(Unmatched::Refused),
        };
        let Some(why) = why else {
            self.store().forget_notice(of).await?;
            return Ok(true);
        };
        let is_old = kept.id.at().plus_ms(KEPT_MS) <= self.now();
        if is_old && why == Unmatched::PaymentNotRegistered {
            tracing::info!(notice = %kept.id, "a notice about a payment that nobody registered is forgotten");
            self.store().forget_notice(of).await?;
            return Ok(false);
        }
        let wait = self.with_ids(|ids| TRIES.wait_ms(kept.tries.saturating_add(1), ids.rng()));
        let due_at = why.may_fit_later().then(|| self.now().plus_ms(wait));
        self.store().put_off_notice(of, why.as_str(), due_at).await?;
        Ok(false)
    }

    /// Forgets a notice because a person wants it. `false` when there is none.
    pub async fn dismiss_notice(&self, tenant: Tenant, id: NoticeId) -> Result<bool, Error> {
        let was_there = self.store().forget_notice((tenant, id)).await?;
        if was_there {
            tracing::warn!(notice = %id, "a person dismissed a provider's statement that fitted nothing");
        }
        Ok(was_there)
    }

    /// Statements of providers that fit nothing yet, by the time they came.
    pub async fn list_unmatched_notices(
        &self,
        tenant: Tenant,
        page: PageQuery,
    ) -> Result<Page<KeptNotice>, Error> {
        let found =
            self.store().list_unmatched_notices(tenant, NoticeFilter::default(), page).await?;
        Ok(Page { items: found.items.iter().filter_map(read).collect(), more: found.more })
    }
}

/// A stored notice; `None` when its text is not one.
fn read(kept: &UnmatchedNotice) -> Option<KeptNotice> {
    let stored: Stored = serde_json::from_str(&kept.notice).ok()?;
    let account = &kept.provider_account;
    Some(KeptNotice {
        id: kept.id,
        provider: kept.provider.clone(),
        provider_account: (!account.is_empty()).then(|| account.clone()),
        reason: kept.reason.clone(),
        tries: kept.tries,
        due_at: kept.due_at,
        source: Source::from_code(stored.source)?,
        about: stored.about(&kept.provider_payment_id)?,
    })
}
