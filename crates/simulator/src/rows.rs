//! The rows of the book, and how they are read.

use crate::RefundStatus;
use domain::account::Tenant;
use domain::money::{Currency, Money};
use domain::time::Timestamp;
use rusqlite::Row;
use rusqlite::types::Type;
use ulid::Ulid;

/// The start of every refund id.
const REFUND_PREFIX: &str = "sre_";

/// A row of the table `refund`.
#[derive(Clone, Debug)]
pub(crate) struct Refund {
    pub(crate) id: Ulid,
    pub(crate) tenant: Tenant,
    /// `None` for a refund that was made in the PSP's dashboard.
    pub(crate) key: Option<Box<str>>,
    pub(crate) payment_id: Box<str>,
    /// The requested amount, in minor units.
    pub(crate) asked: i64,
    /// The amount that is paid out.
    pub(crate) money: Money,
    pub(crate) status: RefundStatus,
    /// Time of the last change of `status`. Strictly increasing.
    pub(crate) at: Timestamp,
    pub(crate) booked_at: Timestamp,
    pub(crate) paid_at: Option<Timestamp>,
    pub(crate) returned_at: Option<Timestamp>,
    pub(crate) code: Option<Box<str>>,
    pub(crate) message: Option<Box<str>>,
    /// Number of calls that asked for this refund, including calls whose answer was lost.
    pub(crate) calls: u32,
}

/// Prints the id of a refund as the PSP's callers see it.
pub(crate) fn print_id(id: Ulid) -> String {
    let mut text = [0; ulid::ULID_LEN];
    [REFUND_PREFIX, id.array_to_str(&mut text)].concat()
}

pub(crate) fn parse_id(text: &str) -> Option<Ulid> {
    Ulid::from_string(text.strip_prefix(REFUND_PREFIX)?).ok()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TaskKind {
    /// Pays a pending refund out and sends a webhook.
    Settle,
    /// Pays out and sends the same webhook twice.
    SettleTellTwice,
    /// Pays out and sends the webhook of the older state last.
    SettleTellOutOfOrder,
    /// Pays out and sends no webhook.
    SettleSilently,
    /// Takes a payout back and sends a webhook.
    TakeBack,
    /// Delivers a webhook until it is acknowledged.
    Webhook,
    /// Delivers a webhook with a wrong signature, once.
    ForgedWebhook,
}

impl TaskKind {
    const ALL: [Self; 7] = [
        Self::Settle,
        Self::SettleTellTwice,
        Self::SettleTellOutOfOrder,
        Self::SettleSilently,
        Self::TakeBack,
        Self::Webhook,
        Self::ForgedWebhook,
    ];

    pub(crate) const fn code(self) -> i64 {
        match self {
            Self::Settle => 1,
            Self::SettleTellTwice => 2,
            Self::SettleTellOutOfOrder => 3,
            Self::SettleSilently => 4,
            Self::TakeBack => 5,
            Self::Webhook => 6,
            Self::ForgedWebhook => 7,
        }
    }
}

/// A row of the table `task`: scheduled work on a refund.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) number: i64,
    pub(crate) kind: TaskKind,
    pub(crate) tenant: Tenant,
    pub(crate) refund: Ulid,
    /// Number of failed deliveries of the webhook.
    pub(crate) tries: u32,
    pub(crate) body: Option<Vec<u8>>,
}

/// The columns of `refund`, in the order of the schema.
pub(crate) fn read_refund(row: &Row<'_>) -> rusqlite::Result<Refund> {
    Ok(Refund {
        id: Ulid::from_bytes(row.get(0)?),
        tenant: tenant(row, 1)?,
        key: row.get(2)?,
        payment_id: row.get(3)?,
        asked: row.get(4)?,
        money: Money::new(row.get(5)?, currency(row, 6)?),
        status: RefundStatus::from_code(row.get(7)?).ok_or_else(|| out_of_range(row, 7))?,
        at: Timestamp(row.get(8)?),
        booked_at: Timestamp(row.get(9)?),
        paid_at: row.get::<_, Option<i64>>(10)?.map(Timestamp),
        returned_at: row.get::<_, Option<i64>>(11)?.map(Timestamp),
        code: row.get(12)?,
        message: row.get(13)?,
        calls: row.get(14)?,
    })
}

pub(crate) fn read_task(row: &Row<'_>) -> rusqlite::Result<Task> {
    let code: i64 = row.get(1)?;
    let kind = TaskKind::ALL.into_iter().find(|kind| kind.code() == code);
    Ok(Task {
        number: row.get(0)?,
        kind: kind.ok_or_else(|| out_of_range(row, 1))?,
        tenant: tenant(row, 2)?,
        refund: Ulid::from_bytes(row.get(3)?),
        tries: row.get(4)?,
        body: row.get(5)?,
    })
}

fn tenant(row: &Row<'_>, column: usize) -> rusqlite::Result<Tenant> {
    Tenant::from_code(row.get(column)?).ok_or_else(|| out_of_range(row, column))
}

pub(crate) fn currency(row: &Row<'_>, column: usize) -> rusqlite::Result<Currency> {
    let text = row.get_ref(column)?.as_str()?;
    Currency::parse(text)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(e)))
}

/// The error for a number that this version does not know.
pub(crate) fn out_of_range(row: &Row<'_>, column: usize) -> rusqlite::Error {
    let value = row.get(column).unwrap_or_default();
    rusqlite::Error::IntegralValueOutOfRange(column, value)
}
