//! Parameters of statements and cells of rows. The type of every parameter is known in advance, so
//! that a statement can be sent without a round trip for its types.

use crate::queries::Arg;
use crate::tables::{Cell, Cells, Put, inconsistent};
use crate::{Fault, PostgresError, StoreError};
use bytes::BytesMut;
use domain::money::Currency;
use std::borrow::Cow;
use std::error::Error;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

/// Sixteen bytes, kept as a UUID.
#[derive(Clone, Copy, Debug)]
pub(super) struct Id(pub [u8; 16]);

impl ToSql for Id {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::UUID
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Id {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw.try_into()?))
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::UUID
    }
}

/// An integer of any width.
struct Int(i64);

impl<'a> FromSql<'a> for Int {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(match *ty {
            Type::INT2 => i16::from_sql(ty, raw)?.into(),
            Type::INT4 => i32::from_sql(ty, raw)?.into(),
            _ => i64::from_sql(ty, raw)?,
        }))
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::INT2 | Type::INT4 | Type::INT8)
    }
}

/// A parameter: one value, or one column of many rows.
#[derive(Debug)]
pub(super) enum Value<'a> {
    Int(Option<i64>),
    Id([u8; 16]),
    Text(Cow<'a, str>),
    Maybe(Option<Cow<'a, str>>),
    Bytes(Cow<'a, [u8]>),
    Ints(Vec<Option<i64>>),
    Ids(Vec<Option<Id>>),
    Texts(Vec<Option<Cow<'a, str>>>),
    Blobs(Vec<Option<&'a [u8]>>),
}

/// A number.
pub(super) fn number(value: i64) -> Value<'static> {
    Value::Int(Some(value))
}

impl<'a> Value<'a> {
    /// The values of one column, which are all of one kind.
    pub(super) fn column(puts: impl Iterator<Item = Put<'a>>) -> Result<Self, StoreError> {
        let (mut ints, mut ids) = (Vec::new(), Vec::new());
        let (mut texts, mut blobs) = (Vec::new(), Vec::new());
        let rows = puts.size_hint().0;
        for put in puts {
            match put {
                Put::Int(value) => push(&mut ints, rows, value),
                Put::Id(value) => push(&mut ids, rows, value.map(Id)),
                Put::Text(value) => push(&mut texts, rows, value.map(Cow::Borrowed)),
                Put::Json(Ok(value)) => push(&mut texts, rows, Some(Cow::Owned(value))),
                Put::Json(Err(error)) => {
                    let why = format!("a value cannot be written as JSON: {error}");
                    return Err(StoreError::Inconsistent(why));
                }
                Put::Bytes(value) => push(&mut blobs, rows, value),
            }
        }
        Ok(if !ints.is_empty() {
            Self::Ints(ints)
        } else if !ids.is_empty() {
            Self::Ids(ids)
        } else if !texts.is_empty() {
            Self::Texts(texts)
        } else {
            Self::Blobs(blobs)
        })
    }
}

/// Appends a value to a column, which gets room for all rows at once.
fn push<T>(column: &mut Vec<T>, rows: usize, value: T) {
    if column.is_empty() {
        column.reserve_exact(rows);
    }
    column.push(value);
}

impl Value<'_> {
    /// True for a column without a value in any row.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Ints(values) => values.iter().all(Option::is_none),
            Self::Ids(values) => values.iter().all(Option::is_none),
            Self::Texts(values) => values.iter().all(Option::is_none),
            Self::Blobs(values) => values.iter().all(Option::is_none),
            Self::Int(_) | Self::Id(_) | Self::Text(_) | Self::Maybe(_) | Self::Bytes(_) => false,
        }
    }

    /// The value of a column, if all rows have the same.
    pub(super) fn everywhere(&self) -> Option<Self> {
        fn same<T: PartialEq>(values: &[T]) -> Option<&T> {
            let first = values.first()?;
            values.iter().all(|value| value == first).then_some(first)
        }
        match self {
            Self::Ints(values) => same(values).copied().map(Self::Int),
            Self::Texts(values) => same(values).cloned().map(Self::Maybe),
            Self::Ids(_) | Self::Blobs(_) => None,
            Self::Int(_) | Self::Id(_) | Self::Text(_) | Self::Maybe(_) | Self::Bytes(_) => None,
        }
    }

    pub(super) const fn type_of(&self) -> Type {
        match self {
            Self::Int(_) => Type::INT8,
            Self::Id(_) => Type::UUID,
            Self::Text(_) | Self::Maybe(_) => Type::TEXT,
            Self::Bytes(_) => Type::BYTEA,
            Self::Ints(_) => Type::INT8_ARRAY,
            Self::Ids(_) => Type::UUID_ARRAY,
            Self::Texts(_) => Type::TEXT_ARRAY,
            Self::Blobs(_) => Type::BYTEA_ARRAY,
        }
    }
}

impl From<Arg> for Value<'_> {
    fn from(arg: Arg) -> Self {
        match arg {
            Arg::Int(value) => Self::Int(value),
            Arg::Id(id) => Self::Id(id),
            Arg::Text(text) => Self::Text(String::from(text).into()),
            Arg::Bytes(bytes) => Self::Bytes(bytes.into()),
            Arg::Ints(numbers) => Self::Ints(numbers.into_iter().map(Some).collect()),
            Arg::Ids(ids) => Self::Ids(ids.into_iter().map(|id| Some(Id(id))).collect()),
        }
    }
}

impl ToSql for Value<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Int(value) => value.to_sql(ty, out),
            Self::Id(value) => Id(*value).to_sql(ty, out),
            Self::Text(value) => value.as_ref().to_sql(ty, out),
            Self::Maybe(value) => value.as_deref().to_sql(ty, out),
            Self::Bytes(value) => value.as_ref().to_sql(ty, out),
            Self::Ints(values) => values.to_sql(ty, out),
            Self::Ids(values) => values.to_sql(ty, out),
            Self::Texts(values) => values.to_sql(ty, out),
            Self::Blobs(values) => values.to_sql(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// Reads the columns of one row from left to right.
pub(super) struct PostgresCells<'a> {
    row: &'a Row,
    next: usize,
}

impl<'a> PostgresCells<'a> {
    pub(super) fn new(row: &'a Row) -> Self {
        Self { row, next: 0 }
    }

    fn step(&mut self) -> usize {
        self.next += 1;
        self.next - 1
    }
}

impl Cells for PostgresCells<'_> {
    fn skip(&mut self, count: usize) {
        self.next += count;
    }

    fn take<T: Cell>(&mut self) -> Result<T, StoreError> {
        let at = self.step();
        T::from_postgres(self.row, at)
    }

    fn text(&mut self) -> Result<Option<Box<str>>, StoreError> {
        let at = self.step();
        Ok(read::<Option<&str>>(self.row, at)?.map(Box::from))
    }

    fn currency(&mut self) -> Result<Currency, StoreError> {
        let at = self.step();
        Currency::parse(read(self.row, at)?).map_err(|_| inconsistent("currency"))
    }
}

fn read<'a, T: FromSql<'a>>(row: &'a Row, at: usize) -> Result<T, StoreError> {
    row.try_get(at).map_err(fault)
}

/// The error of the database as it is.
pub(super) fn fault(error: tokio_postgres::Error) -> StoreError {
    StoreError::Database(Fault::Postgres(PostgresError(error)))
}

fn out_of_range<T>(_: T) -> StoreError {
    inconsistent("an integer column")
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl Cell for $type {
            fn from_postgres(row: &Row, at: usize) -> Result<Self, StoreError> {
                Self::try_from(read::<Int>(row, at)?.0).map_err(out_of_range)
            }
        }

        impl Cell for Option<$type> {
            fn from_postgres(row: &Row, at: usize) -> Result<Self, StoreError> {
                let value = read::<Option<Int>>(row, at)?;
                value.map(|value| <$type>::try_from(value.0)).transpose().map_err(out_of_range)
            }
        }
    )*};
}

integers!(i64, u32, u16);

impl Cell for bool {
    fn from_postgres(row: &Row, at: usize) -> Result<Self, StoreError> {
        Ok(read::<Int>(row, at)?.0 != 0)
    }
}

impl Cell for [u8; 16] {
    fn from_postgres(row: &Row, at: usize) -> Result<Self, StoreError> {
        Ok(read::<Id>(row, at)?.0)
    }
}

impl Cell for Option<[u8; 16]> {
    fn from_postgres(row: &Row, at: usize) -> Result<Self, StoreError> {
        Ok(read::<Option<Id>>(row, at)?.map(|id| id.0))
    }
}

impl Cell for [u8; 32] {
    fn from_postgres(row: &Row, at: usize) -> Result<Self, StoreError> {
        read::<&[u8]>(row, at)?.try_into().map_err(out_of_range)
    }
}

impl Cell for Vec<u8> {
    fn from_postgres(row: &Row, at: usize) -> Result<Self, StoreError> {
        read(row, at)
    }
}

impl Cell for Option<Vec<u8>> {
    fn from_postgres(row: &Row, at: usize) -> Result<Self, StoreError> {
        read(row, at)
    }
}
