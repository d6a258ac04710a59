//! Claiming due refunds: lane by lane, as far as the gates of their providers let calls in.

use crate::Error;
use crate::dispatch::{Leased, is_closed};
use crate::engine::Engine;
use crate::gates::{GateKey, Pace, RoundRobin, Work};
use domain::decide::{Command, Done, RefundRef};
use domain::provider::PerPayment;
use domain::tenant::Tenant;
use domain::time::Timestamp;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::{Backlog, ClaimedRefund, Lane, LaneOwner};
use ulid::Ulid;

/// Work that has been due for so long is overdue.
const OVERDUE_MS: i64 = 60_000;

/// How many lanes one step looks at.
const LANES: u32 = 256;

/// How many owners of lanes are remembered.
const OWNERS: usize = 10_000;

/// How long a refund waits at least behind another one of its payment.
const BEHIND_MS: i64 = 5_000;

/// The time or the room that steps on refunds wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NextWork {
    /// When there is work by the clock, if ever.
    pub at: Option<Timestamp>,
    /// Something is due and goes on when a call ends.
    pub waits_for_room: bool,
}

/// Where the steps of this node are on their way around the lanes, and whose lanes those are.
#[derive(Default)]
pub(crate) struct Lanes {
    /// The lane behind which the next step looks, where there are more than one step looks at.
    seen: Mutex<Option<u32>>,
    turns: Mutex<RoundRobin>,
    owners: Mutex<HashMap<u32, Arc<LaneOwner>>>,
}

impl Lanes {
    fn seen(&self) -> MutexGuard<'_, Option<u32>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turns(&self) -> MutexGuard<'_, RoundRobin> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The leases that were taken are worked on although something failed: otherwise their refunds end as
/// `unknown`.
fn taken_or_failed(leased: Vec<Leased>, failed: Option<Error>) -> Result<Vec<Leased>, Error> {
    match failed {
        Some(error) if leased.is_empty() => Err(error),
        Some(_) | None => Ok(leased),
    }
}

impl Engine {
    /// When there is work on a refund next: when it is due and its provider may be called.
    pub async fn next_work(&self) -> Result<NextWork, Error> {
        let mut next = NextWork::default();
        for lane in self.store().refund_lanes(None, LANES).await? {
            let Some((key, pace)) = self.gate_of(lane).await? else { continue };
            let now = self.now();
            let closed = (lane.due_at <= now).then(|| self.gates().closed(&key, pace, now));
            let opens_at = match closed.flatten() {
                None => Some(lane.due_at),
                Some(closed) => closed.until,
            };
            next.waits_for_room |= opens_at.is_none();
            next.at = next.at.into_iter().chain(opens_at).min();
        }
        Ok(next)
    }

    /// Work that waits although it was due a minute ago, and refunds in doubt.
    pub async fn backlog(&self) -> Result<Backlog, Error> {
        Ok(self.store().backlog(self.now().plus_ms(-OVERDUE_MS)).await?)
    }

    /// Takes the leases of refunds that are due, as many as there are free calls, at most `limit`. The
    /// lanes take turns, so that nobody waits behind the backlog of another provider or merchant. Where
    /// the gate is closed nothing is taken and nothing is written.
    pub async fn lease_due(&self, limit: u32) -> Result<Vec<Leased>, Error> {
        let now = self.now();
        let lanes = self.due_lanes(now).await?;
        let Ok(count) = u32::try_from(lanes.len()) else { return Ok(Vec::new()) };
        let mut left = limit;
        let each = (left / count.max(1)).max(1);
        let (mut leased, mut failed) = (Vec::new(), None);
        for (key, (lane, pace)) in lanes {
            if left == 0 {
                break;
            }
            match self.lease_lane(lane, (&key, pace), now, each.min(left)).await {
                Ok(some) => {
                    left = left.saturating_sub(u32::try_from(some.len()).unwrap_or(u32::MAX));
                    if !some.is_empty() {
                        self.lanes().turns().served(key);
                    }
                    leased.extend(some);
                }
                Err(error) => failed = Some(error),
            }
        }
        taken_or_failed(leased, failed)
    }

    /// The gate that a lane's refunds pass; `None` where this node lacks the provider, and while a person
    /// holds them back.
    async fn gate_of(&self, lane: Lane) -> Result<Option<(GateKey, Pace)>, Error> {
        let Some(owner) = self.lane_owner(lane.lane).await? else { return Ok(None) };
        let account = owner.provider_account.as_deref();
        let gate = self.0.hooks.gate_of(owner.tenant, &owner.provider, account);
        let Some((key, pace)) = gate else { return Ok(None) };
        let held_back = self.is_held_back(owner.tenant, key.account).await;
        Ok((!held_back).then_some((key, pace)))
    }

    /// The lanes with due work whose providers this node may call, in turn: one provider after the other,
    /// and of each provider one gate after the other.
    async fn due_lanes(&self, now: Timestamp) -> Result<Vec<(GateKey, (u32, Pace))>, Error> {
        let seen = *self.lanes().seen();
        let mut found = self.store().refund_lanes(seen, LANES).await?;
        let most = usize::try_from(LANES).unwrap_or(usize::MAX);
        if seen.is_some() && found.len() < most {
            let first = self.store().refund_lanes(None, LANES).await?;
            found.extend(first.into_iter().filter(|lane| Some(lane.lane) <= seen));
        }
        *self.lanes().seen() = found.last().filter(|_| found.len() >= most).map(|lane| lane.lane);
        let mut due = Vec::new();
        for lane in found.into_iter().filter(|lane| lane.due_at <= now) {
            if let Some((key, pace)) = self.gate_of(lane).await? {
                due.push((key, (lane.lane, pace)));
            }
        }
        Ok(self.lanes().turns().order(due).collect())
    }

    /// True while a person has stopped all sending of a tenant, or has paused the provider account.
    pub(crate) async fn is_held_back(&self, tenant: Tenant, account: Option<Ulid>) -> bool {
        self.is_sending_stopped(tenant).await || self.is_account_closed(tenant, account).await
    }

    /// True while the provider account is paused, and once it is deleted.
    pub(crate) async fn is_account_closed(&self, tenant: Tenant, account: Option<Ulid>) -> bool {
        let Some(account) = account else { return false };
        let states = self.provider_account_states(tenant).await;
        states.is_ok_and(|states| is_closed(&states, account))
    }

    async fn lane_owner(&self, lane: u32) -> Result<Option<Arc<LaneOwner>>, Error> {
        let known = |owners: &HashMap<u32, Arc<LaneOwner>>| owners.get(&lane).cloned();
        let owners = &self.lanes().owners;
        if let Some(owner) = known(&owners.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(Some(owner));
        }
        let Some(owner) = self.store().lane_owner(lane).await?.map(Arc::new) else {
            return Ok(None);
        };
        let mut owners = owners.lock().unwrap_or_else(PoisonError::into_inner);
        if owners.len() >= OWNERS {
            owners.clear();
        }
        owners.insert(lane, owner.clone());
        Ok(Some(owner))
    }

    /// Claims due refunds of one lane and begins the work on them.
    async fn lease_lane(
        &self,
        lane: u32,
        (key, pace): (&GateKey, Pace),
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Leased>, Error> {
        let room = self.gates().room(key, pace, now).min(limit);
        let permits: Vec<_> = (0..room)
            .map_while(|_| self.gates().try_enter(key, pace, Work::Due, now).ok())
            .collect();
        let Ok(limit) = u32::try_from(permits.len()) else { return Ok(Vec::new()) };
        if limit == 0 {
            return Ok(Vec::new());
        }
        let rules = self.rules(key.provider);
        let lease_ms = self.config().lease_ms;
        let until = now.plus_ms(lease_ms);
        let claimed = self.store().claim_refunds(lane, now, until, limit).await?;
        let mut permits = permits.into_iter();
        let mut pending = Vec::new();
        for (claimed, permit) in claimed.into_iter().zip(permits.by_ref()) {
            let ClaimedRefund { tenant, refund, payment, lease } = claimed;
            let of = RefundRef { tenant, refund, payment };
            let behind = self.waits_behind(of, rules.traits.per_payment, now).await?;
            let begin = Command::Lease { of, lease, lease_ms, behind, rules };
            pending.push((self.committer().queue(begin).await?, permit));
        }
        permits.for_each(|permit| permit.give_back(now));
        let (mut leased, mut failed) = (Vec::with_capacity(pending.len()), None);
        for (answer, permit) in pending {
            match answer.await.unwrap_or_else(|_| Err(Error::closed())) {
                Ok(Done::Leased { refund, payment, call }) => {
                    leased.push(Leased::new(refund, &payment, call, permit));
                }
                // Another node was faster, or the refund was decided meanwhile.
                Ok(_) | Err(Error::Refused(_)) => permit.give_back(now),
                Err(error) => failed = Some(error),
            }
        }
        taken_or_failed(leased, failed)
    }

    /// Until when a refund waits, where the provider makes one refund of a payment after another.
    async fn waits_behind(
        &self,
        of: RefundRef,
        per_payment: PerPayment,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Error> {
        let PerPayment::OneAtATime { gap_ms } = per_payment else { return Ok(None) };
        let answered_after = now.plus_ms(gap_ms.saturating_neg());
        let others = self.store().refunds_before(of.tenant, of.payment, of.refund, answered_after);
        let waits = !others.await?.is_empty();
        Ok(waits.then(|| now.plus_ms(gap_ms.max(BEHIND_MS))))
    }
}
