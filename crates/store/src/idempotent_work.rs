//! Work that is done once per unique key, whose answer is stored with the key.

use crate::StoreError;
use crate::queries::keys::Holder;
use crate::tables::inconsistent;
use domain::unique_keys::{KeyTarget, UniqueKey};

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
    /// The result for a request with `key` that found its holder.
    pub(crate) fn before(key: &UniqueKey, holder: Holder) -> Result<Self, StoreError> {
        if holder.key.request != key.request || holder.key.target != KeyTarget::Answer {
            return Ok(Self::Taken);
        }
        Ok(Self::Before(holder.answer.ok_or_else(|| inconsistent("keys.answer"))?))
    }

    pub(crate) fn map<U>(self, make: impl FnOnce(T) -> U) -> Once<U> {
        match self {
            Self::Done(done) => Once::Done(make(done)),
            Self::Before(answer) => Once::Before(answer),
            Self::Taken => Once::Taken,
        }
    }
}
