//! Filters, pages and small rows of read queries.

use domain::account::{Mode, Tenant};
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
pub enum SortOrder {
    /// Newest first.
    #[default]
    Descending,
    /// Oldest first.
    Ascending,
}

impl SortOrder {
    /// The comparison with the last item and the direction of the order.
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
    /// 1 to 100.
    pub limit: u32,
    /// The last item of the page before this one.
    pub after: Option<Ulid>,
    pub order: SortOrder,
    /// Only items made at this time or later.
    pub from: Option<Timestamp>,
    /// Only items made before this time.
    pub until: Option<Timestamp>,
}

/// Items, and whether there are more behind them.
#[derive(Clone, Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// There is at least one more item.
    pub more: bool,
}

/// Which refunds to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct RefundFilter {
    pub status: Option<Status>,
    pub payment: Option<PaymentId>,
}

/// Which checkouts to list.
#[derive(Clone, Debug)]
pub struct CheckoutFilter {
    /// Checkouts with the prefix of this kind.
    pub kind: Kind,
    pub state: Option<checkout::State>,
    pub customer: Option<Box<str>>,
}

/// Which invoices to list.
#[derive(Clone, Debug, Default)]
pub struct InvoiceFilter {
    pub state: Option<invoice::State>,
    pub customer: Option<Box<str>>,
    pub subscription: Option<Box<str>>,
    /// Only invoices issued at this time or later. With this or `issued_until`, the list is in the
    /// order of issue.
    pub issued_from: Option<Timestamp>,
    /// Only invoices issued before this time.
    pub issued_until: Option<Timestamp>,
}

impl InvoiceFilter {
    /// Whether the list is in the order of issue, instead of the order of creation.
    pub(crate) const fn by_issue(&self) -> bool {
        self.issued_from.is_some() || self.issued_until.is_some()
    }
}

/// Which ledger entries to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct TransferFilter {
    /// Fits the debit or the credit of a transfer.
    pub code: Option<Code>,
    pub source_type: Option<SourceType>,
    pub source: Option<Ulid>,
    pub transfer: Option<Ulid>,
}

/// Which events to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventFilter {
    pub event_type: Option<Type>,
    /// The list is in the order of sequence numbers.
    pub refund: Option<RefundId>,
}

/// Which deliveries to list.
#[derive(Clone, Debug, Default)]
pub struct DeliveryFilter {
    pub endpoint: Option<EndpointId>,
    pub status: Option<delivery::Status>,
    pub types: Option<Vec<Type>>,
    pub format: Option<delivery::Format>,
}

/// A delivery with its text or, before the text is rendered, with its event.
#[derive(Clone, Debug)]
pub struct DueDelivery {
    pub delivery: Delivery,
    pub body: Option<Box<str>>,
    pub event: Option<EventView>,
}

/// The result of a search for due deliveries.
#[derive(Clone, Debug, Default)]
pub struct DueBatch {
    pub due: Vec<DueDelivery>,
    /// The endpoints of the deliveries.
    pub endpoints: BTreeMap<(Tenant, EndpointId), Endpoint>,
    /// The accounts of the deliveries, by number.
    pub accounts: BTreeMap<u32, AccountId>,
    /// Endpoints that have due deliveries but are deleted or not active.
    pub stopped: Vec<(Tenant, EndpointId)>,
    /// When the next delivery is due, among the visited endpoints without a due one.
    pub next_at: Option<Timestamp>,
    /// Where the next search continues; `None` when this one reached the end.
    pub place: Option<(Tenant, EndpointId)>,
}

/// Where a search for due deliveries continues: behind this endpoint. `None` is the first one.
pub type EndpointCursor = Option<(Tenant, EndpointId)>;

/// A running total of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    pub code: Code,
    pub currency: Currency,
    pub totals: Totals,
}

/// The sum of the transfers for one reason in a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransferSum {
    pub reason: Reason,
    /// Minor units.
    pub amount: i64,
}

/// A merchant.
#[derive(Clone, Debug)]
pub struct Account {
    /// A short number, part of every key.
    pub number: u32,
    pub id: AccountId,
    pub name: Box<str>,
}

/// A refund that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueRefund {
    pub tenant: Tenant,
    pub refund: RefundId,
    pub payment: PaymentId,
    pub due_at: Timestamp,
}

/// An API key to store. Secrets arrive hashed or encrypted.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// Its public id, such as `ak_test_…`.
    pub id: Box<str>,
    /// The number of the account.
    pub account: u32,
    /// `None` for platform keys, which name the mode per request.
    pub mode: Option<Mode>,
    /// The key may act for other accounts.
    pub platform: bool,
    /// Permissions, separated by spaces.
    pub scopes: Box<str>,
    /// The error table of the responses.
    pub error_profile: Box<str>,
    pub name: Box<str>,
    /// SHA-256 of the Bearer token.
    pub bearer_hash: [u8; 32],
    /// The first characters of the Bearer token, for people; unknown for old keys.
    pub bearer_prefix: Option<Box<str>>,
    /// The signing secret, encrypted under the master key.
    pub secret_sealed: Vec<u8>,
    pub created_at: Timestamp,
}

/// An API key as stored.
#[derive(Clone, Debug)]
pub struct ApiKeyRow {
    pub key: NewApiKey,
    pub account: AccountId,
    pub revoked_at: Option<Timestamp>,
    /// To the hour.
    pub last_used_at: Option<Timestamp>,
}
