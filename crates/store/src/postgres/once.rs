//! Work that is done once under a name: what was answered is kept with the name, in the transaction
//! of the work itself. Two nodes with the same name meet at its row; the second one finds it taken.

use super::PostgresStore;
use super::batch::commit;
use super::session::Step;
use super::statement::Statement;
use super::trouble::{self, Tries, Trouble};
use super::value::{Columns, Value};
use crate::StoreError;
use crate::answers::Once;
use crate::cells::{Cells as _, inconsistent};
use crate::sqlite::batch::read_key;
use domain::keys::{Key, Target};
use domain::time::Timestamp;

/// A name that ran out and was not yet swept away is taken over.
const TAKE: &str = "INSERT INTO keys (scope, hash, request, target, id, expires_at, answer) \
     VALUES ($1, $2, $3, $4::bigint, $5, $6, $7) ON CONFLICT (scope, hash) DO UPDATE SET \
     request = excluded.request, target = excluded.target, id = excluded.id, state = NULL, \
     expires_at = excluded.expires_at, answer = excluded.answer \
     WHERE keys.expires_at <= $8 RETURNING 1";

const FIND: &str = "SELECT scope, hash, request, target, id, state, expires_at, answer FROM keys \
     WHERE scope = $1 AND hash = $2 AND (expires_at IS NULL OR expires_at > $3)";

fn take(name: &Key, answer: &str, now: Timestamp) -> Statement<'static> {
    let values = vec![
        Value::Int(Some(name.scope.code())),
        Value::Id(name.hash.0),
        Value::Id(name.request),
        Value::Int(Some(Target::Answer.code())),
        Value::Id(name.id.to_bytes()),
        Value::Int(name.expires_at.map(|at| at.0)),
        Value::Text(answer.to_owned().into()),
        Value::Int(Some(now.0)),
    ];
    Statement::new(TAKE, values)
}

fn find(name: &Key, now: Timestamp) -> Statement<'static> {
    let values =
        vec![Value::Int(Some(name.scope.code())), Value::Id(name.hash.0), Value::Int(Some(now.0))];
    Statement::new(FIND, values)
}

/// The key that has the name, and what was answered under it.
fn read_taken(c: &mut Columns<'_>) -> Result<(Key, Option<Box<str>>), StoreError> {
    Ok((read_key(c)?, c.text()?))
}

impl PostgresStore {
    /// What was answered under a name, if it is taken.
    pub(super) async fn find_once<T>(
        &self,
        name: &Key,
        now: Timestamp,
    ) -> Result<Option<Once<T>>, StoreError> {
        let found = self.list(find(name, now), read_taken).await?.pop();
        found.map(|(taken, answer)| Once::before(name, &taken, answer)).transpose()
    }

    /// Runs `steps`, which end with a commit, unless the name says that this was done before. With
    /// them the name is taken, and what is answered under it later is stored.
    pub(super) async fn save_once(
        &self,
        name: Option<(&Key, &str)>,
        now: Timestamp,
        steps: &[Step<'_>],
    ) -> Result<Once<()>, StoreError> {
        let mut tries = Tries::new();
        loop {
            match self.try_once(name, now, steps).await {
                Ok(once) => return Ok(once),
                Err(trouble) => tries.again(trouble, self.draw()).await?,
            }
        }
    }

    async fn try_once(
        &self,
        name: Option<(&Key, &str)>,
        now: Timestamp,
        steps: &[Step<'_>],
    ) -> Result<Once<()>, Trouble> {
        let mut session = self.session(&self.writes).await?;
        let mut first = vec![Step::Begin];
        if let Some((name, answer)) = name {
            first.push(Step::Run(take(name, answer, now)));
            first.push(Step::Run(find(name, now)));
        }
        let mut found = Vec::with_capacity(first.len());
        for reply in session.run(&first).await? {
            found.push(reply.map_err(trouble::classify)?);
        }
        if let (Some((name, _)), [_, took, row]) = (name, &found[..])
            && took.is_empty()
        {
            session.rollback().await;
            let row = row.first().ok_or_else(|| Trouble::Final(inconsistent("keys")))?;
            let (taken, answer) = read_taken(&mut Columns::new(row)).map_err(Trouble::Final)?;
            // It is one's own: the answer to the commit was lost.
            if taken.id == name.id {
                return Ok(Once::Done(()));
            }
            return Once::before(name, &taken, answer).map_err(Trouble::Final);
        }
        match commit(session, steps).await {
            Ok(_) => Ok(Once::Done(())),
            Err(Some(trouble)) => Err(trouble),
            // Under a name it can be tried again, whether or not it was saved.
            Err(None) if name.is_some() => Err(Trouble::Away(StoreError::OutcomeUnknown)),
            Err(None) => Err(Trouble::Final(StoreError::OutcomeUnknown)),
        }
    }
}
