//! A connection for the duration of one transaction or query.

use super::address::{BEGIN, BEGIN_BOUNDED};
use super::connect::Connector;
use super::error_class::TxFailure;
use super::statement::Statement;
use super::{PostgresStore, StoreError};
use deadpool::managed::Object;
use deadpool_postgres::ClientWrapper;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Row};

/// A connection from the pool. A session that is dropped within a transaction or after an error
/// closes its connection, which ends the transaction; any other connection returns to the pool. It
/// also returns when its caller stopped waiting: closing it would leave a busy server with the work
/// and with a new connection.
pub(super) struct Session<'a> {
    store: &'a PostgresStore,
    client: Option<Object<Connector>>,
    /// The connection must not return to the pool.
    spent: bool,
    /// The number of the server that was tried first when it was taken.
    server: usize,
}

/// One message to the server.
pub(super) enum Step<'a> {
    Begin,
    /// Limits the waits for locks in the rest of the transaction, milliseconds.
    LockWait(u32),
    Run(Statement<'a>),
    Commit,
}

/// The reply to a step.
pub(super) type Reply = Result<Vec<Row>, Error>;

impl<'s> Session<'s> {
    pub(super) fn new(store: &'s PostgresStore, client: Object<Connector>, server: usize) -> Self {
        Self { store, client: Some(client), spent: false, server }
    }

    fn client(&self) -> &Object<Connector> {
        // The client is taken only when the session ends.
        self.client.as_ref().unwrap_or_else(|| unreachable!("a session has a connection"))
    }

    /// True when the connection is closed.
    pub(super) fn is_closed(&self) -> bool {
        self.client().is_closed()
    }

    /// Sends all steps at once, in order, and returns the replies in the same order. Within a
    /// transaction every step behind a failed one fails too, and the server turns the commit into a
    /// rollback. Returns an error when the replies take too long; the state of the transaction is
    /// unknown then.
    pub(super) async fn run(&mut self, steps: &[Step<'_>]) -> Result<Vec<Reply>, TxFailure> {
        let limit = self.store.address.answer_timeout;
        let Ok(replies) = timeout(limit, self.send(steps)).await else {
            metrics::counter!("refundry_store_stalled_connections_total").increment(1);
            self.spent = true;
            // The other connections have most likely stopped for the same reason; waiting for each
            // would take as long.
            self.store.leave(self.server);
            let text = format!("it did not answer within {limit:?}");
            return Err(TxFailure::Final(StoreError::Away(text)));
        };
        for error in replies.iter().filter_map(|reply| reply.as_ref().err()) {
            self.spent = true;
            if error.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION) {
                // Another server accepts writes, or soon will.
                self.store.forget_idle();
            }
        }
        Ok(replies)
    }

    async fn send(&mut self, steps: &[Step<'_>]) -> Vec<Reply> {
        let mut prepared = Vec::with_capacity(steps.len());
        for step in steps {
            prepared.push(match step {
                Step::Run(statement) if !self.store.address.pooled => {
                    match self.prepare(statement).await {
                        Ok(statement) => Some(statement),
                        Err(error) => return vec![Err(error)],
                    }
                }
                Step::Begin | Step::LockWait(_) | Step::Run(_) | Step::Commit => None,
            });
        }
        if steps.iter().any(|step| matches!(step, Step::Begin)) {
            self.spent = true;
        }
        let replies = {
            let this = &*self;
            let sent = steps.iter().zip(&prepared);
            in_order(sent.map(|(step, prepared)| this.step(step, prepared.as_ref())).collect())
                .await
        };
        let ends = matches!(steps.last(), Some(Step::Commit));
        if ends && replies.last().is_some_and(Result::is_ok) {
            self.spent = false;
        }
        replies
    }

    async fn prepare(&self, statement: &Statement<'_>) -> Result<tokio_postgres::Statement, Error> {
        let types: Vec<Type> = statement.values.iter().map(super::value::Value::type_of).collect();
        self.client().prepare_typed_cached(&statement.sql, &types).await
    }

    async fn step(&self, step: &Step<'_>, prepared: Option<&tokio_postgres::Statement>) -> Reply {
        let statement = match step {
            Step::Begin if self.store.address.pooled => return self.simple(BEGIN_BOUNDED).await,
            Step::Begin => return self.simple(BEGIN).await,
            Step::LockWait(ms) => {
                return self.simple(&format!("SET LOCAL lock_timeout = {ms}")).await;
            }
            Step::Commit => return self.simple("COMMIT").await,
            Step::Run(statement) => statement,
        };
        if let Some(prepared) = prepared {
            let values: Vec<_> =
                statement.values.iter().map(|value| -> &(dyn ToSql + Sync) { value }).collect();
            return self.client().query(prepared, &values).await;
        }
        let values: Vec<_> = statement
            .values
            .iter()
            .map(|value| -> (&(dyn ToSql + Sync), Type) { (value, value.type_of()) })
            .collect();
        self.client().query_typed(&statement.sql, &values).await
    }

    async fn simple(&self, sql: &str) -> Reply {
        self.client().batch_execute(sql).await.map(|()| Vec::new())
    }

    /// Rolls the transaction back.
    pub(super) async fn rollback(mut self) {
        let limit = self.store.address.answer_timeout;
        self.spent = !matches!(timeout(limit, self.simple("ROLLBACK")).await, Ok(Ok(_)));
    }

    /// The connection itself, which does not return to the pool.
    pub(super) fn into_client(mut self) -> Option<ClientWrapper> {
        self.client.take().map(Object::take)
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if let Some(client) = self.client.take()
            && self.spent
        {
            drop(Object::take(client));
        }
    }
}

/// Polls all futures in order until each is done, so that they send their messages in that order.
async fn in_order<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<Pin<Box<_>>> = futures.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<T>> = waiting.iter().map(|_| None).collect();
    poll_fn(|context| {
        let mut left = false;
        for (future, done) in waiting.iter_mut().zip(&mut done) {
            if done.is_some() {
                continue;
            }
            match future.as_mut().poll(context) {
                Poll::Ready(value) => *done = Some(value),
                Poll::Pending => left = true,
            }
        }
        if left { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    done.into_iter().flatten().collect()
}
