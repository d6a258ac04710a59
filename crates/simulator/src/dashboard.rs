//! The PSP's own dashboard: what its staff and merchants do there, and what it shows.

use crate::book::Book;
use crate::psp::{Name, find_refund};
use crate::rows::{Refund, parse_id, print_id};
use crate::worker::Fault;
use crate::{RefundStatus, Simulator, timeline};
use domain::account::Scope;
use domain::money::{Currency, Money};
use domain::time::Timestamp;

/// How many refunds of a payment are shown at most.
const BOOK_LIMIT: usize = 10_000;

/// A refund as the dashboard shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DashboardRefund {
    /// The PSP's id of it, `sre_…`.
    pub id: String,
    /// The idempotency key it came with. `None` when it was made in the dashboard.
    pub key: Option<String>,
    /// Minor units.
    pub amount: i64,
    /// Its currency.
    pub currency: Currency,
    /// Where it is.
    pub status: RefundStatus,
    /// Since when it is there.
    pub at: Timestamp,
    /// How many calls asked for it.
    pub calls: u32,
}

/// Money that really went out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payout {
    /// The idempotency key of its refund. `None` when that was made in the dashboard.
    pub key: Option<String>,
    /// Minor units.
    pub amount: i64,
    /// Its currency.
    pub currency: Currency,
    /// When it went out.
    pub at: Timestamp,
    /// When it came back, if it did.
    pub returned_at: Option<Timestamp>,
}

/// Everything the PSP has of one payment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PaymentBook {
    /// Its refunds, oldest first.
    pub refunds: Vec<DashboardRefund>,
    /// What it really paid out, in the order of the refunds.
    pub payouts: Vec<Payout>,
    /// True when there are more refunds than the newest 10,000, which are shown.
    pub truncated: bool,
}

/// Why the dashboard did not do something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DashboardError {
    /// The refund's id or key leads nowhere.
    #[error("the simulator has no such refund")]
    RefundNotFound,
    /// Another currency than the payment's.
    #[error("the payment is in {expected}, not {given}")]
    CurrencyMismatch {
        /// The payment's.
        expected: Currency,
        /// The one asked for.
        given: Currency,
    },
    /// Nothing, or less.
    #[error("a refund is of one minor unit at least")]
    InvalidAmount,
    /// It cannot be done to a refund with this status.
    #[error("the refund is {0}")]
    WrongStatus(RefundStatus),
    /// The simulator is closed or cannot write its book. Nothing was done.
    #[error("the simulator is not available")]
    Unavailable,
}

impl From<Fault> for DashboardError {
    fn from(_: Fault) -> Self {
        Self::Unavailable
    }
}

impl Simulator {
    /// Makes a refund at the PSP itself, paid out at once, of which Refundry learns by a webhook
    /// without its key. What was captured is not checked, so that too much can be paid out here.
    pub async fn dashboard_refund(
        &self,
        scope: Scope,
        provider_payment_id: &str,
        money: Money,
    ) -> Result<DashboardRefund, DashboardError> {
        let payment_id = provider_payment_id.into();
        self.worker
            .ask_patiently(move |book| refund_by_hand(book, scope, payment_id, money))
            .await?
    }

    /// Makes a refund fail now. One that succeeded is taken back; one that is pending never pays.
    pub async fn fail_refund(
        &self,
        scope: Scope,
        id_or_key: &str,
    ) -> Result<DashboardRefund, DashboardError> {
        self.change_refund(scope, id_or_key, |book, refund, now| {
            (refund.status != RefundStatus::Failed).then(|| timeline::fail(book, refund, now))
        })
        .await
    }

    /// Pays a pending refund out now.
    pub async fn complete_refund(
        &self,
        scope: Scope,
        id_or_key: &str,
    ) -> Result<DashboardRefund, DashboardError> {
        self.change_refund(scope, id_or_key, |book, refund, now| {
            (refund.status == RefundStatus::Pending).then(|| timeline::settle(book, refund, now))
        })
        .await
    }

    /// What the PSP has of a payment: the truth that a test compares Refundry with.
    pub async fn payment_book(
        &self,
        scope: Scope,
        provider_payment_id: &str,
    ) -> Result<PaymentBook, DashboardError> {
        let payment_id: Box<str> = provider_payment_id.into();
        let mut refunds = self
            .worker
            .ask_patiently(move |book| {
                book.newest_of_payment(scope, &payment_id, BOOK_LIMIT.saturating_add(1))
            })
            .await?;
        let truncated = refunds.len() > BOOK_LIMIT;
        refunds.truncate(BOOK_LIMIT);
        refunds.reverse();
        let payouts = refunds.iter().filter_map(Payout::of).collect();
        let refunds = refunds.into_iter().map(DashboardRefund::from).collect();
        Ok(PaymentBook { refunds, payouts, truncated })
    }

    /// Makes the webhooks due again that were refused too often and are kept. Gives their number.
    pub async fn resend_webhooks(&self, scope: Scope) -> Result<usize, DashboardError> {
        let resent = self.worker.ask_patiently(move |book| {
            let now = book.now();
            book.revive_webhooks(scope, now)
        });
        Ok(resent.await?)
    }

    /// Changes a refund by hand and tells; `None` from `change` is a status that does not allow it.
    async fn change_refund<F>(
        &self,
        scope: Scope,
        id_or_key: &str,
        change: F,
    ) -> Result<DashboardRefund, DashboardError>
    where
        F: FnOnce(&mut Book, Refund, Timestamp) -> Option<rusqlite::Result<Refund>>
            + Send
            + 'static,
    {
        let name = match parse_id(id_or_key) {
            Some(id) => Name::Id(id),
            None => Name::Key(id_or_key.into()),
        };
        let changed = self.worker.ask_patiently(move |book| {
            let Some(refund) = find_refund(book, scope, &name)? else {
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
    scope: Scope,
    payment_id: Box<str>,
    money: Money,
) -> rusqlite::Result<Result<DashboardRefund, DashboardError>> {
    if money.minor < 1 {
        return Ok(Err(DashboardError::InvalidAmount));
    }
    if let Some(known) = book.find_payment(scope, &payment_id)?
        && known.currency != money.currency
    {
        let (expected, given) = (known.currency, money.currency);
        return Ok(Err(DashboardError::CurrencyMismatch { expected, given }));
    }
    let now = book.now();
    let refund = Refund {
        id: book.new_id(now),
        scope,
        key: None,
        payment_id,
        asked: money.minor,
        money,
        status: RefundStatus::Succeeded,
        at: now,
        booked_at: now,
        paid_at: Some(now),
        returned_at: None,
        code: None,
        message: None,
        calls: 0,
    };
    book.insert_refund(&refund)?;
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
