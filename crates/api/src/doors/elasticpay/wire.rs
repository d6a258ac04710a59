//! The shapes of this door. The fields of its
//! documentation are there under their names; what is more is Refundry's own.

use crate::http::checkout::Common;
use crate::http::print::Raw;
use crate::http::time::Iso;
use crate::openapi::{Schema, components, printed};
use domain::checkout::{Checkout, PaymentAttempt, State};
use domain::ids::PaymentId;
use domain::payment::{self, Kind, Payment, Status};
use domain::refund;
use domain::tenant::Mode;
use engine::{Engine, RefundView};
use serde::Serialize;
use std::borrow::Cow;

/// The prefix of a way to pay in `payment_method`.
pub const METHOD_PREFIX: &str = "pm_";
/// The prefix of a refund's id.
pub const REFUND_PREFIX: &str = "re_";
fn print_id(id: PaymentId) -> String {
    id.with_prefix(Kind::PaymentIntent.prefix())
}

/// The id of a payment as an intent: its own, or the provider's where a payment was registered
/// under the id of an intent.
pub fn name_of(capture: &payment::Capture) -> Cow<'_, str> {
    let theirs = &*capture.provider_payment_id;
    if capture.kind == Kind::Payment && theirs.starts_with(Kind::PaymentIntent.prefix()) {
        return theirs.into();
    }
    print_id(capture.id).into()
}

/// This door's word for the state of a checkout.
pub const fn state_word(state: State) -> &'static str {
    match state {
        State::Open => "requires_payment_method",
        State::Pending | State::PendingReview => "processing",
        State::Completed => "succeeded",
        State::Failed => "failed",
        State::Expired | State::Canceled => "canceled",
    }
}

/// Every status of an intent.
pub const STATUSES: &[&str] = &[
    "requires_payment_method",
    "requires_action",
    "processing",
    "succeeded",
    "refunded",
    "failed",
    "canceled",
];

/// This door's word for the status of a payment. A reversed payment counts as refunded.
pub const fn paid_word(status: Status) -> &'static str {
    match status {
        Status::Succeeded => "succeeded",
        Status::Refunded | Status::Reversed => "refunded",
    }
}

/// A checkout, its payment, or both.
pub struct Intent {
    /// Absent when the payment was registered.
    pub checkout: Option<Checkout>,
    /// Absent before the money is captured.
    pub payment: Option<Payment>,
}

impl Intent {
    /// How it stands.
    pub fn status(&self) -> &'static str {
        match (&self.payment, &self.checkout) {
            (Some(payment), _) => paid_word(payment.status()),
            (None, Some(checkout)) => {
                let asks = checkout.flight == PaymentAttempt::ActionRequired;
                let pending = checkout.state == State::Pending;
                if asks && pending { "requires_action" } else { state_word(checkout.state) }
            }
            (None, None) => "canceled",
        }
    }

    /// The printed intent; `None` when there is neither checkout nor payment.
    pub fn wire(&self, engine: &Engine) -> Option<IntentWire<'_>> {
        let checkout = self.checkout.as_ref();
        let (id, common) = match (&self.payment, checkout) {
            (Some(payment), _) => (name_of(&payment.capture), Common::from(&*payment.capture)),
            (None, Some(checkout)) => {
                (print_id(checkout.terms.id).into(), Common::from(&*checkout.terms))
            }
            (None, None) => return None,
        };
        let failure = checkout.and_then(|checkout| checkout.failure.as_ref());
        let method = checkout.and_then(|checkout| checkout.method.as_deref());
        Some(IntentWire {
            client_secret: format!("{id}_secret_{}", engine.client_secret(common.id)),
            id,
            amount: common.amount,
            currency: common.currency,
            status: self.status(),
            livemode: common.tenant.mode() == Mode::Live,
            created_at: Iso(common.id.at()),
            amount_refunded: self.payment.as_ref().map_or(0, |payment| payment.refunded),
            customer_id: checkout.and_then(|checkout| checkout.terms.customer.as_deref()),
            payment_method: method.map(|method| format!("{METHOD_PREFIX}{method}")),
            hosted_url: checkout.map(|found| engine.hosted_url(found.terms.kind, found.terms.id)),
            failure_code: failure.map(|failure| &*failure.code),
            failure_message: failure.map(|failure| &*failure.message),
            metadata: common.metadata.map(Raw),
        })
    }
}

printed! {
    /// A payment intent.
    #[serde(rename_all = "snake_case")]
    pub struct IntentWire<'a> {
        id: Cow<'a, str> = intent_id(),
        amount: i64 = Schema::integer(1).says("Smallest units.").like(2000),
        currency: &'a str = components::currency().like("AUD"),
        status: &'static str = Schema::words(STATUSES.iter().copied())
            .like("requires_payment_method"),
        client_secret: String = Schema::matching("^pi_.+_secret_[0-9a-f]{32}$"),
        livemode: bool = Schema::boolean().says("Decided by the key, test or live.").like(false),
        created_at: Iso = Schema::time(),
        amount_refunded: i64 = components::minor("What went back.").like(0),
        customer_id: Option<&'a str> = Schema::rare_text("As it was sent."),
        payment_method: Option<String> = Schema::rare_text("How it was paid, or tried."),
        hosted_url: Option<String> =
            Schema::text_or_null("The page on which the customer pays, or approves a payment."),
        failure_code: Option<&'a str> = Schema::rare_text("Why the last attempt was declined."),
        failure_message: Option<&'a str> = Schema::rare_text("The same for people."),
        metadata: Option<Raw<'a>> = components::printed_metadata(),
    }
}

impl IntentWire<'_> {
    /// The secret that lets a client confirm the intent.
    pub fn client_secret(&self) -> &str {
        &self.client_secret
    }
}

/// A payment intent in a webhook: as it was right after the event.
#[derive(Serialize)]
pub struct ToldIntent<'a> {
    pub id: Cow<'a, str>,
    pub status: &'static str,
    pub amount: i64,
    pub currency: &'a str,
    /// Refunded so far, in minor units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount_refunded: Option<i64>,
    pub created_at: Iso,
    /// The code of the last declined attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_code: Option<&'a str>,
    /// The same as text for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_message: Option<&'a str>,
    pub metadata: Option<Raw<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refund: Option<RefundItem<'a>>,
}

impl<'a> ToldIntent<'a> {
    /// A payment as it was right after an event.
    pub fn of_payment(payment: &'a Payment) -> Self {
        Self {
            status: paid_word(payment.status()),
            amount_refunded: Some(payment.refunded),
            ..Self::of_capture(&payment.capture)
        }
    }

    /// The payment of a failed refund. The amount was not refunded, so the intent is `succeeded`.
    pub fn of_failed_refund(view: &'a RefundView) -> Self {
        Self { refund: Some(RefundItem::new(view)), ..Self::of_capture(&view.payment) }
    }

    /// A checkout as it was right after an event.
    pub fn of_checkout(checkout: &'a Checkout) -> Self {
        let failure = checkout.failure.as_ref();
        Self {
            status: state_word(checkout.state),
            failure_code: failure.map(|failure| &*failure.code),
            failure_message: failure.map(|failure| &*failure.message),
            ..Self::of(print_id(checkout.terms.id).into(), (&*checkout.terms).into())
        }
    }

    fn of_capture(capture: &'a payment::Capture) -> Self {
        Self::of(name_of(capture), capture.into())
    }

    fn of(id: Cow<'a, str>, common: Common<'a>) -> Self {
        Self {
            id,
            status: "succeeded",
            amount: common.amount,
            currency: common.currency,
            amount_refunded: None,
            created_at: Iso(common.id.at()),
            failure_code: None,
            failure_message: None,
            metadata: common.metadata.map(Raw),
            refund: None,
        }
    }
}

/// This door's word for the status of a refund. A canceled refund returned no money, so it is
/// `failed`.
pub const fn refund_word(status: refund::Status) -> &'static str {
    match status {
        refund::Status::Pending => "pending",
        refund::Status::Succeeded => "succeeded",
        refund::Status::Failed | refund::Status::Canceled => "failed",
    }
}

printed! {
    #[serde(rename_all = "snake_case")]
    pub struct RefundAnswer<'a> {
        success: bool = Schema::boolean().says("False when the refund failed.").like(true),
        status: &'static str = refund_status(),
        transaction_id: Cow<'a, str> = intent_id().says("The intent."),
        refund_id: String = components::id(&[REFUND_PREFIX]),
        message: String = Schema::string().like("Partial refund of 2000 AUD processed"),
        amount_cents: i64 = Schema::integer(1).like(2000),
        currency: &'a str = components::currency().like("AUD"),
    }
}

impl<'a> RefundAnswer<'a> {
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

printed! {
    /// A refund.
    #[serde(rename_all = "snake_case")]
    pub struct RefundItem<'a> {
        id: String = components::id(&[REFUND_PREFIX]),
        refund_id: String = components::id(&[REFUND_PREFIX]).says("The same."),
        transaction_id: Cow<'a, str> = intent_id().says("The intent."),
        status: &'static str = refund_status(),
        amount_cents: i64 = Schema::integer(1).like(2000),
        currency: &'a str = components::currency().like("AUD"),
        reason: Option<&'a str> = Schema::rare_text("As it was sent."),
        failure_code: Option<&'a str> = Schema::rare_text("The provider's word for the failure."),
        failure_message: Option<&'a str> = Schema::rare_text("The same for people."),
        created_at: Iso = Schema::time(),
    }
}

impl<'a> RefundItem<'a> {
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

#[derive(Serialize)]
pub struct Page<T> {
    pub data: Vec<T>,
    /// There is a next page, behind the last item of this one.
    pub has_more: bool,
}

/// Describes the id of an intent as it is printed.
fn intent_id() -> Schema {
    Schema::matching("^pi_").like("pi_01KREAEM40E8TXW4VNC0XM1R2P")
}

fn refund_status() -> Schema {
    Schema::words(["succeeded", "pending", "failed"])
}
