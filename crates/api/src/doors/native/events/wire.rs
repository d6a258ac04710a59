//! The shapes of events (`reference/plugipay.md` §12): every resource as it was right after the event.

use crate::doors::native::checkout_sessions::wire::SessionWire;
use crate::doors::native::invoices::wire::InvoiceWire;
use crate::doors::native::payments::wire::PaymentWire;
use crate::doors::native::refunds::wire::{RefundWire, provider_at};
use crate::doors::native::webhooks::wire::DisabledWire;
use crate::http::print::{PrefixedId, Shown};
use crate::http::time::Iso;
use domain::event::Subject;
use domain::ids::{AccountId, EndpointId, EventId, InvoiceId, PaymentId, RefundId};
use domain::payment::Kind;
use engine::{Engine, EventSubject, EventView};
use serde::Serialize;

/// An event with its subject as it was right after it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventWire<'a> {
    id: Shown<EventId>,
    #[serde(rename = "type")]
    event_type: &'static str,
    account_id: Shown<AccountId>,
    mode: &'static str,
    occurred_at: Iso,
    seq: u32,
    data: EventData<'a>,
    metadata: Option<EventMetadata<'a>>,
    created_at: Iso,
    published_at: Iso,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventData<'a> {
    object: EventObject<'a>,
    aggregate_type: &'static str,
    aggregate_id: Shown<PrefixedId>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum EventObject<'a> {
    Refund(Box<RefundWire<'a>>),
    Payment(Box<PaymentWire<'a>>),
    Checkout(Box<SessionWire<'a>>),
    Invoice(Box<InvoiceWire<'a>>),
    Endpoint(Box<DisabledWire<'a>>),
}

/// The source of the provider's statement that caused the event.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventMetadata<'a> {
    source: &'a str,
    provider_at: Option<Iso>,
}

impl<'a> EventWire<'a> {
    pub fn new(view: &'a EventView, account: AccountId, engine: &Engine) -> Self {
        let event = &view.event;
        let at = Iso(event.id.at());
        let detail = event.detail.as_deref();
        let source = detail.and_then(|detail| detail.source.as_deref());
        Self {
            id: Shown(event.id),
            event_type: event.event_type.as_str(),
            account_id: Shown(account),
            mode: event.tenant.mode().as_str(),
            occurred_at: at,
            seq: event.seq,
            data: EventData::new(view, account, engine),
            metadata: source.map(|source| EventMetadata { source, provider_at: provider_at(view) }),
            created_at: at,
            // An event can be read as soon as it is committed.
            published_at: at,
        }
    }
}

impl<'a> EventData<'a> {
    pub fn new(view: &'a EventView, account: AccountId, engine: &Engine) -> Self {
        let object = match &view.subject {
            EventSubject::Refund(refund) => {
                EventObject::Refund(Box::new(RefundWire::new(refund, account)))
            }
            EventSubject::Payment(payment) => {
                EventObject::Payment(Box::new(PaymentWire::new(payment, account)))
            }
            EventSubject::Checkout(checkout) => {
                EventObject::Checkout(Box::new(SessionWire::new(checkout, account, engine)))
            }
            EventSubject::Invoice(invoice) => {
                EventObject::Invoice(Box::new(InvoiceWire::new(invoice, account, engine, None)))
            }
            EventSubject::Endpoint(detail) => {
                EventObject::Endpoint(Box::new(DisabledWire::new(&view.event, detail)))
            }
        };
        let (aggregate_type, name) = match view.event.subject {
            Subject::Refund(id, _) => ("refund", PrefixedId::new(RefundId::PREFIX, id.ulid())),
            Subject::Payment(id) => ("payment", PrefixedId::new(PaymentId::PREFIX, id.ulid())),
            Subject::Checkout(id, _) => {
                let kind = match &view.subject {
                    EventSubject::Checkout(checkout) => checkout.facts.kind,
                    EventSubject::Refund(_)
                    | EventSubject::Payment(_)
                    | EventSubject::Invoice(_)
                    | EventSubject::Endpoint(_) => Kind::CheckoutSession,
                };
                (kind.as_str(), PrefixedId::new(kind.prefix(), id.ulid()))
            }
            Subject::Invoice(id, _) => ("invoice", PrefixedId::new(InvoiceId::PREFIX, id.ulid())),
            Subject::Endpoint(id) => {
                ("webhook_endpoint", PrefixedId::new(EndpointId::PREFIX, id.ulid()))
            }
        };
        Self { object, aggregate_type, aggregate_id: Shown(name) }
    }
}
