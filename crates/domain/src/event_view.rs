//! Events with their subject as it was right after the event.

use crate::checkout::{self, Checkout};
use crate::event::{
    Detail, EndpointDetail, Event, ProviderAccountDetail, SendingDetail, Subject, Type,
};
use crate::invoice::{self, Invoice};
use crate::outcome::Failure;
use crate::payment::Payment;
use crate::refund::{Refund, RefundView, State};
use crate::time::Timestamp;

/// The subject of an event.
#[derive(Clone, Debug)]
pub enum EventSubject {
    Refund(Box<RefundView>),
    Payment(Box<Payment>),
    Checkout(Box<Checkout>),
    Invoice(Box<Invoice>),
    /// A webhook endpoint that was disabled.
    Endpoint(Box<EndpointDetail>),
    ProviderAccount(Box<ProviderAccountDetail>),
    Sending(Box<SendingDetail>),
}

/// An event and its subject as it was right after the event.
#[derive(Clone, Debug)]
pub struct EventView {
    pub event: Event,
    pub subject: EventSubject,
}

impl EventView {
    /// Takes the subject back from how it is now to how the event left it. Webhook endpoints, provider accounts and
    /// sending are described by the event itself.
    pub fn of(event: Event, now: EventSubject) -> Self {
        let detail = event.detail.as_deref().cloned().unwrap_or_default();
        // The state stands in the event, next to the id of its subject.
        let (refund, checkout, invoice) = match event.subject {
            Subject::Refund(_, state) => (Some(state), None, None),
            Subject::Checkout(_, state) => (None, Some(state), None),
            Subject::Invoice(_, state) => (None, None, Some(state)),
            Subject::Payment(_)
            | Subject::Endpoint(_)
            | Subject::ProviderAccount(_)
            | Subject::Sending(_) => (None, None, None),
        };
        let subject = match now {
            EventSubject::Refund(mut now) => {
                now.refund = refund_then(now.refund, refund, detail, &event);
                EventSubject::Refund(now)
            }
            EventSubject::Payment(now) => {
                EventSubject::Payment(Box::new(payment_then(*now, &detail, &event)))
            }
            EventSubject::Checkout(now) => {
                EventSubject::Checkout(Box::new(checkout_then(*now, checkout, detail, &event)))
            }
            EventSubject::Invoice(now) => {
                EventSubject::Invoice(Box::new(invoice_then(*now, invoice, &detail, &event)))
            }
            EventSubject::Endpoint(_) => {
                EventSubject::Endpoint(Box::new(detail.endpoint.unwrap_or_default()))
            }
            EventSubject::ProviderAccount(_) => {
                EventSubject::ProviderAccount(Box::new(detail.provider_account.unwrap_or_default()))
            }
            EventSubject::Sending(_) => {
                EventSubject::Sending(Box::new(detail.sending.unwrap_or_default()))
            }
        };
        Self { event, subject }
    }
}

fn refund_then(refund: Refund, state: Option<State>, detail: Detail, event: &Event) -> Refund {
    let failure = detail.failure_code.zip(detail.failure_message);
    Refund {
        state: state.unwrap_or(refund.state),
        late: detail.late,
        provider_refund_id: detail.provider_refund_id,
        failure: failure.map(|(code, message)| Failure { code, message }),
        // Every other event tells of a move, which ends the wait for a person.
        needs_attention: event.event_type == Type::RefundAttentionRequired,
        last_seq: event.seq,
        updated_at: event.id.at(),
        ..refund
    }
}

fn payment_then(payment: Payment, detail: &Detail, event: &Event) -> Payment {
    Payment {
        refunded: detail.refunded.unwrap_or(0),
        reserved: detail.reserved.unwrap_or(0),
        excess: detail.excess.unwrap_or(0),
        held: detail.held.unwrap_or(0),
        held_excess: detail.held_excess.unwrap_or(0),
        reversed: detail.reversed,
        last_seq: event.seq,
        updated_at: event.id.at(),
        ..payment
    }
}

fn checkout_then(
    checkout: Checkout,
    state: Option<checkout::State>,
    detail: Detail,
    event: &Event,
) -> Checkout {
    let failure = detail.failure_code.zip(detail.failure_message);
    Checkout {
        state: state.unwrap_or(checkout.state),
        method: detail.method,
        provider_payment_id: detail.provider_payment_id,
        failure: failure.map(|(code, message)| Failure { code, message }),
        completed_at: detail.paid_at.map(Timestamp),
        last_seq: event.seq,
        updated_at: event.id.at(),
        ..checkout
    }
}

fn invoice_then(
    invoice: Invoice,
    state: Option<invoice::State>,
    detail: &Detail,
    event: &Event,
) -> Invoice {
    Invoice {
        state: state.unwrap_or(invoice.state),
        issued_at: detail.issued_at.map(Timestamp),
        paid_at: detail.paid_at.map(Timestamp),
        voided_at: detail.voided_at.map(Timestamp),
        attempts: detail.attempts.unwrap_or(0),
        last_seq: event.seq,
        updated_at: event.id.at(),
        ..invoice
    }
}
