//! The shapes of the native door (`reference/plugipay.md` §7, §10 and §12), printed straight from
//! the engine's types: ids and times are written into the answer without a string in between.

use super::session_wire::{InvoiceWire, SessionWire};
use super::webhook_wire::DisabledWire;
use crate::time::Iso;
use domain::event::Subject;
use domain::ids::{
    AccountId, EndpointId, EntryId, EventId, InvoiceId, PaymentId, PostingId, RefundId,
};
use domain::outcome::Failure;
use domain::payment::{Kind, Payment};
use engine::{Balance, Engine, Entry, EventSubject, EventView, RefundView};
use serde::ser::Error;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use std::fmt;
use ulid::Ulid;

/// Something printed as the text that people see.
pub struct Shown<T>(pub T);

impl<T: fmt::Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A ULID under the prefix of what it names here.
pub struct Named(&'static str, Ulid);

impl Named {
    /// `ulid` under a prefix.
    pub const fn new(prefix: &'static str, ulid: Ulid) -> Self {
        Self(prefix, ulid)
    }

    /// The name of a payment as a refund's source.
    fn source(kind: Kind, payment: PaymentId) -> Shown<Self> {
        Shown(Self(kind.prefix(), payment.ulid()))
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)?;
        f.write_str(self.1.array_to_str(&mut [0; ulid::ULID_LEN]))
    }
}

/// `arn:refundry:<what>:<account>:<id>`.
pub struct Arn<T>(&'static str, AccountId, T);

impl<T> Arn<T> {
    /// The arn of something of an account.
    pub const fn new(what: &'static str, account: AccountId, id: T) -> Self {
        Self(what, account, id)
    }
}

impl<T: fmt::Display> fmt::Display for Arn<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "arn:refundry:{}:{}:{}", self.0, self.1, self.2)
    }
}

/// JSON that is stored as text.
pub struct Raw<'a>(pub &'a str);

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(self.0).map_err(S::Error::custom)?;
        raw.serialize(serializer)
    }
}

/// A refund, under the field names of every generation of clients.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefundWire<'a> {
    id: Shown<RefundId>,
    arn: Shown<Arn<RefundId>>,
    account_id: Shown<AccountId>,
    mode: &'static str,
    amount: i64,
    currency: &'a str,
    status: &'static str,
    status_detail: &'static str,
    reason: Option<&'a str>,
    source_type: &'static str,
    source_id: Shown<Named>,
    payment_id: Shown<PaymentId>,
    charge_id: &'a str,
    invoice_id: Option<Shown<Named>>,
    failure_reason: Option<&'a str>,
    failure_code: Option<&'a str>,
    failure_message: Option<&'a str>,
    late: bool,
    origin: &'static str,
    provider_refund_id: Option<&'a str>,
    reference: Option<&'a str>,
    metadata: Option<Raw<'a>>,
    created_at: Iso,
    updated_at: Iso,
}

impl<'a> RefundWire<'a> {
    /// Prints a refund of `account`.
    pub fn new(view: &'a RefundView, account: AccountId) -> Self {
        let (refund, payment) = (&view.refund, &*view.payment);
        let failure = refund.failure.as_ref();
        let message = failure.map(|failure: &Failure| &*failure.message);
        let invoice = payment.kind == Kind::Invoice;
        Self {
            id: Shown(refund.id),
            arn: Shown(Arn("refund", account, refund.id)),
            account_id: Shown(account),
            mode: refund.scope.mode().as_str(),
            amount: refund.amount,
            currency: refund.currency.as_str(),
            status: refund.state.status().as_str(),
            status_detail: refund.state.as_str(),
            reason: refund.reason.as_deref(),
            source_type: payment.kind.as_str(),
            source_id: Named::source(payment.kind, payment.id),
            payment_id: Shown(payment.id),
            charge_id: &payment.provider_payment_id,
            invoice_id: invoice.then(|| Named::source(payment.kind, payment.id)),
            failure_reason: message,
            failure_code: failure.map(|failure| &*failure.code),
            failure_message: message,
            late: refund.late,
            origin: refund.origin.as_str(),
            provider_refund_id: refund.provider_refund_id.as_deref(),
            reference: refund.reference.as_deref(),
            metadata: refund.metadata.as_deref().map(Raw),
            created_at: Iso(refund.id.at()),
            updated_at: Iso(refund.updated_at),
        }
    }
}

/// A payment and its balance.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentWire<'a> {
    id: Shown<PaymentId>,
    arn: Shown<Arn<PaymentId>>,
    account_id: Shown<AccountId>,
    mode: &'static str,
    kind: &'static str,
    source_id: Shown<Named>,
    amount: i64,
    currency: &'a str,
    status: &'static str,
    amount_refunded: i64,
    amount_reserved: i64,
    amount_refundable: i64,
    amount_excess: i64,
    provider: &'a str,
    provider_payment_id: &'a str,
    captured_at: Iso,
    settled_at: Option<Iso>,
    reference: Option<&'a str>,
    metadata: Option<Raw<'a>>,
    created_at: Iso,
    updated_at: Iso,
}

impl<'a> PaymentWire<'a> {
    /// Prints a payment of `account`.
    pub fn new(payment: &'a Payment, account: AccountId) -> Self {
        let facts = &*payment.facts;
        Self {
            id: Shown(facts.id),
            arn: Shown(Arn("payment", account, facts.id)),
            account_id: Shown(account),
            mode: facts.scope.mode().as_str(),
            kind: facts.kind.as_str(),
            source_id: Named::source(facts.kind, facts.id),
            amount: facts.captured,
            currency: facts.currency.as_str(),
            status: payment.status().as_str(),
            amount_refunded: payment.refunded,
            amount_reserved: payment.reserved,
            amount_refundable: payment.refundable(),
            amount_excess: payment.excess,
            provider: &facts.provider,
            provider_payment_id: &facts.provider_payment_id,
            captured_at: Iso(facts.captured_at),
            settled_at: payment.settled_at.map(Iso),
            reference: facts.reference.as_deref(),
            metadata: facts.metadata.as_deref().map(Raw),
            created_at: Iso(facts.id.at()),
            updated_at: Iso(payment.updated_at),
        }
    }
}

/// One leg of a posting.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EntryWire<'a> {
    pub id: Shown<EntryId>,
    pub account_id: Shown<AccountId>,
    pub tx_id: Shown<PostingId>,
    pub code: &'static str,
    pub direction: &'static str,
    pub amount: i64,
    pub currency: &'a str,
    pub source_type: &'static str,
    pub source_id: Shown<Named>,
    pub memo: &'static str,
    pub posted_at: Iso,
}

impl<'a> EntryWire<'a> {
    /// Prints an entry of `account`.
    pub fn new(entry: &'a Entry, account: AccountId) -> Self {
        let posting = &entry.posting;
        Self {
            id: Shown(entry.id),
            account_id: Shown(account),
            tx_id: Shown(posting.id),
            code: entry.code.as_str(),
            direction: entry.direction.as_str(),
            amount: posting.amount,
            currency: posting.currency.as_str(),
            source_type: posting.source_type.as_str(),
            source_id: Shown(Named(posting.source_type.prefix(), posting.source)),
            memo: posting.reason.as_str(),
            posted_at: Iso(posting.id.at()),
        }
    }
}

/// A running total; `balance` is debits minus credits.
#[derive(Serialize)]
pub struct BalanceWire<'a> {
    code: &'static str,
    currency: &'a str,
    debits: i64,
    credits: i64,
    balance: i64,
}

impl<'a> BalanceWire<'a> {
    /// Prints a balance.
    pub fn new(balance: &'a Balance) -> Self {
        let (debits, credits) = (balance.totals.debits, balance.totals.credits);
        let code = balance.code.as_str();
        let currency = balance.currency.as_str();
        Self { code, currency, debits, credits, balance: debits.saturating_sub(credits) }
    }
}

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
    aggregate_id: Shown<Named>,
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

/// Where the evidence came from that made the event happen.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventMetadata<'a> {
    source: &'a str,
    provider_at: Option<Iso>,
}

impl<'a> EventWire<'a> {
    /// Prints an event of `account`.
    pub fn new(view: &'a EventView, account: AccountId, engine: &Engine) -> Self {
        let event = &view.event;
        let at = Iso(event.id.at());
        let detail = event.detail.as_deref();
        let source = detail.and_then(|detail| detail.source.as_deref());
        Self {
            id: Shown(event.id),
            event_type: event.event_type.as_str(),
            account_id: Shown(account),
            mode: event.scope.mode().as_str(),
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
    /// Prints what an event of `account` is about.
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
            Subject::Refund(id, _) => ("refund", Named(RefundId::PREFIX, id.ulid())),
            Subject::Payment(id) => ("payment", Named(PaymentId::PREFIX, id.ulid())),
            Subject::Checkout(id, _) => {
                let kind = match &view.subject {
                    EventSubject::Checkout(checkout) => checkout.facts.kind,
                    _ => Kind::CheckoutSession,
                };
                (kind.as_str(), Named(kind.prefix(), id.ulid()))
            }
            Subject::Invoice(id, _) => ("invoice", Named(InvoiceId::PREFIX, id.ulid())),
            Subject::Endpoint(id) => ("webhook_endpoint", Named(EndpointId::PREFIX, id.ulid())),
        };
        Self { object, aggregate_type, aggregate_id: Shown(name) }
    }
}

fn provider_at(view: &EventView) -> Option<Iso> {
    view.event.detail.as_deref()?.provider_at.map(|ms| Iso(domain::time::Timestamp(ms)))
}

/// One line of a refund's timeline: what became of it, when, and who said so.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TimelineWire<'a> {
    seq: u32,
    event_id: Shown<EventId>,
    #[serde(rename = "type")]
    event_type: &'static str,
    occurred_at: Iso,
    status: Option<&'static str>,
    status_detail: Option<&'static str>,
    source: Option<&'a str>,
    provider_at: Option<Iso>,
    provider_refund_id: Option<&'a str>,
    failure_code: Option<&'a str>,
    failure_message: Option<&'a str>,
}

impl<'a> TimelineWire<'a> {
    /// Prints one event of a refund.
    pub fn new(view: &'a EventView) -> Self {
        let event = &view.event;
        let detail = event.detail.as_deref();
        let state = match event.subject {
            Subject::Refund(_, state) => Some(state),
            _ => None,
        };
        Self {
            seq: event.seq,
            event_id: Shown(event.id),
            event_type: event.event_type.as_str(),
            occurred_at: Iso(event.id.at()),
            status: state.map(|state| state.status().as_str()),
            status_detail: state.map(domain::refund::State::as_str),
            source: detail.and_then(|detail| detail.source.as_deref()),
            provider_at: provider_at(view),
            provider_refund_id: detail.and_then(|detail| detail.provider_refund_id.as_deref()),
            failure_code: detail.and_then(|detail| detail.failure_code.as_deref()),
            failure_message: detail.and_then(|detail| detail.failure_message.as_deref()),
        }
    }
}
