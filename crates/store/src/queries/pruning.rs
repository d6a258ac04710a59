//! Old events of finished subjects and old finished deliveries, which are deleted after a while.
//!
//! A walk goes along the primary key, a page at a time, from the oldest row on. All events of a
//! subject are deleted together, and in the same transaction its row stores how many: a
//! verification knows exactly which events must exist.

use crate::StoreError;
use crate::tables::{Cells, FromRow};
use domain::tenant::Tenant;
use ulid::Ulid;

/// Where a walk continues: behind this row. `None` is the beginning, and the end.
pub type Mark = Option<(Tenant, Ulid)>;

/// The result of one page of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pruned {
    /// The number of events or deliveries that were deleted.
    pub removed: usize,
    /// Where the walk continues.
    pub after: Mark,
}

/// A row that the walk passed: its id and, for an event, its refund, checkout or invoice.
pub(crate) type Passed = (Ulid, [Option<[u8; 16]>; 3]);

/// Subjects with numbered events: their table, the column of events that names them, and the
/// condition under which nothing more is expected to happen to one of them, `t`.
pub(crate) const THINGS: [(&str, &str, &str); 3] = [
    ("refunds", "refund", "t.status <> 1"),
    ("checkouts", "checkout", "t.flight = 0 AND (t.state IN (4, 6, 7) OR t.deleted = 1)"),
    ("invoices", "invoice", "t.state >= 4"),
];

/// No endpoint of the tenant of `t` has a pending delivery about the subject with the id `subject`.
pub(crate) fn is_told(subject: &str) -> String {
    format!(
        "NOT EXISTS (SELECT 1 FROM webhook_endpoints w CROSS JOIN deliveries d \
         WHERE w.scope = t.scope AND d.scope = t.scope AND d.endpoint = w.id \
         AND d.subject = {subject} AND d.status = 1)"
    )
}

/// The subject of an event without a sequence number.
pub(crate) const OTHER: &str = "coalesce(t.payment, t.endpoint, t.about)";

/// The ids of the subjects of one kind that the walk passed.
pub(crate) fn of_kind(passed: &[Passed], kind: usize) -> Vec<[u8; 16]> {
    let mut ids: Vec<_> = passed.iter().filter_map(|(_, of)| of.get(kind).copied()?).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The events that the walk passed and whose subject is not in [`THINGS`].
pub(crate) fn others(passed: &[Passed]) -> impl Iterator<Item = Ulid> {
    passed.iter().filter(|(_, of)| of.iter().all(Option::is_none)).map(|(id, _)| *id)
}

/// The first scope behind `$1` that has rows in a table.
pub(crate) fn next_scope(table: &str) -> String {
    format!("SELECT scope FROM {table} WHERE scope > $1 ORDER BY scope LIMIT 1")
}

/// A page of a walk: rows of tenant `$1` behind `$2` and before `$3`, at most `$4`.
pub(crate) fn walk_page(table: &str, columns: &str) -> String {
    format!(
        "SELECT id, {columns} FROM {table} WHERE scope = $1 AND id > $2 AND id < $3 \
         ORDER BY id LIMIT $4"
    )
}

impl FromRow for Passed {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        Ok((c.ulid()?, [c.take()?, c.take()?, c.take()?]))
    }
}
