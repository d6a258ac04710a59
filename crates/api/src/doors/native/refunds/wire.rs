//! The shapes of refunds and their timelines, with the field names of Plugipay.

use crate::http::print::{PrefixedId, Raw, ResourceName, Shown};
use crate::http::time::Iso;
use crate::openapi::{Schema, components, printed};
use domain::event::{Subject, Type};
use domain::ids::{AccountId, EventId, PaymentId, RefundId};
use domain::outcome::{Failure, ProviderOutcome};
use domain::payment::Kind;
use domain::refund::{Attempt, Origin, State, Status};
use engine::{EventView, RefundView};

printed! {
    /// A refund.
    #[serde(rename_all = "camelCase")]
    pub struct RefundWire<'a> {
        id: Shown<RefundId> = components::refund_id(),
        arn: Shown<ResourceName<RefundId>> = components::arn("refund", "rfd_"),
        account_id: Shown<AccountId> = components::account_id(),
        mode: &'static str = components::mode(),
        amount: i64 = Schema::integer(1).says("Minor units.").like(2500),
        currency: &'a str = components::currency(),
        status: &'static str = Schema::one_of(Status::ALL, Status::as_str),
        status_detail: &'static str = Schema::one_of(State::DETAILS, State::detail)
            .says("Where it really is."),
        reason: Option<&'a str> = Schema::text_or_null("As it was sent.")
            .like("requested_by_customer"),
        source_type: &'static str = components::kind().says("What the payment paid for."),
        source_id: Shown<PrefixedId> = components::source_id(),
        payment_id: Shown<PaymentId> = components::payment_id(),
        charge_id: &'a str = Schema::string().says("The provider's id of the charge.")
            .like("sim_ch_usd"),
        invoice_id: Option<Shown<PrefixedId>> = components::id(&[Kind::Invoice.prefix()])
            .says("The invoice, where it was one.").or_null().like(()),
        failure_reason: Option<&'a str> = Schema::rare_text("The same as `failureMessage`."),
        failure_code: Option<&'a str> = Schema::rare_text("The provider's word for the failure."),
        failure_message: Option<&'a str> = Schema::rare_text("Why it failed."),
        late: bool = Schema::boolean().says("It failed after it had succeeded.").like(false),
        origin: &'static str = Schema::one_of(Origin::ALL, Origin::as_str)
            .says("`external`: made at the provider itself and adopted."),
        needs_attention: bool = Schema::boolean()
            .says("A person was told, by `refund.attention_required`, that it waits for one.")
            .like(false),
        sends?: u32 = Schema::integer(0)
            .says("How many calls asked the provider for it. Not in events.").like(1),
        first_sent_at?: Option<Iso> = Schema::time()
            .says("The first of these calls whose key the provider may still know. Not in events.")
            .or_null(),
        provider_refund_id: Option<&'a str> = Schema::rare_text("The provider's id of the refund."),
        reference: Option<&'a str> = Schema::rare_text("As it was sent."),
        metadata: Option<Raw<'a>> = components::printed_metadata(),
        created_at: Iso = Schema::time(),
        updated_at: Iso = Schema::time(),
    }
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
            status_detail: refund.state.detail(),
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
            needs_attention: refund.needs_attention,
            sends: Some(refund.sends),
            first_sent_at: Some(refund.first_sent_at.map(Iso)),
            provider_refund_id: refund.provider_refund_id.as_deref(),
            reference: refund.reference.as_deref(),
            metadata: refund.metadata.as_deref().map(Raw),
            created_at: Iso(refund.id.at()),
            updated_at: Iso(refund.updated_at),
        }
    }

    /// The refund as an event tells of it. Calls to the provider are no events.
    pub fn of_event(view: &'a RefundView, account: AccountId) -> Self {
        Self { sends: None, first_sent_at: None, ..Self::new(view, account) }
    }
}

printed! {
    #[serde(rename_all = "camelCase")]
    pub struct AttemptWire<'a> {
        number: u32 = Schema::integer(1).says("Counts from 1.").like(1),
        sent_at: Iso = Schema::time().says("When the intent to call was on disk, before the call."),
        answered_at: Option<Iso> = Schema::time().says("`null` while there is no answer.").or_null(),
        outcome: Option<&'a str> = Schema::one_of(ProviderOutcome::ALL, ProviderOutcome::as_str)
            .says("What the answer means.").or_null().like("completed"),
        answer: Option<&'a str> =
            Schema::rare_text("The provider's code and words, where the call did not go well."),
    }
}

impl<'a> AttemptWire<'a> {
    pub fn new(attempt: &'a Attempt) -> Self {
        let answer = attempt.answer.as_deref();
        let (outcome, answer) = match answer.map(|text| text.split_once(": ").ok_or(text)) {
            Some(Ok((outcome, answer))) => (Some(outcome), Some(answer)),
            Some(Err(outcome)) => (Some(outcome), None),
            None => (None, None),
        };
        Self {
            number: attempt.number,
            sent_at: Iso(attempt.sent_at),
            answered_at: attempt.answered_at.map(Iso),
            outcome,
            answer,
        }
    }
}

/// The provider's own time of an event.
pub fn provider_at(view: &EventView) -> Option<Iso> {
    view.event.detail.as_deref()?.provider_at.map(|ms| Iso(domain::time::Timestamp(ms)))
}

printed! {
    #[serde(rename_all = "camelCase")]
    pub struct TimelineWire<'a> {
        seq: u32 = Schema::integer(1).says("Counts the refund's events from 1 without a gap.")
            .like(1),
        event_id: Shown<EventId> = components::event_id(),
        r#type: &'static str = Schema::one_of(Type::ALL, Type::as_str).like("refund.created"),
        occurred_at: Iso = Schema::time(),
        status: Option<&'static str> = Schema::one_of(Status::ALL, Status::as_str).or_null(),
        status_detail: Option<&'static str> = Schema::one_of(State::DETAILS, State::detail).or_null(),
        source: Option<&'a str> = Schema::rare_text("Where the evidence came from."),
        provider_at: Option<Iso> = Schema::time().says("The provider's own time of it.").or_null(),
        provider_refund_id: Option<&'a str> =
            Schema::rare_text("The provider's id of the refund by then."),
        failure_code: Option<&'a str> = Schema::rare_text("Failure code by then."),
        failure_message: Option<&'a str> = Schema::rare_text("Failure sentence by then."),
    }
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
            | Subject::Endpoint(_)
            | Subject::ProviderAccount(_)
            | Subject::Sending(_) => None,
        };
        Self {
            seq: event.seq,
            event_id: Shown(event.id),
            r#type: event.event_type.as_str(),
            occurred_at: Iso(event.id.at()),
            status: state.map(|state| state.status().as_str()),
            status_detail: state.map(State::detail),
            source: detail.and_then(|detail| detail.source.as_deref()),
            provider_at: provider_at(view),
            provider_refund_id: detail.and_then(|detail| detail.provider_refund_id.as_deref()),
            failure_code: detail.and_then(|detail| detail.failure_code.as_deref()),
            failure_message: detail.and_then(|detail| detail.failure_message.as_deref()),
        }
    }
}
