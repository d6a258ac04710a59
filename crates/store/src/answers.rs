//! What is done or answered once under a name.

use crate::StoreError;
use crate::cells::Cells;
use domain::account::Scope;
use domain::keys::{Key, KeyHash, Target};
use domain::time::Timestamp;
use ulid::Ulid;

/// A request under an idempotency key.
#[derive(Clone, Copy, Debug)]
pub struct NewRequest {
    /// Whose key.
    pub scope: Scope,
    /// The key's name.
    pub hash: KeyHash,
    /// Hash of the request.
    pub request: [u8; 16],
    /// The name of this use of the key, if it is the first.
    pub generation: Ulid,
    /// When another node may take over.
    pub lease_until: Timestamp,
    /// When the key is forgotten.
    pub expires_at: Timestamp,
}

/// What is known of a request under an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// It is the caller's to process, under this name of the key's use: a new one, or the one that a
    /// node gave which did not come to an answer.
    Process(Ulid),
    /// It is being processed.
    Running,
    /// The key came with another request.
    Other,
    /// It was answered.
    Answered {
        /// The name of the key's use.
        generation: Ulid,
        /// HTTP status.
        status: u16,
        /// The sealed body.
        body: Vec<u8>,
    },
}

impl Begun {
    /// What the row of a key that did not run out says: request, generation, lease, status, body.
    pub(crate) fn read(
        c: &mut impl Cells,
        new: &NewRequest,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let (request, generation) = (c.take::<[u8; 16]>()?, c.ulid()?);
        let lease_until = Timestamp(c.take()?);
        if request != new.request {
            return Ok(Self::Other);
        }
        if let (Some(status), Some(body)) = (c.take::<Option<u16>>()?, c.take::<Option<_>>()?) {
            return Ok(Self::Answered { generation, status, body });
        }
        // A row of one's own is what was begun when the answer of the database was lost.
        let free = now >= lease_until || generation == new.generation;
        Ok(if free { Self::Process(generation) } else { Self::Running })
    }
}

/// What became of work under a name.
#[derive(Debug)]
pub enum Once<T> {
    /// It was done.
    Done(T),
    /// It was done before, and this was answered.
    Before(Box<str>),
    /// Another request has the name, so nothing was done.
    Taken,
}

impl<T> Once<T> {
    /// What a name says that was taken before, as `taken` with what was answered under it.
    pub(crate) fn before(
        name: &Key,
        taken: &Key,
        answer: Option<Box<str>>,
    ) -> Result<Self, StoreError> {
        if taken.request != name.request || taken.target != Target::Answer {
            return Ok(Self::Taken);
        }
        let answer = answer.ok_or_else(|| crate::cells::inconsistent("keys.answer"))?;
        Ok(Self::Before(answer))
    }

    /// The same of something else that was done.
    pub(crate) fn map<U>(self, make: impl FnOnce(T) -> U) -> Once<U> {
        match self {
            Self::Done(done) => Once::Done(make(done)),
            Self::Before(answer) => Once::Before(answer),
            Self::Taken => Once::Taken,
        }
    }
}
