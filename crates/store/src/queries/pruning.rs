//! What is forgotten after a while: events of things that are finished, and deliveries that are done.
//!
//! Both are walked along their primary keys, a page at a time, from the oldest on. Events of a thing
//! go together, and the thing notes in the same transaction how many: whoever verifies knows exactly
//! which must be there.

use crate::StoreError;
use crate::tables::Cells;
use domain::account::Scope;
use ulid::Ulid;

/// Where a walk goes on: behind this row. `None` is the beginning, and the end.
pub type Mark = Option<(Scope, Ulid)>;

/// What became of one page of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pruned {
    /// How many events, or deliveries, were removed.
    pub removed: usize,
    /// Where the walk goes on.
    pub after: Mark,
}

/// A row that was walked past: its id and, for an event, its refund, checkout or invoice.
pub(crate) type Passed = (Ulid, [Option<[u8; 16]>; 3]);

/// Things whose events are numbered: their table, the column of events that names them, and when
/// nothing more is expected to happen to one of them, `t`.
pub(crate) const THINGS: [(&str, &str, &str); 3] = [
    ("refunds", "refund", "t.status <> 1"),
    ("checkouts", "checkout", "t.flight = 0 AND (t.state IN (4, 6, 7) OR t.deleted = 1)"),
    ("invoices", "invoice", "t.state >= 4"),
];

/// No endpoint of the scope of `t` is still to be told about the thing with the id `subject`.
pub(crate) fn is_told(subject: &str) -> String {
    format!(
        "NOT EXISTS (SELECT 1 FROM webhook_endpoints w CROSS JOIN deliveries d \
         WHERE w.scope = t.scope AND d.scope = t.scope AND d.endpoint = w.id \
         AND d.subject = {subject} AND d.status = 1)"
    )
}

/// What the events of things without numbered events are about.
pub(crate) const OTHER: &str = "coalesce(t.payment, t.endpoint)";

/// The ids of the things of one kind that were walked past.
pub(crate) fn of_kind(passed: &[Passed], kind: usize) -> Vec<[u8; 16]> {
    let mut ids: Vec<_> = passed.iter().filter_map(|(_, of)| of.get(kind).copied()?).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// The events that were walked past and are about none of [`THINGS`].
pub(crate) fn others(passed: &[Passed]) -> impl Iterator<Item = Ulid> {
    passed.iter().filter(|(_, of)| of.iter().all(Option::is_none)).map(|(id, _)| *id)
}

/// The first scope behind `$1` that has rows in a table.
pub(crate) fn next_scope(table: &str) -> String {
    format!("SELECT scope FROM {table} WHERE scope > $1 ORDER BY scope LIMIT 1")
}

/// A page of a walk: rows of scope `$1` behind `$2` and before `$3`, at most `$4`.
pub(crate) fn walk_page(table: &str, columns: &str) -> String {
    format!(
        "SELECT id, {columns} FROM {table} WHERE scope = $1 AND id > $2 AND id < $3 \
         ORDER BY id LIMIT $4"
    )
}

pub(crate) fn read_passed(c: &mut impl Cells) -> Result<Passed, StoreError> {
    Ok((c.ulid()?, [c.take()?, c.take()?, c.take()?]))
}
