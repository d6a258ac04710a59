//! The settings that form a group, one file per group.

pub mod rate_limits;
pub mod reconcile;
pub mod retention;
pub mod webhooks;

use crate::Failure;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    On,
    Off,
}

/// The failure of a setting that cannot be accepted.
pub fn wrong(text: impl std::fmt::Display) -> Failure {
    Failure::Usage(format!("configuration: {text}"))
}
