//! Events.

use super::put::{id, int, json, maybe_int, maybe_text};
use super::{Cells, FromRow, Table, fixed, inconsistent, key};
use crate::StoreError;
use domain::event::{Detail, Event, Subject, Type};
use domain::ids::{
    AccountId, EndpointId, EventId, InvoiceId, PaymentId, ProviderAccountId, RefundId,
};
use domain::refund::State;
use domain::{checkout, invoice};

/// One of the columns `payment`, `refund`, `checkout`, `invoice`, `endpoint` and `about` has a value.
pub(crate) static EVENTS: Table<Event> = Table::new(
    "events",
    &[
        key("scope", |e| int(e.tenant.code())),
        key("id", |e| id(e.id.bytes())),
        fixed("type", |e| int(e.event_type.code())),
        fixed("payment", |e| id(Ids::of(e.subject).payment)),
        fixed("refund", |e| id(Ids::of(e.subject).refund)),
        fixed("state", |e| maybe_int(state_of(e.subject))),
        fixed("seq", |e| int(e.seq)),
        fixed("detail", |e| e.detail.as_ref().map_or(maybe_text(None), json)),
        fixed("checkout", |e| id(Ids::of(e.subject).checkout)),
        fixed("invoice", |e| id(Ids::of(e.subject).invoice)),
        fixed("endpoint", |e| id(Ids::of(e.subject).endpoint)),
        fixed("about", |e| id(Ids::of(e.subject).about)),
    ],
);

type Id = Option<[u8; 16]>;

/// The id of a subject, in the column of its kind.
#[derive(Default)]
struct Ids {
    payment: Id,
    refund: Id,
    checkout: Id,
    invoice: Id,
    endpoint: Id,
    /// A provider account, or an account.
    about: Id,
}

impl Ids {
    fn of(subject: Subject) -> Self {
        match subject {
            Subject::Payment(id) => Self { payment: Some(id.bytes()), ..Self::default() },
            Subject::Refund(id, _) => Self { refund: Some(id.bytes()), ..Self::default() },
            Subject::Checkout(id, _) => Self { checkout: Some(id.bytes()), ..Self::default() },
            Subject::Invoice(id, _) => Self { invoice: Some(id.bytes()), ..Self::default() },
            Subject::Endpoint(id) => Self { endpoint: Some(id.bytes()), ..Self::default() },
            Subject::ProviderAccount(id) => Self { about: Some(id.bytes()), ..Self::default() },
            Subject::Sending(id) => Self { about: Some(id.bytes()), ..Self::default() },
        }
    }
}

fn state_of(subject: Subject) -> Option<i64> {
    match subject {
        Subject::Refund(_, state) => Some(state.code()),
        Subject::Checkout(_, state) => Some(state.code()),
        Subject::Invoice(_, state) => Some(state.code()),
        Subject::Payment(_)
        | Subject::Endpoint(_)
        | Subject::ProviderAccount(_)
        | Subject::Sending(_) => None,
    }
}

impl FromRow for Event {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        let (tenant, id) = (c.tenant()?, EventId::from_ulid(c.ulid()?));
        let event_type = c.code(Type::from_code, "events.type")?;
        let (payment, refund) = (c.take()?, c.take()?);
        let (state, seq) = (c.take::<Option<i64>>()?, c.take()?);
        let detail: Option<Box<Detail>> = match c.text()? {
            Some(text) => {
                Some(serde_json::from_str(&text).map_err(|_| inconsistent("events.detail"))?)
            }
            None => None,
        };
        let ids = Ids {
            payment,
            refund,
            checkout: c.take()?,
            invoice: c.take()?,
            endpoint: c.take()?,
            about: c.take()?,
        };
        let subject =
            read_subject(&ids, state, event_type).ok_or_else(|| inconsistent("events"))?;
        Ok(Event { tenant, id, event_type, subject, seq, detail })
    }
}

fn read_subject(ids: &Ids, state: Option<i64>, event_type: Type) -> Option<Subject> {
    let code = state.unwrap_or_default();
    Some(match (ids.payment, ids.refund, ids.checkout, ids.invoice) {
        (Some(id), None, None, None) => Subject::Payment(PaymentId::from_bytes(id)),
        (None, Some(id), None, None) => {
            Subject::Refund(RefundId::from_bytes(id), State::from_code(code)?)
        }
        (None, None, Some(id), None) => {
            Subject::Checkout(PaymentId::from_bytes(id), checkout::State::from_code(code)?)
        }
        (None, None, None, Some(id)) => {
            Subject::Invoice(InvoiceId::from_bytes(id), invoice::State::from_code(code)?)
        }
        (None, None, None, None) => match (ids.endpoint, event_type) {
            (Some(id), _) => Subject::Endpoint(EndpointId::from_bytes(id)),
            (None, Type::SendingStopped | Type::SendingStarted) => {
                Subject::Sending(AccountId::from_bytes(ids.about?))
            }
            (None, _) => Subject::ProviderAccount(ProviderAccountId::from_bytes(ids.about?)),
        },
        _ => return None,
    })
}
