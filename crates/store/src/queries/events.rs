//! Events and refunds, read with the rows that are joined to them.

use super::{StoredEvent, StoredSubject};
use crate::StoreError;
use crate::tables::{Cells, read_event, read_payment, read_refund};
use domain::event::{Event, Subject};
use domain::ids::{InvoiceId, PaymentId};
use domain::payment::Facts;
use domain::refund::Refund;
use std::sync::Arc;

pub(crate) fn read_refund_view(c: &mut impl Cells) -> Result<(Refund, Arc<Facts>), StoreError> {
    Ok((read_refund(c)?, read_payment(c)?.facts))
}

/// An event with the payment and the refund that were joined to it. Its checkout or invoice takes a
/// query of its own.
pub(crate) enum Joined {
    Whole(StoredEvent),
    /// The checkout must be looked up.
    Checkout(Event, PaymentId),
    /// The invoice must be looked up.
    Invoice(Event, InvoiceId),
}

/// Reads a row of [`select_events`](super::select_events).
pub(crate) fn read_joined(c: &mut impl Cells) -> Result<Joined, StoreError> {
    let event = read_event(c)?;
    let subject = match event.subject {
        Subject::Payment(_) => StoredSubject::Payment(read_payment(c)?),
        Subject::Refund(..) => {
            let payment = read_payment(c)?;
            StoredSubject::Refund(Box::new(read_refund(c)?), payment)
        }
        Subject::Checkout(id, _) => return Ok(Joined::Checkout(event, id)),
        Subject::Invoice(id, _) => return Ok(Joined::Invoice(event, id)),
        Subject::Endpoint(_) => StoredSubject::Endpoint,
    };
    Ok(Joined::Whole(StoredEvent { event, subject }))
}
