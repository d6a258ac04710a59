//! Events with their subject as it was right after the event.

use crate::facade::RefundView;
use domain::event::{Detail, Event, Subject};
use domain::payment::Payment;
use domain::refund::{Failure, Refund};
use store::StoredEvent;

/// What an event is about, as it was then.
#[derive(Clone, Debug)]
pub enum EventSubject {
    /// A refund.
    Refund(Box<RefundView>),
    /// A payment.
    Payment(Box<Payment>),
}

/// An event and its subject as it was right after it.
#[derive(Clone, Debug)]
pub struct EventView {
    /// The event.
    pub event: Event,
    /// Its subject.
    pub subject: EventSubject,
}

impl From<StoredEvent> for EventView {
    fn from(stored: StoredEvent) -> Self {
        let StoredEvent { event, refund, payment } = stored;
        let detail = event.detail.as_deref().cloned().unwrap_or_default();
        let subject = match (event.subject, refund) {
            (Subject::Refund(_, state), Some(refund)) => {
                let refund = Refund { state, ..refund_then(refund, detail, &event) };
                EventSubject::Refund(Box::new(RefundView { refund, payment: payment.facts }))
            }
            (Subject::Refund(..) | Subject::Payment(_), _) => {
                EventSubject::Payment(Box::new(payment_then(payment, &detail, &event)))
            }
        };
        Self { event, subject }
    }
}

fn refund_then(refund: Refund, detail: Detail, event: &Event) -> Refund {
    let failure = detail.failure_code.zip(detail.failure_message);
    Refund {
        late: detail.late,
        provider_refund_id: detail.provider_refund_id,
        failure: failure.map(|(code, message)| Failure { code, message }),
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
        reversed: detail.reversed,
        last_seq: event.seq,
        updated_at: event.id.at(),
        ..payment
    }
}
