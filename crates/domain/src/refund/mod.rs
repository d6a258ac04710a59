//! A refund, and in `state` its state machine.

mod state;

pub use state::{Bucket, Fact, State, Status, next};

use crate::codes::codes;
use crate::ids::{PaymentId, RefundId};
use crate::money::{Currency, Money};
use crate::outcome::Failure;
use crate::payment::{Capture, Kind, Payment};
use crate::tenant::Tenant;
use crate::time::Timestamp;
use std::sync::Arc;

codes! {
    /// Where the refund was made.
    pub enum Origin {
        /// A call to one of the doors.
        Api = 1 "api",
        /// Made at the provider itself and adopted when first seen.
        External = 2 "external",
    }
}

/// A refund to make.
#[derive(Clone, Debug)]
pub struct NewRefund {
    pub tenant: Tenant,
    pub payment: PaymentId,
    /// The kind that the caller believes the payment to be; another kind is not found.
    pub kind: Option<Kind>,
    /// Minor units; all that remains when `None`.
    pub amount: Option<i64>,
    /// The currency that the caller believes in.
    pub currency: Option<Currency>,
    /// The balance that the caller believes in; another one refuses the refund.
    pub expected_refundable: Option<i64>,
    pub reason: Option<Box<str>>,
    /// The caller's own id, unique per account and mode forever.
    pub reference: Option<Box<str>>,
    /// JSON object of strings.
    pub metadata: Option<Box<str>>,
}

impl NewRefund {
    /// A refund of all that remains of a payment.
    pub const fn of(tenant: Tenant, payment: PaymentId) -> Self {
        Self {
            tenant,
            payment,
            kind: None,
            amount: None,
            currency: None,
            expected_refundable: None,
            reason: None,
            reference: None,
            metadata: None,
        }
    }
}

/// Money on its way back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    pub tenant: Tenant,
    /// Its id. Printed, it is also the one idempotency key that providers ever see for it.
    pub id: RefundId,
    pub payment: PaymentId,
    pub amount: i64,
    pub currency: Currency,
    pub state: State,
    pub origin: Origin,
    /// It succeeded once and was taken back.
    pub late: bool,
    /// Asked for before the payment settled.
    pub before_settlement: bool,
    pub reason: Option<Box<str>>,
    /// The caller's own id, unique per account forever.
    pub reference: Option<Box<str>>,
    /// The caller's key-value pairs as a JSON object.
    pub metadata: Option<Box<str>>,
    /// The provider's id of it, once known.
    pub provider_refund_id: Option<Box<str>>,
    /// Why it failed, or the last thing that was wrong with it.
    pub failure: Option<Failure>,
    /// How often in a row asking the provider about it, or for it, settled nothing. The backoff
    /// grows with it.
    pub checks: u32,
    /// When a step looks at it next. In the future while a node holds the lease.
    pub due_at: Option<Timestamp>,
    /// The newest time a provider gave for its state.
    pub evidence_at: Option<Timestamp>,
    pub last_seq: u32,
    /// How many of its first events are no longer kept.
    pub pruned: u32,
    pub updated_at: Timestamp,
}

impl Refund {
    /// A refund that starts in `state` at `now`.
    pub fn new(id: RefundId, payment: &Payment, amount: i64, state: State, now: Timestamp) -> Self {
        Self {
            tenant: payment.capture.tenant,
            id,
            payment: payment.capture.id,
            amount,
            currency: payment.capture.currency,
            state,
            origin: Origin::Api,
            late: false,
            before_settlement: payment.settled_at.is_some_and(|at| now < at),
            reason: None,
            reference: None,
            metadata: None,
            provider_refund_id: None,
            failure: None,
            checks: 0,
            due_at: None,
            evidence_at: None,
            last_seq: 0,
            pruned: 0,
            updated_at: now,
        }
    }

    /// The amount with its currency.
    pub const fn money(&self) -> Money {
        Money::new(self.amount, self.currency)
    }

    /// The one idempotency key that providers ever see for this refund: 30 characters of
    /// `[0-9A-Za-z_]`.
    pub fn provider_key(&self) -> String {
        self.id.to_string()
    }
}

/// A refund and the unchanging part of its payment.
#[derive(Clone, Debug)]
pub struct RefundView {
    pub refund: Refund,
    pub payment: Arc<Capture>,
}
