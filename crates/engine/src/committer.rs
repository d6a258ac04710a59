//! The committer: takes whatever commands are queued, loads their rows once, decides them one after
//! another, saves what changed in one durable transaction, and only then answers.
//!
//! While one batch commits the next one gathers, so under load many refunds share one fsync, and an
//! idle engine commits a single refund at once. Commands that want a row which another transaction
//! keeps locked go to a lane of their own, so that the others do not wait with them.

use crate::Error;
use crate::lane::{Batches, Job};
use domain::decide::{Command, Done};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use ulid::Ulid;

pub(crate) use crate::lane::{Committed, SharedIds};

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

/// Hands commands to the committer. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Committer {
    lanes: Arc<[mpsc::Sender<Job>]>,
    /// The lane of commands whose rows are locked.
    waiting: mpsc::Sender<Job>,
}

/// An answer that is still to come.
pub(crate) type Pending = oneshot::Receiver<Result<Done, Error>>;

impl Committer {
    /// Starts the committer on the current runtime. It ends when the last clone is dropped and
    /// everything queued is done.
    pub(crate) fn start(batches: &Batches, config: CommitterConfig) -> Self {
        let lanes = match config.lanes {
            0 | 1 => 1,
            several => several + 1,
        };
        let own = || Batches { has_deliveries: Arc::default(), ..batches.clone() };
        let (waiting, for_rows) = mpsc::channel(config.batch);
        tokio::spawn(own().wait_for_rows(for_rows, config.batch));
        let start = |_| {
            let (jobs, inbox) = mpsc::channel(config.queue);
            tokio::spawn(own().run(inbox, waiting.clone(), config.batch));
            jobs
        };
        Self { lanes: (0..lanes).map(start).collect(), waiting: waiting.clone() }
    }

    /// False when a lane has ended although there may be work for it.
    pub(crate) fn is_running(&self) -> bool {
        !self.waiting.is_closed() && self.lanes.iter().all(|lane| !lane.is_closed())
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
    pub(crate) fn submit(&self, command: Command) -> Result<Pending, Error> {
        let (reply, answer) = oneshot::channel();
        match self.lane(&command).try_send(Job::new(command, reply)) {
            Ok(()) => Ok(answer),
            Err(mpsc::error::TrySendError::Full(_)) => Err(Error::Busy),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Error::closed()),
        }
    }

    /// Queues a command of a step, waiting for room.
    pub(crate) async fn queue(&self, command: Command) -> Result<Pending, Error> {
        let (reply, answer) = oneshot::channel();
        let lane = self.lane(&command).clone();
        lane.send(Job::new(command, reply)).await.map_err(|_| Error::closed())?;
        Ok(answer)
    }

    /// Queues a command of a step, waiting for room, and waits for the answer.
    pub(crate) async fn run(&self, command: Command) -> Result<Done, Error> {
        self.queue(command).await?.await.unwrap_or_else(|_| Err(Error::closed()))
    }
}

/// The payment that a command is about, or the checkout or invoice that becomes one. `None` for
/// webhooks.
fn lane_key(command: &Command) -> Option<Ulid> {
    Some(match command {
        Command::Register(register) => register.id.ulid(),
        Command::Create(create) => create.new.payment.ulid(),
        Command::Cancel { of, .. } | Command::Lease { of, .. } | Command::Age { of, .. } => {
            of.payment.ulid()
        }
        Command::Record(record) => record.of.payment.ulid(),
        Command::Resolve(resolve) => resolve.of.payment.ulid(),
        Command::Adopt(adopt) => adopt.payment.ulid(),
        Command::Settle { payment, .. } => payment.ulid(),
        Command::PlaceHold(place) => place.new.payment.ulid(),
        Command::EndHold(end) => end.of.payment.ulid(),
        Command::OpenCheckout(open) => open.id.ulid(),
        Command::Checkout(act) => act.id.ulid(),
        // All of an account and mode take their numbers from one row.
        Command::CreateInvoice(create) => Ulid(u128::from(create.new.tenant.code().unsigned_abs())),
        Command::Invoice(act) => act.id.ulid(),
        Command::Webhook(..) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_committer_of_which_a_lane_has_ended_is_not_running() {
        let lane = || mpsc::channel(1);
        let (one, _running) = lane();
        let (other, running_too) = lane();
        let (waiting, _waits) = lane();
        let committer = Committer { lanes: [one, other].into(), waiting };
        assert!(committer.is_running());
        drop(running_too);
        assert!(!committer.is_running());
    }
}
