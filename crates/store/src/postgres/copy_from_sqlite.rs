//! Copies a database file into an empty database, or continues an earlier copy.
//!
//! Rows are copied in the order of their keys, so the last key of a table shows how far the copy
//! is. A mark in the database keeps nodes from using the database until the copy is complete and
//! verified.

use super::PostgresStore;
use super::statement::Statement;
use super::value::{Id, PostgresCells, Value};
use crate::StoreError;
use crate::copy_source::{CopiedCell, CopySource};
use crate::queries::{Query, Report};
use crate::tables::{self, Cells as _, inconsistent};

/// The table that marks a copy. Its row holds the state of the file.
const MARK: &str = "copy_under_way";

/// Rows of one statement at most.
const ROWS: usize = 1_000;

/// Progress of a copy.
#[derive(Clone, Copy, Debug)]
pub struct Copied<'a> {
    pub table: &'a str,
    /// Rows of the table that are copied.
    pub rows: u64,
    /// Rows of the table in the file.
    pub of: u64,
}

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Number,
    Id,
    Text,
    Bytes,
}

/// A column and the values of many rows in it.
fn column(kind: Kind, rows: &[Vec<CopiedCell>], at: usize) -> Result<Value<'_>, StoreError> {
    let wrong = || inconsistent("a column to be copied");
    let cells = || rows.iter().map(|row| row.get(at).ok_or_else(wrong));
    Ok(match kind {
        Kind::Number => Value::Ints(
            cells()
                .map(|cell| match cell? {
                    CopiedCell::Null => Ok(None),
                    CopiedCell::Integer(number) => Ok(Some(*number)),
                    _ => Err(wrong()),
                })
                .collect::<Result<_, _>>()?,
        ),
        Kind::Id => Value::Ids(
            cells()
                .map(|cell| match cell? {
                    CopiedCell::Null => Ok(None),
                    CopiedCell::Blob(bytes) => {
                        bytes.as_slice().try_into().map(|id| Some(Id(id))).map_err(|_| wrong())
                    }
                    _ => Err(wrong()),
                })
                .collect::<Result<_, _>>()?,
        ),
        Kind::Text => Value::Texts(
            cells()
                .map(|cell| match cell? {
                    CopiedCell::Null => Ok(None),
                    CopiedCell::Text(text) => Ok(Some(text.as_str().into())),
                    _ => Err(wrong()),
                })
                .collect::<Result<_, _>>()?,
        ),
        Kind::Bytes => Value::Blobs(
            cells()
                .map(|cell| match cell? {
                    CopiedCell::Null => Ok(None),
                    CopiedCell::Blob(bytes) => Ok(Some(bytes.as_slice())),
                    _ => Err(wrong()),
                })
                .collect::<Result<_, _>>()?,
        ),
    })
}

impl PostgresStore {
    /// Copies the database that `open` opens, see [`PostgresStore::copy_from`].
    pub(crate) async fn copy<S: CopySource>(
        url: &str,
        open: impl FnOnce() -> Result<S, StoreError> + Send,
        rows: Option<usize>,
        mut progress: impl FnMut(Copied<'_>) + Send,
    ) -> Result<Report, StoreError> {
        let store = Self::attach(url)?;
        store.migrate(None).await?;
        store.check_durability().await?;
        let source = open()?;
        store.mark(&source.state()?).await?;
        for &table in tables::ALL {
            let of = source.count(table.0)?;
            store.copy_table(&source, table, of, rows.unwrap_or(ROWS), &mut progress).await?;
        }
        let set = "SELECT setval('delivery_bodies_no', max(no)) FROM delivery_bodies \
                   HAVING max(no) IS NOT NULL";
        store.write(Query::<()>::new(set)).await?;
        for &(table, _) in tables::ALL {
            let (of, there) = (source.count(table)?, store.count(table).await?);
            if of != there {
                let why = format!("{table} has {of} rows in the file and {there} in the database");
                return Err(StoreError::Inconsistent(why));
            }
        }
        let report = store.verify().await?;
        if report.differences.is_empty() {
            store.write(Query::<()>::new(format!("DROP TABLE {MARK}"))).await?;
        }
        Ok(report)
    }

    /// Marks an empty database. A marked database must have been filled from the same data.
    async fn mark(&self, state: &str) -> Result<(), StoreError> {
        if self.is_marked().await? {
            let sql = format!("SELECT source FROM {MARK}");
            let known = self.list(Query::<()>::new(sql).into(), |c| c.required_text()).await?.pop();
            if known.as_deref() != Some(state) {
                return Err(StoreError::Address(
                    "the file changed since the copy was begun, or is another one: copy it into an \
                     empty database"
                        .into(),
                ));
            }
            return Ok(());
        }
        for (table, _) in tables::ALL {
            if self.count(table).await? > 0 {
                let why =
                    format!("the database is not empty, there are {table} in it: name another");
                return Err(StoreError::Address(why));
            }
        }
        // One statement creates the table and its row, so that no mark is without its text. The
        // text consists of digits and slashes.
        let sql = format!("CREATE TABLE {MARK} AS SELECT '{state}'::text AS source");
        self.write(Query::<()>::new(sql)).await.map(|_| ())
    }

    async fn is_marked(&self) -> Result<bool, StoreError> {
        let sql = format!("SELECT (to_regclass('{MARK}') IS NOT NULL)::int");
        let found = self.list(Query::<()>::new(sql).into(), |c| c.take::<bool>()).await?.pop();
        Ok(found.unwrap_or(false))
    }

    /// Refuses a database with an unfinished copy.
    pub(super) async fn check_whole(&self) -> Result<(), StoreError> {
        if !self.is_marked().await? {
            return Ok(());
        }
        Err(StoreError::Address(
            "the database is not whole: finish refundry migrate-store, which goes on where it ended"
                .into(),
        ))
    }

    async fn count(&self, table: &str) -> Result<u64, StoreError> {
        let sql = format!("SELECT count(*) FROM {table}");
        let count = self.list(Query::<()>::new(sql).into(), |c| c.take::<i64>()).await?.pop();
        u64::try_from(count.unwrap_or(0)).map_err(|_| inconsistent("a count"))
    }

    async fn copy_table(
        &self,
        source: &impl CopySource,
        (table, key): (&str, &[&str]),
        of: u64,
        limit: usize,
        progress: &mut impl FnMut(Copied<'_>),
    ) -> Result<(), StoreError> {
        let columns = source.columns(table)?;
        let kinds = self.kinds(table, &columns).await?;
        let at = |name: &str| columns.iter().position(|column| column == name);
        let places: Option<Vec<usize>> = key.iter().map(|name| at(name)).collect();
        let places = places.ok_or_else(|| inconsistent("a key to be copied"))?;
        let key_kinds: Vec<_> =
            key.iter().copied().zip(places.iter().map(|at| kinds[*at])).collect();
        let mut after = self.last_key(table, &key_kinds).await?;
        let mut there = self.count(table).await?;
        let numbers: Vec<_> = (1..=columns.len()).map(|n| format!("${n}")).collect();
        let (names, numbers) = (columns.join(", "), numbers.join(", "));
        // A statement runs again when its answer was lost.
        let insert = format!(
            "INSERT INTO {table} ({names}) SELECT {names} FROM unnest({numbers}) AS v ({names}) \
             ON CONFLICT DO NOTHING"
        );
        loop {
            progress(Copied { table, rows: there, of });
            let rows = source.rows((table, key), &columns, after.as_deref(), limit)?;
            let Some(last) = rows.last() else { return Ok(()) };
            let values = kinds.iter().enumerate().map(|(at, kind)| column(*kind, &rows, at));
            let statement = Statement::new(insert.clone(), values.collect::<Result<_, _>>()?);
            self.retried(&self.writes, statement).await?;
            there += u64::try_from(rows.len()).unwrap_or(0);
            after = Some(places.iter().map(|at| last[*at].clone()).collect());
        }
    }

    /// The type of each column, as PostgreSQL knows it.
    async fn kinds(&self, table: &str, columns: &[String]) -> Result<Vec<Kind>, StoreError> {
        let sql = "SELECT column_name::text, udt_name::text FROM information_schema.columns \
                   WHERE table_schema = current_schema() AND table_name = $1";
        let read = |c: &mut PostgresCells<'_>| Ok((c.required_text()?, c.required_text()?));
        let known = self.list(Query::<()>::new(sql).with(table).into(), read).await?;
        let kind = |name: &String| {
            let (_, kind) = known.iter().find(|(known, _)| **known == **name)?;
            match &**kind {
                "int2" | "int4" | "int8" => Some(Kind::Number),
                "uuid" => Some(Kind::Id),
                "text" => Some(Kind::Text),
                "bytea" => Some(Kind::Bytes),
                _ => None,
            }
        };
        let kinds: Option<Vec<_>> = columns.iter().map(kind).collect();
        kinds.ok_or_else(|| inconsistent("the schema"))
    }

    /// The last key that was copied, as values of the file.
    async fn last_key(
        &self,
        table: &str,
        key: &[(&str, Kind)],
    ) -> Result<Option<Vec<CopiedCell>>, StoreError> {
        let names: Vec<_> = key.iter().map(|(name, _)| *name).collect();
        // SQLite compares texts byte by byte.
        let order: Vec<_> = key
            .iter()
            .map(|(name, kind)| match kind {
                Kind::Text => format!("{name} COLLATE \"C\" DESC"),
                Kind::Number | Kind::Id | Kind::Bytes => format!("{name} DESC"),
            })
            .collect();
        let sql = format!(
            "SELECT {} FROM {table} ORDER BY {} LIMIT 1",
            names.join(", "),
            order.join(", ")
        );
        let read = |c: &mut PostgresCells<'_>| {
            key.iter()
                .map(|(_, kind)| {
                    Ok(match kind {
                        Kind::Number => CopiedCell::Integer(c.take()?),
                        Kind::Id => CopiedCell::Blob(c.take::<[u8; 16]>()?.to_vec()),
                        Kind::Text => CopiedCell::Text(c.required_text()?.into()),
                        Kind::Bytes => CopiedCell::Blob(c.take()?),
                    })
                })
                .collect()
        };
        Ok(self.list(Query::<()>::new(sql).into(), read).await?.pop())
    }
}
