//! Statements: SQL with its parameters, for one row or for a set of rows.

use super::value::{Id, Value};
use crate::StoreError;
use crate::queries::Query;
use crate::tables::{Column, Table};
use domain::tenant::Tenant;
use std::borrow::Cow;
use std::fmt::Write as _;

/// SQL with its parameters.
#[derive(Debug)]
pub(super) struct Statement<'a> {
    pub(super) sql: Cow<'static, str>,
    pub(super) values: Vec<Value<'a>>,
}

impl<'a> Statement<'a> {
    pub(super) fn new(sql: impl Into<Cow<'static, str>>, values: Vec<Value<'a>>) -> Self {
        Self { sql: sql.into(), values }
    }
}

impl<T> From<Query<T>> for Statement<'static> {
    fn from(query: Query<T>) -> Self {
        Self::new(query.sql, query.args.into_iter().map(Value::from).collect())
    }
}

/// Keys of rows: scopes and ids.
pub(super) fn keys<'a>(
    keys: impl IntoIterator<Item = (Tenant, [u8; 16])>,
) -> (Value<'a>, Value<'a>) {
    let (scopes, ids): (Vec<_>, Vec<_>) =
        keys.into_iter().map(|(tenant, id)| (Some(tenant.code()), Some(Id(id)))).unzip();
    (Value::Ints(scopes), Value::Ids(ids))
}

/// Columns in which the rows of one batch usually have the same value.
const USUALLY_THE_SAME: &[&str] = &[
    "scope",
    "currency",
    "state",
    "status",
    "origin",
    "late",
    "before_settlement",
    "checks",
    "updated_at",
    "due_at",
    "type",
    "target",
    "seq",
    "held",
    "excess",
    "reversed",
    "settled_at",
    "provider",
    "provider_account",
    "provider_data",
    "lane",
    "sends",
    "first_sent_at",
    "sent_at",
    "answered_at",
    "answer",
    "absent_at",
    "lease",
    "needs_attention",
];

/// Rows to be written, as columns of values.
pub(super) struct Rows<'a, T: 'static> {
    table: &'static Table<T>,
    of: Vec<&'a T>,
    columns: Vec<(&'static str, Value<'a>)>,
}

impl<'a, T> Rows<'a, T> {
    /// Rows to be inserted; `None` when there are none.
    pub(super) fn inserted(
        table: &'static Table<T>,
        rows: impl Iterator<Item = &'a T>,
    ) -> Result<Option<Self>, StoreError> {
        Self::of(table, table.inserted(), rows)
    }

    /// Rows to be updated; `None` when there are none.
    pub(super) fn updated(
        table: &'static Table<T>,
        rows: impl Iterator<Item = &'a T>,
    ) -> Result<Option<Self>, StoreError> {
        Self::of(table, table.updated(), rows)
    }

    /// Some columns of rows; `None` when there are no rows.
    pub(super) fn named(
        table: &'static Table<T>,
        names: &[&str],
        rows: impl Iterator<Item = &'a T>,
    ) -> Result<Option<Self>, StoreError> {
        Self::of(table, table.named(names), rows)
    }

    fn of(
        table: &'static Table<T>,
        columns: impl Iterator<Item = &'static Column<T>>,
        rows: impl Iterator<Item = &'a T>,
    ) -> Result<Option<Self>, StoreError> {
        let rows: Vec<_> = rows.collect();
        if rows.is_empty() {
            return Ok(None);
        }
        let column = |column: &Column<T>| {
            let values = rows.iter().map(|row| column.value(row));
            Value::column(values).map(|values| (column.name, values))
        };
        let columns = columns.map(column).collect::<Result<_, _>>()?;
        Ok(Some(Self { table, of: rows, columns }))
    }

    /// A column that the table does not have.
    pub(super) fn flag(self, name: &'static str, mut value: impl FnMut(&'a T) -> bool) -> Self {
        let values = self.of.iter().map(|row| Some(i64::from(value(row)))).collect();
        self.with(name, Value::Ints(values))
    }

    /// A column that the table does not have.
    pub(super) fn text(self, name: &'static str, value: impl Fn(&'a T) -> Option<&'a str>) -> Self {
        let values = self.of.iter().map(|row| value(row).map(Cow::Borrowed)).collect();
        self.with(name, Value::Texts(values))
    }

    /// The same rows with other values in one column.
    pub(super) fn replace(mut self, name: &'static str, value: Value<'a>) -> Self {
        self.columns.retain(|(known, _)| *known != name);
        self.with(name, value)
    }

    fn with(mut self, name: &'static str, value: Value<'a>) -> Self {
        self.columns.push((name, value));
        self
    }

    /// `unnest($1, $2, …)`, the names of the columns, and the parameters.
    fn unnest(self) -> (String, String, Vec<Value<'a>>) {
        let numbers: Vec<String> = (1..=self.columns.len()).map(|n| format!("${n}")).collect();
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        let values = self.columns.into_iter().map(|(_, value)| value).collect();
        (format!("unnest({}) AS v ({names})", numbers.join(", ")), names, values)
    }

    /// Removes the columns in which the rows of a batch usually agree, if all rows agree in all of
    /// them, so that each value is sent once. All or none, so that each statement has two texts and
    /// not one per batch. The columns in `but` stay.
    fn agreed(&mut self, but: &[&str]) -> Vec<(&'static str, Value<'a>)> {
        let usual = |name: &str| USUALLY_THE_SAME.contains(&name) && !but.contains(&name);
        let columns = self.columns.iter().filter(|(name, _)| usual(name));
        let agreed: Option<Vec<_>> =
            columns.map(|(name, value)| Some((*name, value.everywhere()?))).collect();
        let Some(agreed) = agreed else { return Vec::new() };
        self.columns.retain(|(name, _)| !usual(name));
        agreed
    }

    /// Inserts the rows. Columns without a value in any row are left out.
    pub(super) fn insert(mut self) -> Statement<'a> {
        self.columns.retain(|(_, value)| !value.is_empty());
        let (table, agreed) = (self.table.name, self.agreed(&[]));
        let (from, mut names, mut values) = self.unnest();
        let mut selected = names.clone();
        for (name, value) in agreed {
            values.push(value);
            let _ = write!(names, ", {name}");
            let _ = write!(selected, ", ${}", values.len());
        }
        let sql = format!("INSERT INTO {table} ({names}) SELECT {selected} FROM {from}");
        Statement::new(sql, values)
    }

    /// Inserts the rows, or replaces existing ones where the condition `rest` allows it. `rest`
    /// receives the number of the parameter `value`.
    pub(super) fn insert_or_replace(
        self,
        rest: impl Fn(usize) -> String,
        value: Value<'a>,
    ) -> Statement<'a> {
        let or_replace = self.table.or_replace();
        let mut statement = self.insert();
        statement.values.push(value);
        let rest = rest(statement.values.len());
        statement.sql = format!("{} {or_replace} {rest}", statement.sql).into();
        statement
    }

    /// Inserts the rows, named `v`, with an expression in place of the value of one column.
    pub(super) fn insert_with(self, name: &str, expression: &str) -> Statement<'a> {
        let table = self.table;
        let value = |column: &'static str| {
            if column == name { expression.to_owned() } else { format!("v.{column}") }
        };
        let columns: Vec<_> = table.inserted().map(|column| column.name).collect();
        let values: Vec<_> = columns.iter().map(|column| value(column)).collect();
        let (from, _, parameters) = self.unnest();
        let sql = format!(
            "INSERT INTO {} ({}) SELECT {} FROM {from}",
            table.name,
            columns.join(", "),
            values.join(", ")
        );
        Statement::new(sql, parameters)
    }

    /// A statement that contains the rows: `{rows}` stands for them, under the name `v`.
    pub(super) fn into_statement(self, sql: &str) -> Statement<'a> {
        let (from, _, values) = self.unnest();
        Statement::new(sql.replace("{rows}", &from), values)
    }

    /// Updates rows by the key in their first two columns. If a row is missing, a division by zero
    /// aborts the transaction.
    ///
    /// Both parts of the key come from the rows and neither from a parameter, so that the planner
    /// can read the table only by key. With the scope as a parameter it would keep a plan that
    /// reads all rows of an account, made while the table was small.
    pub(super) fn update(mut self) -> Statement<'a> {
        let (table, count) = (self.table.name, self.of.len());
        let (first, second) = (self.columns[0].0, self.columns[1].0);
        let agreed = self.agreed(&[first, second]);
        let mut sets: Vec<String> =
            self.columns[2..].iter().map(|(name, _)| format!("{name} = v.{name}")).collect();
        let (from, _, mut values) = self.unnest();
        for (name, value) in agreed {
            values.push(value);
            sets.push(format!("{name} = ${}", values.len()));
        }
        values.push(Value::Int(i64::try_from(count).ok()));
        let number = values.len();
        let sql = format!(
            "WITH changed AS (UPDATE {table} t SET {} FROM {from} \
             WHERE t.{first} = v.{first} AND t.{second} = v.{second} RETURNING 1) \
             SELECT 1 / (CASE WHEN count(*) = ${number} THEN 1 ELSE 0 END) FROM changed",
            sets.join(", ")
        );
        Statement::new(sql, values)
    }
}
