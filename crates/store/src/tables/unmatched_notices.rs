//! Statements of providers that fit nothing yet.

use super::put::{id, int, maybe_time, text};
use super::{Cells, FromRow, Table, changing, fixed, key};
use crate::StoreError;
use domain::ids::NoticeId;
use domain::tenant::Tenant;
use domain::time::Timestamp;
use domain::unique_keys::KeyHash;

/// A statement of a provider that fits nothing yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnmatchedNotice {
    pub tenant: Tenant,
    pub id: NoticeId,
    /// Hash of all it says, by which a repetition is known.
    pub hash: KeyHash,
    pub provider: Box<str>,
    /// The account at the provider; empty where there is only one.
    pub provider_account: Box<str>,
    pub provider_payment_id: Box<str>,
    /// A word that says why it fits nothing.
    pub reason: Box<str>,
    /// The statement, a JSON object.
    pub notice: Box<str>,
    /// How often it was tried.
    pub tries: u32,
    /// When it is tried again; `None` when only a person can tell where it belongs.
    pub due_at: Option<Timestamp>,
}

pub(crate) static UNMATCHED_NOTICES: Table<UnmatchedNotice> = Table::new(
    "unmatched_notices",
    &[
        key("scope", |n| int(n.tenant.code())),
        key("id", |n| id(n.id.bytes())),
        fixed("hash", |n| id(n.hash.0)),
        fixed("provider", |n| text(&n.provider)),
        fixed("provider_account", |n| text(&n.provider_account)),
        fixed("provider_payment_id", |n| text(&n.provider_payment_id)),
        changing("reason", |n| text(&n.reason)),
        fixed("notice", |n| text(&n.notice)),
        changing("tries", |n| int(n.tries)),
        changing("due_at", |n| maybe_time(n.due_at)),
    ],
);

impl FromRow for UnmatchedNotice {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        Ok(Self {
            tenant: c.tenant()?,
            id: NoticeId::from_ulid(c.ulid()?),
            hash: KeyHash(c.take()?),
            provider: c.required_text()?,
            provider_account: c.required_text()?,
            provider_payment_id: c.required_text()?,
            reason: c.required_text()?,
            notice: c.required_text()?,
            tries: c.take()?,
            due_at: c.maybe_time()?,
        })
    }
}
