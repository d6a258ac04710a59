//! A checkout asks somebody to pay, once. Native sessions, the paying of invoices, and the things
//! that other doors call intents and checkouts are all of this one kind of row.
//!
//! [`next`] is the whole machine: one match over every pair of fact and state, without a wildcard.
//! A checkout shares its ULID with the payment that it becomes.

use crate::codes::codes;
use crate::ids::PaymentId;
use crate::line_item::LineItem;
use crate::machine::Next;
use crate::money::{Currency, Money};
use crate::outcome::Failure;
use crate::payment::Kind;
use crate::tenant::Tenant;
use crate::time::Timestamp;
use State as S;
use std::sync::Arc;

codes! {
    /// Where a checkout is.
    pub enum State {
        Open = 1 "open",
        /// A provider was asked to take the money and has not decided.
        Pending = 2 "pending",
        /// Somebody says that it is paid, and the merchant must look.
        PendingReview = 3 "pending_review",
        Completed = 4 "completed",
        /// The last attempt was declined. Can be tried again.
        Failed = 5 "failed",
        /// Not paid in time.
        Expired = 6 "expired",
        Canceled = 7 "canceled",
    }
}

codes! {
    /// Something that happened to a checkout, as far as the state machine is concerned.
    pub enum Fact {
        /// The buyer chose a way to pay, and the provider is about to be asked.
        Started = 1 "started",
        /// The buyer says that the money was sent by hand.
        Claimed = 2 "claimed",
        Paid = 3 "paid",
        /// The provider did not, and will not under this attempt.
        Declined = 4 "declined",
        /// The provider speaks of another amount than was asked for.
        Contradicted = 5 "contradicted",
        /// The merchant saw the money.
        Confirmed = 6 "confirmed",
        Canceled = 7 "canceled",
        Expired = 8 "expired",
        Deleted = 9 "deleted",
    }
}

codes! {
    /// How far the attempt that is in flight has come.
    pub enum PaymentAttempt {
        None = 0 "none",
        /// The intent is durable; the provider may have been asked.
        Sending = 1 "sending",
        Processing = 2 "processing",
        /// The buyer must agree to it.
        ActionRequired = 3 "action_required",
    }
}

/// The state machine.
pub const fn next(state: State, fact: Fact) -> Next<State> {
    use Next::{Move, Refuse, Stay};
    match (fact, state) {
        (Fact::Started, S::Open | S::Failed) => Move(S::Pending),
        (
            Fact::Started,
            S::Pending | S::PendingReview | S::Completed | S::Expired | S::Canceled,
        ) => Refuse,

        (Fact::Claimed, S::Open | S::Failed) => Move(S::PendingReview),
        (Fact::Claimed, S::PendingReview) => Stay,
        (Fact::Claimed, S::Pending | S::Completed | S::Expired | S::Canceled) => Refuse,

        // The money did move, whatever was decided meanwhile: it is booked, never denied.
        (
            Fact::Paid,
            S::Pending | S::PendingReview | S::Failed | S::Expired | S::Canceled | S::Open,
        ) => Move(S::Completed),
        (Fact::Paid, S::Completed) => Stay,

        (Fact::Declined, S::Pending) => Move(S::Failed),
        (
            Fact::Declined,
            S::Open | S::PendingReview | S::Completed | S::Failed | S::Expired | S::Canceled,
        ) => Stay,

        (Fact::Contradicted, S::Open | S::Pending | S::Failed | S::Expired | S::Canceled) => {
            Move(S::PendingReview)
        }
        (Fact::Contradicted, S::PendingReview | S::Completed) => Stay,

        (Fact::Confirmed, S::PendingReview) => Move(S::Completed),
        (
            Fact::Confirmed,
            S::Open | S::Pending | S::Completed | S::Failed | S::Expired | S::Canceled,
        ) => Refuse,

        (Fact::Canceled, S::Open | S::Pending | S::PendingReview | S::Failed) => Move(S::Canceled),
        (Fact::Canceled, S::Completed | S::Expired | S::Canceled) => Refuse,

        (Fact::Expired, S::Open | S::Failed) => Move(S::Expired),
        // An attempt is stopped at the provider first; a claim is for the merchant to judge.
        (Fact::Expired, S::Pending | S::PendingReview) => Refuse,
        (Fact::Expired, S::Completed | S::Expired | S::Canceled) => Stay,

        (Fact::Deleted, S::Open | S::Failed) => Move(S::Canceled),
        (Fact::Deleted, S::Expired | S::Canceled) => Stay,
        (Fact::Deleted, S::Pending | S::PendingReview | S::Completed) => Refuse,
    }
}

impl State {
    /// True where nothing but a provider's late word changes anything any more.
    pub const fn is_over(self) -> bool {
        match self {
            S::Completed | S::Expired | S::Canceled => true,
            S::Open | S::Pending | S::PendingReview | S::Failed => false,
        }
    }
}

/// A checkout to open.
#[derive(Clone, Debug)]
pub struct NewCheckout {
    pub tenant: Tenant,
    /// The word and the prefix by which it is known.
    pub kind: Kind,
    /// Minor units, 1 to [`crate::money::MAX_AMOUNT`].
    pub amount: i64,
    pub currency: Currency,
    pub methods: Vec<Box<str>>,
    /// Where the buyer goes after paying, http or https.
    pub success_url: Option<Box<str>>,
    /// Where the buyer goes instead, http or https.
    pub cancel_url: Option<Box<str>>,
    pub lines: Vec<LineItem>,
    pub customer: Option<Box<str>>,
    /// The caller's id of a template; only kept.
    pub template: Option<Box<str>>,
    /// JSON object of strings.
    pub metadata: Option<Box<str>>,
    /// Further fields of the door that opened it, as JSON.
    pub extra: Option<Box<str>>,
    /// How long it can be paid, milliseconds; for ever when `None`.
    pub expires_in_ms: Option<i64>,
}

/// The part of a checkout that never changes.
#[derive(Debug, PartialEq, Eq)]
pub struct Terms {
    pub tenant: Tenant,
    /// Its id, which is also the id of the payment that it becomes.
    pub id: PaymentId,
    /// The word and the prefix by which it is known.
    pub kind: Kind,
    pub amount: i64,
    pub currency: Currency,
    pub methods: Vec<Box<str>>,
    /// Where the buyer goes after paying, http or https.
    pub success_url: Option<Box<str>>,
    /// Where the buyer goes instead, http or https.
    pub cancel_url: Option<Box<str>>,
    /// The goods and their prices.
    pub lines: Vec<LineItem>,
    pub customer: Option<Box<str>>,
    /// The caller's id of a template; only kept.
    pub template: Option<Box<str>>,
    /// The caller's key-value pairs as a JSON object.
    pub metadata: Option<Box<str>>,
    /// Further fields of the door that opened it, as JSON.
    pub extra: Option<Box<str>>,
    /// Until when it can be paid; `None` for ever.
    pub expires_at: Option<Timestamp>,
}

impl Terms {
    /// The terms of a new checkout. It is as old as its id.
    pub fn of(new: &NewCheckout, id: PaymentId) -> Self {
        Self {
            tenant: new.tenant,
            id,
            kind: new.kind,
            amount: new.amount,
            currency: new.currency,
            methods: new.methods.clone(),
            success_url: new.success_url.clone(),
            cancel_url: new.cancel_url.clone(),
            lines: new.lines.clone(),
            customer: new.customer.clone(),
            template: new.template.clone(),
            metadata: new.metadata.clone(),
            extra: new.extra.clone(),
            expires_at: new.expires_in_ms.map(|ms| id.at().plus_ms(ms)),
        }
    }

    /// The amount that is asked for.
    pub const fn money(&self) -> Money {
        Money::new(self.amount, self.currency)
    }

    /// Its name, with the prefix of its kind.
    pub fn name(&self) -> String {
        self.id.with_prefix(self.kind.prefix())
    }
}

/// Somebody who is asked to pay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkout {
    pub terms: Arc<Terms>,
    pub state: State,
    /// The way to pay that was chosen last.
    pub method: Option<Box<str>>,
    /// How many attempts were made. Part of the key that the provider knows an attempt by.
    pub attempts: u32,
    /// How far the last attempt has come. Also set after a cancellation, until the provider has
    /// stopped the attempt.
    pub flight: PaymentAttempt,
    /// How often in a row asking about the attempt settled nothing.
    pub checks: u32,
    /// The provider's id of the payment, once there is one.
    pub provider_payment_id: Option<Box<str>>,
    pub failure: Option<Failure>,
    /// Where the buyer shows a proof of payment.
    pub proof_url: Option<Box<str>>,
    /// When a buyer first looked at its page, as far as that is noted.
    pub visited_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    /// When a step looks at it next.
    pub due_at: Option<Timestamp>,
    /// The merchant does not want to see it any more.
    pub deleted: bool,
    pub last_seq: u32,
    pub updated_at: Timestamp,
}

impl Checkout {
    /// A checkout that nobody has tried to pay yet.
    pub fn new(terms: Arc<Terms>, now: Timestamp) -> Self {
        Self {
            due_at: terms.expires_at,
            terms,
            state: State::Open,
            method: None,
            attempts: 0,
            flight: PaymentAttempt::None,
            checks: 0,
            provider_payment_id: None,
            failure: None,
            proof_url: None,
            visited_at: None,
            completed_at: None,
            deleted: false,
            last_seq: 0,
            updated_at: now,
        }
    }

    /// The one idempotency key that the provider sees for the current attempt.
    pub fn provider_key(&self) -> String {
        format!("{}_{}", self.terms.id, self.attempts)
    }

    /// True when its time is over.
    pub fn has_run_out(&self, now: Timestamp) -> bool {
        self.terms.expires_at.is_some_and(|at| at <= now)
    }

    /// When a step must look at it while no attempt is in flight.
    pub fn rests_until(&self) -> Option<Timestamp> {
        match self.state {
            S::Open | S::Failed => self.terms.expires_at,
            S::Pending | S::PendingReview | S::Completed | S::Expired | S::Canceled => None,
        }
    }
}

/// A provider's answer about an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Paid {
        provider_payment_id: Box<str>,
        money: Money,
        /// When, by the provider's clock.
        at: Timestamp,
    },
    /// It was not, and will not be.
    Declined(Failure),
    /// The buyer must agree to it.
    ActionRequired,
    Processing,
    /// No usable answer.
    Lost,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the reference: every state and where it may go.
    const LEAVES_TO: &[(State, &[State])] = &[
        (S::Open, &[S::Pending, S::PendingReview, S::Completed, S::Expired, S::Canceled]),
        (S::Pending, &[S::PendingReview, S::Completed, S::Failed, S::Canceled]),
        (S::PendingReview, &[S::Completed, S::Canceled]),
        (S::Completed, &[]),
        (S::Failed, &[S::Pending, S::PendingReview, S::Completed, S::Expired, S::Canceled]),
        (S::Expired, &[S::PendingReview, S::Completed]),
        (S::Canceled, &[S::PendingReview, S::Completed]),
    ];

    #[test]
    fn each_state_leaves_to_where_the_table_says() {
        assert_eq!(LEAVES_TO.len(), State::ALL.len());
        for (state, expected) in LEAVES_TO {
            for to in State::ALL {
                let reached = Fact::ALL.iter().any(|fact| next(*state, *fact) == Next::Move(*to));
                assert_eq!(reached, expected.contains(to), "{state} to {to}");
            }
        }
    }

    #[test]
    fn what_is_over_moves_only_for_money_that_moved() {
        for state in State::ALL.iter().filter(|state| state.is_over()) {
            for fact in Fact::ALL {
                let moves = matches!(next(*state, *fact), Next::Move(_));
                let of_money = matches!(fact, Fact::Paid | Fact::Contradicted);
                assert!(!moves || of_money, "{state} {fact}");
            }
        }
    }

    #[test]
    fn a_paid_checkout_stays_paid_whatever_happens() {
        for fact in Fact::ALL {
            assert!(!matches!(next(S::Completed, *fact), Next::Move(_)), "{fact}");
        }
    }
}
