//! Requests under an idempotency key and what they were answered, for doors that repeat the whole
//! answer.

use super::PostgresStore;
use super::batch::commit;
use super::session::Step;
use super::statement::{Statement, ulid};
use super::trouble::{Tries, Trouble};
use super::value::{Columns, Value};
use crate::StoreError;
use crate::answers::{Begun, NewRequest};
use crate::cells::{Cells as _, inconsistent};
use domain::account::Scope;
use domain::keys::KeyHash;
use domain::time::Timestamp;
use ulid::Ulid;

/// Takes a key that is new or ran out. The row is locked either way, so that the statements behind
/// this one see what it will stay.
const BEGIN: &str = "INSERT INTO answers \
     (scope, hash, request, generation, lease_until, expires_at) VALUES ($1, $2, $3, $4, $5, $6) \
     ON CONFLICT (scope, hash) DO UPDATE SET request = excluded.request, \
     generation = excluded.generation, lease_until = excluded.lease_until, \
     expires_at = excluded.expires_at, status = NULL, body = NULL \
     WHERE answers.expires_at <= $7 RETURNING generation";

const TAKE_OVER: &str = "UPDATE answers SET lease_until = $4 WHERE scope = $1 AND hash = $2 \
     AND request = $3 AND lease_until <= $5 AND status IS NULL RETURNING generation";

const SELECT: &str = "SELECT request, generation, lease_until, status, body FROM answers \
     WHERE scope = $1 AND hash = $2";

const KEEP: &str = "UPDATE answers SET status = $4, body = $5 \
     WHERE scope = $1 AND hash = $2 AND generation = $3 AND status IS NULL";

const ABANDON: &str = "UPDATE answers SET lease_until = $4 \
     WHERE scope = $1 AND hash = $2 AND generation = $3 AND status IS NULL";

const FORGET: &str = "WITH old AS (SELECT scope, hash FROM answers WHERE expires_at <= $1 \
     ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED) \
     DELETE FROM answers a USING old WHERE a.scope = old.scope AND a.hash = old.hash RETURNING 1";

fn number(value: i64) -> Value<'static> {
    Value::Int(Some(value))
}

/// A use of a key.
fn of((scope, hash, generation): (Scope, KeyHash, Ulid)) -> Vec<Value<'static>> {
    vec![number(scope.code()), Value::Id(hash.0), ulid(generation)]
}

impl PostgresStore {
    /// Begins a request, durably.
    pub async fn begin_request(
        &self,
        new: NewRequest,
        now: Timestamp,
    ) -> Result<Begun, StoreError> {
        let mut tries = Tries::new();
        loop {
            match self.try_begin(&new, now).await {
                Ok(begun) => return Ok(begun),
                Err(trouble) => tries.again(trouble, self.draw()).await?,
            }
        }
    }

    async fn try_begin(&self, new: &NewRequest, now: Timestamp) -> Result<Begun, Trouble> {
        let key = || vec![number(new.scope.code()), Value::Id(new.hash.0)];
        let with = |more: Vec<Value<'static>>| key().into_iter().chain(more).collect();
        let request = || Value::Id(new.request);
        let lease = || number(new.lease_until.0);
        let begin =
            vec![request(), ulid(new.generation), lease(), number(new.expires_at.0), number(now.0)];
        let take_over = vec![request(), lease(), number(now.0)];
        let steps = [
            Step::Begin,
            Step::Run(Statement::new(BEGIN, with(begin))),
            Step::Run(Statement::new(TAKE_OVER, with(take_over))),
            Step::Run(Statement::new(SELECT, key())),
            Step::Commit,
        ];
        let session = self.session(&self.writes).await?;
        // A request that is begun twice is begun once.
        let lost = Trouble::Away(StoreError::OutcomeUnknown);
        let replies = commit(session, &steps).await.map_err(|trouble| trouble.unwrap_or(lost))?;
        let broken = || Trouble::Final(inconsistent("answers"));
        let [_, fresh, taken, row, _] = &replies[..] else { return Err(broken()) };
        if let Some(row) = fresh.first().or_else(|| taken.first()) {
            let generation = Columns::new(row).ulid().map_err(Trouble::Final)?;
            return Ok(Begun::Process(generation));
        }
        let row = row.first().ok_or_else(broken)?;
        Begun::read(&mut Columns::new(row), new, now).map_err(Trouble::Final)
    }

    /// Keeps the answer to a request.
    pub async fn keep_answer(
        &self,
        at: (Scope, KeyHash, Ulid),
        status: u16,
        body: Vec<u8>,
    ) -> Result<(), StoreError> {
        let mut values = of(at);
        values.push(number(status.into()));
        values.push(Value::Bytes(body.into()));
        self.write(Statement::new(KEEP, values)).await.map(|_| ())
    }

    /// Lets the next request under the key go on where this one ended without an answer.
    pub async fn abandon_request(
        &self,
        at: (Scope, KeyHash, Ulid),
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut values = of(at);
        values.push(number(now.0));
        self.write(Statement::new(ABANDON, values)).await.map(|_| ())
    }

    /// Forgets answers that ran out by `now`, at most `limit` of them. Returns how many.
    pub async fn forget_answers(&self, now: Timestamp, limit: u32) -> Result<usize, StoreError> {
        let values = vec![number(now.0), number(limit.into())];
        Ok(self.write(Statement::new(FORGET, values)).await?.len())
    }
}
