//! Holds: money of a payment that cannot be refunded for now, because a dispute is about it.

use crate::codes::codes;
use crate::ids::{HoldId, PaymentId, RefundId};
use crate::money::Currency;
use crate::outcome::Source;
use crate::tenant::Tenant;
use crate::time::Timestamp;

codes! {
    /// Where a hold stands.
    pub enum State {
        /// The dispute is not decided.
        Open = 1 "open",
        /// The merchant keeps the money.
        Released = 2 "released",
        /// The money went back to the buyer, and is booked as a refund.
        Booked = 3 "booked",
    }
}

/// Money to hold.
#[derive(Clone, Debug)]
pub struct NewHold {
    pub tenant: Tenant,
    pub payment: PaymentId,
    /// Minor units, 1 to [`crate::money::MAX_AMOUNT`].
    pub amount: i64,
    /// The currency that the caller believes in.
    pub currency: Option<Currency>,
    pub reason: Box<str>,
    /// The provider's id of the dispute, or another name of it.
    pub reference: Option<Box<str>>,
    /// How it became known.
    pub source: Source,
}

/// Money of a payment that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    pub tenant: Tenant,
    /// Its id, which is also the time it was placed at.
    pub id: HoldId,
    pub payment: PaymentId,
    /// The disputed amount, whether or not the payment covers it.
    pub amount: i64,
    pub currency: Currency,
    pub state: State,
    pub reason: Box<str>,
    /// The provider's id of the dispute, or another name of it.
    pub reference: Option<Box<str>>,
    /// How it became known.
    pub source: Source,
    /// The refund that the money was booked as.
    pub refund: Option<RefundId>,
    pub updated_at: Timestamp,
}
