//! Running totals of the ledger. `PostgreSQL` keeps each in parts, so each database adds to them with
//! a statement of its own.

use super::Cells;
use crate::StoreError;
use crate::queries::Balance;
use domain::ledger::{Code, Totals};

/// Reads code, currency, debits, credits.
pub(crate) fn read_balance(c: &mut impl Cells) -> Result<Balance, StoreError> {
    Ok(Balance {
        code: c.code(Code::from_code, "totals.code")?,
        currency: c.currency()?,
        totals: Totals { debits: c.take()?, credits: c.take()? },
    })
}
