//! The tables that both databases have: one file per table declares its columns once, how each is
//! written, and how a row is read.
//!
//! The statements of both databases are made from these declarations. A reader takes its cells in the
//! order in which the columns are declared.

mod api_keys;
mod attempts;
mod cells;
mod checkouts;
mod deliveries;
mod endpoints;
mod events;
mod holds;
mod invoices;
mod keys;
mod payments;
mod provider_accounts;
mod put;
mod reconcile_cursors;
mod refund_attempts;
mod refunds;
mod sending;
mod stored_responses;
mod transfers;
mod unmatched_notices;

pub(crate) use api_keys::{API_KEYS, KeyToStore};
pub use api_keys::{ApiKeyRow, NewApiKey};
pub(crate) use attempts::ATTEMPTS;
pub(crate) use cells::{Cell, Cells, FromRow, inconsistent};
pub(crate) use checkouts::CHECKOUTS;
pub(crate) use deliveries::DELIVERIES;
pub(crate) use endpoints::{ENDPOINTS, SUBSCRIBER_COLUMNS};
pub(crate) use events::EVENTS;
pub(crate) use holds::HOLDS;
pub(crate) use invoices::INVOICES;
pub(crate) use keys::KEYS;
pub(crate) use payments::PAYMENTS;
pub(crate) use provider_accounts::{PROVIDER_ACCOUNT_STATE_COLUMNS, PROVIDER_ACCOUNTS};
pub(crate) use put::Put;
pub(crate) use reconcile_cursors::RECONCILE_CURSORS;
pub use reconcile_cursors::ReconcileCursor;
pub(crate) use refund_attempts::REFUND_ATTEMPTS;
pub(crate) use refunds::REFUNDS;
pub(crate) use sending::SENDING;
pub(crate) use stored_responses::STORED_RESPONSES;
pub(crate) use transfers::TRANSFERS;
pub(crate) use unmatched_notices::UNMATCHED_NOTICES;
pub use unmatched_notices::UnmatchedNotice;

use std::sync::OnceLock;

/// Every table with its key, referenced tables first.
pub(crate) const ALL: &[(&str, &[&str])] = &[
    ("accounts", &["no"]),
    ("api_keys", &["id"]),
    ("payments", &["scope", "id"]),
    ("refunds", &["scope", "id"]),
    ("keys", &["scope", "hash"]),
    ("events", &["scope", "id"]),
    ("postings", &["scope", "id"]),
    ("totals", &["scope", "currency", "code"]),
    ("webhook_endpoints", &["scope", "id"]),
    ("deliveries", &["scope", "id"]),
    ("delivery_bodies", &["no"]),
    ("delivery_attempts", &["scope", "delivery", "number"]),
    ("checkouts", &["scope", "id"]),
    ("invoices", &["scope", "id"]),
    ("invoice_numbers", &["scope"]),
    ("answers", &["scope", "hash"]),
    ("refund_attempts", &["scope", "refund", "number"]),
    ("unmatched_notices", &["scope", "id"]),
    ("provider_accounts", &["scope", "id"]),
    ("sending", &["scope"]),
    ("holds", &["scope", "id"]),
    ("reconcile_cursors", &["scope", "provider", "provider_account"]),
];

/// When a column is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Part of the primary key.
    Key,
    /// Written when the row is inserted.
    Fixed,
    /// Written when the row is inserted and when it is updated.
    Changing,
    /// Written by statements of its own.
    ReadOnly,
}

/// A column: its name, when it is written and with what, and whether a reader takes it.
pub(crate) struct Column<T> {
    pub(crate) name: &'static str,
    role: Role,
    value: fn(&T) -> Put<'_>,
    is_read: bool,
}

const fn key<T>(name: &'static str, value: fn(&T) -> Put<'_>) -> Column<T> {
    Column { name, role: Role::Key, value, is_read: true }
}

/// A column that never changes.
const fn fixed<T>(name: &'static str, value: fn(&T) -> Put<'_>) -> Column<T> {
    Column { name, role: Role::Fixed, value, is_read: true }
}

/// A column that an update writes too.
const fn changing<T>(name: &'static str, value: fn(&T) -> Put<'_>) -> Column<T> {
    Column { name, role: Role::Changing, value, is_read: true }
}

/// A column that an update writes too, and that queries filter by but no reader takes.
const fn unread<T>(name: &'static str, value: fn(&T) -> Put<'_>) -> Column<T> {
    Column { name, role: Role::Changing, value, is_read: false }
}

/// A column that has a default and is changed by statements of its own.
const fn read_only<T>(name: &'static str) -> Column<T> {
    Column { name, role: Role::ReadOnly, value: |_| Put::Int(None), is_read: true }
}

/// A column of `SQLite` alone, which chains the refunds of a payment. The writer gives its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chain {
    /// The table has none.
    None,
    /// Written when the row is inserted.
    Fixed(&'static str),
    /// Written with every row, and read with it, behind the other columns.
    Changing(&'static str),
}

impl Chain {
    pub(crate) const fn name(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Fixed(name) | Self::Changing(name) => Some(name),
        }
    }
}

/// A table whose rows are made from values of type `T`. The columns of its key come first.
pub(crate) struct Table<T: 'static> {
    pub(crate) name: &'static str,
    columns: &'static [Column<T>],
    pub(crate) chain: Chain,
    texts: OnceLock<Texts>,
}

/// Pieces of statements, made once.
pub(crate) struct Texts {
    /// The columns that a reader takes.
    columns: String,
    /// Inserts one row; parameters are `?1`, `?2` …
    pub(crate) insert: String,
    /// Updates one row, which the first parameters name.
    pub(crate) update: String,
    /// Selects one row by its key, with the chain column.
    pub(crate) select: String,
    /// Selects one row by its key; parameters are `$1`, `$2` …
    pub(crate) find: String,
}

impl<T> Table<T> {
    const fn new(name: &'static str, columns: &'static [Column<T>]) -> Self {
        Self::chained(name, Chain::None, columns)
    }

    const fn chained(name: &'static str, chain: Chain, columns: &'static [Column<T>]) -> Self {
        Self { name, columns, chain, texts: OnceLock::new() }
    }

    pub(crate) fn texts(&self) -> &Texts {
        self.texts.get_or_init(|| Texts::of(self))
    }

    /// The columns that a reader takes, in its order.
    pub(crate) fn columns(&self) -> &str {
        &self.texts().columns
    }

    /// The number of columns that a reader takes.
    pub(crate) fn width(&self) -> usize {
        self.columns.iter().filter(|column| column.is_read).count()
    }

    /// The same columns with `alias.` before each.
    pub(crate) fn columns_of(&self, alias: &str) -> String {
        with_alias(alias, self.columns())
    }

    pub(crate) fn key(&self) -> impl Iterator<Item = &'static str> {
        self.columns.iter().filter(|column| column.role == Role::Key).map(|column| column.name)
    }

    /// The columns of an insert, in the order of its parameters.
    pub(crate) fn inserted(&self) -> impl Iterator<Item = &'static Column<T>> {
        self.columns.iter().filter(|column| column.role != Role::ReadOnly)
    }

    /// The columns of an update, in the order of its parameters.
    pub(crate) fn updated(&self) -> impl Iterator<Item = &'static Column<T>> {
        let is_updated = |column: &&Column<T>| matches!(column.role, Role::Key | Role::Changing);
        self.columns.iter().filter(is_updated)
    }

    /// The columns with these names.
    pub(crate) fn named(&self, names: &[&str]) -> impl Iterator<Item = &'static Column<T>> {
        self.columns.iter().filter(move |column| names.contains(&column.name))
    }

    /// The end of an insert that replaces a row which is there.
    pub(crate) fn or_replace(&self) -> String {
        let key: Vec<_> = self.key().collect();
        let rest = self.inserted().filter(|column| column.role != Role::Key);
        let rest: Vec<_> = rest.map(|column| format!("{0} = excluded.{0}", column.name)).collect();
        format!("ON CONFLICT ({}) DO UPDATE SET {}", key.join(", "), rest.join(", "))
    }
}

impl<T> Column<T> {
    pub(crate) fn value<'a>(&self, row: &'a T) -> Put<'a> {
        (self.value)(row)
    }
}

impl Texts {
    fn of<T>(table: &Table<T>) -> Self {
        let name = table.name;
        let read = table.columns.iter().filter(|column| column.is_read);
        let columns = read.map(|column| column.name).collect::<Vec<_>>().join(", ");
        let (always, changing) = match table.chain {
            Chain::None => (None, None),
            Chain::Fixed(chain) => (Some(chain), None),
            Chain::Changing(chain) => (Some(chain), Some(chain)),
        };
        let inserted: Vec<_> = table.inserted().map(|column| column.name).chain(always).collect();
        let numbers: Vec<_> = (1..=inserted.len()).map(|number| format!("?{number}")).collect();
        let updated = table.updated().map(|column| column.name).chain(changing);
        let numbered = updated.zip(1..).map(|(name, number)| format!("{name} = ?{number}"));
        let (key, sets): (Vec<_>, Vec<_>) =
            numbered.enumerate().partition(|(at, _)| *at < table.key().count());
        let join = |parts: Vec<(usize, String)>, between| {
            parts.into_iter().map(|(_, part)| part).collect::<Vec<_>>().join(between)
        };
        let (key, sets) = (join(key, " AND "), join(sets, ", "));
        let selected = changing.map_or_else(|| columns.clone(), |c| format!("{columns}, {c}"));
        Self {
            insert: format!(
                "INSERT INTO {name} ({}) VALUES ({})",
                inserted.join(", "),
                numbers.join(", ")
            ),
            update: format!("UPDATE {name} SET {sets} WHERE {key}"),
            select: format!("SELECT {selected} FROM {name} WHERE {key}"),
            find: format!("SELECT {columns} FROM {name} WHERE {}", key.replace('?', "$")),
            columns,
        }
    }
}

/// `columns` with `alias.` before each.
pub(crate) fn with_alias(alias: &str, columns: &str) -> String {
    let names: Vec<_> = columns.split(", ").map(|name| format!("{alias}.{name}")).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T>(table: &Table<T>) {
        let key: Vec<_> = table.key().collect();
        let known = ALL.iter().find(|(name, _)| *name == table.name);
        assert_eq!(known.map(|(_, key)| *key), Some(&*key), "{}", table.name);
        let first = table.columns.iter().take(key.len()).map(|column| column.name);
        assert!(first.eq(key), "the key of {} comes first", table.name);
    }

    #[test]
    fn keys_are_declared_first_and_are_those_of_the_list() {
        check(&API_KEYS);
        check(&PAYMENTS);
        check(&REFUNDS);
        check(&REFUND_ATTEMPTS);
        check(&HOLDS);
        check(&KEYS);
        check(&EVENTS);
        check(&TRANSFERS);
        check(&ENDPOINTS);
        check(&DELIVERIES);
        check(&ATTEMPTS);
        check(&CHECKOUTS);
        check(&INVOICES);
        check(&STORED_RESPONSES);
        check(&UNMATCHED_NOTICES);
        check(&PROVIDER_ACCOUNTS);
        check(&SENDING);
        check(&RECONCILE_CURSORS);
    }

    #[test]
    fn statements_of_one_row_follow_the_declaration() {
        static TABLE: Table<i64> = Table::chained(
            "things",
            Chain::Changing("last"),
            &[
                key("scope", |n| put::int(*n)),
                key("id", |n| put::int(*n)),
                fixed("made", |n| put::int(*n)),
                changing("state", |n| put::int(*n)),
                unread("status", |n| put::int(*n)),
                read_only("pruned"),
            ],
        );
        let texts = TABLE.texts();
        assert_eq!(
            texts.insert,
            "INSERT INTO things (scope, id, made, state, status, last) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
        );
        assert_eq!(
            texts.update,
            "UPDATE things SET state = ?3, status = ?4, last = ?5 WHERE scope = ?1 AND id = ?2"
        );
        assert_eq!(
            texts.select,
            "SELECT scope, id, made, state, pruned, last FROM things WHERE scope = ?1 AND id = ?2"
        );
        assert_eq!(
            texts.find,
            "SELECT scope, id, made, state, pruned FROM things WHERE scope = $1 AND id = $2"
        );
        assert_eq!(TABLE.columns_of("t"), "t.scope, t.id, t.made, t.state, t.pruned");
        assert_eq!(
            TABLE.or_replace(),
            "ON CONFLICT (scope, id) DO UPDATE SET made = excluded.made, \
             state = excluded.state, status = excluded.status"
        );
    }
}
