//! The committer: takes whatever commands are queued, loads their rows once, decides them one after
//! another, saves what changed in one durable transaction, and only then answers.
//!
//! While one batch commits the next one gathers, so under load many refunds share one fsync, and an
//! idle engine commits a single refund at once.

use crate::Error;
use domain::decide::{Command, Done, Refusal, decide, fan_out};
use domain::ids::Ids;
use domain::time::Clock;
use domain::view::{RowKeys, View};
use rand_chacha::ChaCha20Rng;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use store::{Store, StoreError};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use ulid::Ulid;

/// The source of ids and randomness, shared by everything in one engine.
pub(crate) type SharedIds = Arc<Mutex<Ids<ChaCha20Rng>>>;

/// How a committer runs.
#[derive(Clone, Copy, Debug)]
pub struct CommitterConfig {
    /// Commands that may wait. One more is refused as busy.
    pub queue: usize,
    /// Commands in one transaction at most.
    pub batch: usize,
    /// Transactions under way at the same time. With more than one, webhooks have one more for
    /// themselves.
    pub lanes: usize,
}

impl Default for CommitterConfig {
    fn default() -> Self {
        Self { queue: 4_096, batch: 512, lanes: 1 }
    }
}

/// Acts on commits before callers are answered. Must not block.
pub(crate) trait Committed: Send + Sync + 'static {
    /// A command changed something, durably. `slot` is the dispatch slot the command came with.
    fn committed(&self, done: &Done, slot: Option<OwnedSemaphorePermit>);

    /// Deliveries of events were committed.
    fn events_committed(&self);
}

struct Job {
    command: Command,
    slot: Option<OwnedSemaphorePermit>,
    reply: oneshot::Sender<Result<Done, Error>>,
}

/// Hands commands to the committer. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Committer {
    lanes: Arc<[mpsc::Sender<Job>]>,
}

/// An answer that is still to come.
pub(crate) type Pending = oneshot::Receiver<Result<Done, Error>>;

impl Committer {
    /// Starts the committer on the current runtime. It ends when the last clone is dropped and
    /// everything queued is done.
    pub(crate) fn start(
        store: &Store,
        clock: &Arc<dyn Clock>,
        ids: &SharedIds,
        config: CommitterConfig,
        listener: &Arc<dyn Committed>,
    ) -> Self {
        let lanes = match config.lanes {
            0 | 1 => 1,
            several => several + 1,
        };
        let start = |_| {
            let (jobs, inbox) = mpsc::channel(config.queue);
            let lane = Lane {
                store: store.clone(),
                clock: clock.clone(),
                ids: ids.clone(),
                listener: listener.clone(),
                has_deliveries: Arc::default(),
            };
            tokio::spawn(lane.run(inbox, config.batch));
            jobs
        };
        Self { lanes: (0..lanes).map(start).collect() }
    }

    /// The lane of a command. Commands about the same thing share one, so that they do not wait for
    /// each other's locks; where they do not, the locks keep them apart all the same.
    fn lane(&self, command: &Command) -> &mpsc::Sender<Job> {
        let [first, others @ ..] = &*self.lanes else { unreachable!("there is a lane") };
        let Some(webhooks) = others.last() else { return first };
        let Some(lane_key) = lane_key(command) else { return webhooks };
        let count = u128::try_from(others.len()).unwrap_or(1);
        let number = usize::try_from(lane_key.0 % count).unwrap_or_default();
        self.lanes.get(number).unwrap_or(first)
    }

    /// Queues a command. [`Error::Busy`] when the queue is full; nothing happened then.
    pub(crate) fn submit(
        &self,
        command: Command,
        slot: Option<OwnedSemaphorePermit>,
    ) -> Result<Pending, Error> {
        let (reply, answer) = oneshot::channel();
        match self.lane(&command).try_send(Job { command, slot, reply }) {
            Ok(()) => Ok(answer),
            Err(mpsc::error::TrySendError::Full(_)) => Err(Error::Busy),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Error::closed()),
        }
    }

    /// Queues a command of a step, waiting for room, and waits for the answer.
    pub(crate) async fn run(&self, command: Command) -> Result<Done, Error> {
        let (reply, answer) = oneshot::channel();
        let lane = self.lane(&command).clone();
        let job = Job { command, slot: None, reply };
        lane.send(job).await.map_err(|_| Error::closed())?;
        answer.await.unwrap_or_else(|_| Err(Error::closed()))
    }
}

/// The payment that a command is about, or the checkout or invoice that becomes one. `None` for
/// webhooks.
fn lane_key(command: &Command) -> Option<Ulid> {
    Some(match command {
        Command::Register(register) => register.id.ulid(),
        Command::Create(create) => create.new.payment.ulid(),
        Command::Cancel { of, .. }
        | Command::Lease { of, .. }
        | Command::Record { of, .. }
        | Command::GiveUp { of } => of.payment.ulid(),
        Command::Adopt { payment, .. } | Command::Settle { payment, .. } => payment.ulid(),
        Command::OpenCheckout(open) => open.id.ulid(),
        Command::Checkout(act) => act.id.ulid(),
        // All of an account and mode take their numbers from one row.
        Command::CreateInvoice(create) => Ulid(u128::from(create.new.tenant.code().unsigned_abs())),
        Command::Invoice(act) => act.id.ulid(),
        Command::Webhook(..) => return None,
    })
}

struct Lane {
    store: Store,
    clock: Arc<dyn Clock>,
    ids: SharedIds,
    listener: Arc<dyn Committed>,
    /// The batch under way queued deliveries.
    has_deliveries: Arc<AtomicBool>,
}

impl Lane {
    async fn run(self, mut inbox: mpsc::Receiver<Job>, batch: usize) {
        let mut jobs = Vec::with_capacity(batch);
        while inbox.recv_many(&mut jobs, batch).await > 0 {
            metrics::histogram!("refundry_batch_commands").record(count(jobs.len()));
            let mut commands = Vec::with_capacity(jobs.len());
            let mut replies = Vec::with_capacity(jobs.len());
            for job in jobs.drain(..) {
                commands.push(job.command);
                replies.push((job.slot, job.reply));
            }
            let answers = self.commit(commands).await;
            if self.has_deliveries.swap(false, Ordering::Relaxed) {
                self.listener.events_committed();
            }
            for ((slot, reply), answer) in replies.into_iter().zip(answers) {
                if let Ok(done) = &answer {
                    self.listener.committed(done, slot);
                }
                // The caller may have gone; what was committed stands.
                let _ = reply.send(answer);
            }
        }
    }

    /// Commits all commands in one transaction. When a guard of the schema or a row that makes no
    /// sense stops it, commits them one by one, so that only the culprit fails.
    async fn commit(&self, commands: Vec<Command>) -> Vec<Result<Done, Error>> {
        let commands = Arc::new(commands);
        match self.commit_range(&commands, 0, commands.len()).await {
            Ok(answers) => answers,
            Err(StoreError::Guard(_) | StoreError::Inconsistent(_)) if commands.len() > 1 => {
                let mut answers = Vec::with_capacity(commands.len());
                for at in 0..commands.len() {
                    match self.commit_range(&commands, at, at + 1).await {
                        Ok(one) => answers.extend(one),
                        Err(error) => answers.push(Err(log(error))),
                    }
                }
                answers
            }
            Err(error) => {
                let error = log(error);
                commands.iter().map(|_| Err(error.again())).collect()
            }
        }
    }

    async fn commit_range(
        &self,
        commands: &Arc<Vec<Command>>,
        from: usize,
        to: usize,
    ) -> Result<Vec<Result<Done, Error>>, StoreError> {
        let mut wanted = RowKeys::default();
        for command in &commands[from..to] {
            command.wants(&mut wanted);
        }
        let commands = commands.clone();
        let (clock, ids) = (self.clock.clone(), self.ids.clone());
        let has_deliveries = self.has_deliveries.clone();
        self.store
            .run_batch(wanted, move |view| {
                let answers = decide_all(view, &commands[from..to], &*clock, &ids);
                has_deliveries.fetch_or(!view.new_rows.deliveries.is_empty(), Ordering::Relaxed);
                answers
            })
            .await
    }
}

fn decide_all(
    view: &mut View,
    commands: &[Command],
    clock: &dyn Clock,
    ids: &SharedIds,
) -> Vec<Result<Done, Error>> {
    let mut ids = ids.lock().unwrap_or_else(PoisonError::into_inner);
    let now = clock.now();
    let one = |command| decide(view, command, now, &mut ids).map_err(refused);
    let answers = commands.iter().map(one).collect();
    fan_out(view, now, &mut ids);
    answers
}

fn refused(refusal: Refusal) -> Error {
    Error::Refused(refusal)
}

fn log(error: StoreError) -> Error {
    tracing::error!(%error, cause = %cause(&error), "a batch was not committed");
    metrics::counter!("refundry_batch_failures_total").increment(1);
    if let StoreError::OutcomeUnknown = error {
        // To a caller it is the same: the idempotency key finds out.
        return Error::TimedOut;
    }
    Error::from(error)
}

/// The cause of an error, in one line.
fn cause(error: &StoreError) -> String {
    std::error::Error::source(error).map_or_else(String::new, ToString::to_string)
}

/// A count for a metric, which speaks only floating point.
fn count(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}
