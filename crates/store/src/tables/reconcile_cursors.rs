//! How far the changes at each provider were read.

use super::put::{int, text, time};
use super::{Cells, FromRow, Table, changing, key};
use crate::StoreError;
use domain::tenant::Tenant;
use domain::time::Timestamp;

/// How far the changes at a provider were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReconcileCursor {
    pub tenant: Tenant,
    pub provider: Box<str>,
    /// The account at the provider; empty where there is only one.
    pub provider_account: Box<str>,
    /// Where the round begins that is under way or comes next.
    pub since: Timestamp,
    /// Where the next page of the round begins; `None` between two rounds.
    pub page: Option<Box<str>>,
    /// When the round under way, or the last one, began.
    pub began_at: Timestamp,
    /// How often in a row the provider could not be asked.
    pub failures: u32,
    /// When the next page is read; the end of the lease while a node reads one.
    pub due_at: Timestamp,
}

pub(crate) static RECONCILE_CURSORS: Table<ReconcileCursor> = Table::new(
    "reconcile_cursors",
    &[
        key("scope", |c| int(c.tenant.code())),
        key("provider", |c| text(&c.provider)),
        key("provider_account", |c| text(&c.provider_account)),
        changing("since", |c| time(c.since)),
        changing("page", |c| text(c.page.as_deref().unwrap_or_default())),
        changing("began_at", |c| time(c.began_at)),
        changing("failures", |c| int(c.failures)),
        changing("due_at", |c| time(c.due_at)),
    ],
);

impl FromRow for ReconcileCursor {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        Ok(Self {
            tenant: c.tenant()?,
            provider: c.required_text()?,
            provider_account: c.required_text()?,
            since: c.time()?,
            page: Some(c.required_text()?).filter(|page| !page.is_empty()),
            began_at: c.time()?,
            failures: c.take()?,
            due_at: c.time()?,
        })
    }
}
