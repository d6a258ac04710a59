//! SQLite: one writer thread, a few readers, and checkpoints off the hot path.
//!
//! The file is in WAL mode with `synchronous=FULL`: a commit returns after the log is fsynced.

pub(crate) mod accounts;
mod answers;
pub(crate) mod batch;
pub(crate) mod checkouts;
mod codec;
pub(crate) mod invoices;
mod once;
pub(crate) mod outbox;
mod payments;
#[cfg(test)]
mod plans;
mod prune;
pub(crate) mod reads;
mod replay;
mod reports;
pub(crate) mod source;
mod verify;
pub(crate) mod webhooks;
mod writer;

pub use outbox::Place;

use crate::StoreError;
use crate::answers::Once;
use crate::backlog::Backlog;
use crate::query::{
    Account, ApiKeyRow, Balance, CheckoutFilter, DueRefund, EventFilter, InvoiceFilter, NewApiKey,
    Page, PageQuery, PostingFilter, PostingSum, RefundFilter,
};
use crate::verify::Report;
use domain::account::{Mode, Scope};
use domain::checkout::Checkout;
use domain::event_view::EventView;
use domain::ids::{AccountId, EventId, InvoiceId, PaymentId, RefundId};
use domain::invoice::Invoice;
use domain::keys::{Key, KeyHash};
use domain::ledger::Posting;
use domain::money::Currency;
use domain::payment::Payment;
use domain::refund::RefundView;
use domain::time::Timestamp;
use domain::view::{RowKeys, View};
use payments::Payments;
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;
use writer::Writer;

refinery::embed_migrations!("migrations/sqlite");

/// How many queries read at the same time.
const READERS: usize = 4;

/// How long a connection waits for a lock held by another process.
const BUSY_TIMEOUT_MS: u64 = 5_000;

/// A SQLite database. Cheap to clone; closed when the last clone is dropped.
#[derive(Clone)]
pub struct SqliteStore {
    path: Arc<PathBuf>,
    writer: Writer,
    payments: Arc<Mutex<Payments>>,
    readers: Arc<Readers>,
}

struct Readers {
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl SqliteStore {
    /// Opens the database file, creates it if need be and brings its schema up to date.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = Self::migrate(path, None)?;
        // 64 MiB of pages at most; taken as it is needed.
        connection.pragma_update(None, "cache_size", -65_536)?;
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        let writer = Writer::start(connection, path)?;
        let readers =
            Readers { permits: Arc::new(Semaphore::new(READERS)), idle: Mutex::default() };
        let (path, payments) = (Arc::new(path.to_owned()), Arc::default());
        Ok(Self { path, writer, payments, readers: Arc::new(readers) })
    }

    /// Brings the schema of a database file up to date, up to `version`; creates it if need be.
    pub fn migrate(path: &Path, version: Option<i32>) -> Result<Connection, StoreError> {
        let mut connection = Connection::open(path)?;
        configure(&connection)?;
        // Of a new file. Most pages that a batch changes hold one changed row, and each is written
        // to the log as a whole.
        connection.pragma_update(None, "page_size", 2_048)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        let mut runner = migrations::runner();
        if let Some(version) = version {
            runner = runner.set_target(refinery::Target::Version(version));
        }
        let done = runner.run(&mut connection);
        done.map_err(|error| StoreError::Migration(error.to_string()))?;
        Ok(connection)
    }

    /// Loads the rows of a batch, lets `decide` change them and saves the changes, all in one
    /// transaction that is durable when this returns. On an error nothing was saved.
    pub async fn run_batch<T: Send + 'static>(
        &self,
        wanted: RowKeys,
        mut decide: impl FnMut(&mut View) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let payments = self.payments.clone();
        self.writer
            .run(move |connection| {
                let transaction = connection
                    .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
                let at_hand = || payments.lock().unwrap_or_else(PoisonError::into_inner);
                // Not put back when something fails.
                let mut payments = std::mem::take(&mut *at_hand());
                payments.renew(&transaction)?;
                let mut view = batch::load(&transaction, wanted, &mut payments)?;
                let answer = decide(&mut view);
                batch::save(&transaction, &view, &mut payments)?;
                transaction.commit()?;
                *at_hand() = payments;
                Ok(answer)
            })
            .await
    }

    /// Forgets names that ran out before `now`, at most `limit` of them. Returns how many.
    pub async fn forget_keys(&self, now: Timestamp, limit: u32) -> Result<usize, StoreError> {
        self.writer.run(move |connection| batch::forget_keys(connection, now, limit)).await
    }

    /// Runs a query on one of the readers.
    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let readers = self.readers.clone();
        let path = self.path.clone();
        let permits = readers.permits.clone();
        let permit = permits.acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let pool = readers.clone();
        let run = move || {
            let idle = pool.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = match idle {
                Some(connection) => connection,
                None => open_reader(&path)?,
            };
            let answer = query(&connection);
            pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            // Held by the query and not by who asked, who may be gone before it ends.
            drop(permit);
            answer
        };
        tokio::task::spawn_blocking(run).await.map_err(|_| StoreError::Closed)?
    }

    /// The payment with this id.
    pub async fn find_payment(
        &self,
        scope: Scope,
        id: PaymentId,
    ) -> Result<Option<Payment>, StoreError> {
        self.read(move |c| payments::find(c, scope, id)).await
    }

    /// Payments, by id and so by time.
    pub async fn list_payments(
        &self,
        scope: Scope,
        page: PageQuery,
    ) -> Result<Page<Payment>, StoreError> {
        self.read(move |c| reads::list_payments(c, scope, page)).await
    }

    /// The refund with this id, and the unchanging part of its payment.
    pub async fn find_refund(
        &self,
        scope: Scope,
        id: RefundId,
    ) -> Result<Option<RefundView>, StoreError> {
        self.read(move |c| reads::find_refund(c, scope, id)).await
    }

    /// Refunds with their payments, by id and so by time.
    pub async fn list_refunds(
        &self,
        scope: Scope,
        filter: RefundFilter,
        page: PageQuery,
    ) -> Result<Page<RefundView>, StoreError> {
        self.read(move |c| reads::list_refunds(c, scope, filter, page)).await
    }

    /// What a name leads to.
    pub async fn find_key(&self, scope: Scope, hash: KeyHash) -> Result<Option<Key>, StoreError> {
        self.read(move |c| batch::load_key(c, scope, hash)).await
    }

    /// Events with the rows they speak of: by id, or by sequence number for one refund.
    pub async fn list_events(
        &self,
        scope: Scope,
        filter: EventFilter,
        page: PageQuery,
    ) -> Result<Page<EventView>, StoreError> {
        self.read(move |c| reads::list_events(c, scope, filter, page)).await
    }

    /// The event with this id.
    pub async fn find_event(
        &self,
        scope: Scope,
        id: EventId,
    ) -> Result<Option<EventView>, StoreError> {
        self.read(move |c| reads::find_event(c, scope, id)).await
    }

    /// Postings, by id and so by time. A posting counts when either of its accounts fits.
    pub async fn list_postings(
        &self,
        scope: Scope,
        filter: PostingFilter,
        page: PageQuery,
    ) -> Result<Page<Posting>, StoreError> {
        self.read(move |c| reads::list_postings(c, scope, filter, page)).await
    }

    /// The running totals of every ledger account and currency.
    pub async fn balances(&self, scope: Scope) -> Result<Vec<Balance>, StoreError> {
        self.read(move |c| reads::balances(c, scope)).await
    }

    /// What was posted in one currency from `from` until before `until`, per reason.
    pub async fn sum_postings(
        &self,
        scope: Scope,
        currency: Currency,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<PostingSum>, StoreError> {
        self.read(move |c| reports::sum_postings(c, scope, currency, from, until)).await
    }

    /// Refunds due at `now`, the longest due first.
    pub async fn due_refunds(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueRefund>, StoreError> {
        self.read(move |c| reads::due_refunds(c, now, limit)).await
    }

    /// When the next refund is due.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(reads::next_due).await
    }

    /// Work that waits: what was due before `before`, and refunds in doubt.
    pub async fn backlog(&self, before: Timestamp) -> Result<Backlog, StoreError> {
        self.read(move |c| reads::backlog(c, before)).await
    }

    /// The checkout with this id, also a deleted one.
    pub async fn find_checkout(
        &self,
        scope: Scope,
        id: PaymentId,
    ) -> Result<Option<Checkout>, StoreError> {
        self.read(move |c| checkouts::find_checkout(c, scope, id)).await
    }

    /// The checkout with this id, whoever's it is. For buyers, who know no account.
    pub async fn find_checkout_anywhere(
        &self,
        id: PaymentId,
    ) -> Result<Option<Checkout>, StoreError> {
        self.read(move |c| checkouts::find_checkout_anywhere(c, id)).await
    }

    /// Checkouts that are not deleted, by id and so by time.
    pub async fn list_checkouts(
        &self,
        scope: Scope,
        filter: CheckoutFilter,
        page: PageQuery,
    ) -> Result<Page<Checkout>, StoreError> {
        self.read(move |c| checkouts::list_checkouts(c, scope, &filter, page)).await
    }

    /// Checkouts due at `now`, the longest due first.
    pub async fn due_checkouts(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Scope, PaymentId)>, StoreError> {
        self.read(move |c| checkouts::due_checkouts(c, now, limit)).await
    }

    /// The invoice with this id.
    pub async fn find_invoice(
        &self,
        scope: Scope,
        id: InvoiceId,
    ) -> Result<Option<Invoice>, StoreError> {
        self.read(move |c| invoices::find_invoice(c, scope, id)).await
    }

    /// The invoice with this id, whoever's it is. For buyers, who know no account.
    pub async fn find_invoice_anywhere(
        &self,
        id: InvoiceId,
    ) -> Result<Option<Invoice>, StoreError> {
        self.read(move |c| invoices::find_invoice_anywhere(c, id)).await
    }

    /// Invoices, by id and so by time.
    pub async fn list_invoices(
        &self,
        scope: Scope,
        filter: InvoiceFilter,
        page: PageQuery,
    ) -> Result<Page<Invoice>, StoreError> {
        self.read(move |c| invoices::list_invoices(c, scope, &filter, page)).await
    }

    /// Invoices that fall due by `now`, the longest due first.
    pub async fn due_invoices(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(Scope, InvoiceId)>, StoreError> {
        self.read(move |c| invoices::due_invoices(c, now, limit)).await
    }

    /// When the next checkout or invoice is due.
    pub async fn next_checkout_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.read(checkouts::next_due).await
    }

    /// Creates an account.
    pub async fn create_account(
        &self,
        id: AccountId,
        name: &str,
        now: Timestamp,
    ) -> Result<Account, StoreError> {
        let name = name.to_owned();
        self.writer.run(move |c| accounts::create(c, id, &name, now)).await
    }

    /// The account with this id.
    pub async fn find_account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        self.read(move |c| accounts::find(c, id)).await
    }

    /// The account with this number.
    pub async fn find_account_by_number(&self, number: u32) -> Result<Option<Account>, StoreError> {
        self.read(move |c| accounts::find_by_number(c, number)).await
    }

    /// The first 1,000 accounts, oldest first.
    pub async fn list_accounts(&self) -> Result<Vec<Account>, StoreError> {
        self.read(accounts::list).await
    }

    /// Stores an API key and the SHA-256 of its secret, once under `name`. What is answered under
    /// it later is the key's id.
    pub async fn create_api_key(
        &self,
        key: NewApiKey,
        secret_hash: [u8; 32],
        name: Option<Key>,
    ) -> Result<Once<()>, StoreError> {
        let now = key.created_at;
        let create = move |connection: &Connection| {
            accounts::create_key(connection, &key, secret_hash)?;
            Ok(((), Some(key.id.into())))
        };
        self.once(name, now, create).await
    }

    /// The API key with this id.
    pub async fn find_api_key(&self, id: &str) -> Result<Option<ApiKeyRow>, StoreError> {
        let id = id.to_owned();
        self.read(move |c| accounts::find_key(c, &id)).await
    }

    /// The API key with this SHA-256 of its Bearer token, or of its secret.
    pub async fn find_api_key_by_bearer(
        &self,
        hash: [u8; 32],
    ) -> Result<Option<ApiKeyRow>, StoreError> {
        self.read(move |c| accounts::find_key_by_bearer(c, hash)).await
    }

    /// The first 1,000 API keys, oldest first.
    pub async fn list_api_keys(&self) -> Result<Vec<ApiKeyRow>, StoreError> {
        self.read(accounts::list_keys).await
    }

    /// The API keys of an account, at most 1,000: those that work first, newest first. With a mode,
    /// only its keys.
    pub async fn list_api_keys_of(
        &self,
        account: u32,
        mode: Option<Mode>,
    ) -> Result<Vec<ApiKeyRow>, StoreError> {
        self.read(move |c| accounts::list_keys_of(c, account, mode)).await
    }

    /// Notes when an API key was used.
    pub async fn note_api_key_use(&self, id: &str, at: Timestamp) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.writer.run(move |c| accounts::note_key_use(c, &id, at)).await
    }

    /// Revokes an API key. `false` when there is none that works.
    pub async fn revoke_api_key(&self, id: &str, now: Timestamp) -> Result<bool, StoreError> {
        let id = id.to_owned();
        self.writer.run(move |c| accounts::revoke_key(c, &id, now)).await
    }

    /// Copies the database, as it is at one moment, into a new file. Writers go on meanwhile.
    pub async fn backup(&self, file: &Path) -> Result<(), StoreError> {
        let file = file.to_owned();
        self.read(move |c| backup(c, &file)).await
    }

    /// Derives every balance and the whole ledger again and compares.
    pub async fn verify(&self) -> Result<Report, StoreError> {
        self.read(verify::verify).await
    }

    /// Where it is, for people.
    pub fn location(&self) -> String {
        format!("{}, log of {} KiB", self.path.display(), self.wal_bytes() / 1024)
    }

    /// Size of the write-ahead log in bytes.
    pub fn wal_bytes(&self) -> u64 {
        let mut wal = self.path.as_os_str().to_owned();
        wal.push("-wal");
        std::fs::metadata(wal).map_or(0, |meta| meta.len())
    }
}

fn configure(connection: &Connection) -> Result<(), StoreError> {
    connection.busy_timeout(std::time::Duration::from_millis(BUSY_TIMEOUT_MS))?;
    connection.set_prepared_statement_cache_capacity(128);
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(())
}

fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    configure(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "cache_size", -4_096)?;
    Ok(connection)
}

/// `VACUUM INTO` reads one snapshot, so the copy is of one moment however long it takes.
fn backup(connection: &Connection, file: &Path) -> Result<(), StoreError> {
    let at = |source| StoreError::File { path: file.display().to_string(), source };
    if file.exists() {
        return Err(at(std::io::Error::from(std::io::ErrorKind::AlreadyExists)));
    }
    connection.pragma_update(None, "query_only", false)?;
    let copied = connection.execute("VACUUM INTO ?1", [file.to_string_lossy()]);
    connection.pragma_update(None, "query_only", true)?;
    copied?;
    std::fs::File::open(file).and_then(|copy| copy.sync_all()).map_err(at)
}
