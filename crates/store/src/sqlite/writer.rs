//! The one thread that writes, and the checkpoints beside it.
//!
//! A checkpoint copies the log into the database file and fsyncs it, which takes tens of
//! milliseconds when much has piled up. So a second thread does it (PASSIVE: it never blocks the
//! writer). It does so in large steps: a page that was written many times since the last step is
//! copied once. Under unbroken load it never quite catches up, and the log would grow without end;
//! past a limit it takes smaller and smaller steps until little is left, which the writer then does
//! itself, after which SQLite starts the log over.

use super::trust::{Trust, in_commit};
use crate::{Fault, StoreError};
use rusqlite::Connection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc;
use tokio::sync::oneshot;

/// Jobs that may wait for the writer thread. The committer sends one batch at a time, so this only
/// bounds the rare others.
const QUEUE: usize = 64;

/// Pages in the log after which a checkpoint step is worth it (32 MiB).
const STEP_PAGES: i32 = 16_000;

/// Pages in the log after which SQLite must start the log over (96 MiB).
const LIMIT_PAGES: i32 = 48_000;

/// Pages that the writer may copy itself without a noticeable delay (1 MiB).
const REST_PAGES: i32 = 500;

/// Smaller steps in a row at most, before the writer copies the rest.
const SMALLER_STEPS: u32 = 4;

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

#[derive(Clone)]
pub(super) struct Writer {
    jobs: mpsc::SyncSender<Job>,
    trust: Arc<Trust>,
}

impl Writer {
    /// Starts the writer thread on `connection` and the checkpoint thread on one of its own.
    pub(super) fn start(
        connection: Connection,
        path: &Path,
        trust: &Arc<Trust>,
    ) -> Result<Self, StoreError> {
        let (jobs, inbox) = mpsc::sync_channel::<Job>(QUEUE);
        let log = Arc::new(Log::default());
        let steps = super::open_reader(path)?;
        steps.pragma_update(None, "query_only", false)?;
        let (wake, woken) = mpsc::sync_channel::<()>(1);
        let thread = std::thread::Builder::new();
        let shared = (log.clone(), trust.clone());
        thread
            .name("sqlite-checkpoint".into())
            .spawn(move || checkpoint_loop(&steps, &woken, &shared.0, &shared.1))
            .map_err(|source| StoreError::File { path: path.display().to_string(), source })?;
        let shared = trust.clone();
        std::thread::Builder::new()
            .name("sqlite-writer".into())
            .spawn(move || write_loop(connection, &inbox, &wake, &log, &shared))
            .map_err(|source| StoreError::File { path: path.display().to_string(), source })?;
        Ok(Self { jobs, trust: trust.clone() })
    }

    /// Runs `job` on the writer thread.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let trust = self.trust.clone();
        let job: Job = Box::new(move |connection| {
            // A failed assertion must not end the only writing thread: its transaction is rolled
            // back, and only this job fails.
            let done = trust.check().and_then(|()| {
                catch_unwind(AssertUnwindSafe(|| job(connection)))
                    .unwrap_or_else(|panic| Err(StoreError::Inconsistent(crate::said(&*panic))))
            });
            // The caller may have stopped waiting; the work is done all the same.
            let _ = reply.send(done.map_err(|error| trust.judge(guard(error))));
        });
        match self.jobs.try_send(job) {
            Ok(()) => {}
            Err(mpsc::TrySendError::Disconnected(_)) => return Err(StoreError::Closed),
            Err(mpsc::TrySendError::Full(job)) => {
                let jobs = self.jobs.clone();
                tokio::task::spawn_blocking(move || jobs.send(job))
                    .await
                    .map_err(|_| StoreError::Closed)?
                    .map_err(|_| StoreError::Closed)?;
            }
        }
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

/// Separates violations of the schema from other faults, so that the committer can find the command
/// that caused one.
fn guard(error: StoreError) -> StoreError {
    match error {
        StoreError::Database(Fault::Sqlite(error))
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation) =>
        {
            StoreError::Guard(Fault::Sqlite(error))
        }
        other => other,
    }
}

#[derive(Default)]
struct Log {
    /// Length of the log.
    pages: AtomicI32,
    /// Little is left to copy, and the writer must copy it.
    finish: AtomicBool,
}

fn write_loop(
    mut connection: Connection,
    inbox: &mpsc::Receiver<Job>,
    wake: &mpsc::SyncSender<()>,
    log: &Arc<Log>,
    trust: &Trust,
) {
    let shared = log.clone();
    let hook = connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
        shared.pages.store(pages, Ordering::Relaxed);
        Ok(())
    }));
    if let Err(error) = hook {
        tracing::error!(%error, "the write-ahead log cannot be watched");
    }
    while let Ok(job) = inbox.recv() {
        job(&mut connection);
        if log.finish.swap(false, Ordering::AcqRel) {
            checkpoint(&connection, trust);
        }
        if log.pages.load(Ordering::Relaxed) > STEP_PAGES {
            let _ = wake.try_send(());
        }
    }
    checkpoint(&connection, trust);
}

fn checkpoint_loop(connection: &Connection, woken: &mpsc::Receiver<()>, log: &Log, trust: &Trust) {
    let mut done = 0;
    while woken.recv().is_ok() {
        let pages = log.pages.load(Ordering::Relaxed);
        // SQLite starts the log over from time to time; only pages that were added since the last
        // step count.
        if pages < done {
            done = 0;
        }
        if log.finish.load(Ordering::Acquire) || pages - done < STEP_PAGES && pages < LIMIT_PAGES {
            continue;
        }
        checkpoint(connection, trust);
        done = pages;
        if pages >= LIMIT_PAGES {
            for _ in 0..SMALLER_STEPS {
                let pages = log.pages.load(Ordering::Relaxed);
                if pages - done < REST_PAGES {
                    break;
                }
                checkpoint(connection, trust);
                done = pages;
            }
            log.finish.store(true, Ordering::Release);
        }
    }
}

/// A checkpoint whose fsync failed must not be repeated: the system would report success, and the log,
/// which still has the pages, would be started over.
fn checkpoint(connection: &Connection, trust: &Trust) {
    if trust.check().is_err() {
        return;
    }
    let step = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    let Err(error) = step else { return };
    if let Some(broken) = in_commit(&error) {
        trust.judge(broken);
    } else {
        tracing::warn!(%error, "a checkpoint step failed; the next one tries again");
    }
}
