//! Statistics of tables that were empty a moment ago.
//!
//! A connection plans a statement once. While a table is empty, the planner takes any index for as
//! good as any other, and the connection keeps that plan while the table grows, until the table is
//! analyzed. The database does that by itself, but takes minutes; a node under load does it
//! earlier. Once the statistics show some rows, the right plan is the cheapest, however many rows
//! follow.

use super::PostgresStore;
use super::statement::Statement;
use super::value::{Value, number};
use crate::StoreError;
use crate::tables::{self, Cells as _};
use std::sync::atomic::Ordering;

/// Batches of a node before its first check. The next check follows when their number has doubled.
const FIRST: u64 = 32;

/// A table with at least this many rows in its statistics gets the right plans.
const KNOWN: i64 = 1_000;

/// Our tables that the planner takes for small.
const SMALL: &str = "SELECT c.relname::text FROM pg_class c WHERE c.relname = ANY ($1) \
     AND c.relnamespace = current_schema()::regnamespace AND c.reltuples < $2 ORDER BY c.relname";

impl PostgresStore {
    /// Counts a batch, and starts a check of the statistics when one is due.
    pub(super) fn note_batch(&self) {
        let batches = self.batches.fetch_add(1, Ordering::Relaxed) + 1;
        if batches >= FIRST && batches.is_power_of_two() {
            let store = self.clone();
            tokio::spawn(async move {
                if let Err(error) = store.count_small_tables().await {
                    tracing::debug!(%error, "the statistics of the database were not renewed");
                }
            });
        }
    }

    /// Analyzes small tables. Skips a table that another session has locked.
    async fn count_small_tables(&self) -> Result<(), StoreError> {
        let names = tables::ALL.iter().map(|(table, _)| Some((*table).into())).collect();
        let select = Statement::new(SMALL, vec![Value::Texts(names), number(KNOWN)]);
        let small = self.list(select, |c| c.required_text()).await?;
        if small.is_empty() {
            return Ok(());
        }
        let analyze = format!("ANALYZE (SKIP_LOCKED) {}", small.join(", "));
        self.retried(&self.reads, Statement::new(analyze, Vec::new())).await.map(|_| ())
    }
}
