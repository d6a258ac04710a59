//! Accounts. The database gives their numbers, so each inserts them with a statement of its own.

use super::Cells;
use crate::StoreError;
use crate::queries::Account;
use domain::ids::AccountId;

pub(crate) const ACCOUNT_COLUMNS: &str = "no, id, name";

pub(crate) fn read_account(c: &mut impl Cells) -> Result<Account, StoreError> {
    Ok(Account { number: c.take()?, id: AccountId::from_ulid(c.ulid()?), name: c.required_text()? })
}
