//! [`Store`]: one face over both databases.

use crate::answers::{Begun, NewRequest, Once};
use crate::backlog::Backlog;
use crate::prune::{Mark, Pruned};
use crate::query::{
    Account, ApiKeyRow, Balance, CheckoutFilter, DeliveryFilter, DueBatch, DueDelivery, DueRefund,
    EventFilter, InvoiceFilter, NewApiKey, Page, PageQuery, PostingFilter, PostingSum,
    RefundFilter,
};
use crate::sqlite::Place;
use crate::verify::Report;
use crate::{PostgresStore, SqliteStore, StoreError};
use domain::account::{Mode, Scope};
use domain::checkout::Checkout;
use domain::event_view::EventView;
use domain::ids::{AccountId, DeliveryId, EndpointId, EventId, InvoiceId, PaymentId, RefundId};
use domain::invoice::Invoice;
use domain::keys::{Key, KeyHash};
use domain::ledger::Posting;
use domain::money::Currency;
use domain::payment::Payment;
use domain::refund::RefundView;
use domain::time::Timestamp;
use domain::view::{RowKeys, View};
use domain::webhook::{Attempt, Delivery, Endpoint, Subscriber};
use std::path::Path;
use ulid::Ulid;

/// What became of events that were to be told once more.
#[derive(Debug)]
pub enum Replay {
    /// They are queued: these deliveries, durably.
    Queued(Vec<Delivery>),
    /// These do not exist, so nothing was done.
    Unknown(Vec<EventId>),
}

/// A database. Cheap to clone; closed when the last clone is dropped.
#[derive(Clone)]
pub enum Store {
    /// A file of this process.
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

/// Methods that either database has under the same name.
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
    /// Forgets names that ran out before `now`, at most `limit` of them. Returns how many.
    fn forget_keys(now: Timestamp, limit: u32) -> usize;
    /// The payment with this id.
    fn find_payment(scope: Scope, id: PaymentId) -> Option<Payment>;
    /// Payments, by id and so by time.
    fn list_payments(scope: Scope, page: PageQuery) -> Page<Payment>;
    /// The refund with this id, and the unchanging part of its payment.
    fn find_refund(scope: Scope, id: RefundId) -> Option<RefundView>;
    /// Refunds with their payments, by id and so by time.
    fn list_refunds(scope: Scope, filter: RefundFilter, page: PageQuery) -> Page<RefundView>;
    /// What a name leads to.
    fn find_key(scope: Scope, hash: KeyHash) -> Option<Key>;
    /// Events with the rows they speak of: by id, or by sequence number for one refund.
    fn list_events(scope: Scope, filter: EventFilter, page: PageQuery) -> Page<EventView>;
    /// The event with this id.
    fn find_event(scope: Scope, id: EventId) -> Option<EventView>;
    /// Postings, by id and so by time. A posting counts when either of its accounts fits.
    fn list_postings(scope: Scope, filter: PostingFilter, page: PageQuery) -> Page<Posting>;
    /// The running totals of every ledger account and currency.
    fn balances(scope: Scope) -> Vec<Balance>;
    /// What was posted in one currency from `from` until before `until`, per reason.
    fn sum_postings(scope: Scope, currency: Currency, from: Timestamp, until: Timestamp) -> Vec<PostingSum>;
    /// Refunds due at `now`, the longest due first.
    fn due_refunds(now: Timestamp, limit: u32) -> Vec<DueRefund>;
    /// When the next refund is due.
    fn next_due() -> Option<Timestamp>;
    /// Work that waits: what was due before `before`, and refunds in doubt.
    fn backlog(before: Timestamp) -> Backlog;
    /// The checkout with this id, also a deleted one.
    fn find_checkout(scope: Scope, id: PaymentId) -> Option<Checkout>;
    /// The checkout with this id, whoever's it is. For buyers, who know no account.
    fn find_checkout_anywhere(id: PaymentId) -> Option<Checkout>;
    /// Checkouts that are not deleted, by id and so by time.
    fn list_checkouts(scope: Scope, filter: CheckoutFilter, page: PageQuery) -> Page<Checkout>;
    /// Checkouts due at `now`, the longest due first.
    fn due_checkouts(now: Timestamp, limit: u32) -> Vec<(Scope, PaymentId)>;
    /// The invoice with this id.
    fn find_invoice(scope: Scope, id: InvoiceId) -> Option<Invoice>;
    /// The invoice with this id, whoever's it is. For buyers, who know no account.
    fn find_invoice_anywhere(id: InvoiceId) -> Option<Invoice>;
    /// Invoices, by id and so by time.
    fn list_invoices(scope: Scope, filter: InvoiceFilter, page: PageQuery) -> Page<Invoice>;
    /// Invoices that fall due by `now`, the longest due first.
    fn due_invoices(now: Timestamp, limit: u32) -> Vec<(Scope, InvoiceId)>;
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
    /// Stores an API key and the SHA-256 of its secret, once under `name`. What is answered under it
    /// later is the key's id.
    fn create_api_key(key: NewApiKey, secret_hash: [u8; 32], name: Option<Key>) -> Once<()>;
    /// The API key with this id.
    fn find_api_key(id: &str) -> Option<ApiKeyRow>;
    /// The API key with this SHA-256 of its Bearer token, or of its secret.
    fn find_api_key_by_bearer(hash: [u8; 32]) -> Option<ApiKeyRow>;
    /// The first 1,000 API keys, oldest first.
    fn list_api_keys() -> Vec<ApiKeyRow>;
    /// The API keys of an account, at most 1,000: those that work first, newest first. With a mode,
    /// only its keys.
    fn list_api_keys_of(account: u32, mode: Option<Mode>) -> Vec<ApiKeyRow>;
    /// Notes when an API key was used.
    fn note_api_key_use(id: &str, at: Timestamp) -> ();
    /// Revokes an API key. `false` when there is none that works.
    fn revoke_api_key(id: &str, now: Timestamp) -> bool;
    /// The webhook endpoints of an account and mode, newest first.
    fn list_endpoints(scope: Scope) -> Vec<Endpoint>;
    /// The webhook endpoint with this id.
    fn find_endpoint(scope: Scope, id: EndpointId) -> Option<Endpoint>;
    /// The endpoints of a scope, as a batch sees them.
    fn subscribers(scope: Scope) -> Vec<Subscriber>;
    /// Deliveries, by id and so by time.
    fn list_deliveries(scope: Scope, filter: DeliveryFilter, page: PageQuery) -> Page<DueDelivery>;
    /// The delivery with this id, and the attempts at it, oldest first.
    fn find_delivery(scope: Scope, id: DeliveryId) -> Option<(DueDelivery, Vec<Attempt>)>;
    /// Finds deliveries that are due at `now`, of at most 256 endpoints behind `after`: of each
    /// what `room` gives it, `limit` in all.
    fn due_deliveries(now: Timestamp, after: Place, limit: u32, room: impl Fn(&Endpoint) -> u32 + Send + 'static) -> DueBatch;
    /// Fails at most `limit` deliveries that are still to be sent to an endpoint which is not active,
    /// saying why. Returns how many; fewer than `limit` does not mean that none is left.
    fn fail_queued_deliveries(endpoint: (Scope, EndpointId), why: &'static str, now: Timestamp, limit: u32) -> usize;
    /// Tells events once more. `fan_out` is given a view with the events in its book and the
    /// endpoints of the scope, and appends the deliveries. All in one transaction, once under the name;
    /// `answer` makes the text that is answered under it later.
    fn replay_events(scope: Scope, events: Vec<EventId>, name: (Option<Key>, Timestamp), fan_out: impl FnOnce(&mut View) + Send + 'static, answer: impl FnOnce(&[Delivery]) -> String + Send + 'static) -> Once<Replay>;
    /// Queues deliveries of an event that is in no refund's sequence, each with its own body.
    fn queue_deliveries(deliveries: Vec<Delivery>) -> ();
    /// Begins a request, durably.
    fn begin_request(new: NewRequest, now: Timestamp) -> Begun;
    /// Keeps the answer to a request.
    fn keep_answer(of: (Scope, KeyHash, Ulid), status: u16, body: Vec<u8>) -> ();
    /// Lets the next request under the key go on where this one ended without an answer.
    fn abandon_request(of: (Scope, KeyHash, Ulid), now: Timestamp) -> ();
    /// Forgets answers that ran out by `now`, at most `limit` of them. Returns how many.
    fn forget_answers(now: Timestamp, limit: u32) -> usize;
    /// Walks at most `limit` events on behind `after`, and forgets those of things that are finished,
    /// untouched since `before` and told to everybody.
    fn prune_events(before: Timestamp, after: Mark, limit: u32) -> Pruned;
    /// Walks at most `limit` deliveries on behind `after`, and forgets those that are done and
    /// untouched since `before`, with their attempts and bodies.
    fn prune_deliveries(before: Timestamp, after: Mark, limit: u32) -> Pruned;
    /// Derives every balance and the whole ledger again and compares.
    fn verify() -> Report;
}

impl Store {
    /// Loads the rows of a batch, lets `decide` change them and saves the changes, all in one
    /// transaction that is durable when this returns. On an error nothing was saved, except that
    /// after [`StoreError::OutcomeUnknown`] everything may be. `decide` is called again, with rows
    /// loaded afresh, where other nodes were in the way.
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

    /// Copies the database, as it is at one moment, into a new file. Writers go on meanwhile.
    pub async fn backup(&self, file: &Path) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(store) => store.backup(file).await,
            Self::Postgres(_) => Err(StoreError::Unsupported(
                "a PostgreSQL database is copied with its own tools: \
                 pg_dump --format=custom --file=FILE DATABASE_URL",
            )),
        }
    }

    /// Where it is, for people.
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
