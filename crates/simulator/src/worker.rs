//! The worker: one thread that does all work on the book, in batches.
//!
//! Calls that queue up during a commit form the next batch: one transaction, one fsync, then the
//! answers. No other thread sees the book, so the order of a batch decides which of two calls with
//! the same key came first.

use crate::SimulatorError;
use crate::book::Book;
use domain::time::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread::JoinHandle;
use tokio::sync::{Notify, mpsc, oneshot};

/// The worker refuses calls beyond this number of waiting calls.
const QUEUE_LIMIT: usize = 1024;

const BATCH_LIMIT: usize = 512;

/// Sends the answer of a call after its batch is durable. Dropped without sending when the batch
/// fails.
type Answer = Box<dyn FnOnce() + Send>;

type Work = Box<dyn FnOnce(&mut Book) -> rusqlite::Result<Answer> + Send>;

/// Why the worker did not do a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The queue is full.
    Busy,
    /// The worker has stopped.
    Closed,
    /// The book could not be written; the batch was rolled back.
    Failed,
}

/// The time of the next due task.
pub(crate) struct Schedule {
    next_due: AtomicI64,
    sooner: Notify,
}

impl Schedule {
    const NEVER: i64 = i64::MAX;

    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        let due_at = self.next_due.load(Ordering::Acquire);
        (due_at != Self::NEVER).then_some(Timestamp(due_at))
    }

    /// Sets the time, and wakes a waiter if the time is sooner than before.
    pub(crate) fn set(&self, due_at: Option<Timestamp>) {
        let due_at = due_at.map_or(Self::NEVER, |at| at.0);
        if due_at < self.next_due.swap(due_at, Ordering::AcqRel) {
            self.sooner.notify_one();
        }
    }

    pub(crate) async fn sooner(&self) {
        self.sooner.notified().await;
    }
}

/// A handle of the thread. Dropping the handle stops the worker and waits for its last batch.
pub(crate) struct Worker {
    queue: Option<mpsc::Sender<Work>>,
    thread: Option<JoinHandle<()>>,
    schedule: Arc<Schedule>,
}

impl Worker {
    pub(crate) fn open(book: Book) -> Result<Self, SimulatorError> {
        let (queue, calls) = mpsc::channel(QUEUE_LIMIT);
        let schedule =
            Arc::new(Schedule { next_due: AtomicI64::new(Schedule::NEVER), sooner: Notify::new() });
        schedule.set(book.next_due()?);
        let shared = Arc::clone(&schedule);
        let thread = std::thread::Builder::new()
            .name("simulator".to_owned())
            .spawn(move || serve(book, calls, &shared))
            .map_err(SimulatorError::Thread)?;
        Ok(Self { queue: Some(queue), thread: Some(thread), schedule })
    }

    pub(crate) fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Queues `work` if there is room. The worker does the work even if the caller stops waiting.
    pub(crate) async fn ask<T, F>(&self, work: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&mut Book) -> rusqlite::Result<T> + Send + 'static,
    {
        let (work, result) = prepare(work);
        let queue = self.queue.as_ref().ok_or(Fault::Closed)?;
        queue.try_send(work).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => Fault::Busy,
            mpsc::error::TrySendError::Closed(_) => Fault::Closed,
        })?;
        result.await.map_err(|_| Fault::Failed)
    }

    /// Queues `work`, and waits for room in the queue.
    pub(crate) async fn ask_patiently<T, F>(&self, work: F) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: FnOnce(&mut Book) -> rusqlite::Result<T> + Send + 'static,
    {
        let (work, result) = prepare(work);
        let queue = self.queue.as_ref().ok_or(Fault::Closed)?;
        queue.send(work).await.map_err(|_| Fault::Closed)?;
        result.await.map_err(|_| Fault::Failed)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the simulator's thread panicked");
        }
    }
}

fn prepare<T, F>(work: F) -> (Work, oneshot::Receiver<T>)
where
    T: Send + 'static,
    F: FnOnce(&mut Book) -> rusqlite::Result<T> + Send + 'static,
{
    let (tell, result) = oneshot::channel();
    let work: Work = Box::new(move |book| {
        let value = work(book)?;
        // The caller may be gone; the work stays done.
        Ok(Box::new(move || drop(tell.send(value))))
    });
    (work, result)
}

fn serve(mut book: Book, mut calls: mpsc::Receiver<Work>, schedule: &Schedule) {
    let mut batch = Vec::with_capacity(BATCH_LIMIT);
    while let Some(first) = calls.blocking_recv() {
        batch.push(first);
        while batch.len() < BATCH_LIMIT
            && let Ok(next) = calls.try_recv()
        {
            batch.push(next);
        }
        serve_batch(&mut book, &mut batch, schedule);
    }
}

fn serve_batch(book: &mut Book, batch: &mut Vec<Work>, schedule: &Schedule) {
    let served = book.in_transaction(|book| {
        batch.drain(..).map(|work| work(book)).collect::<rusqlite::Result<Vec<Answer>>>()
    });
    batch.clear();
    match served {
        Ok(answers) => {
            // Refresh before the answers, so that a caller with an answer finds what its call
            // scheduled.
            refresh(book, schedule);
            for answer in answers {
                answer();
            }
        }
        Err(error) => tracing::error!(%error, "the simulator cannot write its book"),
    }
}

fn refresh(book: &mut Book, schedule: &Schedule) {
    if !book.tasks_changed {
        return;
    }
    match book.next_due() {
        Ok(due_at) => {
            schedule.set(due_at);
            book.tasks_changed = false;
        }
        Err(error) => tracing::error!(%error, "the simulator cannot read what is due"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SimulatorConfig;
    use crate::book::UnbookedCalls;
    use crate::book::tests::StillClock;
    use domain::tenant::{Mode, Tenant};

    #[tokio::test]
    async fn a_failed_batch_leaves_nothing_behind_and_the_worker_goes_on() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("simulator.sqlite");
        let config = SimulatorConfig::default();
        let (book, _) = Book::open(&path, config, Arc::new(StillClock), [7; 32]).expect("a book");
        let worker = Worker::open(book).expect("a worker");
        let (tenant, at) = (Tenant::new(1, Mode::Test), Timestamp(5));
        let failed = worker.ask(move |book| {
            book.count_unbooked_call(tenant, "k1", at)?;
            Err::<(), _>(rusqlite::Error::QueryReturnedNoRows)
        });
        assert_eq!(failed.await, Err(Fault::Failed));
        let find = move |book: &mut Book| book.find_unbooked_calls(tenant, "k1");
        assert_eq!(worker.ask(find).await, Ok(None));
        let written = worker.ask(move |book| book.count_unbooked_call(tenant, "k1", at)).await;
        assert_eq!(written, Ok(()));
        let known = Some(UnbookedCalls { last_at: at, count: 1 });
        assert_eq!(worker.ask(find).await, Ok(known));
    }
}
