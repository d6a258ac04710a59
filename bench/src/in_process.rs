//! (d), and (e) in process: the committer against SQLite alone.

use crate::database::{SqliteDatabase, in_runtime, wait_until_closed};
use crate::fixture;
use crate::load::{self, LoadResult};
use crate::measure::median;
use crate::sqlite_only;
use anyhow::Result;
use std::path::Path;
use std::time::Duration;

/// Number of tasks that create refunds at the same time.
pub const CLIENTS: u64 = 256;

/// Results of the committer and of SQLite alone, measured in alternation.
#[derive(Default)]
pub struct Comparison {
    pub committer: Vec<LoadResult>,
    pub sqlite_only: Vec<LoadResult>,
}

impl Comparison {
    /// Measures the committer on `database`, then SQLite alone on `other`.
    pub fn round(
        &mut self,
        database: &SqliteDatabase,
        other: &SqliteDatabase,
        duration: Duration,
    ) -> Result<()> {
        let committer = committer(database, duration)?;
        let sqlite_only =
            sqlite_only::run(&other.file(), &other.targets, committer.batch, duration)?;
        wait_until_closed(&other.file())?;
        self.committer.push(committer);
        self.sqlite_only.push(sqlite_only);
        Ok(())
    }

    /// Measures one round on two fresh copies of `database`.
    pub fn round_on_copies(
        &mut self,
        database: &SqliteDatabase,
        under: &Path,
        time: Duration,
    ) -> Result<()> {
        self.round(&database.copy(under)?, &database.copy(under)?, time)
    }

    /// Median rate of the committer, in refunds per second.
    pub fn committer_rate(&self) -> f64 {
        median(self.committer.iter().map(|round| round.per_second).collect())
    }

    /// Median rate of SQLite alone, in refunds per second.
    pub fn sqlite_only_rate(&self) -> f64 {
        median(self.sqlite_only.iter().map(|round| round.per_second).collect())
    }

    /// Median of the ratios of all rounds.
    pub fn ratio(&self) -> f64 {
        let rounds = self.committer.iter().zip(&self.sqlite_only);
        median(rounds.map(|(committer, sqlite)| committer.per_second / sqlite.per_second).collect())
    }
}

/// Creates refunds through an engine with [`CLIENTS`] tasks for `duration`.
pub fn committer(database: &SqliteDatabase, duration: Duration) -> Result<LoadResult> {
    let file = database.file();
    let achieved = in_runtime(async {
        let engine = fixture::open_engine(&file, database.folder())?;
        load::create_refunds(&engine, &database.targets, &file, CLIENTS, duration).await
    })?;
    wait_until_closed(&file)?;
    Ok(achieved)
}
