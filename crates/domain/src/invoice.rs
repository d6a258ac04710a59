//! An invoice: lines, totals, and a state machine like the ones of refunds and checkouts.
//!
//! How an open invoice is paid is a [checkout](crate::checkout) of the same ULID.

use crate::codes::codes;
use crate::ids::{InvoiceId, PaymentId};
use crate::line_item::{self, LineItem};
use crate::machine::Next;
use crate::money::{Currency, MAX_AMOUNT};
use crate::tenant::Tenant;
use crate::time::Timestamp;
use State as S;
use std::sync::Arc;

codes! {
    /// Where an invoice is.
    pub enum State {
        /// Not yet asked for.
        Draft = 1 "draft",
        /// To be paid.
        Open = 2 "open",
        /// To be paid, and late.
        PastDue = 3 "past_due",
        Paid = 4 "paid",
        Void = 5 "void",
        /// Nobody expects it to be paid any more.
        Uncollectible = 6 "uncollectible",
    }
}

codes! {
    /// Something that happened to an invoice, as far as the state machine is concerned.
    pub enum Fact {
        /// Its lines are final and it is asked for.
        Finalized = 1 "finalized",
        /// Its time to be paid is over.
        FellDue = 2 "fell_due",
        /// A provider took the money.
        Charged = 3 "charged",
        /// The merchant got the money some other way.
        PaidElsewhere = 4 "paid_elsewhere",
        Voided = 5 "voided",
        /// The merchant gave up on it.
        GivenUp = 6 "given_up",
    }
}

/// The state machine.
pub const fn next(state: State, fact: Fact) -> Next<State> {
    use Next::{Move, Refuse, Stay};
    match (fact, state) {
        (Fact::Finalized, S::Draft) => Move(S::Open),
        (Fact::Finalized, S::Open | S::PastDue | S::Paid | S::Void | S::Uncollectible) => Refuse,

        (Fact::FellDue, S::Open) => Move(S::PastDue),
        (Fact::FellDue, S::PastDue | S::Paid | S::Void | S::Uncollectible) => Stay,
        (Fact::FellDue, S::Draft) => Refuse,

        // The money did move, whatever was decided meanwhile.
        (Fact::Charged, S::Draft | S::Open | S::PastDue | S::Void | S::Uncollectible) => {
            Move(S::Paid)
        }
        (Fact::Charged, S::Paid) => Stay,

        (Fact::PaidElsewhere, S::Open | S::PastDue | S::Uncollectible) => Move(S::Paid),
        (Fact::PaidElsewhere, S::Draft | S::Paid | S::Void) => Refuse,

        // A paid invoice is refunded, never voided.
        (Fact::Voided, S::Draft | S::Open | S::PastDue | S::Uncollectible) => Move(S::Void),
        (Fact::Voided, S::Paid | S::Void) => Refuse,

        (Fact::GivenUp, S::Open | S::PastDue) => Move(S::Uncollectible),
        (Fact::GivenUp, S::Uncollectible) => Stay,
        (Fact::GivenUp, S::Draft | S::Paid | S::Void) => Refuse,
    }
}

/// An invoice to write.
#[derive(Clone, Debug)]
pub struct NewInvoice {
    pub tenant: Tenant,
    pub customer: Box<str>,
    pub currency: Currency,
    pub lines: Vec<LineItem>,
    /// Taken off, minor units.
    pub discount: i64,
    /// Put on, minor units.
    pub tax: i64,
    pub due_at: Option<Timestamp>,
    /// Finalize it at once.
    pub open: bool,
    pub memo: Option<Box<str>>,
    /// The caller's id of a subscription; only kept.
    pub subscription: Option<Box<str>>,
    /// The caller's id of a template; only kept.
    pub template: Option<Box<str>>,
    /// JSON object of strings.
    pub metadata: Option<Box<str>>,
}

/// The part of an invoice that never changes.
#[derive(Debug, PartialEq, Eq)]
pub struct Terms {
    pub tenant: Tenant,
    /// Its id; a payment of it shares the ULID.
    pub id: InvoiceId,
    /// Its number in its account and mode: 1, 2, 3, … without a gap.
    pub number: i64,
    pub customer: Box<str>,
    /// The caller's id of a subscription; only kept.
    pub subscription: Option<Box<str>>,
    /// The caller's id of a template; only kept.
    pub template: Option<Box<str>>,
    /// The merchant's text under the lines.
    pub memo: Option<Box<str>>,
    /// The caller's key-value pairs as a JSON object.
    pub metadata: Option<Box<str>>,
    pub currency: Currency,
    /// The goods and their prices.
    pub lines: Vec<LineItem>,
    pub totals: Totals,
    pub due_at: Option<Timestamp>,
}

impl Terms {
    /// The terms of a new invoice under the number that it was given.
    pub fn of(new: &NewInvoice, id: InvoiceId, number: i64, totals: Totals) -> Self {
        Self {
            tenant: new.tenant,
            id,
            number,
            customer: new.customer.clone(),
            subscription: new.subscription.clone(),
            template: new.template.clone(),
            memo: new.memo.clone(),
            metadata: new.metadata.clone(),
            currency: new.currency,
            lines: new.lines.clone(),
            totals,
            due_at: new.due_at,
        }
    }
}

/// The sums of an invoice, minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub subtotal: i64,
    /// Taken off.
    pub discount: i64,
    /// Put on.
    pub tax: i64,
    /// To be paid.
    pub total: i64,
}

/// Why lines, discount and tax make no total.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoTotal {
    /// A sum passes [`MAX_AMOUNT`].
    #[error("the total is more than {MAX_AMOUNT}")]
    TooLarge,
    #[error("the discount is more than the lines come to")]
    Discount,
}

impl Totals {
    /// Adds up: lines, less the discount, plus the tax.
    pub fn of(lines: &[LineItem], discount: i64, tax: i64) -> Result<Self, NoTotal> {
        let subtotal = line_item::sum(lines).ok_or(NoTotal::TooLarge)?;
        let rest = subtotal.checked_sub(discount).filter(|rest| *rest >= 0 && discount >= 0);
        let rest = rest.ok_or(NoTotal::Discount)?;
        let total = rest.checked_add(tax).filter(|total| *total <= MAX_AMOUNT && tax >= 0);
        let total = total.ok_or(NoTotal::TooLarge)?;
        Ok(Self { subtotal, discount, tax, total })
    }
}

/// An invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoice {
    pub terms: Arc<Terms>,
    pub state: State,
    /// When it was first asked for.
    pub issued_at: Option<Timestamp>,
    pub paid_at: Option<Timestamp>,
    pub voided_at: Option<Timestamp>,
    /// A provider took the money for it, which can be refunded.
    pub charged: bool,
    /// How often a provider was asked to take the money and did not.
    pub attempts: u32,
    /// When it falls due; a step sees to that.
    pub wake_at: Option<Timestamp>,
    pub last_seq: u32,
    pub updated_at: Timestamp,
}

impl Invoice {
    /// The amount that was paid, minor units.
    pub fn amount_paid(&self) -> i64 {
        if self.state == State::Paid { self.terms.totals.total } else { 0 }
    }

    /// The id of the checkout by which it is paid, and of the payment that this becomes.
    pub fn payment(&self) -> PaymentId {
        PaymentId::from_ulid(self.terms.id.ulid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAVES_TO: &[(State, &[State])] = &[
        // Draft to paid only for money that moved although nobody asked for it.
        (S::Draft, &[S::Open, S::Void, S::Paid]),
        (S::Open, &[S::PastDue, S::Paid, S::Void, S::Uncollectible]),
        (S::PastDue, &[S::Paid, S::Void, S::Uncollectible]),
        (S::Paid, &[]),
        (S::Void, &[S::Paid]),
        (S::Uncollectible, &[S::Paid, S::Void]),
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
    fn a_paid_invoice_is_never_voided_and_a_void_one_never_paid_by_hand() {
        assert_eq!(next(S::Paid, Fact::Voided), Next::Refuse);
        assert_eq!(next(S::Void, Fact::PaidElsewhere), Next::Refuse);
        assert_eq!(next(S::Draft, Fact::PaidElsewhere), Next::Refuse);
    }

    #[test]
    fn totals_add_up_or_are_refused() {
        let lines = [LineItem { text: "Tea".into(), quantity: 3, unit_amount: 500 }];
        let totals = Totals::of(&lines, 200, 130).expect("they add up");
        assert_eq!((totals.subtotal, totals.total), (1_500, 1_430));
        assert_eq!(Totals::of(&lines, 1_500, 0).map(|totals| totals.total), Ok(0));
        for (discount, tax, why) in [
            (1_501, 0, NoTotal::Discount),
            (-1, 0, NoTotal::Discount),
            (i64::MIN, 0, NoTotal::Discount),
            (0, MAX_AMOUNT, NoTotal::TooLarge),
            (0, i64::MAX, NoTotal::TooLarge),
            (0, -1, NoTotal::TooLarge),
        ] {
            assert_eq!(Totals::of(&lines, discount, tax), Err(why), "{discount} {tax}");
        }
    }
}
