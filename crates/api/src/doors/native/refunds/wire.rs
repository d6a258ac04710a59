//! The shapes of refunds and their timelines (`reference/plugipay.md` §7).

use crate::http::print::{PrefixedId, Raw, ResourceName, Shown};
use crate::http::time::Iso;
use domain::event::Subject;
use domain::ids::{AccountId, EventId, PaymentId, RefundId};
use domain::outcome::Failure;
use domain::payment::Kind;
use engine::{EventView, RefundView};
use serde::Serialize;

/// A refund, under the field names of every generation of clients.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefundWire<'a> {
    id: Shown<RefundId>,
    arn: Shown<ResourceName<RefundId>>,
    account_id: Shown<AccountId>,
    mode: &'static str,
    amount: i64,
    currency: &'a str,
    status: &'static str,
    status_detail: &'static str,
    reason: Option<&'a str>,
    source_type: &'static str,
    source_id: Shown<PrefixedId>,
    payment_id: Shown<PaymentId>,
    charge_id: &'a str,
    invoice_id: Option<Shown<PrefixedId>>,
    failure_reason: Option<&'a str>,
    failure_code: Option<&'a str>,
    failure_message: Option<&'a str>,
    late: bool,
    origin: &'static str,
    provider_refund_id: Option<&'a str>,
    reference: Option<&'a str>,
    metadata: Option<Raw<'a>>,
    created_at: Iso,
    updated_at: Iso,
}

impl<'a> RefundWire<'a> {
    pub fn new(view: &'a RefundView, account: AccountId) -> Self {
        let (refund, payment) = (&view.refund, &*view.payment);
        let failure = refund.failure.as_ref();
        let message = failure.map(|failure: &Failure| &*failure.message);
        let invoice = payment.kind == Kind::Invoice;
        Self {
            id: Shown(refund.id),
            arn: Shown(ResourceName::new("refund", account, refund.id)),
            account_id: Shown(account),
            mode: refund.tenant.mode().as_str(),
            amount: refund.amount,
            currency: refund.currency.as_str(),
            status: refund.state.status().as_str(),
            status_detail: refund.state.as_str(),
            reason: refund.reason.as_deref(),
            source_type: payment.kind.as_str(),
            source_id: PrefixedId::of_payment(payment.kind, payment.id),
            payment_id: Shown(payment.id),
            charge_id: &payment.provider_payment_id,
            invoice_id: invoice.then(|| PrefixedId::of_payment(payment.kind, payment.id)),
            failure_reason: message,
            failure_code: failure.map(|failure| &*failure.code),
            failure_message: message,
            late: refund.late,
            origin: refund.origin.as_str(),
            provider_refund_id: refund.provider_refund_id.as_deref(),
            reference: refund.reference.as_deref(),
            metadata: refund.metadata.as_deref().map(Raw),
            created_at: Iso(refund.id.at()),
            updated_at: Iso(refund.updated_at),
        }
    }
}

/// The provider's own time of an event.
pub fn provider_at(view: &EventView) -> Option<Iso> {
    view.event.detail.as_deref()?.provider_at.map(|ms| Iso(domain::time::Timestamp(ms)))
}

/// One event in a refund's timeline, with its time and source.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TimelineWire<'a> {
    seq: u32,
    event_id: Shown<EventId>,
    #[serde(rename = "type")]
    event_type: &'static str,
    occurred_at: Iso,
    status: Option<&'static str>,
    status_detail: Option<&'static str>,
    source: Option<&'a str>,
    provider_at: Option<Iso>,
    provider_refund_id: Option<&'a str>,
    failure_code: Option<&'a str>,
    failure_message: Option<&'a str>,
}

impl<'a> TimelineWire<'a> {
    pub fn new(view: &'a EventView) -> Self {
        let event = &view.event;
        let detail = event.detail.as_deref();
        let state = match event.subject {
            Subject::Refund(_, state) => Some(state),
            Subject::Payment(_)
            | Subject::Checkout(..)
            | Subject::Invoice(..)
            | Subject::Endpoint(_) => None,
        };
        Self {
            seq: event.seq,
            event_id: Shown(event.id),
            event_type: event.event_type.as_str(),
            occurred_at: Iso(event.id.at()),
            status: state.map(|state| state.status().as_str()),
            status_detail: state.map(domain::refund::State::as_str),
            source: detail.and_then(|detail| detail.source.as_deref()),
            provider_at: provider_at(view),
            provider_refund_id: detail.and_then(|detail| detail.provider_refund_id.as_deref()),
            failure_code: detail.and_then(|detail| detail.failure_code.as_deref()),
            failure_message: detail.and_then(|detail| detail.failure_message.as_deref()),
        }
    }
}
