//! Accounts (tenants), modes, and the tenant that separates their rows.

use crate::codes::codes;

codes! {
    /// Which of an account's two separate worlds a row belongs to. Decided by the key, never by the
    /// request body.
    pub enum Mode {
        Test = 0 "test",
        Live = 1 "live",
    }
}

/// The part of the data that one account sees in one mode. Every row's primary key starts with it,
/// so it is also what a sharded database splits by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tenant(i64);

impl Tenant {
    /// The scope of account number `account` in `mode`.
    pub fn new(account: u32, mode: Mode) -> Self {
        Self(i64::from(account) * 2 + mode.code())
    }

    /// The number stored in the database.
    pub const fn code(self) -> i64 {
        self.0
    }

    /// The scope stored as `code`; `None` when no account can have it.
    pub fn from_code(code: i64) -> Option<Self> {
        u32::try_from(code / 2).ok().filter(|_| code >= 0).map(|_| Self(code))
    }

    /// The account's number.
    pub fn account(self) -> u32 {
        u32::try_from(self.0 / 2).unwrap_or(u32::MAX)
    }

    /// The mode.
    pub const fn mode(self) -> Mode {
        if self.0 % 2 == 0 { Mode::Test } else { Mode::Live }
    }
}
