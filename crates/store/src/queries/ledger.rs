//! Sums of the ledger.

use super::TransferSum;
use crate::StoreError;
use crate::tables::Cells;
use domain::ledger::Reason;

/// A total may be kept in parts, which the schema bounds so that their sum fits.
pub(crate) const BALANCES: &str = "SELECT code, currency, CAST(sum(debits) AS BIGINT), \
     CAST(sum(credits) AS BIGINT) FROM totals WHERE scope = $1 \
     GROUP BY currency, code ORDER BY currency, code";

/// Reads one range of the primary key. The sum cannot overflow where the running totals have not, since
/// they are sums of the same amounts over all time.
pub(crate) const SUM_POSTINGS: &str = "SELECT reason, CAST(sum(amount) AS BIGINT) FROM postings \
     WHERE scope = $1 AND id >= $2 AND id < $3 AND currency = $4 GROUP BY reason ORDER BY reason";

pub(crate) fn read_posting_sum(c: &mut impl Cells) -> Result<TransferSum, StoreError> {
    Ok(TransferSum { reason: c.code(Reason::from_code, "postings.reason")?, amount: c.take()? })
}
