//! Payments: what was captured, what is promised back, what went back.

use crate::codes::codes;
use crate::ids::PaymentId;
use crate::money::Currency;
use crate::tenant::Tenant;
use crate::time::Timestamp;
use std::sync::Arc;

codes! {
    /// The kind of thing that was paid for, which decides the payment's other name.
    pub enum Kind {
        /// Registered from outside; its own id is its only name.
        Payment = 1 "payment",
        /// A native checkout session, `cs_…`.
        CheckoutSession = 2 "checkout_session",
        /// An invoice, `inv_…` or `in_…`.
        Invoice = 3 "invoice",
        /// A payment intent, `pi_…`.
        PaymentIntent = 4 "payment_intent",
        /// A checkout, `ch_…`.
        Checkout = 5 "checkout",
    }
}

impl Kind {
    /// The prefix under which this kind of payment is named as a refund's source.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Payment => "pay_",
            Self::CheckoutSession => "cs_",
            Self::Invoice => "inv_",
            Self::PaymentIntent => "pi_",
            Self::Checkout => "ch_",
        }
    }
}

codes! {
    /// The payment as its owner sees it. A partial refund leaves it `succeeded`.
    pub enum Status {
        /// Captured; perhaps partly refunded.
        Succeeded = 1 "succeeded",
        /// Everything captured went back.
        Refunded = 2 "refunded",
        /// Everything went back, and that was asked for before the payment settled.
        Reversed = 3 "reversed",
    }
}

/// A captured payment to register.
#[derive(Clone, Debug)]
pub struct NewPayment {
    pub tenant: Tenant,
    pub kind: Kind,
    /// Minor units, 1 to [`crate::money::MAX_AMOUNT`].
    pub captured: i64,
    pub currency: Currency,
    pub provider: Box<str>,
    /// The account at the provider, where the merchant has several.
    pub provider_account: Option<Box<str>>,
    /// The provider's own id of the charge.
    pub provider_payment_id: Box<str>,
    /// More that this provider needs to know of the payment, a JSON object.
    pub provider_data: Option<Box<str>>,
    /// When it was captured; now when `None`.
    pub captured_at: Option<Timestamp>,
    /// When it settled or will settle; `None` when unknown.
    pub settled_at: Option<Timestamp>,
    /// The caller's own id, not unique.
    pub reference: Option<Box<str>>,
    /// JSON object of strings.
    pub metadata: Option<Box<str>>,
}

/// The part of a payment that never changes.
#[derive(Debug, PartialEq, Eq)]
pub struct Capture {
    pub tenant: Tenant,
    /// Its id; the ULID is shared with the thing it paid for.
    pub id: PaymentId,
    /// The kind of thing that was paid for.
    pub kind: Kind,
    /// Captured amount in minor units.
    pub captured: i64,
    /// Currency of every amount of this payment and its refunds.
    pub currency: Currency,
    /// Name of the provider that holds the money.
    pub provider: Box<str>,
    /// The account at the provider, where the merchant has several.
    pub provider_account: Option<Box<str>>,
    /// The provider's own id of the charge.
    pub provider_payment_id: Box<str>,
    /// More that this provider needs to know of the payment, a JSON object.
    pub provider_data: Option<Box<str>>,
    pub captured_at: Timestamp,
    /// The caller's own id, not unique.
    pub reference: Option<Box<str>>,
    /// The caller's key-value pairs as a JSON object.
    pub metadata: Option<Box<str>>,
}

/// A payment and its running balance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    pub capture: Arc<Capture>,
    /// When the provider paid the merchant out, if it has.
    pub settled_at: Option<Timestamp>,
    /// Sum of the refunds that succeeded, minor units.
    pub refunded: i64,
    /// Sum of the refunds that may still succeed, minor units.
    pub reserved: i64,
    /// Sum that holds keep from being refunded, minor units: all that they ask for, as far as what
    /// went back and may go back leaves it.
    pub held: i64,
    /// The rest of what holds ask for. Money that a refund gives free goes to it first.
    pub held_excess: i64,
    /// By how much the provider gave back more than was captured. The one way past the limit:
    /// money that moved outside of Refundry is booked, never denied.
    pub excess: i64,
    /// The payment went back in full and that was asked for before it settled.
    pub reversed: bool,
    pub last_seq: u32,
    pub updated_at: Timestamp,
}

impl Capture {
    /// The capture of a payment that is registered at `now`.
    pub fn of(new: &NewPayment, id: PaymentId) -> Self {
        Self {
            tenant: new.tenant,
            id,
            kind: new.kind,
            captured: new.captured,
            currency: new.currency,
            provider: new.provider.clone(),
            provider_account: new.provider_account.clone(),
            provider_payment_id: new.provider_payment_id.clone(),
            provider_data: new.provider_data.clone(),
            captured_at: new.captured_at.unwrap_or_else(|| id.at()),
            reference: new.reference.clone(),
            metadata: new.metadata.clone(),
        }
    }

    /// The queue in which the payment's refunds wait: one per tenant, provider and account there, so that
    /// none waits behind another's backlog. The 32-bit FNV-1a hash of the three.
    pub fn lane(&self) -> u32 {
        let account = self.provider_account.as_deref().unwrap_or_default();
        let tenant = self.tenant.code().to_be_bytes();
        let parts = [&tenant[..], self.provider.as_bytes(), &[0], account.as_bytes()];
        parts.concat().iter().fold(0x811c_9dc5, |hash: u32, byte| {
            (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
        })
    }
}

impl Payment {
    /// A payment of which nothing has gone back yet.
    pub fn new(capture: Capture, settled_at: Option<Timestamp>, now: Timestamp) -> Self {
        Self {
            capture: Arc::new(capture),
            settled_at,
            refunded: 0,
            reserved: 0,
            held: 0,
            held_excess: 0,
            excess: 0,
            reversed: false,
            last_seq: 0,
            updated_at: now,
        }
    }

    /// The largest amount of a new refund, minor units. Never negative.
    pub fn refundable(&self) -> i64 {
        let spent = i128::from(self.refunded) + i128::from(self.reserved) + i128::from(self.held);
        let left = i128::from(self.capture.captured) - spent;
        i64::try_from(left.max(0)).unwrap_or(0)
    }

    /// The sum of the open holds, minor units.
    pub const fn on_hold(&self) -> i64 {
        self.held.saturating_add(self.held_excess)
    }

    /// Promise 1: what went back, may go back or is held never passes what was captured, except by
    /// what a provider paid out on its own.
    pub fn within_limit(&self) -> bool {
        let spent = i128::from(self.refunded) + i128::from(self.reserved) + i128::from(self.held);
        self.refunded >= 0
            && self.reserved >= 0
            && self.held >= 0
            && self.held_excess >= 0
            && self.excess >= 0
            && (self.held_excess == 0 || spent >= i128::from(self.capture.captured))
            && spent <= i128::from(self.capture.captured) + i128::from(self.excess)
    }

    /// The status that follows from the balance.
    pub fn status(&self) -> Status {
        if self.refunded < self.capture.captured {
            Status::Succeeded
        } else if self.reversed {
            Status::Reversed
        } else {
            Status::Refunded
        }
    }
}
