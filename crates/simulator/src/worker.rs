//! The desk: one thread that does everything that touches the book, a batch at a time.
//!
//! Whatever queued up while the last batch was committing becomes the next batch: one transaction,
//! one fsync, and only then the answers. Nobody else ever sees the book, so a batch also decides
//! which of two calls with the same key came first.

use crate::SimulatorError;
use crate::book::Book;
use domain::time::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread::JoinHandle;
use tokio::sync::{Notify, mpsc, oneshot};

/// How many calls wait at most; the next one is turned away.
const QUEUE_LIMIT: usize = 1024;

/// How many calls share a commit at most.
const BATCH_LIMIT: usize = 512;

/// Says the answer of a call, once its batch is durable. Dropped unsaid when the batch failed.
type Answer = Box<dyn FnOnce() + Send>;

/// A call.
type Work = Box<dyn FnOnce(&mut Book) -> rusqlite::Result<Answer> + Send>;

/// Why the desk did not do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The queue is full; nothing was done.
    Busy,
    /// The desk is closed; nothing was done.
    Closed,
    /// The book could not be written; nothing was done.
    Failed,
}

/// When something is next to happen.
pub(crate) struct Schedule {
    next_due: AtomicI64,
    sooner: Notify,
}

impl Schedule {
    /// Stands for "never".
    const NEVER: i64 = i64::MAX;

    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        let due_at = self.next_due.load(Ordering::Acquire);
        (due_at != Self::NEVER).then_some(Timestamp(due_at))
    }

    /// Wakes whoever sleeps until a later time.
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

/// The way to the thread. Dropping it closes the desk and waits for its last batch.
pub(crate) struct Worker {
    queue: Option<mpsc::Sender<Work>>,
    thread: Option<JoinHandle<()>>,
    schedule: Arc<Schedule>,
}

impl Worker {
    /// Starts the thread.
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

    /// Has `work` done, if there is room in the queue. It is done even if nobody awaits its result.
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

    /// Has `work` done, and waits for room in the queue.
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
        // Whoever asked may have gone; what was done stays done.
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
            // Before the answers: who heard one finds what it scheduled.
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
    use crate::book::tests::StillClock;
    use domain::account::{Mode, Scope};

    #[tokio::test]
    async fn a_failed_batch_leaves_nothing_behind_and_the_worker_goes_on() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("simulator.sqlite");
        let (book, _) = Book::open(&path, false, Arc::new(StillClock), [7; 32]).expect("a book");
        let worker = Worker::open(book).expect("a worker");
        let (scope, at) = (Scope::new(1, Mode::Test), Timestamp(5));
        let failed = worker.ask(move |book| {
            book.insert_unbooked_call(scope, "k1", at)?;
            Err::<(), _>(rusqlite::Error::QueryReturnedNoRows)
        });
        assert_eq!(failed.await, Err(Fault::Failed));
        let find = move |book: &mut Book| book.find_unbooked_call(scope, "k1");
        assert_eq!(worker.ask(find).await, Ok(None));
        let written = worker.ask(move |book| book.insert_unbooked_call(scope, "k1", at)).await;
        assert_eq!(written, Ok(()));
        assert_eq!(worker.ask(find).await, Ok(Some(at)));
    }
}
