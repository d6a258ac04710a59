//! Queries as values: a text, its parameters, and the type of its rows.

use crate::StoreError;
use crate::tables::{Cells, FromRow, Table};
use domain::tenant::Tenant;
use domain::time::Timestamp;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::marker::PhantomData;
use ulid::Ulid;

/// The SQL of one of the databases, where the two differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    /// A table as it stands behind `FROM`. Without statistics a planner prefers the primary key, and
    /// reads every other row on the way: `index` is the one that fits the filter.
    fn table(self, name: &str, index: Option<&str>) -> String {
        match (self, index) {
            (Self::Sqlite, Some(index)) => format!("{name} INDEXED BY {index}"),
            (Self::Sqlite, None) | (Self::Postgres, _) => name.to_owned(),
        }
    }

    /// Joins at most one row of a table to each row of `joined`. `OFFSET 0` keeps the planner of
    /// `PostgreSQL` from reading all rows of an account, which it would do where most accounts have few
    /// rows.
    pub(crate) fn join<T>(self, table: &Table<T>, alias: &str, joined: &str, id: &str) -> String {
        let name = table.name;
        match self {
            Self::Sqlite => format!(
                " LEFT JOIN {name} {alias} ON {alias}.scope = {joined}.scope AND {alias}.id = {id}"
            ),
            Self::Postgres => format!(
                " LEFT JOIN LATERAL (SELECT {} FROM {name} WHERE scope = {joined}.scope \
                 AND id = {id} OFFSET 0) {alias} ON true",
                table.columns()
            ),
        }
    }

    /// The condition that a column holds one of the ids or numbers in the parameter `?`. `SQLite`
    /// receives them as a JSON array; `value` is the expression that reads an element of it.
    pub(crate) fn among(self, column: &str, value: &str) -> String {
        match self {
            Self::Sqlite => format!("{column} IN (SELECT {value} FROM json_each(?))"),
            Self::Postgres => format!("{column} = ANY (?)"),
        }
    }
}

/// A parameter of a query.
#[derive(Clone, Debug)]
pub(crate) enum Arg {
    Int(Option<i64>),
    Id([u8; 16]),
    Text(Box<str>),
    Bytes(Vec<u8>),
    Ints(Vec<i64>),
    Ids(Vec<[u8; 16]>),
}

macro_rules! args {
    ($($type:ty: $value:ident => $arg:expr;)*) => {$(
        impl From<$type> for Arg {
            fn from($value: $type) -> Self {
                $arg
            }
        }
    )*};
}

args! {
    i64: number => Self::Int(Some(number));
    u32: number => Self::Int(Some(number.into()));
    Option<i64>: number => Self::Int(number);
    Tenant: tenant => Self::Int(Some(tenant.code()));
    Timestamp: at => Self::Int(Some(at.0));
    Ulid: id => Self::Id(id.to_bytes());
    [u8; 16]: id => Self::Id(id);
    &str: text => Self::Text(text.into());
    Box<str>: text => Self::Text(text);
    Vec<u8>: bytes => Self::Bytes(bytes);
    Vec<i64>: numbers => Self::Ints(numbers);
    Vec<[u8; 16]>: ids => Self::Ids(ids);
}

/// A query whose rows are read as `T`, or a statement that returns such rows.
pub(crate) struct Query<T> {
    pub(crate) sql: Cow<'static, str>,
    pub(crate) args: Vec<Arg>,
    /// The largest number of rows of a page. The query reads one more, which shows whether there is
    /// another page.
    pub(crate) limit: u32,
    row: PhantomData<fn() -> T>,
}

impl<T> Query<T> {
    pub(crate) fn new(sql: impl Into<Cow<'static, str>>) -> Self {
        Self { sql: sql.into(), args: Vec::new(), limit: u32::MAX, row: PhantomData }
    }

    /// Adds the next parameter.
    pub(crate) fn with(mut self, arg: impl Into<Arg>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// The row of a table with this scope and id or hash.
    pub(crate) fn by_key<R>(table: &'static Table<R>, tenant: Tenant, id: impl Into<Arg>) -> Self {
        Self::new(&*table.texts().find).with(tenant).with(id)
    }

    /// The same query for a test of its plan.
    #[cfg(test)]
    pub(crate) fn explained(self, explain: &str) -> Query<()> {
        let sql = format!("{explain} {}", self.sql).into();
        Query { sql, args: self.args, limit: self.limit, row: PhantomData }
    }
}

/// A query of the rows of a tenant, under construction. Fixed pieces make its text, and every value is a
/// parameter.
pub(crate) struct Select<T> {
    dialect: Dialect,
    query: Query<T>,
}

impl<T> Select<T> {
    /// `select` is the text in front of `WHERE`; `scope` is the column that holds the tenant.
    pub(crate) fn new(dialect: Dialect, select: &str, tenant: (&str, Tenant)) -> Self {
        let sql = format!("{select} WHERE {} = $1", tenant.0);
        Self { dialect, query: Query::new(sql).with(tenant.1) }
    }

    /// The rows of a table, which are read off `index`.
    pub(crate) fn of(
        dialect: Dialect,
        table: &Table<T>,
        index: Option<&str>,
        tenant: Tenant,
    ) -> Self {
        let from = dialect.table(table.name, index);
        Self::new(dialect, &format!("SELECT {} FROM {from}", table.columns()), ("scope", tenant))
    }

    /// Selects the `columns` of rows which are named `alias`, and of the rows that are joined to them.
    pub(crate) fn joined<R>(
        dialect: Dialect,
        (table, alias, index): (&Table<R>, &str, Option<&str>),
        (columns, joins): (&str, &[String]),
        tenant: Tenant,
    ) -> Self {
        let from = dialect.table(&format!("{} {alias}", table.name), index);
        let select = format!("SELECT {columns} FROM {from}{}", joins.concat());
        Self::new(dialect, &select, (&format!("{alias}.scope"), tenant))
    }

    /// Adds a parameter that the text in front of `WHERE` names.
    pub(crate) fn with(mut self, arg: impl Into<Arg>) -> Self {
        self.query.args.push(arg.into());
        self
    }

    /// Adds a fixed piece.
    pub(crate) fn push(&mut self, text: &str) {
        self.query.sql.to_mut().push_str(text);
    }

    /// Adds a condition if there is a value for it, which `?` stands for.
    pub(crate) fn and(&mut self, condition: &str, value: Option<impl Into<Arg>>) {
        if let Some(value) = value {
            self.query.args.push(value.into());
            let number = format!("${}", self.query.args.len());
            self.push(&format!(" AND {}", condition.replace('?', &number)));
        }
    }

    /// Adds the condition that a column, which no index holds, has one of these numbers.
    pub(crate) fn and_one_of(&mut self, column: &str, numbers: Vec<i64>) {
        match self.dialect {
            Dialect::Sqlite => {
                let numbers: Vec<String> = numbers.iter().map(i64::to_string).collect();
                self.push(&format!(" AND {column} IN ({})", numbers.join(", ")));
            }
            Dialect::Postgres => self.and(&format!("{column} = ANY (?)"), Some(numbers)),
        }
    }

    /// A query without an order.
    pub(crate) fn unordered(self) -> Query<T> {
        self.query
    }

    /// One page by `column`.
    pub(crate) fn page(mut self, column: &str, page: PageQuery) -> Query<T> {
        let (comparison, direction) = page.order.words();
        self.and(&format!("{column} {comparison} ?"), page.after);
        self.and(&format!("{column} >= ?"), page.from.map(first_at));
        self.and(&format!("{column} < ?"), page.until.map(first_at));
        self.finish(&format!(" ORDER BY {column} {direction}"), page.limit)
    }

    /// Adds the order, and a limit that is one row larger than `limit`.
    pub(crate) fn finish(mut self, order: &str, limit: u32) -> Query<T> {
        self.push(order);
        let mut query = self.query.with(i64::from(limit) + 1);
        let number = query.args.len();
        match self.dialect {
            Dialect::Sqlite => {
                let _ = write!(query.sql.to_mut(), " LIMIT ${number}");
            }
            Dialect::Postgres => {
                let planned = PLANNED.into_iter().find(|planned| limit < *planned);
                let planned = planned.map_or(i64::from(limit) + 1, i64::from);
                let page = format!("SELECT * FROM ({} LIMIT {planned}) AS page", query.sql);
                query.sql = format!("{page} LIMIT ${number}").into();
            }
        }
        Query { limit, ..query }
    }
}

/// Upper bound on page size that we show the planner. For a bare `LIMIT $n` it assumes 10 % of the
/// table, rejects the generic plan and re-plans on every call.
const PLANNED: [u32; 2] = [128, 1024];

/// In which direction a list runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SortOrder {
    /// Newest first.
    #[default]
    Descending,
    /// Oldest first.
    Ascending,
}

impl SortOrder {
    /// The comparison with the last item and the direction of the order.
    pub(crate) const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Descending => ("<", "DESC"),
            Self::Ascending => (">", "ASC"),
        }
    }
}

/// One page of a list.
#[derive(Clone, Copy, Debug)]
pub struct PageQuery {
    /// 1 to 100.
    pub limit: u32,
    /// The last item of the page before this one.
    pub after: Option<Ulid>,
    pub order: SortOrder,
    /// Only items made at this time or later.
    pub from: Option<Timestamp>,
    /// Only items made before this time.
    pub until: Option<Timestamp>,
}

/// Items, and whether there are more behind them.
#[derive(Clone, Debug)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// There is at least one more item.
    pub more: bool,
}

impl<T> Page<T> {
    /// The first `limit` of the items.
    pub(crate) fn first(limit: u32, mut items: Vec<T>) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        Self { items, more }
    }
}

/// The smallest id that can be made at `at`.
pub(crate) fn first_at(at: Timestamp) -> Ulid {
    Ulid::from_parts(u64::try_from(at.0).unwrap_or(0), 0)
}

impl FromRow for Option<Timestamp> {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        c.maybe_time()
    }
}

impl FromRow for Tenant {
    fn from_row(c: &mut impl Cells) -> Result<Self, StoreError> {
        c.tenant()
    }
}
