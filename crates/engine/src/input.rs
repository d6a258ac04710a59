//! What doors ask for, already checked field by field but not yet against the data.

use domain::account::Scope;
use domain::ids::PaymentId;
use domain::line::Line;
use domain::money::Currency;
use domain::payment::Kind;
use domain::time::Timestamp;

/// A caller's idempotency key: 1 to 255 printable ASCII characters, in the namespace of a door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The door it came through, such as `native`.
    pub door: &'static str,
    /// The key.
    pub value: Box<str>,
}

/// How a caller names what to refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// By an id of Refundry's, and perhaps the kind that goes with it.
    Id(PaymentId, Option<Kind>),
    /// By the provider's id of the charge.
    Charge(Box<str>),
}

/// A captured payment to register.
#[derive(Clone, Debug)]
pub struct NewPayment {
    /// Whose.
    pub scope: Scope,
    /// What it paid for.
    pub kind: Kind,
    /// The id it shares with what it paid for; a new one when `None`.
    pub id: Option<PaymentId>,
    /// Captured amount, minor units, 1 to [`domain::money::MAX_AMOUNT`].
    pub captured: i64,
    /// Its currency.
    pub currency: Currency,
    /// Name of the provider.
    pub provider: Box<str>,
    /// The provider's own id of the charge.
    pub provider_payment_id: Box<str>,
    /// When it was captured; now when `None`.
    pub captured_at: Option<Timestamp>,
    /// When it settled or will settle; `None` when unknown.
    pub settled_at: Option<Timestamp>,
    /// The caller's own id.
    pub reference: Option<Box<str>>,
    /// JSON object of strings.
    pub metadata: Option<Box<str>>,
}

/// A refund to make.
#[derive(Clone, Debug)]
pub struct NewRefund {
    /// Whose.
    pub scope: Scope,
    /// Of which payment.
    pub payment: PaymentId,
    /// Of what kind the caller believes the payment to be; another kind is not found.
    pub kind: Option<Kind>,
    /// Minor units, at least 1; all that remains when `None`.
    pub amount: Option<i64>,
    /// The currency the caller believes in.
    pub currency: Option<Currency>,
    /// What the caller believes is refundable.
    pub expected_refundable: Option<i64>,
    /// Why.
    pub reason: Option<Box<str>>,
    /// The caller's own id, unique per account and mode forever.
    pub reference: Option<Box<str>>,
    /// JSON object of strings.
    pub metadata: Option<Box<str>>,
}

/// Somebody who is to be asked to pay.
#[derive(Clone, Debug)]
pub struct NewCheckout {
    /// Whose.
    pub scope: Scope,
    /// What it is called.
    pub kind: Kind,
    /// Minor units, 1 to [`domain::money::MAX_AMOUNT`].
    pub amount: i64,
    /// Its currency.
    pub currency: Currency,
    /// The ways to pay that are offered, each known to [`crate::find_method`].
    pub methods: Vec<Box<str>>,
    /// Where the buyer goes after paying, http or https.
    pub success_url: Option<Box<str>>,
    /// Where the buyer goes instead, http or https.
    pub cancel_url: Option<Box<str>>,
    /// What is sold.
    pub lines: Vec<Line>,
    /// The caller's id of the buyer.
    pub customer: Option<Box<str>>,
    /// The caller's id of a template.
    pub template: Option<Box<str>>,
    /// JSON object of strings.
    pub metadata: Option<Box<str>>,
    /// What else the door keeps of it, as JSON.
    pub extra: Option<Box<str>>,
    /// How long it can be paid, milliseconds; for ever when `None`.
    pub expires_in_ms: Option<i64>,
}

/// An invoice to write.
#[derive(Clone, Debug)]
pub struct NewInvoice {
    /// Whose.
    pub scope: Scope,
    /// The caller's id of the buyer.
    pub customer: Box<str>,
    /// Its currency.
    pub currency: Currency,
    /// What is sold.
    pub lines: Vec<Line>,
    /// Taken off, minor units.
    pub discount: i64,
    /// Put on, minor units.
    pub tax: i64,
    /// When it is to be paid by.
    pub due_at: Option<Timestamp>,
    /// Ask for it at once.
    pub open: bool,
    /// What the merchant writes under it.
    pub memo: Option<Box<str>>,
    /// The caller's id of a subscription.
    pub subscription: Option<Box<str>>,
    /// The caller's id of a template.
    pub template: Option<Box<str>>,
    /// JSON object of strings.
    pub metadata: Option<Box<str>>,
}
