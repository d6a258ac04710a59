//! The rows of the book, and how they are read.

use crate::RefundStatus;
use domain::money::{Currency, Money};
use domain::tenant::Tenant;
use domain::time::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Result, Row};
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
    /// The status in which the refund was booked, which is the first call's answer.
    pub(crate) booked_as: RefundStatus,
    /// Time of the last change of `status`. Strictly increasing.
    pub(crate) at: Timestamp,
    pub(crate) booked_at: Timestamp,
    pub(crate) paid_at: Option<Timestamp>,
    pub(crate) returned_at: Option<Timestamp>,
    pub(crate) code: Option<Box<str>>,
    pub(crate) message: Option<Box<str>>,
    /// Number of calls that asked for this refund, including calls whose answer was lost.
    pub(crate) calls: u32,
    /// Look-up and list do not show the refund before.
    pub(crate) visible_at: Timestamp,
    pub(crate) quirk: Quirk,
}

impl Refund {
    /// A pending refund that was made by hand.
    pub(crate) fn booked(
        id: Ulid,
        tenant: Tenant,
        payment_id: Box<str>,
        money: Money,
        at: Timestamp,
    ) -> Self {
        Self {
            id,
            tenant,
            key: None,
            payment_id,
            asked: money.minor,
            money,
            status: RefundStatus::Pending,
            booked_as: RefundStatus::Pending,
            at,
            booked_at: at,
            paid_at: None,
            returned_at: None,
            code: None,
            message: None,
            calls: 0,
            visible_at: at,
            quirk: Quirk::None,
        }
    }

    /// The refund at this time: one that is being processed is booked and paid when it becomes visible,
    /// whether or not a step has noticed.
    pub(crate) fn seen_at(self, now: Timestamp) -> Self {
        if self.status != RefundStatus::Processing || now < self.visible_at {
            return self;
        }
        let at = self.visible_at;
        Self { status: RefundStatus::Succeeded, at, booked_at: at, paid_at: Some(at), ..self }
    }

    /// The refund, booked in this status. A succeeded one is paid out at once.
    pub(crate) fn in_status(self, status: RefundStatus) -> Self {
        let paid_at = (status == RefundStatus::Succeeded).then_some(self.at);
        Self { status, booked_as: status, paid_at, ..self }
    }
}

/// Declares an enum that the book stores as a number.
macro_rules! stored {
    ($(#[$meta:meta])* $vis:vis enum $name:ident {
        $($(#[$about:meta])* $variant:ident = $code:literal,)+
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        $vis enum $name { $($(#[$about])* $variant,)+ }

        impl rusqlite::ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
                Ok(match self { $(Self::$variant => $code,)+ }.into())
            }
        }

        impl rusqlite::types::FromSql for $name {
            fn column_result(
                value: rusqlite::types::ValueRef<'_>,
            ) -> rusqlite::types::FromSqlResult<Self> {
                match value.as_i64()? {
                    $($code => Ok(Self::$variant),)+
                    other => Err(rusqlite::types::FromSqlError::OutOfRange(other)),
                }
            }
        }
    };
}
pub(crate) use stored;

/// Prints the id of a refund as the PSP's callers see it.
pub(crate) fn print_id(id: Ulid) -> String {
    let mut text = [0; ulid::ULID_LEN];
    [REFUND_PREFIX, id.array_to_str(&mut text)].concat()
}

pub(crate) fn parse_id(text: &str) -> Option<Ulid> {
    Ulid::from_string(text.strip_prefix(REFUND_PREFIX)?).ok()
}

stored! {
    /// How the PSP speaks of a refund.
    pub(crate) enum Quirk {
        None = 0,
        /// Without any time.
        NoTimes = 1,
        /// Without the key in webhooks.
        NoKeyInWebhooks = 2,
        /// As a refund of another payment.
        OtherPayment = 3,
        /// With a new word while it is pending.
        NewStatus = 4,
    }
}

stored! {
    pub(crate) enum TaskKind {
        /// Pays a pending refund out and sends a webhook.
        Settle = 1,
        /// Pays out and sends the same webhook twice.
        SettleTellTwice = 2,
        /// Pays out and sends the webhook of the older state last.
        SettleTellOutOfOrder = 3,
        /// Pays out and sends no webhook.
        SettleSilently = 4,
        /// Takes a payout back and sends a webhook.
        TakeBack = 5,
        /// Delivers a webhook until it is acknowledged.
        Webhook = 6,
        /// Delivers a webhook with a wrong signature, once.
        ForgedWebhook = 7,
        /// Pays the refund a second time and sends a webhook.
        PayAgain = 8,
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
pub(crate) fn read_refund(row: &Row<'_>) -> Result<Refund> {
    Ok(Refund {
        id: Ulid::from_bytes(row.get(0)?),
        tenant: tenant(row, 1)?,
        key: row.get(2)?,
        payment_id: row.get(3)?,
        asked: row.get(4)?,
        money: Money::new(row.get(5)?, currency(row, 6)?),
        status: row.get(7)?,
        at: Timestamp(row.get(8)?),
        booked_at: Timestamp(row.get(9)?),
        paid_at: row.get::<_, Option<i64>>(10)?.map(Timestamp),
        returned_at: row.get::<_, Option<i64>>(11)?.map(Timestamp),
        code: row.get(12)?,
        message: row.get(13)?,
        calls: row.get(14)?,
        booked_as: row.get(15)?,
        visible_at: Timestamp(row.get(16)?),
        quirk: row.get(17)?,
    })
}

pub(crate) fn read_task(row: &Row<'_>) -> Result<Task> {
    Ok(Task {
        number: row.get(0)?,
        kind: row.get(1)?,
        tenant: tenant(row, 2)?,
        refund: Ulid::from_bytes(row.get(3)?),
        tries: row.get(4)?,
        body: row.get(5)?,
    })
}

fn tenant(row: &Row<'_>, column: usize) -> Result<Tenant> {
    Tenant::from_code(row.get(column)?).ok_or_else(|| out_of_range(row, column))
}

pub(crate) fn currency(row: &Row<'_>, column: usize) -> Result<Currency> {
    let text = row.get_ref(column)?.as_str()?;
    Currency::parse(text)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(e)))
}

/// The error for a number that this version does not know.
pub(crate) fn out_of_range(row: &Row<'_>, column: usize) -> rusqlite::Error {
    let value = row.get(column).unwrap_or_default();
    rusqlite::Error::IntegralValueOutOfRange(column, value)
}
