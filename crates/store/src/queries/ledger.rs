//! Transfers, and sums of them.

use super::{Dialect, PageQuery, Query, Select, first_at};
use crate::StoreError;
use crate::tables::{Cells, FromRow, TRANSFERS};
use domain::ledger::{Code, Reason, SourceType, Totals, Transfer};
use domain::money::Currency;
use domain::tenant::Tenant;
use domain::time::Timestamp;
use ulid::Ulid;

/// Which ledger entries to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct TransferFilter {
    /// Fits the debit or the credit of a transfer.
    pub code: Option<Code>,
    pub source_type: Option<SourceType>,
    pub source: Option<Ulid>,
    pub transfer: Option<Ulid>,
}

pub(crate) fn list(
    dialect: Dialect,
    tenant: Tenant,
    filter: TransferFilter,
    page: PageQuery,
) -> Query<Transfer> {
    let by_source = filter.source.is_some() && filter.transfer.is_none();
    let index = by_source.then_some("postings_by_source");
    let mut transfers = Select::of(dialect, &TRANSFERS, index, tenant);
    transfers.and("source = ?", filter.source);
    transfers.and("source_type = ?", filter.source_type.map(SourceType::code));
    transfers.and("id = ?", filter.transfer);
    if let Some(code) = filter.code {
        // The ledger accounts of a transfer follow from its reason; these are at most three numbers
        // and no input.
        let reasons: Vec<String> = Reason::ALL
            .iter()
            .filter(|reason| reason.legs().0 == code || reason.legs().1 == code)
            .map(|reason| reason.code().to_string())
            .collect();
        transfers.push(&format!(" AND reason IN ({})", reasons.join(", ")));
    }
    transfers.page("id", page)
}

/// A running total of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    pub code: Code,
    pub currency: Currency,
    pub totals: Totals,
}

/// `PostgreSQL` keeps each total in parts, which the schema bounds so that their sum fits.
pub(crate) fn balances(tenant: Tenant) -> Query<Balance> {
    let sql = "SELECT code, currency, CAST(sum(debits) AS BIGINT), CAST(sum(credits) AS BIGINT) \
               FROM totals WHERE scope = $1 GROUP BY currency, code ORDER BY currency, code";
    Query::new(sql).with(tenant)
}

impl FromRow for Balance {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        Ok(Self {
            code: c.code(Code::from_code, "totals.code")?,
            currency: c.currency()?,
            totals: Totals { debits: c.take()?, credits: c.take()? },
        })
    }
}

/// The sum of the transfers for one reason in a span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransferSum {
    pub reason: Reason,
    /// Minor units.
    pub amount: i64,
}

/// Reads one range of the primary key. The sum cannot overflow where the running totals have not, since
/// they are sums of the same amounts over all time.
pub(crate) fn sum(
    tenant: Tenant,
    currency: Currency,
    from: Timestamp,
    until: Timestamp,
) -> Query<TransferSum> {
    let sql = "SELECT reason, CAST(sum(amount) AS BIGINT) FROM postings WHERE scope = $1 \
               AND id >= $2 AND id < $3 AND currency = $4 GROUP BY reason ORDER BY reason";
    Query::new(sql).with(tenant).with(first_at(from)).with(first_at(until)).with(currency.as_str())
}

impl FromRow for TransferSum {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        Ok(Self { reason: c.code(Reason::from_code, "postings.reason")?, amount: c.take()? })
    }
}

#[cfg(test)]
pub(super) fn cases() -> Vec<super::query_plans::Case> {
    use super::query_plans::{Case, KEY, nth};
    let all = TransferFilter::default();
    let of = |filter, index| Case::new(list, filter, index);
    let source = Some(nth(7));
    let source_type = Some(SourceType::Refund);
    vec![
        of(all, KEY),
        of(TransferFilter { code: Some(Code::Revenue), ..all }, KEY).scans(),
        of(TransferFilter { source_type, ..all }, KEY).scans(),
        of(TransferFilter { source, ..all }, "postings_by_source"),
        of(TransferFilter { source_type, source, ..all }, "postings_by_source"),
        of(TransferFilter { transfer: source, ..all }, KEY),
    ]
}
