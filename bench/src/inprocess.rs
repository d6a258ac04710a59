//! (d), and (e) in process: the committer against the raw loop.

use crate::ground::{Ground, in_runtime, wait_until_closed};
use crate::lab;
use crate::load::{self, Achieved};
use crate::measure::median;
use crate::raw;
use anyhow::Result;
use std::path::Path;
use std::time::Duration;

/// Tasks that create refunds at the same time.
pub const CLIENTS: u64 = 256;

/// The committer and the raw loop, in turns.
#[derive(Default)]
pub struct Duel {
    /// The committer's rounds.
    pub committer: Vec<Achieved>,
    /// The raw loop's rounds.
    pub raw: Vec<Achieved>,
}

impl Duel {
    /// One round: both on the same ground, one right after the other.
    pub fn round(&mut self, ground: &Ground, other: &Ground, duration: Duration) -> Result<()> {
        let committer = committer(ground, duration)?;
        let raw = raw::run(&other.database(), &other.targets, committer.batch, duration)?;
        wait_until_closed(&other.database())?;
        self.committer.push(committer);
        self.raw.push(raw);
        Ok(())
    }

    /// A round on two fresh copies of `ground`.
    pub fn round_on_copies(&mut self, ground: &Ground, under: &Path, time: Duration) -> Result<()> {
        self.round(&ground.copy(under)?, &ground.copy(under)?, time)
    }

    /// The committer's median rate, refunds per second.
    pub fn committer_rate(&self) -> f64 {
        median(self.committer.iter().map(|round| round.per_second).collect())
    }

    /// The raw loop's median rate, refunds per second.
    pub fn raw_rate(&self) -> f64 {
        median(self.raw.iter().map(|round| round.per_second).collect())
    }

    /// The median of the rounds' ratios.
    pub fn ratio(&self) -> f64 {
        let rounds = self.committer.iter().zip(&self.raw);
        median(rounds.map(|(committer, raw)| committer.per_second / raw.per_second).collect())
    }
}

/// Runs the committer under load.
pub fn committer(ground: &Ground, duration: Duration) -> Result<Achieved> {
    let database = ground.database();
    let achieved = in_runtime(async {
        let engine = lab::open_engine(&database, ground.folder())?;
        load::create_refunds(&engine, &ground.targets, &database, CLIENTS, duration).await
    })?;
    wait_until_closed(&database)?;
    Ok(achieved)
}
