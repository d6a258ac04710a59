//! Counts of overdue work.

use super::Query;
use crate::StoreError;
use crate::tables::{Cells, FromRow};
use domain::time::Timestamp;

/// Overdue work, each kind counted up to [`Backlog::MOST`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Refunds that were due before a given time.
    pub overdue_refunds: u32,
    /// Refunds that may or may not have reached the provider.
    pub unknown_refunds: u32,
    /// Refunds that a person must look at.
    pub refunds_in_review: u32,
    /// Refunds that wait for a person who was told.
    pub refunds_for_attention: u32,
    /// Webhooks that were due before a given time.
    pub overdue_deliveries: u32,
}

impl Backlog {
    /// The largest count.
    pub const MOST: u32 = 10_000;
}

impl FromRow for Backlog {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        Ok(Self {
            overdue_refunds: c.take()?,
            unknown_refunds: c.take()?,
            refunds_in_review: c.take()?,
            refunds_for_attention: c.take()?,
            overdue_deliveries: c.take()?,
        })
    }
}

/// Counts in the order of the fields, each along one index; `$1` is the time, `$2` the largest
/// count. The conditions on the states unknown (6) and in review (9) repeat the condition of the
/// index, so that the planner uses it.
pub(crate) const COUNT_BACKLOG: &str = "WITH RECURSIVE lanes (lane) AS ( \
         SELECT (SELECT r.lane FROM refunds r WHERE r.due_at IS NOT NULL ORDER BY r.lane LIMIT 1) \
         UNION ALL \
         SELECT (SELECT r.lane FROM refunds r WHERE r.due_at IS NOT NULL AND r.lane > l.lane \
                 ORDER BY r.lane LIMIT 1) \
         FROM lanes l WHERE l.lane IS NOT NULL \
     ) SELECT \
     (SELECT count(*) FROM (SELECT 1 FROM lanes CROSS JOIN refunds r \
         WHERE r.lane = lanes.lane AND r.due_at < $1 LIMIT $2) AS a), \
     (SELECT count(*) FROM \
      (SELECT 1 FROM refunds WHERE state IN (6, 9) AND state = 6 LIMIT $2) AS b), \
     (SELECT count(*) FROM \
      (SELECT 1 FROM refunds WHERE state IN (6, 9) AND state = 9 LIMIT $2) AS c), \
     (SELECT count(*) FROM (SELECT 1 FROM refunds WHERE needs_attention = 1 LIMIT $2) AS e), \
     (SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE next_at < $1 LIMIT $2) AS d)";

pub(crate) fn count(before: Timestamp) -> Query<Backlog> {
    Query::new(COUNT_BACKLOG).with(before).with(Backlog::MOST)
}
