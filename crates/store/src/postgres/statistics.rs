//! What the planner knows of tables that were empty a moment ago.
//!
//! A statement is planned once for each connection. Planned while a table was empty, any index seems
//! as good as any other, and stays the one when the table grows, until its rows are counted. The
//! database does that by itself, but takes minutes; a node that takes in much sees to it earlier. Once
//! a table is known to have some rows, the right plan is the cheapest one, however many come.

use super::PostgresStore;
use super::reads::number;
use super::statement::Statement;
use super::value::Value;
use crate::StoreError;
use crate::tables::{self, Cells as _};
use std::sync::atomic::Ordering;

/// Batches of a node before its first look. It looks again whenever their number has doubled.
const FIRST: u64 = 32;

/// Rows of a table that is known well enough.
const KNOWN: i64 = 1_000;

/// Tables of ours that the planner takes for small.
const SMALL: &str = "SELECT c.relname::text FROM pg_class c WHERE c.relname = ANY ($1) \
     AND c.relnamespace = current_schema()::regnamespace AND c.reltuples < $2 ORDER BY c.relname";

impl PostgresStore {
    /// Counts a batch, and begins a look at the statistics when one is due.
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

    /// Has the rows of small tables counted. One that somebody else is about to count is left out.
    async fn count_small_tables(&self) -> Result<(), StoreError> {
        let names = tables::ALL.iter().map(|(table, _)| Some((*table).into())).collect();
        let select = Statement::new(SMALL, vec![Value::Texts(names), number(KNOWN)]);
        let small = self.list(select, |c| c.required_text()).await?;
        if small.is_empty() {
            return Ok(());
        }
        let analyze = format!("ANALYZE (SKIP_LOCKED) {}", small.join(", "));
        self.read(Statement::new(analyze, Vec::new())).await.map(|_| ())
    }
}
