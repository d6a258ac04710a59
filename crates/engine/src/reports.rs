//! Sums of the ledger by day.
//!
//! A report reads one UTC day per query, so that however much was posted, none of the few readers
//! is busy with it for long. Past days do not change, so the sums of a span are of one moment but
//! for today.

use crate::Engine;
use crate::Error;
use domain::ledger::Reason;
use domain::money::Currency;
use domain::tenant::Tenant;
use domain::time::Timestamp;
use store::{StoreError, TransferSum};

/// A UTC day, in milliseconds.
const DAY_MS: i64 = 86_400_000;

/// Sums of the ledger over a span of time, by reason, in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Movements {
    pub captured: i64,
    pub refunded: i64,
    /// Given back and taken back by the provider later.
    pub returned: i64,
}

impl Movements {
    /// These and `others`. `None` when a sum is out of range.
    pub fn checked_add(self, others: Self) -> Option<Self> {
        Some(Self {
            captured: self.captured.checked_add(others.captured)?,
            refunded: self.refunded.checked_add(others.refunded)?,
            returned: self.returned.checked_add(others.returned)?,
        })
    }

    /// Money that came in: debits of cash.
    pub fn inflow(self) -> Option<i64> {
        self.captured.checked_add(self.returned)
    }

    fn of(sums: &[TransferSum]) -> Option<Self> {
        sums.iter().try_fold(Self::default(), |all, sum| {
            let amount = sum.amount;
            all.checked_add(match sum.reason {
                Reason::Capture => Self { captured: amount, ..Self::default() },
                Reason::Refund => Self { refunded: amount, ..Self::default() },
                Reason::LateFailure => Self { returned: amount, ..Self::default() },
            })
        })
    }
}

/// One UTC day, or the part of it that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    pub from: Timestamp,
    pub movements: Movements,
}

impl Engine {
    /// The sums of one currency for each UTC day from `from` until before `until`. The caller
    /// limits the span.
    pub async fn movements_by_day(
        &self,
        tenant: Tenant,
        currency: Currency,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Day>, Error> {
        let mut days = Vec::new();
        let mut start = from;
        while start < until {
            let end = next_midnight(start).min(until);
            let sums = self.store().sum_transfers(tenant, currency, start, end).await?;
            let movements = Movements::of(&sums)
                .ok_or_else(|| StoreError::Inconsistent("a day's transfers overflow".into()))?;
            days.push(Day { from: start, movements });
            start = end;
        }
        Ok(days)
    }
}

/// The first moment of the UTC day after the one of `at`.
fn next_midnight(at: Timestamp) -> Timestamp {
    at.plus_ms(DAY_MS - at.0.rem_euclid(DAY_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_end_at_midnight_utc() {
        for (at, next) in [(0, DAY_MS), (1, DAY_MS), (DAY_MS - 1, DAY_MS), (DAY_MS, 2 * DAY_MS)] {
            assert_eq!(next_midnight(Timestamp(at)), Timestamp(next), "{at}");
        }
    }

    #[test]
    fn sums_that_do_not_fit_are_refused_and_not_wrapped() {
        let sum = |reason, amount| TransferSum { reason, amount };
        let movements = Movements::of(&[
            sum(Reason::Capture, 5),
            sum(Reason::Refund, 3),
            sum(Reason::LateFailure, 1),
        ]);
        assert_eq!(movements, Some(Movements { captured: 5, refunded: 3, returned: 1 }));
        assert_eq!(movements.and_then(Movements::inflow), Some(6));
        let full = Movements { captured: i64::MAX, ..Movements::default() };
        assert_eq!(full.checked_add(Movements { captured: 1, ..Movements::default() }), None);
        assert_eq!(Movements { returned: 1, ..full }.inflow(), None);
    }
}
