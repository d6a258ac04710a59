//! Settings of the retention of events and webhook deliveries.

use super::wrong;
use crate::Failure;
use engine::Retention;
use serde::{Deserialize, Serialize};

/// Milliseconds of a day.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Longest retention in days.
const LONGEST: u32 = 36_500;

/// Retention in days; 0 keeps everything.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Days to keep events of refunds, checkouts and invoices that are finished.
    pub events_days: u32,
    /// Days to keep deliveries that are finished.
    pub deliveries_days: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { events_days: 0, deliveries_days: 90 }
    }
}

impl Settings {
    /// Checks the settings.
    pub fn check(self) -> Result<(), Failure> {
        for (name, days) in
            [("events_days", self.events_days), ("deliveries_days", self.deliveries_days)]
        {
            if days > LONGEST {
                return Err(wrong(format!(
                    "retention.{name} must be at most {LONGEST}, or 0 for ever; not {days}"
                )));
            }
        }
        let (events, deliveries) = (self.events_days, self.deliveries_days);
        if events > 0 && !(1..=events).contains(&deliveries) {
            return Err(wrong(format!(
                "retention.deliveries_days must be from 1 to retention.events_days, which is \
                 {events}, since a delivery refers to an event; not {deliveries}"
            )));
        }
        Ok(())
    }

    /// Converts the settings for the engine.
    pub fn build(self) -> Retention {
        let kept = |days: u32| (days > 0).then(|| i64::from(days) * DAY_MS);
        Retention { events_ms: kept(self.events_days), deliveries_ms: kept(self.deliveries_days) }
    }
}
