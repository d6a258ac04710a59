//! Sums of the ledger over a span of time. One query reads one index range and nothing else.

use super::codec::Columns;
use super::reads::first_at;
use crate::StoreError;
use crate::cells::Cells;
use crate::query::PostingSum;
use domain::account::Scope;
use domain::ledger::Reason;
use domain::money::Currency;
use domain::time::Timestamp;
use rusqlite::{Connection, params};

/// The sum cannot overflow where the ledger has not: its running totals are guarded sums of the
/// same amounts over all time.
const SUM_POSTINGS: &str = "SELECT reason, sum(amount) FROM postings \
     WHERE scope = ?1 AND id >= ?2 AND id < ?3 AND currency = ?4 GROUP BY reason";

pub(super) fn sum_postings(
    connection: &Connection,
    scope: Scope,
    currency: Currency,
    from: Timestamp,
    until: Timestamp,
) -> Result<Vec<PostingSum>, StoreError> {
    let mut select = connection.prepare_cached(SUM_POSTINGS)?;
    let mut rows = select.query(params![
        scope.code(),
        first_at(from).to_bytes(),
        first_at(until).to_bytes(),
        currency.as_str(),
    ])?;
    let mut sums = Vec::new();
    while let Some(row) = rows.next()? {
        let mut c = Columns::new(row);
        let reason = c.code(Reason::from_code, "postings.reason")?;
        sums.push(PostingSum { reason, amount: c.take()? });
    }
    Ok(sums)
}
