//! Work that is done once per unique key, whose answer is stored with the key.

use crate::StoreError;
use crate::tables::inconsistent;
use domain::keys::{KeyTarget, UniqueKey};

/// The result of work under a unique key.
#[derive(Debug)]
pub enum Once<T> {
    /// The work was done now.
    Done(T),
    /// The work was done before and had this answer.
    Before(Box<str>),
    /// Another request holds the key, so nothing was done.
    Taken,
}

impl<T> Once<T> {
    /// The result for a request with `key`, when `holder` and its stored `answer` were found.
    pub(crate) fn before(
        key: &UniqueKey,
        holder: &UniqueKey,
        answer: Option<Box<str>>,
    ) -> Result<Self, StoreError> {
        if holder.request != key.request || holder.target != KeyTarget::Answer {
            return Ok(Self::Taken);
        }
        Ok(Self::Before(answer.ok_or_else(|| inconsistent("keys.answer"))?))
    }

    pub(crate) fn map<U>(self, make: impl FnOnce(T) -> U) -> Once<U> {
        match self {
            Self::Done(done) => Once::Done(make(done)),
            Self::Before(answer) => Once::Before(answer),
            Self::Taken => Once::Taken,
        }
    }
}
