//! Settings of reconciling with the providers.

use super::wrong;
use crate::Failure;
use serde::{Deserialize, Serialize};

/// Longest pause in seconds: a week.
const LONGEST: u32 = 7 * 24 * 60 * 60;

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Seconds between two readings of what changed at a provider; 0 reads nothing.
    pub every: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { every: 15 * 60 }
    }
}

impl Settings {
    /// Checks the settings.
    pub fn check(self) -> Result<(), Failure> {
        if self.every > LONGEST {
            let every = self.every;
            return Err(wrong(format!(
                "reconcile.every must be at most {LONGEST} seconds, or 0 for never; not {every}"
            )));
        }
        Ok(())
    }

    /// Converts the pause for the engine.
    pub fn every_ms(self) -> i64 {
        i64::from(self.every) * 1000
    }
}
