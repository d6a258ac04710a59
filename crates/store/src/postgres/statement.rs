//! Statements: SQL with its parameters, for one row or for a set of rows.

use super::value::{Id, Value};
use crate::lists::{self, Arg};
use domain::account::Scope;
use std::borrow::Cow;
use std::fmt::Write as _;
use ulid::Ulid;

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

/// Keys of rows: scopes and ids.
pub(super) fn keys<'a>(
    keys: impl IntoIterator<Item = (Scope, [u8; 16])>,
) -> (Value<'a>, Value<'a>) {
    let (scopes, ids): (Vec<_>, Vec<_>) =
        keys.into_iter().map(|(scope, id)| (Some(scope.code()), Some(Id(id)))).unzip();
    (Value::Ints(scopes), Value::Ids(ids))
}

/// Columns in which the rows that a batch writes to a table usually agree.
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
];

/// Rows to be written, column by column.
pub(super) struct Rows<'a, T> {
    table: &'static str,
    of: Vec<&'a T>,
    columns: Vec<(&'static str, Value<'a>)>,
}

impl<'a, T> Rows<'a, T> {
    /// Rows of a table; `None` when there are none.
    pub(super) fn of(table: &'static str, rows: impl Iterator<Item = &'a T>) -> Option<Self> {
        let rows: Vec<_> = rows.collect();
        if rows.is_empty() { None } else { Some(Self { table, of: rows, columns: Vec::new() }) }
    }

    pub(super) fn int<V: Into<Option<i64>>>(
        self,
        name: &'static str,
        value: impl FnMut(&'a T) -> V,
    ) -> Self {
        let mut value = value;
        let values = self.of.iter().map(|row| value(row).into()).collect();
        self.with(name, Value::Ints(values))
    }

    pub(super) fn flag(self, name: &'static str, value: impl Fn(&'a T) -> bool) -> Self {
        self.int(name, |row| i64::from(value(row)))
    }

    pub(super) fn id<V: Into<Option<[u8; 16]>>>(
        self,
        name: &'static str,
        value: impl Fn(&'a T) -> V,
    ) -> Self {
        let values = self.of.iter().map(|row| value(row).into().map(Id)).collect();
        self.with(name, Value::Ids(values))
    }

    pub(super) fn text(self, name: &'static str, value: impl Fn(&'a T) -> &'a str) -> Self {
        self.maybe(name, |row| Some(value(row)))
    }

    pub(super) fn maybe(
        self,
        name: &'static str,
        value: impl Fn(&'a T) -> Option<&'a str>,
    ) -> Self {
        let values = self.of.iter().map(|row| value(row).map(Cow::Borrowed)).collect();
        self.with(name, Value::Texts(values))
    }

    pub(super) fn owned(self, name: &'static str, values: Vec<Option<String>>) -> Self {
        let values = values.into_iter().map(|text| text.map(Cow::Owned)).collect();
        self.with(name, Value::Texts(values))
    }

    pub(super) fn blob(
        self,
        name: &'static str,
        value: impl Fn(&'a T) -> Option<&'a [u8]>,
    ) -> Self {
        let values = self.of.iter().map(|row| value(row)).collect();
        self.with(name, Value::Blobs(values))
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

    /// Takes out the columns in which the rows of a batch usually agree, when they agree in all of
    /// them: it is sent once then. All or none, so that there are two texts of a statement and not one
    /// for each batch. The columns named by `but` stay.
    fn agreed(&mut self, but: &[&str]) -> Vec<(&'static str, Value<'a>)> {
        let usual = |name: &str| USUALLY_THE_SAME.contains(&name) && !but.contains(&name);
        let columns = self.columns.iter().filter(|(name, _)| usual(name));
        let agreed: Option<Vec<_>> =
            columns.map(|(name, value)| Some((*name, value.everywhere()?))).collect();
        let Some(agreed) = agreed else { return Vec::new() };
        self.columns.retain(|(name, _)| !usual(name));
        agreed
    }

    /// Inserts the rows. What no row has a value for is left out.
    pub(super) fn insert(mut self) -> Statement<'a> {
        self.columns.retain(|(_, value)| !value.is_empty());
        let (table, agreed) = (self.table, self.agreed(&[]));
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

    /// Inserts what `select` makes of the rows, which are `v` in it, into `columns`.
    pub(super) fn insert_select(self, columns: &str, select: &str) -> Statement<'a> {
        let table = self.table;
        let (from, _, values) = self.unnest();
        let sql = format!("INSERT INTO {table} ({columns}) SELECT {select} FROM {from}");
        Statement::new(sql, values)
    }

    /// A statement around the rows: `{rows}` in it stands for them, as `v`.
    pub(super) fn into_statement(self, sql: &str) -> Statement<'a> {
        let (from, _, values) = self.unnest();
        Statement::new(sql.replace("{rows}", &from), values)
    }

    /// Updates the rows, which the first two columns name. Each of them must be there: a row less
    /// ends the transaction, by a division by zero.
    ///
    /// The names come from the rows and not from a parameter, so that the table can only be read by
    /// them: of a table that was small when the statement was prepared, and has grown since, all rows
    /// of an account would be read for each batch.
    pub(super) fn update(mut self) -> Statement<'a> {
        let (table, count) = (self.table, self.of.len());
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

/// A query that is being put together.
pub(super) struct Query {
    sql: String,
    values: Vec<Value<'static>>,
}

/// Rows that the planner believes a page to have at most. Of a bare parameter it believes that it is a
/// tenth of all rows, whose plan looks so bad that it makes another one for every single page.
const PLANNED: [u32; 2] = [128, 1024];

impl lists::Query for Query {
    fn of(select: &str, (column, scope): (&str, Scope)) -> Self {
        let sql = format!("{select} WHERE {column} = $1");
        Self { sql, values: vec![Value::Int(Some(scope.code()))] }
    }

    fn push(&mut self, text: &str) {
        self.sql.push_str(text);
    }

    fn and(&mut self, condition: &str, value: Arg) {
        self.values.push(match value {
            Arg::Number(number) => Value::Int(Some(number)),
            Arg::Ulid(id) => ulid(id),
            Arg::Text(text) => Value::Text(String::from(text).into()),
        });
        let number = format!("${}", self.values.len());
        self.sql.push_str(" AND ");
        self.sql.push_str(&condition.replace('?', &number));
    }

    fn and_one_of(&mut self, column: &str, numbers: Vec<i64>) {
        self.values.push(Value::Ints(numbers.into_iter().map(Some).collect()));
        let _ = write!(self.sql, " AND {column} = ANY (${})", self.values.len());
    }

    fn finish(&mut self, order: &str, limit: u32) {
        let planned = PLANNED.into_iter().find(|planned| limit < *planned);
        let planned = planned.map_or(i64::from(limit) + 1, i64::from);
        self.values.push(Value::Int(Some(i64::from(limit) + 1)));
        let number = self.values.len();
        self.sql = format!(
            "SELECT * FROM ({} ORDER BY {order} LIMIT {planned}) AS page LIMIT ${number}",
            self.sql
        );
    }

    fn table(name: &str, _: Option<&str>) -> String {
        name.to_owned()
    }

    fn select_refunds(_: Option<&str>) -> String {
        super::reads::select_refunds()
    }

    fn select_events(_: Option<&str>) -> String {
        super::reads::select_events()
    }
}

impl Query {
    /// How the database goes about it.
    #[cfg(test)]
    pub(super) fn into_plan(self) -> Statement<'static> {
        let explain = "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF)";
        Statement::new(format!("{explain} {}", self.sql), self.values)
    }

    pub(super) fn into_statement(self) -> Statement<'static> {
        Statement::new(self.sql, self.values)
    }
}

pub(super) fn ulid(ulid: Ulid) -> Value<'static> {
    Value::Id(ulid.to_bytes())
}
