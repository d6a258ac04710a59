//! What can be asked of a store besides running a batch: filters, pages and small rows.

use domain::account::{Mode, Scope};
use domain::checkout;
use domain::event::Type;
use domain::event_view::EventView;
use domain::ids::{AccountId, EndpointId, PaymentId, RefundId};
use domain::invoice;
use domain::ledger::{Code, Reason, SourceType, Totals};
use domain::money::Currency;
use domain::payment::Kind;
use domain::refund::Status;
use domain::time::Timestamp;
use domain::webhook::{self as delivery, Delivery, Endpoint};
use std::collections::BTreeMap;
use ulid::Ulid;

/// In which direction a list runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Order {
    /// Newest first.
    #[default]
    Descending,
    /// Oldest first.
    Ascending,
}

impl Order {
    /// How what follows compares, and how it is ordered.
    pub(crate) const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Descending => ("<", "DESC"),
            Self::Ascending => (">", "ASC"),
        }
    }
}

/// One page of a list.
#[derive(Clone, Copy, Debug)]
pub struct PageQuery {
    /// How many items at most; 1 to 100.
    pub limit: u32,
    /// The last item of the page before this one.
    pub after: Option<Ulid>,
    /// In which direction.
    pub order: Order,
    /// Only items made at this time or later.
    pub from: Option<Timestamp>,
    /// Only items made before this time.
    pub until: Option<Timestamp>,
}

/// Items, and whether there are more behind them.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// There is at least one more.
    pub more: bool,
}

/// Which refunds to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct RefundFilter {
    /// Only those with this public status.
    pub status: Option<Status>,
    /// Only those of this payment.
    pub payment: Option<PaymentId>,
}

/// Which checkouts to list.
#[derive(Clone, Debug)]
pub struct CheckoutFilter {
    /// Only those that go by this name.
    pub kind: Kind,
    /// Only those in this state.
    pub state: Option<checkout::State>,
    /// Only those of this buyer.
    pub customer: Option<Box<str>>,
}

/// Which invoices to list.
#[derive(Clone, Debug, Default)]
pub struct InvoiceFilter {
    /// Only those in this state.
    pub state: Option<invoice::State>,
    /// Only those of this buyer.
    pub customer: Option<Box<str>>,
    /// Only those of this subscription.
    pub subscription: Option<Box<str>>,
    /// Only those asked for at this time or later; with this or `issued_until`, by that time.
    pub issued_from: Option<Timestamp>,
    /// Only those asked for before this time.
    pub issued_until: Option<Timestamp>,
}

impl InvoiceFilter {
    /// The list runs by the time at which they were asked for, instead of that of making.
    pub(crate) const fn by_issue(&self) -> bool {
        self.issued_from.is_some() || self.issued_until.is_some()
    }
}

/// Which ledger entries to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct PostingFilter {
    /// Only those on this ledger account.
    pub code: Option<Code>,
    /// Only those about this kind of thing.
    pub source_type: Option<SourceType>,
    /// Only those about the thing with this ULID.
    pub source: Option<Ulid>,
    /// Only this posting.
    pub posting: Option<Ulid>,
}

/// Which events to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventFilter {
    /// Only those of this type.
    pub event_type: Option<Type>,
    /// Only those about this refund; listed by sequence number.
    pub refund: Option<RefundId>,
}

/// Which deliveries to list.
#[derive(Clone, Debug, Default)]
pub struct DeliveryFilter {
    /// Only those to this endpoint.
    pub endpoint: Option<EndpointId>,
    /// Only those that stand there.
    pub status: Option<delivery::Status>,
    /// Only those of these types of events.
    pub types: Option<Vec<Type>>,
    /// Only those in this format.
    pub format: Option<delivery::Format>,
}

/// A delivery and what it takes to send it: its text or, where that is not rendered yet, its event.
#[derive(Clone, Debug)]
pub struct DueDelivery {
    /// The delivery.
    pub delivery: Delivery,
    /// Its text.
    pub body: Option<Box<str>>,
    /// What it tells of.
    pub event: Option<EventView>,
}

/// What a look for due deliveries found.
#[derive(Clone, Debug, Default)]
pub struct DueBatch {
    /// The deliveries.
    pub due: Vec<DueDelivery>,
    /// Their endpoints.
    pub endpoints: BTreeMap<(Scope, EndpointId), Endpoint>,
    /// Their accounts, by number.
    pub accounts: BTreeMap<u32, AccountId>,
    /// Endpoints that have due deliveries and are not active, or gone.
    pub stopped: Vec<(Scope, EndpointId)>,
    /// When the next delivery is due of the endpoints that were looked at and had none.
    pub next_at: Option<Timestamp>,
    /// Behind which endpoint the next look goes on; `None` when the end was reached.
    pub place: Option<(Scope, EndpointId)>,
}

/// A running total of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    /// Which ledger account.
    pub code: Code,
    /// In which currency.
    pub currency: Currency,
    /// Its debits and credits.
    pub totals: Totals,
}

/// What was posted for one reason in a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostingSum {
    /// Why it was posted.
    pub reason: Reason,
    /// Minor units.
    pub amount: i64,
}

/// A merchant.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its short number, part of every key.
    pub number: u32,
    /// Its id.
    pub id: AccountId,
    /// Its name.
    pub name: Box<str>,
}

/// A refund that a step may look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueRefund {
    /// Whose.
    pub scope: Scope,
    /// Which.
    pub refund: RefundId,
    /// Its payment.
    pub payment: PaymentId,
    /// Since when.
    pub due_at: Timestamp,
}

/// An API key to store. Secrets arrive hashed or encrypted.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// Its public id, such as `ak_test_…`.
    pub id: Box<str>,
    /// Whose it is.
    pub account: u32,
    /// The mode it works in; `None` for platform keys, which name it per request.
    pub mode: Option<Mode>,
    /// It may act for other accounts.
    pub platform: bool,
    /// What it may do, space-separated.
    pub scopes: Box<str>,
    /// Which error table it is answered with.
    pub error_profile: Box<str>,
    /// What people call it.
    pub name: Box<str>,
    /// SHA-256 of the Bearer token.
    pub bearer_hash: [u8; 32],
    /// The first characters of the Bearer token, for people; unknown for old keys.
    pub bearer_prefix: Option<Box<str>>,
    /// The signing secret, encrypted under the master key.
    pub secret_sealed: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// An API key as stored.
#[derive(Clone, Debug)]
pub struct ApiKeyRow {
    /// The key.
    pub key: NewApiKey,
    /// The id of its account.
    pub account: AccountId,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was last used, to the hour.
    pub last_used_at: Option<Timestamp>,
}
