//! Events and refunds, read with the rows that are joined to them.

use crate::StoreError;
use crate::tables::{Cells, read_event, read_payment, read_refund};
use domain::event::{Event, Subject};
use domain::event_view::{EventSubject, EventView};
use domain::ids::{InvoiceId, PaymentId};
use domain::refund::RefundView;

pub(crate) fn read_refund_view(c: &mut impl Cells) -> Result<RefundView, StoreError> {
    Ok(RefundView { refund: read_refund(c)?, payment: read_payment(c)?.facts })
}

/// An event with the payment and the refund that were joined to it. Its checkout or invoice takes a
/// query of its own.
pub(crate) enum Joined {
    Whole(EventView),
    /// The checkout must be looked up.
    Checkout(Event, PaymentId),
    /// The invoice must be looked up.
    Invoice(Event, InvoiceId),
}

/// Reads a row of [`select_events`](super::select_events).
pub(crate) fn read_joined(c: &mut impl Cells) -> Result<Joined, StoreError> {
    let event = read_event(c)?;
    let subject = match event.subject {
        Subject::Payment(_) => EventSubject::Payment(Box::new(read_payment(c)?)),
        Subject::Refund(..) => {
            let payment = read_payment(c)?.facts;
            EventSubject::Refund(Box::new(RefundView { refund: read_refund(c)?, payment }))
        }
        Subject::Checkout(id, _) => return Ok(Joined::Checkout(event, id)),
        Subject::Invoice(id, _) => return Ok(Joined::Invoice(event, id)),
        Subject::Endpoint(_) => EventSubject::Endpoint(Box::default()),
    };
    Ok(Joined::Whole(EventView::of(event, subject)))
}
