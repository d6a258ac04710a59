//! Lanes: each takes what is queued for it and commits that in one transaction.

use crate::Error;
use crate::gates::Permit;
use crate::locked_rows::LockedRows;
use crate::readiness::Readiness;
use domain::decide::webhook::WebhookCommand;
use domain::decide::{Command, Done, decide_with, fan_out};
use domain::ids::Ids;
use domain::payment::Capture;
use domain::row_key::RowKey;
use domain::time::{Clock, Timestamp};
use domain::view::{RowKeys, View};
use rand_chacha::ChaCha20Rng;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use store::{Patience, Store, StoreError};
use tokio::sync::{mpsc, oneshot};

/// Transactions of one batch that may end at a lock. The commands that are left then wait, too.
const LOCKED_TRANSACTIONS: u32 = 16;

/// Pause before locked rows are tried again.
const PAUSE: Duration = Duration::from_millis(50);

/// The source of ids and randomness, shared by everything in one engine.
pub(crate) type SharedIds = Arc<Mutex<Ids<ChaCha20Rng>>>;

/// Acts on commits before callers are answered. Must not block.
pub(crate) trait Committed: Send + Sync + 'static {
    /// The permission to send a new refund of this payment as soon as it is committed.
    fn admit(&self, payment: &Capture, now: Timestamp) -> Option<Permit>;

    /// A command changed something, durably. `permit` was given while it was decided.
    fn committed(&self, done: &Done, permit: Option<Permit>);

    /// Deliveries of events were committed.
    fn events_committed(&self);
}

/// A command and its caller.
pub(crate) struct Job {
    command: Arc<Command>,
    reply: oneshot::Sender<Result<Done, Error>>,
}

impl Job {
    pub(crate) fn new(command: Command, reply: oneshot::Sender<Result<Done, Error>>) -> Self {
        Self { command: Arc::new(command), reply }
    }

    fn wants(&self) -> RowKeys {
        wants(std::slice::from_ref(&self.command))
    }

    fn answer(self, answer: Result<Done, Error>, permit: Option<Permit>, listener: &dyn Committed) {
        if let Ok(done) = &answer {
            listener.committed(done, permit);
        }
        // The caller may have gone; what was committed stands.
        let _ = self.reply.send(answer);
    }

    /// Nothing was done, since rows are locked.
    fn refuse(self) {
        let _ = self.reply.send(Err(Error::Busy));
    }

    /// A step that leases work comes back by itself, and until then other work waits for its answer.
    fn may_wait(&self) -> bool {
        match &*self.command {
            Command::Lease { .. } | Command::Age { .. } => false,
            Command::Webhook(_, command) => !matches!(**command, WebhookCommand::Lease { .. }),
            _ => true,
        }
    }
}

/// The commands of a batch.
type Commands = Arc<[Arc<Command>]>;

/// Rows that a command wants and cannot have yet.
struct Locked {
    rows: Vec<RowKey>,
    /// For how many tries this one counts: one that waited itself counts for several.
    tries: u32,
}

/// The outcome of a try.
enum Outcome {
    Answered(Result<Done, Error>, Option<Permit>),
    Locked(Locked),
}

/// Commits batches. Every lane has one of its own.
#[derive(Clone)]
pub(crate) struct Batches {
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: SharedIds,
    pub(crate) listener: Arc<dyn Committed>,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) locked_rows: Arc<LockedRows>,
    /// The batch under way queued deliveries.
    pub(crate) has_deliveries: Arc<AtomicBool>,
}

impl Batches {
    /// Commits what is queued, until no more can come. Commands whose rows are locked are passed on.
    pub(crate) async fn run(
        self,
        mut inbox: mpsc::Receiver<Job>,
        waiting: mpsc::Sender<Job>,
        batch: usize,
    ) {
        // The room for those that wait is as bounded as any queue.
        let wait = |job| {
            if let Err(full) = waiting.try_send(job) {
                full.into_inner().refuse();
            }
        };
        let mut jobs = Vec::with_capacity(batch);
        while inbox.recv_many(&mut jobs, batch).await > 0 {
            metrics::histogram!("refundry_batch_commands").record(count(jobs.len()));
            if !self.locked_rows.is_empty() {
                jobs.extract_if(.., |job| self.locked_rows.has_one_of(&job.wants())).for_each(wait);
            }
            for (job, locked) in self.commit(jobs.drain(..), Patience::AMoment).await {
                self.locked_rows.add(&locked.rows);
                wait(job);
            }
        }
    }

    /// Tries commands whose rows are locked until their rows are free. A row that stays locked for
    /// long is no longer waited for.
    pub(crate) async fn wait_for_rows(self, mut inbox: mpsc::Receiver<Job>, batch: usize) {
        let mut jobs = Vec::new();
        while inbox.recv_many(&mut jobs, batch).await > 0 {
            while !jobs.is_empty() {
                rest(PAUSE).await;
                while jobs.len() < batch
                    && let Ok(job) = inbox.try_recv()
                {
                    jobs.push(job);
                }
                self.try_again(&mut jobs).await;
            }
            if inbox.is_empty() {
                self.locked_rows.clear();
            }
        }
    }

    /// Leaves the jobs that go on waiting.
    async fn try_again(&self, jobs: &mut Vec<Job>) {
        let mut wanted = RowKeys::default();
        for job in &*jobs {
            job.command.wants(&mut wanted);
        }
        let left = self.commit(jobs.drain(..), Patience::None).await;
        let tries =
            left.iter().flat_map(|(_, locked)| locked.rows.iter().map(|row| (*row, locked.tries)));
        self.locked_rows.note_tries(&wanted, tries);
        for (job, locked) in left {
            if job.may_wait() && !self.locked_rows.is_locked_for_long(&locked.rows) {
                jobs.push(job);
            } else {
                job.refuse();
            }
        }
    }

    /// Commits jobs and answers them. Returns those whose rows are locked, with these rows.
    async fn commit(
        &self,
        jobs: impl Iterator<Item = Job>,
        patience: Patience,
    ) -> Vec<(Job, Locked)> {
        let jobs: Vec<Job> = jobs.collect();
        let commands: Commands = jobs.iter().map(|job| job.command.clone()).collect();
        let outcomes = self.commit_all(&commands, patience).await;
        if self.has_deliveries.swap(false, Ordering::Relaxed) {
            self.listener.events_committed();
        }
        let mut left = Vec::new();
        for (job, outcome) in jobs.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Answered(answer, permit) => job.answer(answer, permit, &*self.listener),
                Outcome::Locked(locked) => left.push((job, locked)),
            }
        }
        left
    }

    /// Commits all commands in one transaction. When one of them can be what stops it, commits each
    /// half of them by itself, and so on, until only the culprits fail.
    async fn commit_all(&self, commands: &Commands, patience: Patience) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(commands.len());
        let mut locked = 0;
        // The next range is the last one.
        let mut ranges = vec![(0, commands.len(), patience)];
        while let Some((from, to, patience)) = ranges.pop() {
            let each = commands[from..to].iter();
            if locked == LOCKED_TRANSACTIONS {
                outcomes.extend(each.map(locked_at_all_rows));
                continue;
            }
            match self.commit_range(commands, from, to, patience).await {
                Ok(some) => outcomes.extend(some),
                Err(error) => {
                    let is_locked = matches!(error, StoreError::Locked(_));
                    locked += u32::from(is_locked);
                    if to - from > 1 && error.may_be_of_one_command() {
                        let middle = from.midpoint(to);
                        let patience = if is_locked { Patience::None } else { patience };
                        ranges.extend([(middle, to, patience), (from, middle, patience)]);
                    } else if is_locked {
                        outcomes.extend(each.map(locked_at_all_rows));
                    } else {
                        if !error.may_be_of_one_command() {
                            self.readiness.note(false);
                        }
                        let error = log(error);
                        outcomes.extend(each.map(|_| Outcome::Answered(Err(error.again()), None)));
                    }
                }
            }
        }
        outcomes
    }

    async fn commit_range(
        &self,
        commands: &Commands,
        from: usize,
        to: usize,
        patience: Patience,
    ) -> Result<Vec<Outcome>, StoreError> {
        let wanted = wants(&commands[from..to]);
        let commands = commands.clone();
        let (batches, has_deliveries) = (self.clone(), self.has_deliveries.clone());
        let decide = move |view: &mut View| {
            let outcomes = batches.decide_all(view, &commands[from..to]);
            has_deliveries.fetch_or(!view.new_rows.deliveries.is_empty(), Ordering::Relaxed);
            outcomes
        };
        self.store.run_batch_around(patience, wanted, decide).await
    }

    fn decide_all(&self, view: &mut View, commands: &[Arc<Command>]) -> Vec<Outcome> {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let one = |command: &Arc<Command>| {
            if !view.locked.is_empty() {
                let rows = view.locked_among(&wants(std::slice::from_ref(command)));
                if !rows.is_empty() {
                    return Outcome::Locked(Locked { rows, tries: 1 });
                }
            }
            let mut permit = None;
            let mut may_send = |payment: &Capture| {
                permit = self.listener.admit(payment, now);
                permit.is_some()
            };
            let answer = decide_with(view, command, now, &mut ids, &mut may_send);
            Outcome::Answered(answer.map_err(Error::Refused), permit)
        };
        let outcomes = commands.iter().map(one).collect();
        fan_out(view, now, &mut ids);
        outcomes
    }
}

/// The rows that commands name.
fn wants(commands: &[Arc<Command>]) -> RowKeys {
    let mut wanted = RowKeys::default();
    for command in commands {
        command.wants(&mut wanted);
    }
    wanted
}

/// The outcome of a command that met a lock which is not at one of its rows, such as that of a key
/// that another transaction is inserting.
fn locked_at_all_rows(command: &Arc<Command>) -> Outcome {
    let rows = wants(std::slice::from_ref(command)).iter().collect();
    Outcome::Locked(Locked { rows, tries: 3 })
}

fn log(error: StoreError) -> Error {
    tracing::error!(%error, cause = %error.cause(), "a batch was not committed");
    metrics::counter!("refundry_batch_failures_total").increment(1);
    if let StoreError::OutcomeUnknown = error {
        // To a caller it is the same: the idempotency key finds out.
        return Error::TimedOut;
    }
    Error::from(error)
}

/// A count for a metric, which speaks only floating point.
fn count(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}

#[expect(clippy::disallowed_methods, reason = "the pause between two tries of locked rows")]
async fn rest(time: Duration) {
    tokio::time::sleep(time).await;
}
