//! The shapes of events, with the field names of Plugipay: every resource as it was right after the event.

use crate::doors::native::checkout_sessions::wire::SessionWire;
use crate::doors::native::invoices::wire::InvoiceWire;
use crate::doors::native::payments::wire::PaymentWire;
use crate::doors::native::provider_accounts::wire::ToldProviderAccountWire;
use crate::doors::native::refunds::wire::{RefundWire, provider_at};
use crate::doors::native::sending::wire::ToldSendingWire;
use crate::doors::native::webhooks::wire::DisabledWire;
use crate::http::print::{PrefixedId, Shown};
use crate::http::time::Iso;
use crate::openapi::{Schema, components, printed};
use domain::event::{Subject, Type};
use domain::ids::{
    AccountId, EndpointId, EventId, HoldId, InvoiceId, PaymentId, ProviderAccountId, RefundId,
};
use domain::payment::Kind;
use engine::{Engine, EventSubject, EventView};
use serde::Serialize;

printed! {
    /// Something that happened, with its subject.
    #[serde(rename_all = "camelCase")]
    pub struct EventWire<'a> {
        id: Shown<EventId> = components::event_id(),
        r#type: &'static str = types().like("refund.created"),
        account_id: Shown<AccountId> = components::account_id(),
        mode: &'static str = components::mode(),
        occurred_at: Iso = Schema::time(),
        seq: u32 = Self::seq(1),
        data: EventData<'a> = EventData::schema(),
        metadata: Option<EventMetadata<'a>> = EventMetadata::schema()
            .says("The evidence that made it happen; `null` where there was none.").or_null(),
        created_at: Iso = Schema::time(),
        published_at: Iso = Schema::time(),
    }
}

/// The names of the schemas of [`EventObject`].
const OBJECTS: [&str; 7] = [
    "Refund",
    "Payment",
    "CheckoutSession",
    "Invoice",
    "DisabledEndpoint",
    "ProviderAccountInEvent",
    "SendingInEvent",
];

printed! {
    #[serde(rename_all = "camelCase")]
    pub struct EventData<'a> {
        object: EventObject<'a> =
            Schema::any_of(OBJECTS.map(Schema::named)).says("The subject as it was right after the event."),
        aggregate_type: &'static str = subject_types().like("refund"),
        aggregate_id: Shown<PrefixedId> =
            components::id_or_source_id(&[
                RefundId::PREFIX,
                EndpointId::PREFIX,
                ProviderAccountId::PREFIX,
                AccountId::PREFIX,
            ]),
        hold?: EventHold<'a> = EventHold::schema(),
    }
}

printed! {
    /// The hold that an event of a payment is about.
    #[serde(rename_all = "camelCase")]
    pub struct EventHold<'a> {
        id: &'a str = components::id(&[HoldId::PREFIX]),
        amount: i64 = Schema::integer(1).says("Held, or booked. Minor units.").like(2500),
        reason: &'a str = Schema::string().like("chargeback"),
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum EventObject<'a> {
    Refund(Box<RefundWire<'a>>),
    Payment(Box<PaymentWire<'a>>),
    Checkout(Box<SessionWire<'a>>),
    Invoice(Box<InvoiceWire<'a>>),
    Endpoint(Box<DisabledWire<'a>>),
    ProviderAccount(Box<ToldProviderAccountWire<'a>>),
    Sending(Box<ToldSendingWire<'a>>),
}

printed! {
    #[serde(rename_all = "camelCase")]
    struct EventMetadata<'a> {
        source: &'a str = Schema::string().says("Where the evidence came from."),
        provider_at: Option<Iso> = Schema::time().says("The provider's own time of it.").or_null(),
    }
}

/// Describes the type of an event.
pub fn types() -> Schema {
    Schema::one_of(Type::ALL, Type::as_str)
}

/// Describes the types of resources that events are about.
fn subject_types() -> Schema {
    let kinds = Kind::ALL.iter().map(|kind| kind.as_str());
    let others = ["refund", "webhook_endpoint", "provider_account", "sending"];
    Schema::words(others.into_iter().chain(kinds))
}

impl<'a> EventWire<'a> {
    /// Describes the number of an event, which is at least `least`.
    pub fn seq(least: i64) -> Schema {
        Schema::integer(least).says("Counts the subject's events from 1 without a gap.").like(1)
    }

    pub fn new(view: &'a EventView, account: AccountId, engine: &Engine) -> Self {
        let event = &view.event;
        let at = Iso(event.id.at());
        let detail = event.detail.as_deref();
        let source = detail.and_then(|detail| detail.source.as_deref());
        Self {
            id: Shown(event.id),
            r#type: event.event_type.as_str(),
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
                EventObject::Refund(Box::new(RefundWire::of_event(refund, account)))
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
            EventSubject::ProviderAccount(detail) => {
                let wire = ToldProviderAccountWire::new(&view.event, detail);
                EventObject::ProviderAccount(Box::new(wire))
            }
            EventSubject::Sending(detail) => {
                EventObject::Sending(Box::new(ToldSendingWire::new(&view.event, detail)))
            }
        };
        let (aggregate_type, name) = match view.event.subject {
            Subject::Refund(id, _) => ("refund", PrefixedId::new(RefundId::PREFIX, id.ulid())),
            Subject::Payment(id) => ("payment", PrefixedId::new(PaymentId::PREFIX, id.ulid())),
            Subject::Checkout(id, _) => {
                let kind = match &view.subject {
                    EventSubject::Checkout(checkout) => checkout.terms.kind,
                    EventSubject::Refund(_)
                    | EventSubject::Payment(_)
                    | EventSubject::Invoice(_)
                    | EventSubject::Endpoint(_)
                    | EventSubject::ProviderAccount(_)
                    | EventSubject::Sending(_) => Kind::CheckoutSession,
                };
                (kind.as_str(), PrefixedId::new(kind.prefix(), id.ulid()))
            }
            Subject::Invoice(id, _) => ("invoice", PrefixedId::new(InvoiceId::PREFIX, id.ulid())),
            Subject::Endpoint(id) => {
                ("webhook_endpoint", PrefixedId::new(EndpointId::PREFIX, id.ulid()))
            }
            Subject::ProviderAccount(id) => {
                ("provider_account", PrefixedId::new(ProviderAccountId::PREFIX, id.ulid()))
            }
            Subject::Sending(id) => ("sending", PrefixedId::new(AccountId::PREFIX, id.ulid())),
        };
        let hold = view.event.detail.as_deref().and_then(|detail| detail.hold.as_ref());
        let hold =
            hold.map(|hold| EventHold { id: &hold.id, amount: hold.amount, reason: &hold.reason });
        Self { object, aggregate_type, aggregate_id: Shown(name), hold }
    }
}
