//! [`Store`]: one face over both databases.

use crate::idempotent_work::Once;
use crate::queries::{
    Account, ApiKeyRow, Backlog, Balance, CheckoutFilter, DeliveryFilter, DueBatch, DueDelivery,
    DueRefund, EndpointCursor, EventFilter, InvoiceFilter, Mark, NewApiKey, Page, PageQuery,
    Pruned, RefundFilter, Replay, Report, TransferFilter, TransferSum,
};
use crate::sqlite::SqliteFile;
use crate::stored_responses::{IdempotentRequest, NewRequest};
use crate::{Copied, PostgresStore, SqliteStore, StoreError};
use domain::account::{Mode, Tenant};
use domain::checkout::Checkout;
use domain::event_view::EventView;
use domain::ids::{AccountId, DeliveryId, EndpointId, EventId, InvoiceId, PaymentId, RefundId};
use domain::invoice::Invoice;
use domain::keys::{KeyHash, UniqueKey};
use domain::ledger::Transfer;
use domain::money::Currency;
use domain::payment::Payment;
use domain::refund::RefundView;
use domain::time::Timestamp;
use domain::view::{RowKeys, View};
use domain::webhook::{Attempt, Delivery, Endpoint, Subscriber};
use std::path::Path;
use ulid::Ulid;

/// A database. Cheap to clone; closed when the last clone is dropped.
#[derive(Clone)]
pub enum Store {
    /// A file, which only this process uses.
    Sqlite(SqliteStore),
    /// A server that any number of nodes share.
    Postgres(PostgresStore),
}

impl From<SqliteStore> for Store {
    fn from(store: SqliteStore) -> Self {
        Self::Sqlite(store)
    }
}

impl From<PostgresStore> for Store {
    fn from(store: PostgresStore) -> Self {
        Self::Postgres(store)
    }
}

/// Methods that both databases have under the same name.
macro_rules! both {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $type:ty),*) -> $answer:ty;)*) => {
        impl Store {
            $(
                $(#[$doc])*
                pub async fn $name(&self, $($arg: $type),*) -> Result<$answer, StoreError> {
                    match self {
                        Self::Sqlite(store) => store.$name($($arg),*).await,
                        Self::Postgres(store) => store.$name($($arg),*).await,
                    }
                }
            )*
        }
    };
}

both! {
    /// Deletes at most `limit` unique keys that expired before `now`. Returns their number.
    fn forget_keys(now: Timestamp, limit: u32) -> usize;
    /// The payment with this id.
    fn find_payment(tenant: Tenant, id: PaymentId) -> Option<Payment>;
    /// Payments, by id and so by time.
    fn list_payments(tenant: Tenant, page: PageQuery) -> Page<Payment>;
    /// The refund with this id, and the unchanging part of its payment.
    fn find_refund(tenant: Tenant, id: RefundId) -> Option<RefundView>;
    /// Refunds with their payments, by id and so by time.
    fn list_refunds(tenant: Tenant, filter: RefundFilter, page: PageQuery) -> Page<RefundView>;
    /// The unique key with this hash.
    fn find_key(tenant: Tenant, hash: KeyHash) -> Option<UniqueKey>;
    /// Events with their subjects: by id, or by sequence number for one refund.
    fn list_events(tenant: Tenant, filter: EventFilter, page: PageQuery) -> Page<EventView>;
    /// The event with this id.
    fn find_event(tenant: Tenant, id: EventId) -> Option<EventView>;
    /// Transfers, by id and so by time. A filter on a ledger account fits the debit or the credit.
    fn list_transfers(tenant: Tenant, filter: TransferFilter, page: PageQuery) -> Page<Transfer>;
    /// The running totals of every ledger account and currency.
    fn balances(tenant: Tenant) -> Vec<Balance>;
    /// Sums of the transfers in one currency from `from` until before `until`, per reason.
    fn sum_transfers(tenant: Tenant, currency: Currency, from: Timestamp, until: Timestamp) -> Vec<TransferSum>;
    /// Refunds due at `now`, the longest due first.
    fn due_refunds(now: Timestamp, limit: u32) -> Vec<DueRefund>;
    /// When the next refund is due.
    fn next_due() -> Option<Timestamp>;
    /// Counts the work that was due before `before`, and refunds in doubt.
    fn backlog(before: Timestamp) -> Backlog;
    /// The checkout with this id, also a deleted one.
    fn find_checkout(tenant: Tenant, id: PaymentId) -> Option<Checkout>;
    /// The checkout with this id in any account. For buyers, who know no account.
    fn find_checkout_anywhere(id: PaymentId) -> Option<Checkout>;
    /// Checkouts that are not deleted, by id and so by time.
    fn list_checkouts(tenant: Tenant, filter: CheckoutFilter, page: PageQuery) -> Page<Checkout>;
    /// Checkouts due at `now`, the longest due first.
    fn due_checkouts(now: Timestamp, limit: u32) -> Vec<(Tenant, PaymentId)>;
    /// The invoice with this id.
    fn find_invoice(tenant: Tenant, id: InvoiceId) -> Option<Invoice>;
    /// The invoice with this id in any account. For buyers, who know no account.
    fn find_invoice_anywhere(id: InvoiceId) -> Option<Invoice>;
    /// Invoices, by id and so by time.
    fn list_invoices(tenant: Tenant, filter: InvoiceFilter, page: PageQuery) -> Page<Invoice>;
    /// Invoices that fall due by `now`, the longest due first.
    fn due_invoices(now: Timestamp, limit: u32) -> Vec<(Tenant, InvoiceId)>;
    /// When the next checkout or invoice is due.
    fn next_checkout_due() -> Option<Timestamp>;
    /// Creates an account.
    fn create_account(id: AccountId, name: &str, now: Timestamp) -> Account;
    /// The account with this id.
    fn find_account(id: AccountId) -> Option<Account>;
    /// The account with this number.
    fn find_account_by_number(number: u32) -> Option<Account>;
    /// The first 1,000 accounts, oldest first.
    fn list_accounts() -> Vec<Account>;
    /// Stores an API key and the SHA-256 of its secret, once under the unique key `name`. A
    /// repeated request is answered with the API key's id.
    fn create_api_key(key: NewApiKey, secret_hash: [u8; 32], name: Option<UniqueKey>) -> Once<()>;
    /// The API key with this id.
    fn find_api_key(id: &str) -> Option<ApiKeyRow>;
    /// The API key with this SHA-256 of its Bearer token, or of its secret.
    fn find_api_key_by_bearer(hash: [u8; 32]) -> Option<ApiKeyRow>;
    /// The first 1,000 API keys, oldest first.
    fn list_api_keys() -> Vec<ApiKeyRow>;
    /// The API keys of an account, at most 1,000: those that work first, newest first. With a mode,
    /// only its keys.
    fn list_api_keys_of(account: u32, mode: Option<Mode>) -> Vec<ApiKeyRow>;
    /// Stores the time at which an API key was last used.
    fn note_api_key_use(id: &str, at: Timestamp) -> ();
    /// Revokes an API key. `false` when there is none that works.
    fn revoke_api_key(id: &str, now: Timestamp) -> bool;
    /// The webhook endpoints of an account and mode, newest first.
    fn list_endpoints(tenant: Tenant) -> Vec<Endpoint>;
    /// The webhook endpoint with this id.
    fn find_endpoint(tenant: Tenant, id: EndpointId) -> Option<Endpoint>;
    /// The endpoints of a tenant, as a batch sees them.
    fn subscribers(tenant: Tenant) -> Vec<Subscriber>;
    /// Deliveries, by id and so by time.
    fn list_deliveries(tenant: Tenant, filter: DeliveryFilter, page: PageQuery) -> Page<DueDelivery>;
    /// The delivery with this id, and the attempts at it, oldest first.
    fn find_delivery(tenant: Tenant, id: DeliveryId) -> Option<(DueDelivery, Vec<Attempt>)>;
    /// Finds deliveries that are due at `now`, of at most 256 endpoints behind `after`: at most
    /// `room` of each endpoint, at most `limit` in all.
    fn due_deliveries(now: Timestamp, after: EndpointCursor, limit: u32, room: impl Fn(&Endpoint) -> u32 + Send + 'static) -> DueBatch;
    /// Fails at most `limit` pending deliveries of an endpoint which is not active, with `why` as
    /// their error. Returns their number; fewer than `limit` does not mean that none is left.
    fn fail_queued_deliveries(endpoint: (Tenant, EndpointId), why: &'static str, now: Timestamp, limit: u32) -> usize;
    /// Queues deliveries of old events again. `fan_out` receives a view with the events and the
    /// endpoints of the tenant, and appends the deliveries. All happens in one transaction, once
    /// under the unique key; `answer` makes the text that is stored with the key.
    fn replay_events(tenant: Tenant, events: Vec<EventId>, name: (Option<UniqueKey>, Timestamp), fan_out: impl FnOnce(&mut View) + Send + 'static, answer: impl FnOnce(&[Delivery]) -> String + Send + 'static) -> Once<Replay>;
    /// Queues deliveries of an event that is in no refund's sequence, each with its own body.
    fn queue_deliveries(deliveries: Vec<Delivery>) -> ();
    /// Begins a request under an idempotency key. The row is durable when this returns.
    fn begin_request(new: NewRequest, now: Timestamp) -> IdempotentRequest;
    /// Stores the response to a request.
    fn keep_answer(of: (Tenant, KeyHash, Ulid), status: u16, body: Vec<u8>) -> ();
    /// Ends a request without a response, so that the next request under the key may run at once.
    fn abandon_request(of: (Tenant, KeyHash, Ulid), now: Timestamp) -> ();
    /// Deletes at most `limit` stored responses that expired by `now`. Returns their number.
    fn forget_answers(now: Timestamp, limit: u32) -> usize;
    /// Reads at most `limit` events behind `after`, and deletes those whose subject is finished,
    /// unchanged since `before` and delivered to every endpoint.
    fn prune_events(before: Timestamp, after: Mark, limit: u32) -> Pruned;
    /// Reads at most `limit` deliveries behind `after`, and deletes those that are finished and
    /// unchanged since `before`, with their attempts and bodies.
    fn prune_deliveries(before: Timestamp, after: Mark, limit: u32) -> Pruned;
    /// Derives every balance and the whole ledger again and compares them with the stored ones.
    fn verify() -> Report;
}

impl Store {
    /// Loads the rows of a batch, lets `decide` change them and saves the changes, all in one
    /// transaction that is durable when this returns. After an error nothing is saved; only after
    /// [`StoreError::OutcomeUnknown`] the whole batch may be. When another node changed the same
    /// rows, `decide` is called again with rows that are loaded afresh.
    pub async fn run_batch<T: Send + 'static>(
        &self,
        wanted: RowKeys,
        decide: impl FnMut(&mut View) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        match self {
            Self::Sqlite(store) => store.run_batch(wanted, decide).await,
            Self::Postgres(store) => store.run_batch(wanted, decide).await,
        }
    }

    /// Copies the state of the database at one moment into a new file. Writers continue during the
    /// copy.
    pub async fn backup(&self, file: &Path) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(store) => store.backup(file).await,
            Self::Postgres(_) => Err(StoreError::Unsupported(
                "a PostgreSQL database is copied with its own tools: \
                 pg_dump --format=custom --file=FILE DATABASE_URL",
            )),
        }
    }

    /// The location of the database, for people.
    pub fn location(&self) -> String {
        match self {
            Self::Sqlite(store) => store.location(),
            Self::Postgres(store) => store.location(),
        }
    }

    /// True when other nodes may work on the same data.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }
}

impl PostgresStore {
    /// Copies a database file into the database at `url`. The database must be empty or hold an
    /// earlier part of the same copy; `rows` bounds the rows of one statement. Nobody may write to the
    /// file during the copy. Verifies the result; nodes can use the database only if the report has no
    /// difference.
    pub async fn copy_from(
        url: &str,
        file: &Path,
        rows: Option<usize>,
        progress: impl FnMut(Copied<'_>) + Send,
    ) -> Result<Report, StoreError> {
        Self::copy(url, || SqliteFile::open(file), rows, progress).await
    }
}
