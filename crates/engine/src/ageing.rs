//! Telling persons of refunds that have waited for too long. The work on a refund tells of it, too; this looks
//! at the refunds on which nobody works: their provider is not called, or this node lacks it.

use crate::{Engine, Error};
use domain::decide::{Command, LEFT_QUEUED_MS, LEFT_SENDING_MS, RefundRef};
use domain::ids::RefundId;
use domain::provider::Rules;
use domain::refund::{RefundView, State};
use domain::tenant::Tenant;
use domain::time::Timestamp;

/// Where a look at the waiting refunds goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AgedUntil(Timestamp, Tenant, RefundId);

impl Engine {
    /// Looks at waiting refunds behind `after`, at most `limit`, and tells once of each that has waited for too
    /// long. Returns where to go on; `None` behind the last one.
    pub async fn step_ageing(
        &self,
        after: Option<AgedUntil>,
        limit: u32,
    ) -> Result<Option<AgedUntil>, Error> {
        let now = self.now();
        let after = after.map(|AgedUntil(at, tenant, id)| (at, tenant, id));
        let before = now.plus_ms(-self.soonest_attention_ms());
        let found = self.store().ageing_refunds(before, after, limit).await?;
        let is_old = |view: &&RefundView| {
            let after = self.rules(&view.payment.provider).attention_after_ms(view.refund.state);
            after.is_some_and(|ms| view.refund.updated_at.plus_ms(ms) <= now)
        };
        self.age(found.iter().filter(is_old)).await?;
        let is_full = u32::try_from(found.len()) == Ok(limit);
        let last = found.last().filter(|_| is_full).map(|view| &view.refund);
        Ok(last.map(|refund| AgedUntil(refund.updated_at, refund.tenant, refund.id)))
    }

    /// Looks at refunds that are due and that nobody works on, at most `limit`: nothing is sent, their provider
    /// account is paused or gone, or no node has their provider. Those that a node that is gone was sending are in
    /// doubt from here on; of those that have waited for a day a person is told. Returns how many.
    pub async fn step_left(&self, limit: u32) -> Result<usize, Error> {
        let (now, store) = (self.now(), self.store());
        let (over, due) = (now.plus_ms(-LEFT_SENDING_MS), now.plus_ms(-LEFT_QUEUED_MS));
        let found = store.refunds_left(over, due, limit).await?;
        self.age(found.iter()).await?;
        Ok(found.len())
    }

    async fn age<'a>(&self, refunds: impl Iterator<Item = &'a RefundView>) -> Result<(), Error> {
        let mut pending = Vec::new();
        for RefundView { refund, payment } in refunds {
            let rules = Box::new(self.rules(&payment.provider));
            let age = Command::Age { of: RefundRef::from(refund), rules };
            // A full queue leaves the rest for the next look.
            let Ok(answer) = self.committer().submit(age) else { break };
            pending.push(answer);
        }
        for answer in pending {
            match answer.await.unwrap_or_else(|_| Err(Error::closed())) {
                Ok(_) | Err(Error::Refused(_) | Error::Busy) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The shortest time after which a person is told about a refund in any state at any provider.
    fn soonest_attention_ms(&self) -> i64 {
        let policies = &self.config().policies;
        let named = self.registry().traits().keys().copied();
        let others = policies.by_provider.keys().map(String::as_str);
        let soonest = |rules: Rules| {
            let states = State::ALL.iter();
            states.filter_map(|state| rules.attention_after_ms(*state)).min()
        };
        let each = named.chain(others).chain([""]);
        each.filter_map(|provider| soonest(self.rules(provider))).min().unwrap_or(i64::MAX)
    }
}
