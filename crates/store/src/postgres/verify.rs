//! Derives balances, ledger and sequences again and compares them with what is stored.
//!
//! All checks see one snapshot, so that running nodes do not disturb them.

use super::error_class::TxFailure;
use super::value::fault;
use super::{PostgresStore, within};
use crate::StoreError;
use crate::queries::{CHECKS, Report, written};
use std::time::Duration;

/// How long one query may take.
const LIMIT: Duration = Duration::from_hours(1);

/// One snapshot without a time limit. A verification reads whole tables, so all kinds of scans and
/// joins are allowed.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
     SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; \
     SET LOCAL enable_seqscan = on; SET LOCAL enable_bitmapscan = on; SET LOCAL enable_hashjoin = on; \
     SET LOCAL enable_mergejoin = on";

impl PostgresStore {
    /// Derives every balance and the whole ledger again and compares.
    pub async fn verify(&self) -> Result<Report, StoreError> {
        // The connection does not return to the pool: when the caller stops waiting, the
        // verification ends.
        let session = self.session(&self.reads).await.map_err(TxFailure::into_error)?;
        let Some(client) = session.into_client() else {
            return Err(StoreError::Closed);
        };
        within(LIMIT, client.batch_execute(BEGIN)).await?;
        let mut counts = [0; 3];
        for (count, table) in counts.iter_mut().zip(["payments", "refunds", "postings"]) {
            let sql = format!("SELECT count(*) FROM {table}");
            let rows = within(LIMIT, client.query_typed(&sql, &[])).await?;
            let found: Option<i64> = rows.first().map(|row| row.get(0));
            *count = found.and_then(|count| u64::try_from(count).ok()).unwrap_or(0);
        }
        let [payments, refunds, transfers] = counts;
        let mut report = Report { payments, refunds, transfers, differences: Vec::new() };
        for check in CHECKS {
            let id = |column: &str| format!("replace({column}::text, '-', '')");
            let check = written(check, id, "json_array_elements(i.lines::json) AS l (value)");
            let sql = format!(
                "SELECT a::text, b::text, c::text FROM ({check}) AS found (a, b, c) LIMIT {}",
                Report::LIMIT
            );
            for row in within(LIMIT, client.query_typed(&sql, &[])).await? {
                let text = |at: usize| -> Result<&str, StoreError> {
                    let text: Option<&str> = row.try_get(at).map_err(fault)?;
                    Ok(text.unwrap_or("nothing"))
                };
                report.add([text(0)?, text(1)?, text(2)?]);
            }
        }
        let _ = within(LIMIT, client.batch_execute("COMMIT")).await;
        Ok(report)
    }
}
