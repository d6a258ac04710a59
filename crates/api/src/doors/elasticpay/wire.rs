//! The shapes of this door (`reference/elasticpay_yoco.md` A.3 and A.4). The fields of its
//! documentation are there under their names; what is more is Refundry's own.

use crate::doors::native::Raw;
use crate::time::Iso;
use domain::account::Mode;
use domain::checkout::{Checkout, PaymentAttempt, State};
use domain::ids::PaymentId;
use domain::payment::{self, Kind, Payment, Status};
use domain::refund;
use engine::{Engine, RefundView};
use serde::Serialize;
use std::borrow::Cow;

/// What stands before a way to pay in `payment_method`.
pub const METHOD_PREFIX: &str = "pm_";
/// What stands before the id of a refund.
pub const REFUND_PREFIX: &str = "re_";

/// The id that an intent has here.
fn print_id(id: PaymentId) -> String {
    id.with_prefix(Kind::PaymentIntent.prefix())
}

/// The name of a payment as an intent: its own id, or the name under which it was registered where
/// that is the id of an intent already.
pub fn name_of(facts: &payment::Capture) -> Cow<'_, str> {
    let theirs = &*facts.provider_payment_id;
    if facts.kind == Kind::Payment && theirs.starts_with(Kind::PaymentIntent.prefix()) {
        return theirs.into();
    }
    print_id(facts.id).into()
}

/// What a state is called here.
pub const fn state_word(state: State) -> &'static str {
    match state {
        State::Open => "requires_payment_method",
        State::Pending | State::PendingReview => "processing",
        State::Completed => "succeeded",
        State::Failed => "failed",
        State::Expired | State::Canceled => "canceled",
    }
}

/// Everything that an intent can be.
pub const STATUSES: &[&str] = &[
    "requires_payment_method",
    "requires_action",
    "processing",
    "succeeded",
    "refunded",
    "failed",
    "canceled",
];

/// What a payment's status is called here. One that was reversed is refunded as well.
pub const fn paid_word(status: Status) -> &'static str {
    match status {
        Status::Succeeded => "succeeded",
        Status::Refunded | Status::Reversed => "refunded",
    }
}

/// Something to be paid, or paid: one of the two is there at least.
pub struct Intent {
    /// What was asked for, where it was asked for here.
    pub checkout: Option<Checkout>,
    /// What was paid.
    pub payment: Option<Payment>,
}

impl Intent {
    /// How it stands.
    pub fn status(&self) -> &'static str {
        match (&self.payment, &self.checkout) {
            (Some(payment), _) => paid_word(payment.status()),
            (None, Some(checkout)) => match checkout.flight {
                PaymentAttempt::ActionRequired if checkout.state == State::Pending => {
                    "requires_action"
                }
                _ => state_word(checkout.state),
            },
            (None, None) => "canceled",
        }
    }

    /// As it is printed; `None` when there is nothing to print.
    pub fn wire(&self, engine: &Engine) -> Option<IntentWire<'_>> {
        let checkout = self.checkout.as_ref();
        let (id, facts) = match (&self.payment, checkout) {
            (Some(payment), _) => (name_of(&payment.facts), Facts::of_payment(payment)),
            (None, Some(checkout)) => {
                (print_id(checkout.facts.id).into(), Facts::of_checkout(checkout))
            }
            (None, None) => return None,
        };
        let failure = checkout.and_then(|checkout| checkout.failure.as_ref());
        let method = checkout.and_then(|checkout| checkout.method.as_deref());
        Some(IntentWire {
            client_secret: format!("{id}_secret_{}", engine.client_secret(facts.id)),
            id,
            amount: facts.amount,
            currency: facts.currency,
            status: self.status(),
            livemode: facts.mode == Mode::Live,
            created_at: Iso(facts.id.at()),
            amount_refunded: self.payment.as_ref().map_or(0, |payment| payment.refunded),
            customer_id: checkout.and_then(|checkout| checkout.facts.customer.as_deref()),
            payment_method: method.map(|method| format!("{METHOD_PREFIX}{method}")),
            hosted_url: checkout.map(|found| engine.hosted_url(found.facts.kind, found.facts.id)),
            failure_code: failure.map(|failure| &*failure.code),
            failure_message: failure.map(|failure| &*failure.message),
            metadata: facts.metadata.map(Raw),
        })
    }
}

/// What never changes about an intent.
struct Facts<'a> {
    id: PaymentId,
    mode: Mode,
    amount: i64,
    currency: &'a str,
    metadata: Option<&'a str>,
}

impl<'a> Facts<'a> {
    fn of_payment(payment: &'a Payment) -> Self {
        let facts = &*payment.facts;
        Self {
            id: facts.id,
            mode: facts.scope.mode(),
            amount: facts.captured,
            currency: facts.currency.as_str(),
            metadata: facts.metadata.as_deref(),
        }
    }

    fn of_checkout(checkout: &'a Checkout) -> Self {
        let facts = &*checkout.facts;
        Self {
            id: facts.id,
            mode: facts.scope.mode(),
            amount: facts.amount,
            currency: facts.currency.as_str(),
            metadata: facts.metadata.as_deref(),
        }
    }
}

/// A payment intent.
#[derive(Serialize)]
pub struct IntentWire<'a> {
    id: Cow<'a, str>,
    amount: i64,
    currency: &'a str,
    status: &'static str,
    client_secret: String,
    livemode: bool,
    created_at: Iso,
    amount_refunded: i64,
    customer_id: Option<&'a str>,
    payment_method: Option<String>,
    hosted_url: Option<String>,
    failure_code: Option<&'a str>,
    failure_message: Option<&'a str>,
    metadata: Option<Raw<'a>>,
}

impl IntentWire<'_> {
    /// What a client shows that confirms it.
    pub fn client_secret(&self) -> &str {
        &self.client_secret
    }
}

/// A payment intent as webhooks tell of it: as it was right after the event.
#[derive(Serialize)]
pub struct ToldIntent<'a> {
    /// Its id.
    pub id: Cow<'a, str>,
    /// How it stood.
    pub status: &'static str,
    /// Minor units.
    pub amount: i64,
    /// Of the amount.
    pub currency: &'a str,
    /// How much had gone back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount_refunded: Option<i64>,
    /// When it was made.
    pub created_at: Iso,
    /// Why the last attempt was declined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_code: Option<&'a str>,
    /// The same for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_message: Option<&'a str>,
    /// The merchant's own key-value pairs.
    pub metadata: Option<Raw<'a>>,
    /// The refund that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refund: Option<RefundItem<'a>>,
}

impl<'a> ToldIntent<'a> {
    /// A payment at some moment.
    pub fn of_payment(payment: &'a Payment) -> Self {
        Self {
            status: paid_word(payment.status()),
            amount_refunded: Some(payment.refunded),
            ..Self::of_facts(&payment.facts)
        }
    }

    /// The payment of a refund that failed: with that much not gone back, it is succeeded.
    pub fn of_failed_refund(view: &'a RefundView) -> Self {
        Self { refund: Some(RefundItem::new(view)), ..Self::of_facts(&view.payment) }
    }

    /// A checkout at some moment.
    pub fn of_checkout(checkout: &'a Checkout) -> Self {
        let facts = &*checkout.facts;
        let failure = checkout.failure.as_ref();
        Self {
            id: print_id(facts.id).into(),
            status: state_word(checkout.state),
            amount: facts.amount,
            currency: facts.currency.as_str(),
            amount_refunded: None,
            created_at: Iso(facts.id.at()),
            failure_code: failure.map(|failure| &*failure.code),
            failure_message: failure.map(|failure| &*failure.message),
            metadata: facts.metadata.as_deref().map(Raw),
            refund: None,
        }
    }

    fn of_facts(facts: &'a payment::Capture) -> Self {
        Self {
            id: name_of(facts),
            status: "succeeded",
            amount: facts.captured,
            currency: facts.currency.as_str(),
            amount_refunded: None,
            created_at: Iso(facts.id.at()),
            failure_code: None,
            failure_message: None,
            metadata: facts.metadata.as_deref().map(Raw),
            refund: None,
        }
    }
}

/// What a refund's state is called here. One that was withdrawn gave nothing back.
pub const fn refund_word(status: refund::Status) -> &'static str {
    match status {
        refund::Status::Pending => "pending",
        refund::Status::Succeeded => "succeeded",
        refund::Status::Failed | refund::Status::Canceled => "failed",
    }
}

/// The answer to a refund.
#[derive(Serialize)]
pub struct RefundAnswer<'a> {
    success: bool,
    status: &'static str,
    transaction_id: Cow<'a, str>,
    refund_id: String,
    message: String,
    amount_cents: i64,
    currency: &'a str,
}

impl<'a> RefundAnswer<'a> {
    /// Prints a refund as it stands.
    pub fn new(view: &'a RefundView) -> Self {
        let refund = &view.refund;
        let status = refund_word(refund.state.status());
        let extent = if refund.amount == view.payment.captured { "Full" } else { "Partial" };
        let became = match (status, &refund.failure) {
            ("succeeded", _) => "processed".to_owned(),
            ("pending", _) => "submitted, awaiting confirmation".to_owned(),
            (_, Some(failure)) => format!("failed: {}", failure.message),
            (_, None) => "failed: it was canceled".to_owned(),
        };
        Self {
            success: status != "failed",
            status,
            transaction_id: name_of(&view.payment),
            refund_id: refund.id.with_prefix(REFUND_PREFIX),
            message: format!("{extent} refund of {} {} {became}", refund.amount, refund.currency),
            amount_cents: refund.amount,
            currency: refund.currency.as_str(),
        }
    }
}

/// A refund in a list.
#[derive(Serialize)]
pub struct RefundItem<'a> {
    id: String,
    refund_id: String,
    transaction_id: Cow<'a, str>,
    status: &'static str,
    amount_cents: i64,
    currency: &'a str,
    reason: Option<&'a str>,
    failure_code: Option<&'a str>,
    failure_message: Option<&'a str>,
    created_at: Iso,
}

impl<'a> RefundItem<'a> {
    /// Prints a refund as it stands.
    pub fn new(view: &'a RefundView) -> Self {
        let refund = &view.refund;
        let failure = refund.failure.as_ref();
        let id = || refund.id.with_prefix(REFUND_PREFIX);
        Self {
            id: id(),
            refund_id: id(),
            transaction_id: name_of(&view.payment),
            status: refund_word(refund.state.status()),
            amount_cents: refund.amount,
            currency: refund.currency.as_str(),
            reason: refund.reason.as_deref(),
            failure_code: failure.map(|failure| &*failure.code),
            failure_message: failure.map(|failure| &*failure.message),
            created_at: Iso(refund.id.at()),
        }
    }
}

/// One page of a list.
#[derive(Serialize)]
pub struct Page<T> {
    /// Its items.
    pub data: Vec<T>,
    /// There is a next page, behind the last item of this one.
    pub has_more: bool,
}
