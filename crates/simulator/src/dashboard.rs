//! The PSP's dashboard: the actions of its staff and merchants, and its view of a payment.

use crate::book::Book;
use crate::rows::{Refund, print_id};
use crate::worker::Fault;
use crate::{RefundStatus, Simulator, timeline};
use domain::money::{Currency, Money};
use domain::tenant::Tenant;
use domain::time::Timestamp;
use serde::{Serialize, Serializer};
use std::fmt::Display;

const BOOK_LIMIT: usize = 10_000;

const TOP_UP_LIMIT: usize = 1_000;

/// A refund, as the pages print it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DashboardRefund {
    /// The PSP's id, `sre_…`.
    pub id: String,
    /// `None` for a refund that was made in the dashboard.
    pub key: Option<String>,
    pub amount: i64,
    #[serde(serialize_with = "print")]
    pub currency: Currency,
    pub status: RefundStatus,
    /// Time of the last change of `status`.
    #[serde(serialize_with = "print_time")]
    pub at: Timestamp,
    /// Number of calls that asked for this refund.
    pub calls: u32,
}

/// A payout that was really made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Payout {
    /// The idempotency key of the refund. `None` for a refund that was made in the dashboard.
    pub key: Option<String>,
    pub amount: i64,
    #[serde(serialize_with = "print")]
    pub currency: Currency,
    #[serde(serialize_with = "print_time")]
    pub at: Timestamp,
    #[serde(serialize_with = "print_time")]
    pub returned_at: Option<Timestamp>,
}

/// The PSP's data about one payment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PaymentBook {
    /// Oldest first.
    pub refunds: Vec<DashboardRefund>,
    /// The payouts, in the order of the refunds.
    pub payouts: Vec<Payout>,
    /// True if the payment has more than 10,000 refunds. The newest 10,000 are shown.
    pub truncated: bool,
}

impl PaymentBook {
    /// Sum of the payouts that were not taken back, in minor units.
    pub fn paid_out(&self) -> i64 {
        self.payouts.iter().filter(|payout| payout.is_kept()).map(|payout| payout.amount).sum()
    }

    /// The payouts of the refund with this idempotency key.
    pub fn payouts_of(&self, key: &str) -> impl Iterator<Item = &Payout> {
        self.payouts.iter().filter(move |payout| payout.key.as_deref() == Some(key))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DashboardError {
    #[error("the simulator has no such refund")]
    RefundNotFound,
    #[error("the payment is in {expected}, not {given}")]
    CurrencyMismatch { expected: Currency, given: Currency },
    #[error("a refund is of one minor unit at least")]
    InvalidAmount,
    #[error("the refund is {0}")]
    WrongStatus(RefundStatus),
    /// The simulator is closed or cannot write its book. Nothing was done.
    #[error("the simulator is not available")]
    Unavailable,
}

fn print<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Prints ISO 8601 in UTC with milliseconds. A time outside of the calendar prints as its last day.
fn print_time<'a, S: Serializer>(
    time: impl Into<Option<&'a Timestamp>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let iso = |time: &Timestamp| {
        let time = jiff::Timestamp::from_millisecond(time.0).unwrap_or(jiff::Timestamp::MAX);
        format!("{time:.3}")
    };
    time.into().map(iso).serialize(serializer)
}

impl From<Fault> for DashboardError {
    fn from(_: Fault) -> Self {
        Self::Unavailable
    }
}

impl Simulator {
    /// Makes a refund at the PSP and pays it out at once. Refundry learns of the refund from a
    /// webhook without a key. The captured amount is not checked, so the dashboard can pay out too
    /// much.
    pub async fn dashboard_refund(
        &self,
        tenant: Tenant,
        provider_payment_id: &str,
        money: Money,
    ) -> Result<DashboardRefund, DashboardError> {
        let payment_id = provider_payment_id.into();
        self.worker
            .ask_patiently(move |book| refund_by_hand(book, tenant, payment_id, money))
            .await?
    }

    /// Fails a refund now: takes back a succeeded one, or prevents the payout of a pending one.
    pub async fn fail_refund(
        &self,
        tenant: Tenant,
        id_or_key: &str,
    ) -> Result<DashboardRefund, DashboardError> {
        self.change_refund(tenant, id_or_key, |book, refund, now| {
            (refund.status != RefundStatus::Failed).then(|| timeline::fail(book, refund, now))
        })
        .await
    }

    /// Pays a pending or held refund out now.
    pub async fn complete_refund(
        &self,
        tenant: Tenant,
        id_or_key: &str,
    ) -> Result<DashboardRefund, DashboardError> {
        self.change_refund(tenant, id_or_key, |book, refund, now| {
            let is_open = matches!(refund.status, RefundStatus::Pending | RefundStatus::Held);
            is_open.then(|| timeline::settle(book, refund, now))
        })
        .await
    }

    /// Adds to the merchant's balance: pays the held refunds out, oldest first, at most 1,000 of them.
    /// Returns how many.
    pub async fn top_up(&self, tenant: Tenant) -> Result<usize, DashboardError> {
        let paid = self.worker.ask_patiently(move |book| {
            let now = book.now();
            let held = book.held_refunds(tenant, TOP_UP_LIMIT)?;
            for refund in &held {
                let refund = timeline::settle(book, refund.clone(), now)?;
                timeline::tell(book, &refund, now)?;
            }
            Ok(held.len())
        });
        Ok(paid.await?)
    }

    /// The PSP's data about a payment, to which tests compare Refundry's books.
    pub async fn payment_book(
        &self,
        tenant: Tenant,
        provider_payment_id: &str,
    ) -> Result<PaymentBook, DashboardError> {
        let payment_id: Box<str> = provider_payment_id.into();
        let mut refunds = self
            .worker
            .ask_patiently(move |book| {
                book.newest_of_payment(tenant, &payment_id, None, BOOK_LIMIT.saturating_add(1))
            })
            .await?;
        let truncated = refunds.len() > BOOK_LIMIT;
        refunds.truncate(BOOK_LIMIT);
        refunds.reverse();
        let payouts = refunds.iter().filter_map(Payout::of).collect();
        let refunds = refunds.into_iter().map(DashboardRefund::from).collect();
        Ok(PaymentBook { refunds, payouts, truncated })
    }

    /// Schedules the webhooks again that were refused too often. Returns their number.
    pub async fn resend_webhooks(&self, tenant: Tenant) -> Result<usize, DashboardError> {
        let resent = self.worker.ask_patiently(move |book| {
            let now = book.now();
            book.revive_webhooks(tenant, now)
        });
        Ok(resent.await?)
    }

    /// Changes a refund by hand and sends a webhook. `change` returns `None` if the refund's status
    /// does not allow the change.
    async fn change_refund<F>(
        &self,
        tenant: Tenant,
        id_or_key: &str,
        change: F,
    ) -> Result<DashboardRefund, DashboardError>
    where
        F: FnOnce(&mut Book, Refund, Timestamp) -> Option<rusqlite::Result<Refund>>
            + Send
            + 'static,
    {
        let name: Box<str> = id_or_key.into();
        let changed = self.worker.ask_patiently(move |book| {
            let Some(refund) = book.find_refund(tenant, &name)? else {
                return Ok(Err(DashboardError::RefundNotFound));
            };
            let (status, now) = (refund.status, book.now());
            let Some(changed) = change(book, refund, now).transpose()? else {
                return Ok(Err(DashboardError::WrongStatus(status)));
            };
            timeline::tell(book, &changed, now)?;
            Ok(Ok(DashboardRefund::from(changed)))
        });
        changed.await?
    }
}

fn refund_by_hand(
    book: &mut Book,
    tenant: Tenant,
    payment_id: Box<str>,
    money: Money,
) -> rusqlite::Result<Result<DashboardRefund, DashboardError>> {
    if money.minor < 1 {
        return Ok(Err(DashboardError::InvalidAmount));
    }
    if let Some(known) = book.find_payment(tenant, &payment_id)?
        && known.currency != money.currency
    {
        let (expected, given) = (known.currency, money.currency);
        return Ok(Err(DashboardError::CurrencyMismatch { expected, given }));
    }
    let now = book.now();
    let refund = Refund::booked(book.new_id(now), tenant, payment_id, money, now);
    let visible_at = now.plus_ms(book.config.list_lag_ms);
    let refund = Refund { visible_at, ..refund }.in_status(RefundStatus::Succeeded);
    book.save_refund(&refund)?;
    timeline::tell(book, &refund, now)?;
    Ok(Ok(refund.into()))
}

impl From<Refund> for DashboardRefund {
    fn from(refund: Refund) -> Self {
        Self {
            id: print_id(refund.id),
            key: refund.key.map(String::from),
            amount: refund.money.minor,
            currency: refund.money.currency,
            status: refund.status,
            at: refund.at,
            calls: refund.calls,
        }
    }
}

impl Payout {
    /// True for a payout that was not taken back.
    pub fn is_kept(&self) -> bool {
        self.returned_at.is_none()
    }

    fn of(refund: &Refund) -> Option<Self> {
        Some(Self {
            key: refund.key.as_deref().map(String::from),
            amount: refund.money.minor,
            currency: refund.money.currency,
            at: refund.paid_at?,
            returned_at: refund.returned_at,
        })
    }
}
