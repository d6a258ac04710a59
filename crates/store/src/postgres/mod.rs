//! PostgreSQL: any number of nodes work on the same database and share nothing else.
//!
//! A batch takes two round trips: begin and load under row locks, then save and commit. Every node
//! takes locks table by table and in key order. When another node inserts the same row between load
//! and save, the keys conflict, and the batch runs again from a fresh load.

mod address;
mod api_keys;
mod batch;
mod connect;
mod copy_from_sqlite;
mod deliveries;
mod error_class;
mod idempotent_work;
mod load;
mod next_endpoints;
mod prune;
#[cfg(test)]
mod query_plans;
mod save;
mod session;
mod statement;
mod statistics;
mod stored_responses;
mod tls;
mod value;
mod verify;

pub use copy_from_sqlite::Copied;

use crate::StoreError;
use crate::queries::{Dialect, Query, keys, refunds};
use crate::tables::FromRow;
use address::Address;
use connect::Connector;
use deadpool::Runtime;
use deadpool::managed::{Pool, PoolError, TimeoutType};
use domain::time::Timestamp;
use error_class::{RetryBudget, TxFailure, classify};
use session::{Session, Step};
use statement::Statement;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::timeout;
use tokio_postgres::Row;
use value::PostgresCells;

mod embedded {
    refinery::embed_migrations!("migrations/postgres");
}

/// How long a caller waits for a free connection.
const WAIT: Duration = Duration::from_secs(5);

/// How long a migration may take, and how long other nodes wait for it.
const MIGRATION: Duration = Duration::from_mins(10);

/// Holds the lock under which a node changes the schema.
const MIGRATION_LOCK: &str = "SELECT pg_advisory_xact_lock(8246173310245)";

/// A `PostgreSQL` database. Cheap to clone.
#[derive(Clone)]
pub struct PostgresStore {
    /// Connections for queries.
    reads: Pool<Connector>,
    /// Connections for batches, so that queries never delay a batch.
    writes: Pool<Connector>,
    address: Arc<Address>,
    /// Makes random numbers.
    lot: Arc<(RandomState, AtomicU64)>,
    /// Counts batches.
    batches: Arc<AtomicU64>,
}

impl PostgresStore {
    /// Connects to a database and brings its schema up to date. `url` is a URL for libpq, such as
    /// `postgres://user:password@host/database?sslmode=verify-full`, and may contain Refundry's own
    /// settings such as `pool_size` and `pgbouncer=true`.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let store = Self::attach(url)?;
        store.migrate(None).await?;
        store.check_durability().await?;
        store.check_whole().await?;
        Ok(store)
    }

    /// Prepares connections to a database whose schema is up to date. Does not connect yet.
    pub fn attach(url: &str) -> Result<Self, StoreError> {
        let address = Arc::new(Address::parse(url)?);
        let writes = (address.pool_size / 4).max(1);
        Ok(Self {
            reads: pool(&address, address.pool_size - writes)?,
            writes: pool(&address, writes)?,
            address,
            lot: Arc::new((RandomState::new(), AtomicU64::new(0))),
            batches: Arc::default(),
        })
    }

    /// Where the database is, without the password.
    pub fn location(&self) -> String {
        self.address.to_text()
    }

    /// Brings the schema up to date, up to `version`; one node at a time, the others wait.
    pub async fn migrate(&self, version: Option<i32>) -> Result<(), StoreError> {
        let failed = |error: &dyn std::fmt::Display| StoreError::Migration(error.to_string());
        let limit = self.address.answer_timeout;
        let guard = self.session(&self.reads).await.map_err(TxFailure::into_error)?;
        let Some(guard) = guard.into_client() else { return Err(StoreError::Closed) };
        let begin = "BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; \
                     SET LOCAL idle_in_transaction_session_timeout = 0";
        within(limit, guard.batch_execute(begin)).await?;
        let lock = timeout(MIGRATION, guard.batch_execute(MIGRATION_LOCK)).await;
        lock.map_err(|_| failed(&"another node has been at it for too long"))?
            .map_err(value::fault)?;
        let worker = self.session(&self.reads).await.map_err(TxFailure::into_error)?;
        let Some(mut client) = worker.into_client() else { return Err(StoreError::Closed) };
        if !self.address.pooled {
            let unbounded = "SET statement_timeout = 0; SET lock_timeout = 0; \
                             SET idle_in_transaction_session_timeout = 0";
            within(limit, client.batch_execute(unbounded)).await?;
        }
        let mut runner = embedded::migrations::runner();
        if let Some(version) = version {
            runner = runner.set_target(refinery::Target::Version(version));
        }
        let client: &mut tokio_postgres::Client = &mut client;
        let done = timeout(MIGRATION, runner.run_async(client)).await;
        let _ = within(limit, guard.batch_execute("COMMIT")).await;
        let done = done.map_err(|_| failed(&"it took too long"))?;
        done.map(|_| ()).map_err(|error| failed(&error))
    }

    /// Refuses a server that acknowledges a commit before it is on disk.
    async fn check_durability(&self) -> Result<(), StoreError> {
        let ask = "SELECT current_setting(name, true) FROM \
                   unnest(ARRAY['fsync', 'synchronous_commit', 'full_page_writes']) AS s (name)";
        let rows = self.retried(&self.reads, Statement::new(ask, Vec::new())).await?;
        for (row, name) in rows.iter().zip(["fsync", "synchronous_commit", "full_page_writes"]) {
            let value: Option<&str> = row.try_get(0).map_err(value::fault)?;
            if value == Some("off") {
                return Err(StoreError::Address(format!(
                    "the database runs with {name} = off, so what it acknowledges can be lost; \
                     switch it on"
                )));
            }
        }
        Ok(())
    }

    async fn session(&self, pool: &Pool<Connector>) -> Result<Session<'_>, TxFailure> {
        Err(match pool.get().await {
            Ok(client) => return Ok(Session::new(self, client, pool.manager().first())),
            // No server accepted a connection.
            Err(PoolError::Backend(unreachable)) => {
                let away = StoreError::Away(unreachable.why);
                if unreachable.slow { TxFailure::Slow(away) } else { TxFailure::Away(away) }
            }
            Err(PoolError::Timeout(TimeoutType::Create)) => {
                TxFailure::Slow(StoreError::Away("no host gave a connection in time".into()))
            }
            // Every connection was in use for the whole wait. The caller has waited long enough.
            Err(error) => TxFailure::Final(StoreError::Away(error.to_string())),
        })
    }

    /// Writes a message into the log that nobody reads, so that the commit waits for the disk and for
    /// the standbys. It needs no row, which another session could have locked.
    pub async fn probe(&self) -> Result<(), StoreError> {
        let emit = "SELECT pg_logical_emit_message(true, 'refundry', 'probe') \
                    WHERE current_setting('transaction_read_only') = 'off'";
        let rows = self.retried(&self.writes, Statement::new(emit, Vec::new())).await?;
        let written = !rows.is_empty();
        written.then_some(()).ok_or_else(|| StoreError::Away("it does not allow writes".into()))
    }

    /// Closes all idle connections to a server that does not answer, and tries it last.
    fn leave(&self, server: usize) {
        for pool in [&self.reads, &self.writes] {
            pool.manager().leave(server);
        }
        self.forget_idle();
    }

    /// Closes all idle connections.
    fn forget_idle(&self) {
        for pool in [&self.reads, &self.writes] {
            pool.retain(|_, _| false);
        }
    }

    /// When the next refund is due.
    pub async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.all(refunds::next_due()).await?.pop().flatten())
    }

    /// Deletes unique keys that expired before `now`, at most `limit` of them. Returns their number.
    pub async fn forget_keys(&self, now: Timestamp, limit: u32) -> Result<usize, StoreError> {
        Ok(self.write(keys::forget(Dialect::Postgres, now, limit)).await?.len())
    }

    /// All rows of a query.
    pub(crate) async fn all<T: FromRow>(&self, query: Query<T>) -> Result<Vec<T>, StoreError> {
        self.list(query.into(), |c| T::from_row(c)).await
    }

    /// Runs a statement that is a transaction of its own and may be run twice.
    pub(crate) async fn write<T: FromRow>(
        &self,
        statement: Query<T>,
    ) -> Result<Vec<T>, StoreError> {
        let rows = self.retried(&self.writes, statement.into()).await?;
        rows.iter().map(|row| T::from_row(&mut PostgresCells::new(row))).collect()
    }

    /// All rows of a statement that changes nothing.
    async fn list<T>(
        &self,
        statement: Statement<'_>,
        read: impl Fn(&mut PostgresCells<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let rows = self.retried(&self.reads, statement).await?;
        rows.iter().map(|row| read(&mut PostgresCells::new(row))).collect()
    }

    /// Runs one statement. Tries again when the connection turns out to be dead.
    async fn retried(
        &self,
        pool: &Pool<Connector>,
        statement: Statement<'_>,
    ) -> Result<Vec<Row>, StoreError> {
        let steps = [Step::Run(statement)];
        let mut budget = RetryBudget::new();
        loop {
            match self.once(pool, &steps).await {
                Ok(rows) => return Ok(rows),
                Err(failure) => budget.again(failure, self.draw()).await?,
            }
        }
    }

    async fn once(
        &self,
        pool: &Pool<Connector>,
        steps: &[Step<'_>],
    ) -> Result<Vec<Row>, TxFailure> {
        let mut session = self.session(pool).await?;
        let replies = session.run(steps).await?;
        let mut rows = Vec::new();
        for reply in replies {
            rows = reply.map_err(classify)?;
        }
        Ok(rows)
    }

    /// A random number.
    fn draw(&self) -> u64 {
        let (state, count) = &*self.lot;
        state.hash_one(count.fetch_add(1, Ordering::Relaxed))
    }
}

/// Waits for an answer outside of a session, at most for `limit`.
async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, StoreError> {
    let answer = timeout(limit, answer).await;
    let late = |_| StoreError::Away(format!("it did not answer within {limit:?}"));
    answer.map_err(late)?.map_err(value::fault)
}

fn pool(address: &Arc<Address>, size: usize) -> Result<Pool<Connector>, StoreError> {
    let hosts = u32::try_from(address.servers.len()).unwrap_or(1);
    Pool::builder(Connector::new(address.clone())?)
        .max_size(size)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(WAIT))
        // Time for one host with two addresses, or for all hosts.
        .create_timeout(Some(address.connect_timeout * hosts.max(2)))
        .build()
        .map_err(|error| StoreError::Address(error.to_string()))
}
