//! Admission of calls to payment providers: a gate per provider account.
//!
//! A call needs a [`Permit`], and a lease is taken only for work that has one, so work that cannot
//! be called for costs neither a write nor an event. Time and randomness are parameters, nothing
//! here waits, and the one lock is held for a look-up and a few sums.
//!
//! - **Pace**: a token bucket, and a number of calls at once. "Too many requests" halves that
//!   number and closes the gate as long as the provider says; answers raise it again one by one.
//! - **Breaker**: five calls in a row that are lost close the gate, longer each time. Then one call
//!   finds out how things are. Three refusals of the credentials close it until a person resumes it
//!   or a quarter of an hour is over.
//! - **Share**: the gates of one provider take at most three quarters of the node's free slots and
//!   leave one, and so does each gate of the slots that are left to its provider. So one provider
//!   that hangs, or one tenant's backlog, never takes the room of the others.
//! - **New refunds**: a quarter of the slots and of the pace is kept for refunds that are sent as
//!   soon as they are committed, so a backlog does not stand in their way. Nor do they stand in its
//!   way: while due work waits, new refunds keep to their quarter.
//! - **Turns**: [`RoundRobin`] puts due work into turns: one provider after the other, and of each
//!   provider one gate after the other.
//!
//! Gates are of one node: where several nodes call, each gets its part of a provider's pace.

mod breaker;
mod bucket;
mod gate;
mod limit;
mod round_robin;
mod slots;
mod table;
mod wait;

pub use domain::provider::Pace;
pub use round_robin::{RoundRobin, Turns};
pub use slots::Work;

use breaker::Change;
use domain::tenant::Tenant;
use domain::time::Timestamp;
use gate::Entry;
use rand_core::Rng;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use table::Table;
use tokio::sync::Notify;
use ulid::Ulid;

/// Names a gate: the credentials that calls are made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GateKey {
    pub tenant: Tenant,
    /// The name that the adapter has, so there are no more of them than adapters.
    pub provider: &'static str,
    /// The provider account, where the tenant has several at one provider.
    pub account: Option<Ulid>,
}

/// The result of a call, as far as the gate is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The provider answered the call, be it with a refusal of the refund.
    Answered,
    NotConnected,
    /// The call was sent and not answered: a timeout, a cut connection, an error of the server.
    Lost,
    /// The provider did not do it, since there were too many calls.
    Throttled {
        retry_after_ms: Option<i64>,
    },
    /// The provider does not accept the credentials.
    Unauthorized,
}

/// A call may not be made now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// When to ask again; `None` where that is not a matter of time.
    pub until: Option<Timestamp>,
    pub why: Why,
}

/// Why a call may not be made now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The gate has as many calls of this kind under way as it may have.
    Busy,
    /// The gates of the provider have as many calls under way, all together, as they may have.
    ProviderBusy,
    /// All slots of the node are taken, those for the other kind of work left aside.
    Full,
    /// The pace is used up.
    Paced,
    /// The provider asked for a pause.
    Throttled,
    /// Calls were lost; while `until` is not set, one call finds out how things are.
    BreakerOpen,
    /// The credentials were refused; while `until` is not set, one call finds out how things are.
    Unauthorized,
}

/// A gate as operators see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateState {
    pub key: GateKey,
    /// Calls under way.
    pub calls_at_once: u32,
    /// Calls that may be under way; below the pace after the provider said "too many".
    pub limit: u32,
    /// Calls that the pace allows at once.
    pub calls_left: u32,
    /// Why due work would not get in.
    pub closed: Option<Closed>,
}

/// The gates of a node. Cheap to clone.
#[derive(Clone)]
pub struct Gates(Arc<Inner>);

struct Inner {
    table: Mutex<Table>,
    room: Notify,
    idle: Notify,
}

/// The permission to call a provider once. Its slot is free again when it is dropped.
#[must_use = "a permit that is dropped gives its slot back"]
pub struct Permit {
    gates: Gates,
    key: GateKey,
    work: Work,
    entry: Entry,
}

impl Gates {
    /// Gates that let through `total_at_once` calls at the same time, all together.
    pub fn new(total_at_once: usize) -> Self {
        let total = u32::try_from(total_at_once).unwrap_or(u32::MAX).max(1);
        let (room, idle) = (Notify::new(), Notify::new());
        Self(Arc::new(Inner { table: Mutex::new(Table::new(total)), room, idle }))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets one call in, or says why not.
    pub fn try_enter(
        &self,
        key: &GateKey,
        pace: Pace,
        work: Work,
        now: Timestamp,
    ) -> Result<Permit, Closed> {
        let entry = self.table().enter(*key, pace, work, now)?;
        Ok(Permit { gates: self.clone(), key: *key, work, entry })
    }

    /// How much due work could enter now. To ask is to want: where there is no room, new refunds
    /// keep to their part for a while.
    pub fn room(&self, key: &GateKey, pace: Pace, now: Timestamp) -> u32 {
        self.table().room(*key, pace, Work::Due, now).unwrap_or(0)
    }

    /// Why due work cannot enter now; `None` when it can. To ask is to want, as for [`Gates::room`].
    pub fn closed(&self, key: &GateKey, pace: Pace, now: Timestamp) -> Option<Closed> {
        self.table().room(*key, pace, Work::Due, now).err()
    }

    /// Opens a gate that does not answer or whose credentials were refused. A pause that the provider
    /// asked for stays.
    pub fn resume(&self, key: &GateKey) {
        self.table().resume(key);
        self.0.room.notify_one();
    }

    /// The gates that were used lately, in the order of their keys.
    pub fn states(&self, now: Timestamp) -> Vec<GateState> {
        self.table().states(now)
    }

    /// Calls under way or about to be.
    pub fn calls_at_once(&self) -> u32 {
        self.table().calls_at_once()
    }

    /// Resolves when there may be more room: a call ended, or a person opened something. There is
    /// one waiter; room that was made before it came wakes it at once.
    pub async fn room_made(&self) {
        self.0.room.notified().await;
    }

    /// Resolves when no call is under way. The caller limits the wait.
    pub async fn all_out(&self) {
        loop {
            let idle = self.0.idle.notified();
            tokio::pin!(idle);
            idle.as_mut().enable();
            if self.calls_at_once() == 0 {
                return;
            }
            idle.await;
        }
    }
}

impl Permit {
    pub fn key(&self) -> &GateKey {
        &self.key
    }

    pub fn work(&self) -> Work {
        self.work
    }

    /// Reports the result of a call. Each call of a permit is reported; a permit that is dropped
    /// without a report was not used.
    pub fn report(&self, verdict: Verdict, now: Timestamp, rng: &mut impl Rng) {
        let change = self.gates.table().report(&self.key, verdict, self.entry, now, rng);
        let (provider, account) = (self.key.provider, self.key.tenant.account());
        match change {
            Some(Change::Opened { why, again: false, ms }) => {
                tracing::warn!(provider, account, ?why, ms, "calls to a provider are suspended");
            }
            Some(Change::Closed) => {
                tracing::info!(provider, account, "calls to a provider are made again");
                self.gates.0.room.notify_one();
            }
            Some(Change::Opened { again: true, .. }) | None => {}
        }
    }

    /// Takes another call out of the pace, for work that takes several. It is never refused; later
    /// calls wait for it.
    pub fn call_again(&self, now: Timestamp) {
        self.gates.table().call_again(&self.key, self.entry, now);
    }

    /// Gives the permit back without a call, such as when another node was faster: the pace has
    /// that call again.
    pub fn give_back(self, now: Timestamp) {
        self.gates.table().put_back(&self.key, self.entry, now);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let left = self.gates.table().leave(&self.key, self.work, self.entry);
        self.gates.0.room.notify_one();
        if left == 0 {
            self.gates.0.idle.notify_waiters();
        }
    }
}

impl std::fmt::Debug for Permit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Permit")
            .field("key", &self.key)
            .field("work", &self.work)
            .finish_non_exhaustive()
    }
}
