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
    /// [`Capture::lane`] of its payment.
    pub lane: u32,
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
    /// How many calls asked the provider for it.
    pub sends: u32,
    /// The first call whose key the provider may still know. The time in which the same key is safe
    /// counts from here. `None` when nothing of the refund is at the provider.
    pub first_sent_at: Option<Timestamp>,
    /// When the last of these calls was made, written before it was.
    pub sent_at: Option<Timestamp>,
    /// When the last of these calls ended, and with what; see [`Attempt::answer`].
    pub answered_at: Option<Timestamp>,
    pub answer: Option<Box<str>>,
    /// When a look that counts as proof first did not find it.
    pub absent_at: Option<Timestamp>,
    /// Counts the leases; the outcome of a call under an older lease does not touch a newer one.
    pub lease: u32,
    /// A person was told that it waits for one.
    pub needs_attention: bool,
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
            lane: payment.capture.lane(),
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
            sends: 0,
            first_sent_at: None,
            sent_at: None,
            answered_at: None,
            answer: None,
            absent_at: None,
            lease: 0,
            needs_attention: false,
            last_seq: 0,
            pruned: 0,
            updated_at: now,
        }
    }

    /// Notes the intent to ask the provider for it at `now`, and returns the attempt before, which the
    /// new one takes the place of.
    pub fn begin_attempt(&mut self, now: Timestamp) -> Option<Attempt> {
        let before = self.last_attempt();
        self.sends = self.sends.saturating_add(1);
        self.sent_at = Some(now);
        self.first_sent_at = self.first_sent_at.or(Some(now));
        (self.answered_at, self.answer, self.absent_at) = (None, None, None);
        before
    }

    /// The last call that asked the provider for it.
    pub fn last_attempt(&self) -> Option<Attempt> {
        Some(Attempt {
            tenant: self.tenant,
            refund: self.id,
            number: self.sends,
            sent_at: self.sent_at?,
            answered_at: self.answered_at,
            answer: self.answer.clone(),
        })
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

/// One call that asked a provider for a refund. The last one is on the refund's own row, earlier ones
/// have rows of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub tenant: Tenant,
    pub refund: RefundId,
    /// Counts from 1.
    pub number: u32,
    /// When the intent to call was committed, before the call.
    pub sent_at: Timestamp,
    pub answered_at: Option<Timestamp>,
    /// A word of [`crate::outcome::ProviderOutcome`], and what the provider said, without control
    /// characters and cut. `None` while there is none.
    pub answer: Option<Box<str>>,
}

/// A refund and the unchanging part of its payment.
#[derive(Clone, Debug)]
pub struct RefundView {
    pub refund: Refund,
    pub payment: Arc<Capture>,
}
