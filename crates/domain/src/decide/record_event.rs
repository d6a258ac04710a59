//! Writing events.

use crate::checkout::Checkout;
use crate::event::{Detail, Event, HoldDetail, Subject, Type};
use crate::hold::Hold;
use crate::ids::Ids;
use crate::invoice::Invoice;
use crate::outcome::{Failure, Observation};
use crate::payment::Payment;
use crate::refund::Refund;
use crate::time::Timestamp;
use crate::view::{NewRows, Row};
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

/// Tells once that a refund waits for a person, and why.
pub(super) fn record_attention<R: Rng>(
    row: &mut Row<Refund>,
    new_rows: &mut NewRows,
    why: &Failure,
    now: Timestamp,
    ids: &mut Ids<R>,
) {
    if row.value.needs_attention {
        return;
    }
    let refund = row.change();
    refund.needs_attention = true;
    // The refund is as it was: only why somebody must look at it is told.
    let (since, known) = (refund.updated_at, refund.failure.replace(why.clone()));
    let event = Type::RefundAttentionRequired;
    record_refund_event(refund, new_rows, event, None, now, ids);
    (refund.updated_at, refund.failure) = (since, known);
}

pub(super) fn record_payment_event<R: Rng>(
    payment: &mut Payment,
    new_rows: &mut NewRows,
    event_type: Type,
    now: Timestamp,
    ids: &mut Ids<R>,
) {
    record_of_payment(payment, new_rows, (event_type, None), now, ids);
}

/// Tells of a hold, and of the amount that the event is about.
pub(super) fn record_hold_event<R: Rng>(
    payment: &mut Payment,
    hold: &Hold,
    (event_type, amount): (Type, i64),
    new_rows: &mut NewRows,
    now: Timestamp,
    ids: &mut Ids<R>,
) {
    let hold = HoldDetail { id: hold.id.to_string().into(), amount, reason: hold.reason.clone() };
    record_of_payment(payment, new_rows, (event_type, Some(hold)), now, ids);
}

fn record_of_payment<R: Rng>(
    payment: &mut Payment,
    new_rows: &mut NewRows,
    (event_type, hold): (Type, Option<HoldDetail>),
    now: Timestamp,
    ids: &mut Ids<R>,
) {
    payment.last_seq = payment.last_seq.saturating_add(1);
    let amount = |minor: i64| Some(minor).filter(|&minor| minor != 0);
    let detail = Detail {
        refunded: amount(payment.refunded),
        reserved: amount(payment.reserved),
        excess: amount(payment.excess),
        held: amount(payment.held),
        held_excess: amount(payment.held_excess),
        reversed: payment.reversed,
        hold,
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
