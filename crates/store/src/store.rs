//! [`Store`]: one face over both databases.

mod deliveries;
mod pruning;

use crate::idempotent_work::Once;
use crate::queries::{
    Account, Backlog, Balance, CheckoutFilter, ClaimedRefund, Dialect, EventFilter, InDoubt,
    InvoiceFilter, Lane, LaneOwner, NoticeFilter, Page, PageQuery, ProviderAccountFilter, Query,
    RefundFilter, Replay, Report, TransferFilter, TransferSum, accounts, api_keys, backlog,
    checkouts, endpoints, events, holds, invoices, keys, ledger, payments, provider_accounts,
    reconcile, refunds, sending, stored_responses, unmatched_notices,
};
use crate::sqlite::SqliteFile;
use crate::stored_responses::{IdempotentRequest, NewRequest};
use crate::tables::{
    ApiKeyRow, FromRow, NewApiKey, ReconcileCursor, UnmatchedNotice, inconsistent,
};
use crate::{Copied, Patience, PostgresStore, SqliteStore, StoreError};
use domain::checkout::Checkout;
use domain::event_view::EventView;
use domain::hold::Hold;
use domain::ids::{
    AccountId, EndpointId, EventId, HoldId, InvoiceId, NoticeId, PaymentId, ProviderAccountId,
    RefundId,
};
use domain::invoice::Invoice;
use domain::ledger::Transfer;
use domain::money::Currency;
use domain::payment::Payment;
use domain::provider_account::{ProviderAccount, ProviderAccountState};
use domain::refund::{Attempt, RefundView};
use domain::sending::Switch;
use domain::tenant::{Mode, Tenant};
use domain::time::Timestamp;
use domain::unique_keys::{KeyHash, UniqueKey};
use domain::view::{RowKeys, View};
use domain::webhook::{Delivery, Endpoint, Subscriber};
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

/// Methods that run one query or statement on either database: the function which makes it, behind how
/// its rows are read. `(dialect)` marks those whose text differs between the databases.
macro_rules! queries {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $type:ty),*) -> $answer:ty = $run:ident $(($dialect:ident))? $query:path;)*) => {
        impl Store {
            $(
                $(#[$doc])*
                pub async fn $name(&self, $($arg: $type),*) -> Result<$answer, StoreError> {
                    self.$run($query($(self.$dialect(),)? $($arg),*)).await
                }
            )*
        }
    };
}

queries! {
    /// Deletes at most `limit` unique keys that expired before `now`. Returns their number.
    fn forget_keys(now: Timestamp, limit: u32) -> usize = count_rows(dialect) keys::forget;
    /// The payment with this id.
    fn find_payment(tenant: Tenant, id: PaymentId) -> Option<Payment> = find payments::find;
    /// Payments, by id and so by time.
    fn list_payments(tenant: Tenant, page: PageQuery) -> Page<Payment> = page(dialect) payments::list;
    /// The refund with this id, and the unchanging part of its payment.
    fn find_refund(tenant: Tenant, id: RefundId) -> Option<RefundView> = find(dialect) refunds::find;
    /// Refunds with their payments, by id and so by time.
    fn list_refunds(tenant: Tenant, filter: RefundFilter, page: PageQuery) -> Page<RefundView> = page(dialect) refunds::list;
    /// The hold with this id.
    fn find_hold(tenant: Tenant, id: HoldId) -> Option<Hold> = find holds::find;
    /// The holds of a payment, by id and so by time.
    fn list_holds(tenant: Tenant, payment: PaymentId, page: PageQuery) -> Page<Hold> = page(dialect) holds::list;
    /// The unique key with this hash.
    fn find_key(tenant: Tenant, hash: KeyHash) -> Option<UniqueKey> = find keys::find;
    /// Events with their subjects: by id, or by sequence number for one refund.
    fn list_events(tenant: Tenant, filter: EventFilter, page: PageQuery) -> Page<EventView> = page(dialect) events::list;
    /// The event with this id.
    fn find_event(tenant: Tenant, id: EventId) -> Option<EventView> = find(dialect) events::find;
    /// Transfers, by id and so by time. A filter on a ledger account fits the debit or the credit.
    fn list_transfers(tenant: Tenant, filter: TransferFilter, page: PageQuery) -> Page<Transfer> = page(dialect) ledger::list;
    /// The running totals of every ledger account and currency.
    fn balances(tenant: Tenant) -> Vec<Balance> = all ledger::balances;
    /// Sums of the transfers in one currency from `from` until before `until`, per reason.
    fn sum_transfers(tenant: Tenant, currency: Currency, from: Timestamp, until: Timestamp) -> Vec<TransferSum> = all ledger::sum;
    /// Lanes of refunds that have work, behind the lane `after`.
    fn refund_lanes(after: Option<u32>, limit: u32) -> Vec<Lane> = all refunds::lanes;
    /// The owner of a lane that has work.
    fn lane_owner(lane: u32) -> Option<LaneOwner> = find refunds::lane_owner;
    /// Takes the work on refunds of a lane that are due at `now`, until `lease_until`.
    fn claim_refunds(lane: u32, now: Timestamp, lease_until: Timestamp, limit: u32) -> Vec<ClaimedRefund> = write(dialect) refunds::claim;
    /// Refunds of a payment that the provider may have under an id that is not known here.
    fn refunds_in_doubt(tenant: Tenant, payment: PaymentId, limit: u32) -> Vec<RefundView> = all(dialect) refunds::in_doubt;
    /// Refunds of the payment that go before this one where they are made one after another: those that
    /// are under way, older ones that are to be sent, and those that were answered since a time.
    fn refunds_before(tenant: Tenant, payment: PaymentId, refund: RefundId, answered_after: Timestamp) -> Vec<RefundView> = all(dialect) refunds::before;
    /// Refunds of a tenant that are in doubt, and those that wait for a provider since before a time, behind the
    /// refund `after`, oldest first.
    fn all_refunds_in_doubt(tenant: Tenant, filter: InDoubt, after: Option<RefundId>, limit: u32) -> Vec<RefundView> = all(dialect) refunds::all_in_doubt;
    /// Refunds that have been in a state that ages since before a time, and of which no person was told.
    fn ageing_refunds(before: Timestamp, after: Option<(Timestamp, Tenant, RefundId)>, limit: u32) -> Vec<RefundView> = all(dialect) refunds::ageing;
    /// Refunds on which nobody works: their lease is over since a time, or they are to be sent and due since another,
    /// and no person was told.
    fn refunds_left(lease_over: Timestamp, due: Timestamp, limit: u32) -> Vec<RefundView> = all refunds::left;
    /// Tenants that have payments, behind the tenant `after`.
    fn tenants_with_payments(after: Option<Tenant>, limit: u32) -> Vec<Tenant> = all reconcile::tenants;
    /// How far the changes at the providers of a tenant were read.
    fn reconcile_cursors(tenant: Tenant) -> Vec<ReconcileCursor> = all reconcile::cursors;
    /// Stores a cursor, unless another node was faster.
    fn begin_reconcile_cursor(cursor: ReconcileCursor) -> () = run reconcile::begin;
    /// Takes the reading of the next page until `lease_until`, if it is due at `now`.
    fn claim_reconcile_cursor(cursor: &ReconcileCursor, now: Timestamp, lease_until: Timestamp) -> Vec<ReconcileCursor> = write reconcile::claim;
    /// Stores how far the node came that had the lease until `lease_until`.
    fn save_reconcile_cursor(cursor: ReconcileCursor, lease_until: Timestamp) -> () = run reconcile::save;
    /// The calls that asked the provider for a refund and that a newer one took the place of.
    fn refund_attempts(tenant: Tenant, refund: RefundId) -> Vec<Attempt> = all refunds::attempts;
    /// When the next refund is due.
    fn next_due() -> Option<Timestamp> = time refunds::next_due;
    /// Statements of providers that fit nothing yet, by id and so by time.
    fn list_unmatched_notices(tenant: Tenant, filter: NoticeFilter, page: PageQuery) -> Page<UnmatchedNotice> = page(dialect) unmatched_notices::list;
    /// Unmatched notices that are due to be tried again.
    fn due_notices(now: Timestamp, limit: u32) -> Vec<UnmatchedNotice> = all unmatched_notices::due;
    /// When the next unmatched notice is due.
    fn next_notice_due() -> Option<Timestamp> = time unmatched_notices::next_due;
    /// Keeps a notice that fits nothing. A repeated one is kept once.
    fn keep_notice(notice: UnmatchedNotice) -> () = run unmatched_notices::keep;
    /// Says why a notice still fits nothing, and when it is tried again.
    fn put_off_notice(of: (Tenant, NoticeId), reason: &str, due_at: Option<Timestamp>) -> () = run unmatched_notices::put_off;
    /// Forgets a notice. `false` when there is none.
    fn forget_notice(of: (Tenant, NoticeId)) -> bool = changes_one unmatched_notices::forget;
    /// Counts the work that was due before `before`, and refunds in doubt.
    fn backlog(before: Timestamp) -> Backlog = only backlog::count;
    /// The checkout with this id, also a deleted one.
    fn find_checkout(tenant: Tenant, id: PaymentId) -> Option<Checkout> = find checkouts::find;
    /// The checkout with this id in any account. For buyers, who know no account.
    fn find_checkout_anywhere(id: PaymentId) -> Option<Checkout> = find checkouts::find_anywhere;
    /// Checkouts that are not deleted, by id and so by time.
    fn list_checkouts(tenant: Tenant, filter: CheckoutFilter, page: PageQuery) -> Page<Checkout> = page(dialect) checkouts::list;
    /// Checkouts due at `now`, the longest due first.
    fn due_checkouts(now: Timestamp, limit: u32) -> Vec<(Tenant, PaymentId)> = all checkouts::due;
    /// The invoice with this id.
    fn find_invoice(tenant: Tenant, id: InvoiceId) -> Option<Invoice> = find invoices::find;
    /// The invoice with this id in any account. For buyers, who know no account.
    fn find_invoice_anywhere(id: InvoiceId) -> Option<Invoice> = find invoices::find_anywhere;
    /// Invoices, by id and so by time.
    fn list_invoices(tenant: Tenant, filter: InvoiceFilter, page: PageQuery) -> Page<Invoice> = page(dialect) invoices::list;
    /// Invoices that fall due by `now`, the longest due first.
    fn due_invoices(now: Timestamp, limit: u32) -> Vec<(Tenant, InvoiceId)> = all invoices::due;
    /// When the next checkout or invoice is due.
    fn next_checkout_due() -> Option<Timestamp> = time checkouts::next_due;
    /// The account with this id.
    fn find_account(id: AccountId) -> Option<Account> = find accounts::find;
    /// The account with this number.
    fn find_account_by_number(number: u32) -> Option<Account> = find accounts::find_by_number;
    /// The first 1,000 accounts, oldest first.
    fn list_accounts() -> Vec<Account> = all accounts::list;
    /// The API key with this id.
    fn find_api_key(id: &str) -> Option<ApiKeyRow> = find api_keys::find;
    /// The API key with this SHA-256 of its Bearer token, or of its secret.
    fn find_api_key_by_bearer(hash: [u8; 32]) -> Option<ApiKeyRow> = find api_keys::find_by_bearer;
    /// The first 1,000 API keys, oldest first.
    fn list_api_keys() -> Vec<ApiKeyRow> = all api_keys::list;
    /// The API keys of an account, at most 1,000: those that work first, newest first. With a mode,
    /// only its keys.
    fn list_api_keys_of(account: u32, mode: Option<Mode>) -> Vec<ApiKeyRow> = all api_keys::list_of;
    /// Stores the time at which an API key was last used.
    fn note_api_key_use(id: &str, at: Timestamp) -> () = run api_keys::note_use;
    /// Revokes an API key. `false` when there is none that works.
    fn revoke_api_key(id: &str, now: Timestamp) -> bool = changes_one api_keys::revoke;
    /// The webhook endpoints of an account and mode, newest first.
    fn list_endpoints(tenant: Tenant) -> Vec<Endpoint> = all endpoints::list;
    /// The webhook endpoint with this id.
    fn find_endpoint(tenant: Tenant, id: EndpointId) -> Option<Endpoint> = find endpoints::find;
    /// The endpoints of a tenant, as a batch sees them.
    fn subscribers(tenant: Tenant) -> Vec<Subscriber> = all endpoints::subscribers;
    /// The provider account with this id, of whichever tenant, also a deleted one.
    fn find_provider_account_anywhere(id: ProviderAccountId) -> Vec<ProviderAccount> = all provider_accounts::find_anywhere;
    /// The provider account with this id, also a deleted one.
    fn find_provider_account(tenant: Tenant, id: ProviderAccountId) -> Option<ProviderAccount> = find provider_accounts::find;
    /// Provider accounts that are not deleted, by id and so by time.
    fn list_provider_accounts(tenant: Tenant, filter: ProviderAccountFilter, page: PageQuery) -> Page<ProviderAccount> = page(dialect) provider_accounts::list;
    /// The states of the provider accounts that are not deleted, oldest first.
    fn provider_account_states(tenant: Tenant) -> Vec<ProviderAccountState> = all provider_accounts::states;
    /// The switches that stop the sending of a tenant: its own and that of everyone, where they were thrown.
    fn switches(tenant: Tenant) -> Vec<Switch> = all sending::find;
    /// Stores the response to a request.
    fn keep_answer(of: (Tenant, KeyHash, Ulid), status: u16, body: Vec<u8>) -> () = run stored_responses::keep;
    /// Ends a request without a response, so that the next request under the key may run at once.
    fn abandon_request(of: (Tenant, KeyHash, Ulid), now: Timestamp) -> () = run stored_responses::abandon;
    /// Deletes at most `limit` stored responses that expired by `now`. Returns their number.
    fn forget_answers(now: Timestamp, limit: u32) -> usize = count_rows(dialect) stored_responses::forget;
}

/// Methods that each database has under the same name.
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
    /// Stores an API key and the SHA-256 of its secret, once under the unique key `name`. A
    /// repeated request is answered with the API key's id.
    fn create_api_key(key: NewApiKey, secret_hash: [u8; 32], name: Option<UniqueKey>) -> Once<()>;
    /// Queues deliveries of old events again. `fan_out` receives a view with the events and the
    /// endpoints of the tenant, and appends the deliveries. All happens in one transaction, once
    /// under the unique key; `answer` makes the text that is stored with the key.
    fn replay_events(tenant: Tenant, events: Vec<EventId>, name: (Option<UniqueKey>, Timestamp), fan_out: impl FnOnce(&mut View) + Send + 'static, answer: impl FnOnce(&[Delivery]) -> String + Send + 'static) -> Once<Replay>;
    /// Queues deliveries of an event that is in no refund's sequence, each with its own body.
    fn queue_deliveries(deliveries: Vec<Delivery>) -> ();
    /// Begins a request under an idempotency key. The row is durable when this returns.
    fn begin_request(new: NewRequest, now: Timestamp) -> IdempotentRequest;
    /// Derives every balance and the whole ledger again and compares them with the stored ones.
    fn verify() -> Report;
}

impl Store {
    fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }

    /// All rows of a query.
    async fn all<T: FromRow + Send + 'static>(
        &self,
        query: Query<T>,
    ) -> Result<Vec<T>, StoreError> {
        match self {
            Self::Sqlite(store) => store.all(query).await,
            Self::Postgres(store) => store.all(query).await,
        }
    }

    /// Runs a statement that is a transaction of its own and may be run twice.
    async fn write<T: FromRow + Send + 'static>(
        &self,
        statement: Query<T>,
    ) -> Result<Vec<T>, StoreError> {
        match self {
            Self::Sqlite(store) => store.write(statement).await,
            Self::Postgres(store) => store.write(statement).await,
        }
    }

    /// The row of a query that has one row at most.
    async fn find<T: FromRow + Send + 'static>(
        &self,
        query: Query<T>,
    ) -> Result<Option<T>, StoreError> {
        Ok(self.all(query).await?.pop())
    }

    /// The row of a query that has exactly one row.
    async fn only<T: FromRow + Send + 'static>(&self, query: Query<T>) -> Result<T, StoreError> {
        self.find(query).await?.ok_or_else(|| inconsistent("a count"))
    }

    async fn time(&self, query: Query<Option<Timestamp>>) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.find(query).await?.flatten())
    }

    async fn page<T: FromRow + Send + 'static>(
        &self,
        query: Query<T>,
    ) -> Result<Page<T>, StoreError> {
        let limit = query.limit;
        Ok(Page::first(limit, self.all(query).await?))
    }

    async fn run(&self, statement: Query<()>) -> Result<(), StoreError> {
        self.write(statement).await.map(|_| ())
    }

    /// Runs a statement that returns a row for each row that it changed, and counts them.
    async fn count_rows(&self, statement: Query<()>) -> Result<usize, StoreError> {
        Ok(self.write(statement).await?.len())
    }

    async fn changes_one(&self, statement: Query<()>) -> Result<bool, StoreError> {
        Ok(self.count_rows(statement).await? == 1)
    }

    /// Creates an account.
    pub async fn create_account(
        &self,
        id: AccountId,
        name: &str,
        now: Timestamp,
    ) -> Result<Account, StoreError> {
        match self.write(accounts::create(id, name, now)).await?.pop() {
            Some(account) => Ok(account),
            None => self.find_account(id).await?.ok_or_else(|| inconsistent("accounts")),
        }
    }

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

    /// The same for a `decide` that looks into `View::locked`: rows that another transaction keeps
    /// locked are left out and named there. They look as if they did not exist.
    pub async fn run_batch_around<T: Send + 'static>(
        &self,
        patience: Patience,
        wanted: RowKeys,
        decide: impl FnMut(&mut View) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        match self {
            // Its one writer locks the whole file.
            Self::Sqlite(store) => store.run_batch(wanted, decide).await,
            Self::Postgres(store) => store.run_batch_around(patience, wanted, decide).await,
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

    /// Commits something that is no row, the way a batch is committed: durable when this returns.
    pub async fn probe(&self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(store) => store.probe().await,
            Self::Postgres(store) => store.probe().await,
        }
    }

    /// Calls `hook` once when the process must end, since nothing of what it believes about the
    /// database can be relied on. Until it has ended, every operation fails. A server of PostgreSQL
    /// sees to that itself.
    pub fn on_fatal(&self, hook: impl Fn(&StoreError) + Send + Sync + 'static) {
        match self {
            Self::Sqlite(store) => store.on_fatal(hook),
            Self::Postgres(_) => {}
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
