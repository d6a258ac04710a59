//! Forgetting what has been kept for long enough: events of what is finished, and deliveries that
//! are done. Never refunds, payments, the ledger, or the names of refunds.

use crate::{Engine, Error};
use domain::time::Timestamp;
use store::Mark;

/// How long what is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Events, after the last thing that happened to their refund, checkout or invoice,
    /// milliseconds. For ever without it.
    pub events_ms: Option<i64>,
    /// Deliveries of webhooks, after their last attempt, milliseconds. For ever without it.
    pub deliveries_ms: Option<i64>,
}

/// How far one walk through everything that may be forgotten has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sweep {
    /// Deliveries come first, since they hold on to events.
    Deliveries(Mark),
    Events(Mark),
    Done,
}

impl Sweep {
    /// Nothing was looked at.
    pub const START: Self = Self::Deliveries(None);
}

impl Engine {
    /// Looks at no more than `limit` deliveries or events and forgets those that were kept for long
    /// enough, in one short transaction. Nodes may do so at once.
    pub async fn step_prune(&self, sweep: Sweep, limit: u32) -> Result<Sweep, Error> {
        let Retention { events_ms, deliveries_ms } = self.config().retention;
        let (what, pruned) = match sweep {
            Sweep::Deliveries(after) => match self.time_before(deliveries_ms) {
                Some(before) => {
                    ("deliveries", self.store().prune_deliveries(before, after, limit).await?)
                }
                None => return Ok(Sweep::Events(None)),
            },
            Sweep::Events(after) => match self.time_before(events_ms) {
                Some(before) => ("events", self.store().prune_events(before, after, limit).await?),
                None => return Ok(Sweep::Done),
            },
            Sweep::Done => return Ok(Sweep::Done),
        };
        let removed = u64::try_from(pruned.removed).unwrap_or(u64::MAX);
        metrics::counter!("refundry_pruned_total", "what" => what).increment(removed);
        Ok(match (sweep, pruned.after) {
            (Sweep::Deliveries(_), None) => Sweep::Events(None),
            (Sweep::Deliveries(_), after) => Sweep::Deliveries(after),
            (Sweep::Events(_) | Sweep::Done, None) => Sweep::Done,
            (Sweep::Events(_) | Sweep::Done, after) => Sweep::Events(after),
        })
    }

    /// Forgets idempotency keys that ran out, at most `limit`. Never those of refunds.
    pub async fn step_expire(&self, limit: u32) -> Result<usize, Error> {
        let keys = self.store().forget_keys(self.now(), limit).await?;
        Ok(keys + self.store().forget_answers(self.now(), limit).await?)
    }

    fn time_before(&self, kept_ms: Option<i64>) -> Option<Timestamp> {
        kept_ms.map(|kept_ms| self.now().plus_ms(kept_ms.saturating_neg()))
    }
}
