//! Events with their subjects.

use super::{Dialect, PageQuery, Query, Select};
use crate::StoreError;
use crate::tables::{CHECKOUTS, Cells, EVENTS, FromRow, INVOICES, PAYMENTS, REFUNDS};
use domain::checkout::Checkout;
use domain::event::{Event, Subject, Type};
use domain::event_view::{EventSubject, EventView};
use domain::ids::{EventId, RefundId};
use domain::invoice::Invoice;
use domain::payment::Payment;
use domain::refund::{Refund, RefundView};
use domain::tenant::Tenant;

/// Which events to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventFilter {
    pub event_type: Option<Type>,
    /// The list is in the order of sequence numbers.
    pub refund: Option<RefundId>,
}

fn select(dialect: Dialect, index: Option<&str>, tenant: Tenant) -> Select<EventView> {
    let columns = [
        EVENTS.columns_of("e"),
        PAYMENTS.columns_of("p"),
        REFUNDS.columns_of("r"),
        CHECKOUTS.columns_of("c"),
        INVOICES.columns_of("i"),
    ];
    let joins = [
        dialect.join(&REFUNDS, "r", "e", "e.refund"),
        dialect.join(&PAYMENTS, "p", "e", "coalesce(e.payment, r.payment)"),
        dialect.join(&CHECKOUTS, "c", "e", "e.checkout"),
        dialect.join(&INVOICES, "i", "e", "e.invoice"),
    ];
    Select::joined(dialect, (&EVENTS, "e", index), (&columns.join(", "), &joins), tenant)
}

impl FromRow for EventView {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        let event = Event::from_row(c)?;
        let subject = match event.subject {
            Subject::Payment(_) => EventSubject::Payment(Box::new(Payment::from_row(c)?)),
            Subject::Refund(..) => {
                let payment = Payment::from_row(c)?.capture;
                EventSubject::Refund(Box::new(RefundView { refund: Refund::from_row(c)?, payment }))
            }
            Subject::Checkout(..) => {
                c.skip(PAYMENTS.width() + REFUNDS.width());
                EventSubject::Checkout(Box::new(Checkout::from_row(c)?))
            }
            Subject::Invoice(..) => {
                c.skip(PAYMENTS.width() + REFUNDS.width() + CHECKOUTS.width());
                EventSubject::Invoice(Box::new(Invoice::from_row(c)?))
            }
            Subject::Endpoint(_) => EventSubject::Endpoint(Box::default()),
            Subject::ProviderAccount(_) => EventSubject::ProviderAccount(Box::default()),
            Subject::Sending(_) => EventSubject::Sending(Box::default()),
        };
        Ok(Self::of(event, subject))
    }
}

pub(crate) fn find(dialect: Dialect, tenant: Tenant, id: EventId) -> Query<EventView> {
    let mut event = select(dialect, None, tenant);
    event.and("e.id = ?", Some(id.ulid()));
    event.unordered()
}

/// The events with these ids.
pub(crate) fn among(dialect: Dialect, tenant: Tenant, ids: Vec<[u8; 16]>) -> Query<EventView> {
    let mut events = select(dialect, None, tenant);
    events.and(&dialect.among("e.id", "unhex(value)"), Some(ids));
    events.unordered()
}

/// The condition of the index on event types, which leaves out the types that nearly every payment and
/// refund has.
const INDEXED_TYPES: &str = " AND e.type NOT IN (1, 2, 3, 10, 11, 12, 16)";

/// Whether the index on event types has this one, see [`INDEXED_TYPES`].
const fn is_rare(event_type: Type) -> bool {
    match event_type {
        Type::PaymentCreated
        | Type::PaymentPartiallyRefunded
        | Type::PaymentRefunded
        | Type::RefundCreated
        | Type::RefundSubmitted
        | Type::RefundSucceeded
        | Type::RefundUpdated => false,
        Type::PaymentHoldPlaced
        | Type::PaymentHoldReleased
        | Type::PaymentHoldBooked
        | Type::RefundFailed
        | Type::RefundCanceled
        | Type::RefundNeedsReview
        | Type::RefundAttentionRequired
        | Type::CheckoutCreated
        | Type::CheckoutPending
        | Type::CheckoutPendingReview
        | Type::CheckoutCompleted
        | Type::CheckoutFailed
        | Type::CheckoutExpired
        | Type::CheckoutCanceled
        | Type::CheckoutDeleted
        | Type::InvoiceCreated
        | Type::InvoiceFinalized
        | Type::InvoiceSent
        | Type::InvoicePaid
        | Type::InvoiceVoided
        | Type::InvoicePending
        | Type::InvoiceFailed
        | Type::InvoicePastDue
        | Type::EndpointDisabled
        | Type::ProviderAccountCreated
        | Type::ProviderAccountPaused
        | Type::ProviderAccountResumed
        | Type::ProviderAccountRotated
        | Type::ProviderAccountDeleted
        | Type::SendingStopped
        | Type::SendingStarted => true,
    }
}

pub(crate) fn list(
    dialect: Dialect,
    tenant: Tenant,
    filter: EventFilter,
    page: PageQuery,
) -> Query<EventView> {
    let rare = filter.refund.is_none() && filter.event_type.is_some_and(is_rare);
    let mut events = select(dialect, rare.then_some("events_by_type"), tenant);
    events.and("e.type = ?", filter.event_type.map(Type::code));
    if rare {
        events.push(INDEXED_TYPES);
    }
    let Some(refund) = filter.refund else { return events.page("e.id", page) };
    events.and("e.refund = ?", Some(refund.ulid()));
    let (comparison, direction) = page.order.words();
    // When the event `after` is deleted, so are all events before it.
    let seq = "coalesce((SELECT seq FROM events a WHERE a.scope = e.scope AND a.id = ?), 0)";
    events.and(&format!("e.seq {comparison} {seq}"), page.after);
    events.finish(&format!(" ORDER BY e.seq {direction}"), page.limit)
}

#[cfg(test)]
pub(super) fn cases() -> Vec<super::query_plans::Case> {
    use super::query_plans::{Case, KEY, nth};
    let of = |event_type, refund, index| Case::new(list, EventFilter { event_type, refund }, index);
    let mut cases =
        vec![of(None, None, KEY), of(None, Some(RefundId::from_ulid(nth(7))), "events_of_refund")];
    for &event_type in Type::ALL {
        cases.push(if is_rare(event_type) {
            of(Some(event_type), None, "events_by_type")
        } else {
            of(Some(event_type), None, KEY).scans()
        });
    }
    cases
}
