//! Accounts. The database gives their numbers.

use super::Query;
use crate::StoreError;
use crate::tables::{Cells, FromRow};
use domain::ids::AccountId;
use domain::time::Timestamp;

/// A merchant.
#[derive(Clone, Debug)]
pub struct Account {
    /// A short number, part of every key.
    pub number: u32,
    pub id: AccountId,
    pub name: Box<str>,
}

impl FromRow for Account {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        let (number, id) = (c.take()?, AccountId::from_ulid(c.ulid()?));
        Ok(Self { number, id, name: c.required_text()? })
    }
}

/// Returns no row when the account exists already, because the reply to an earlier try was lost. When
/// two nodes give the same number, one of them conflicts and tries again.
pub(crate) fn create(id: AccountId, name: &str, now: Timestamp) -> Query<Account> {
    let sql = "INSERT INTO accounts (no, id, name, created_at) \
               SELECT coalesce(max(no), 0) + 1, $1, $2, $3 FROM accounts WHERE true \
               ON CONFLICT (id) DO NOTHING RETURNING no, id, name";
    Query::new(sql).with(id.bytes()).with(name).with(now)
}

pub(crate) fn find(id: AccountId) -> Query<Account> {
    Query::new("SELECT no, id, name FROM accounts WHERE id = $1").with(id.bytes())
}

pub(crate) fn find_by_number(number: u32) -> Query<Account> {
    Query::new("SELECT no, id, name FROM accounts WHERE no = $1").with(number)
}

pub(crate) fn list() -> Query<Account> {
    Query::new("SELECT no, id, name FROM accounts ORDER BY no LIMIT 1000")
}
