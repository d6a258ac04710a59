//! API keys as merchants manage them: their own only, and never more than they hold.

use crate::Engine;
use crate::Error;
use crate::access::ApiKey;
use crate::accounts::KeyListing;
use domain::tenant::Mode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use store::NewApiKey;

/// How much time passes between two notes that a key was used.
const USE_NOTED_EVERY_MS: i64 = 3_600_000;

/// The owner whose keys are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyOwner {
    pub account: u32,
    /// Only the keys of this mode; `None` for all, platform keys among them.
    pub mode: Option<Mode>,
}

impl KeyOwner {
    fn owns(self, key: &NewApiKey) -> bool {
        let of_mode = key.mode == self.mode && !key.platform;
        key.account == self.account && (self.mode.is_none() || of_mode)
    }
}

impl Engine {
    /// The owner's keys without their secrets, at most 1,000: those that work first, newest first.
    pub async fn list_keys_of(&self, owner: KeyOwner) -> Result<Vec<KeyListing>, Error> {
        let rows = self.store().list_api_keys_of(owner.account, owner.mode).await?;
        let known = rows.into_iter().filter(|row| owner.owns(&row.key));
        Ok(known.map(KeyListing::from).collect())
    }

    /// The owner's key with this id, without its secrets.
    pub async fn find_key_of(
        &self,
        owner: KeyOwner,
        key_id: &str,
    ) -> Result<Option<KeyListing>, Error> {
        let row = self.store().find_api_key(key_id).await?;
        let row = row.filter(|row| owner.owns(&row.key));
        Ok(row.map(KeyListing::from))
    }

    /// Notes that a key was used, to the hour. Costs a look at the key itself; the note is written
    /// later, and one that is lost is made up for by the next use.
    pub fn note_key_use(&self, key: &Arc<ApiKey>) {
        let (now, noted) = (self.now().0, &key.last_used_ms);
        let before = noted.load(Ordering::Relaxed);
        if now.saturating_sub(before) < USE_NOTED_EVERY_MS
            || noted.compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return;
        }
        let (engine, key, at) = (self.clone(), key.clone(), domain::time::Timestamp(now));
        // A stopping server does not wait for it.
        tokio::spawn(async move {
            if let Err(error) = engine.store().note_api_key_use(&key.id, at).await {
                tracing::debug!(%error, key = %key.id, "the use of a key was not noted");
            }
        });
    }
}
