//! Double entry. A transfer is one debit and one credit of the same amount, so it cannot be out of
//! balance; transfers are never edited, a late failure is the mirror image of the refund's transfer.

use crate::codes::codes;
use crate::ids::{PaymentId, TransferId};
use crate::money::Currency;
use crate::tenant::Tenant;
use crate::{payment, refund};
use ulid::Ulid;

codes! {
    /// A ledger account of one merchant.
    pub enum Code {
        /// Money held at the providers.
        Cash = 1 "cash",
        Revenue = 2 "revenue",
        RevenueRefund = 3 "revenue_refund",
    }
}

codes! {
    /// Why a transfer was made.
    pub enum Reason {
        /// A payment was captured: debit cash, credit revenue.
        Capture = 1 "capture",
        /// A refund succeeded: debit `revenue_refund`, credit cash.
        Refund = 2 "refund",
        /// A refund that had succeeded was taken back: debit cash, credit `revenue_refund`.
        LateFailure = 3 "late failure",
    }
}

impl Reason {
    /// The debited and the credited account.
    pub const fn legs(self) -> (Code, Code) {
        match self {
            Self::Capture => (Code::Cash, Code::Revenue),
            Self::Refund => (Code::RevenueRefund, Code::Cash),
            Self::LateFailure => (Code::Cash, Code::RevenueRefund),
        }
    }
}

codes! {
    /// The kind of thing that a transfer is about.
    pub enum SourceType {
        Payment = 1 "payment",
        CheckoutSession = 2 "checkout_session",
        Invoice = 3 "invoice",
        PaymentIntent = 4 "payment_intent",
        Checkout = 5 "checkout",
        Refund = 6 "refund",
    }
}

impl SourceType {
    /// The prefix of the ids of this kind.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Payment => payment::Kind::Payment.prefix(),
            Self::CheckoutSession => payment::Kind::CheckoutSession.prefix(),
            Self::Invoice => payment::Kind::Invoice.prefix(),
            Self::PaymentIntent => payment::Kind::PaymentIntent.prefix(),
            Self::Checkout => payment::Kind::Checkout.prefix(),
            Self::Refund => "rfd_",
        }
    }
}

impl From<payment::Kind> for SourceType {
    fn from(kind: payment::Kind) -> Self {
        match kind {
            payment::Kind::Payment => Self::Payment,
            payment::Kind::CheckoutSession => Self::CheckoutSession,
            payment::Kind::Invoice => Self::Invoice,
            payment::Kind::PaymentIntent => Self::PaymentIntent,
            payment::Kind::Checkout => Self::Checkout,
        }
    }
}

/// One debit and one credit of the same amount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    pub tenant: Tenant,
    /// Its id, which is also its time; the ids of its legs follow from it.
    pub id: TransferId,
    /// Why it was made; the accounts follow from it.
    pub reason: Reason,
    /// The kind of thing that the transfer is about.
    pub source_type: SourceType,
    pub source: Ulid,
    /// The payment whose money it is.
    pub payment: PaymentId,
    pub amount: i64,
    pub currency: Currency,
}

impl Transfer {
    /// The transfer of a captured payment.
    pub fn capture(id: TransferId, payment: &payment::Payment) -> Self {
        let capture = &payment.capture;
        Self {
            tenant: capture.tenant,
            id,
            reason: Reason::Capture,
            source_type: capture.kind.into(),
            source: capture.id.ulid(),
            payment: capture.id,
            amount: capture.captured,
            currency: capture.currency,
        }
    }

    /// A transfer about a refund.
    pub fn refund(id: TransferId, reason: Reason, refund: &refund::Refund) -> Self {
        Self {
            tenant: refund.tenant,
            id,
            reason,
            source_type: SourceType::Refund,
            source: refund.id.ulid(),
            payment: refund.payment,
            amount: refund.amount,
            currency: refund.currency,
        }
    }
}

/// Sums that a batch adds to one account's running totals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub debits: i64,
    pub credits: i64,
}
