//! Values on their way into a row of either database.

use domain::time::Timestamp;

/// A value to be written.
#[derive(Debug)]
pub(crate) enum Put<'a> {
    Int(Option<i64>),
    /// Sixteen bytes.
    Id(Option<[u8; 16]>),
    Text(Option<&'a str>),
    Json(Result<String, serde_json::Error>),
    Bytes(Option<&'a [u8]>),
}

pub(super) fn int<'a>(value: impl Into<i64>) -> Put<'a> {
    Put::Int(Some(value.into()))
}

pub(super) fn maybe_int<'a>(value: Option<impl Into<i64>>) -> Put<'a> {
    Put::Int(value.map(Into::into))
}

pub(super) fn time<'a>(value: Timestamp) -> Put<'a> {
    Put::Int(Some(value.0))
}

pub(super) fn maybe_time<'a>(value: Option<Timestamp>) -> Put<'a> {
    Put::Int(value.map(|at| at.0))
}

pub(super) fn id<'a>(value: impl Into<Option<[u8; 16]>>) -> Put<'a> {
    Put::Id(value.into())
}

pub(super) fn text(value: &str) -> Put<'_> {
    Put::Text(Some(value))
}

pub(super) fn maybe_text(value: Option<&str>) -> Put<'_> {
    Put::Text(value)
}

pub(super) fn json<'a, V: serde::Serialize>(value: &V) -> Put<'a> {
    Put::Json(serde_json::to_string(value))
}

pub(super) fn bytes<'a>(value: impl Into<Option<&'a [u8]>>) -> Put<'a> {
    Put::Bytes(value.into())
}
