//! Whether this node can do its work: read, decide and commit.

use crate::Error;
use domain::time::{Clock, Timestamp};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use store::Store;

/// How long a sign counts, milliseconds.
const FRESH_MS: i64 = 1_000;

/// How long a check waits for the database.
pub(crate) const LIMIT: Duration = Duration::from_secs(3);

/// Why a node cannot do its work.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    #[error("a lane has ended")]
    LaneEnded,
    #[error("the database cannot be read: {0}")]
    NoReads(#[source] Error),
    #[error("nothing can be committed")]
    NoCommits,
    #[error("the database did not answer in time")]
    TimedOut,
}

/// The last sign that the database commits or does not: a probe, or a batch that failed.
pub(crate) struct Readiness {
    clock: Arc<dyn Clock>,
    last: Mutex<Option<(Timestamp, bool)>>,
    /// Held by the one probe that is under way.
    probing: Arc<tokio::sync::Mutex<()>>,
}

impl Readiness {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, last: Mutex::default(), probing: Arc::default() }
    }

    pub(crate) fn note(&self, commits: bool) {
        let now = self.clock.now();
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, commits));
    }

    /// The last sign, unless it is too old.
    fn fresh(&self) -> Option<bool> {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, commits) = last?;
        (0..FRESH_MS).contains(&self.clock.now().ms_since(at)).then_some(commits)
    }

    /// Whether the database commits. Tries it, at most once a second and once at a time.
    pub(crate) async fn commits(self: &Arc<Self>, store: &Store) -> bool {
        if let Some(commits) = self.fresh() {
            return commits;
        }
        let probing = self.probing.clone().lock_owned().await;
        if let Some(commits) = self.fresh() {
            return commits;
        }
        // A task of its own, since the database may still be busy with it when the caller has gone.
        let (readiness, store) = (self.clone(), store.clone());
        let probe = tokio::spawn(async move {
            let done = store.probe().await;
            if let Err(error) = &done {
                tracing::warn!(%error, cause = %error.cause(), "nothing can be committed");
            }
            readiness.note(done.is_ok());
            drop(probing);
            done.is_ok()
        });
        probe.await.unwrap_or(false)
    }
}
