//! Facts that a run keeps: copies of the database, disputes, and how persons ended holds.

use domain::decide::hold::DISPUTE;
use domain::ids::HoldId;
use domain::refund::{Origin, Refund};
use domain::time::Timestamp;
use engine::{DisputeNotice, End};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A copy of the database.
#[derive(Clone)]
pub(crate) struct Standby {
    pub(crate) file: PathBuf,
    pub(crate) copied_at: Timestamp,
    /// The notices about disputes that it knows.
    pub(crate) disputes_told: Vec<bool>,
}

/// The disputes at the provider, and how persons ended holds.
#[derive(Default)]
pub(crate) struct Disputes {
    /// The provider's last word about each dispute.
    pub(crate) last: Vec<DisputeNotice>,
    /// The numbers of the notices that the provider has yet to deliver.
    pub(crate) waiting: Vec<usize>,
    /// The holds that a person ended first, and how.
    pub(crate) ended: BTreeMap<HoldId, End>,
    pub(crate) asked: usize,
}

/// True for the refund that a lost dispute is booked as.
pub(crate) fn is_lost_dispute(refund: &Refund) -> bool {
    refund.origin == Origin::External
        && refund.provider_refund_id.is_none()
        && refund.reason.as_deref() == Some(DISPUTE)
}
