//! Writing events.

use crate::checkout::Checkout;
use crate::event::{Detail, Event, Subject, Type};
use crate::ids::Ids;
use crate::invoice::Invoice;
use crate::outcome::Observation;
use crate::payment::Payment;
use crate::refund::Refund;
use crate::time::Timestamp;
use crate::view::NewRows;
use rand_core::Rng;

pub(super) fn record_refund_event<R: Rng>(
    refund: &mut Refund,
    new_rows: &mut NewRows,
    event_type: Type,
    observation: Option<&Observation>,
    now: Timestamp,
    ids: &mut Ids<R>,
) {
    refund.last_seq = refund.last_seq.saturating_add(1);
    refund.updated_at = now;
    let detail = Detail {
        provider_refund_id: refund.provider_refund_id.clone(),
        failure_code: refund.failure.as_ref().map(|f| f.code.clone()),
        failure_message: refund.failure.as_ref().map(|f| f.message.clone()),
        late: refund.late,
        source: observation.map(|seen| seen.source.as_str().into()),
        provider_at: observation.and_then(|seen| seen.said.at).map(|at| at.0),
        ..Detail::default()
    };
    new_rows.events.push(Event {
        tenant: refund.tenant,
        id: ids.event(now),
        event_type,
        subject: Subject::Refund(refund.id, refund.state),
        seq: refund.last_seq,
        detail: (detail != Detail::default()).then(|| Box::new(detail)),
    });
}

pub(super) fn record_payment_event<R: Rng>(
    payment: &mut Payment,
    new_rows: &mut NewRows,
    event_type: Type,
    now: Timestamp,
    ids: &mut Ids<R>,
) {
    payment.last_seq = payment.last_seq.saturating_add(1);
    let amount = |minor: i64| Some(minor).filter(|&minor| minor != 0);
    let detail = Detail {
        refunded: amount(payment.refunded),
        reserved: amount(payment.reserved),
        excess: amount(payment.excess),
        reversed: payment.reversed,
        ..Detail::default()
    };
    new_rows.events.push(Event {
        tenant: payment.capture.tenant,
        id: ids.event(now),
        event_type,
        subject: Subject::Payment(payment.capture.id),
        seq: payment.last_seq,
        detail: (detail != Detail::default()).then(|| Box::new(detail)),
    });
}

pub(super) fn record_checkout_event<R: Rng>(
    checkout: &mut Checkout,
    new_rows: &mut NewRows,
    event_type: Type,
    now: Timestamp,
    ids: &mut Ids<R>,
) {
    checkout.last_seq = checkout.last_seq.saturating_add(1);
    checkout.updated_at = now;
    let detail = Detail {
        method: checkout.method.clone(),
        provider_payment_id: checkout.provider_payment_id.clone(),
        failure_code: checkout.failure.as_ref().map(|f| f.code.clone()),
        failure_message: checkout.failure.as_ref().map(|f| f.message.clone()),
        paid_at: checkout.completed_at.map(|at| at.0),
        ..Detail::default()
    };
    new_rows.events.push(Event {
        tenant: checkout.terms.tenant,
        id: ids.event(now),
        event_type,
        subject: Subject::Checkout(checkout.terms.id, checkout.state),
        seq: checkout.last_seq,
        detail: (detail != Detail::default()).then(|| Box::new(detail)),
    });
}

pub(super) fn record_invoice_event<R: Rng>(
    invoice: &mut Invoice,
    new_rows: &mut NewRows,
    event_type: Type,
    to: Option<&str>,
    now: Timestamp,
    ids: &mut Ids<R>,
) {
    invoice.last_seq = invoice.last_seq.saturating_add(1);
    invoice.updated_at = now;
    let detail = Detail {
        issued_at: invoice.issued_at.map(|at| at.0),
        paid_at: invoice.paid_at.map(|at| at.0),
        voided_at: invoice.voided_at.map(|at| at.0),
        attempts: Some(invoice.attempts).filter(|&attempts| attempts > 0),
        to: to.map(Box::from),
        ..Detail::default()
    };
    new_rows.events.push(Event {
        tenant: invoice.terms.tenant,
        id: ids.event(now),
        event_type,
        subject: Subject::Invoice(invoice.terms.id, invoice.state),
        seq: invoice.last_seq,
        detail: (detail != Detail::default()).then(|| Box::new(detail)),
    });
}
