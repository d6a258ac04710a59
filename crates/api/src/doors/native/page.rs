//! Lists: one page of at most 100 items, and an opaque cursor that leads to the next.
//!
//! A cursor holds the last item's ULID, the direction, and a hash of the list and its filters, so
//! that it cannot be carried over to another list, another account or other filters unnoticed.

use crate::http::envelope::PageMeta;
use crate::http::invalid::{Invalid, excerpt};
use crate::http::query::{Query, read_limit};
use crate::http::time::{FORMAT, parse_query_time};
use crate::openapi::Schema;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::tenant::Tenant;
use domain::time::Timestamp;
use engine::{PageQuery, SortOrder};
use sha2::{Digest, Sha256};
use ulid::Ulid;

const CURSOR_VERSION: u8 = 2;

/// A query parameter of a list: its name, its description and its schema.
pub type Filter = (&'static str, &'static str, fn() -> Schema);

/// A list that can be paged.
pub struct List {
    /// Part of every cursor.
    pub name: &'static str,
    /// The query parameters that decide which items are in it, in the order of the document.
    pub filters: &'static [Filter],
    /// The query parameters of the time range `[after, before)`.
    pub range: Option<(&'static str, &'static str)>,
    /// Default direction.
    pub order: SortOrder,
    /// Default page size.
    pub limit: u32,
}

impl List {
    /// A list that starts with the newest item and has a range of creation times.
    pub const fn new(name: &'static str, filters: &'static [Filter]) -> Self {
        let range = Some(("createdAfter", "createdBefore"));
        Self { name, filters, range, order: SortOrder::Descending, limit: 20 }
    }
}

/// The page of a list that a request asks for.
#[derive(Debug)]
pub struct Paging {
    pub query: PageQuery,
    fingerprint: [u8; 7],
}

impl Paging {
    /// Reads `limit`, `cursor`, `order` and the time range. `subject` is the resource in the path
    /// that the list belongs to, if any.
    pub fn read(
        list: &List,
        query: &Query<'_>,
        tenant: Tenant,
        subject: Option<Ulid>,
    ) -> Result<Self, Invalid> {
        let (after, before) = match list.range {
            Some((after, before)) => (read_time(query, after)?, read_time(query, before)?),
            None => (None, None),
        };
        let fingerprint = fingerprint(list, query, tenant, subject)?;
        let asked = read_order(query)?;
        let cursor = query.get("cursor")?.filter(|text| !text.is_empty());
        let cursor = cursor.map(|text| Cursor::parse(&text)).transpose()?;
        if let Some(cursor) = &cursor {
            if cursor.fingerprint != fingerprint {
                return Err(Invalid::field(
                    "cursor",
                    "this cursor belongs to a list with other filters; repeat the filters of the \
                     page it came with",
                ));
            }
            if asked.is_some_and(|order| order != cursor.order) {
                return Err(Invalid::field(
                    "cursor",
                    "this cursor belongs to a list in the other order; repeat the order of the \
                     page it came with",
                ));
            }
        }
        let order = cursor.as_ref().map(|cursor| cursor.order).or(asked).unwrap_or(list.order);
        let query = PageQuery {
            limit: read_limit(query)?.unwrap_or(list.limit),
            after: cursor.map(|cursor| cursor.last),
            order,
            from: after,
            until: before,
        };
        Ok(Self { query, fingerprint })
    }

    /// The description of a page that ends with `last`.
    pub fn meta(&self, last: Option<Ulid>, more: bool) -> PageMeta {
        let (order, fingerprint) = (self.query.order, self.fingerprint);
        let cursor = last.filter(|_| more).map(|last| Cursor { last, order, fingerprint }.print());
        PageMeta::new(self.query.limit, cursor)
    }
}

fn read_order(query: &Query<'_>) -> Result<Option<SortOrder>, Invalid> {
    let read = |name: &'static str| {
        query
            .get(name)?
            .map(|text| match &*text {
                "asc" => Ok(SortOrder::Ascending),
                "desc" => Ok(SortOrder::Descending),
                other => {
                    let other = excerpt(other);
                    Err(Invalid::field(name, format!("{name} must be asc or desc; got {other:?}")))
                }
            })
            .transpose()
    };
    match (read("order")?, read("direction")?) {
        (Some(order), Some(direction)) if order != direction => {
            Err(Invalid::field("order", "order and direction disagree; give one of them"))
        }
        (order, direction) => Ok(order.or(direction)),
    }
}

fn read_time(query: &Query<'_>, name: &'static str) -> Result<Option<Timestamp>, Invalid> {
    let Some(text) = query.get(name)? else { return Ok(None) };
    parse_query_time(&text).map(Some).ok_or_else(|| {
        let text = excerpt(&text);
        Invalid::field(
            name,
            format!("{name} must be {FORMAT}, or seconds since the epoch; got {text:?}"),
        )
    })
}

fn fingerprint(
    list: &List,
    query: &Query<'_>,
    tenant: Tenant,
    subject: Option<Ulid>,
) -> Result<[u8; 7], Invalid> {
    let mut hash = Sha256::new();
    hash.update(tenant.code().to_be_bytes());
    hash.update(subject.map_or([0; 16], |subject| subject.to_bytes()));
    hash.update(list.name);
    let range = list.range.map_or([""; 2], |(after, before)| [after, before]);
    for name in
        list.filters.iter().map(|(name, ..)| *name).chain(range).filter(|name| !name.is_empty())
    {
        if let Some(value) = query.get(name)? {
            // The length separates name and value, so that different filters never hash the same
            // bytes.
            hash.update(name);
            hash.update(value.len().to_be_bytes());
            hash.update(&*value);
        }
    }
    let digest: [u8; 32] = hash.finalize().into();
    Ok(digest.first_chunk().copied().unwrap_or_default())
}

/// Where a page ended. Printed as 32 characters of `[A-Za-z0-9_-]`.
#[derive(Debug, PartialEq, Eq)]
struct Cursor {
    last: Ulid,
    order: SortOrder,
    fingerprint: [u8; 7],
}

impl Cursor {
    fn print(&self) -> String {
        let ascending = self.order == SortOrder::Ascending;
        let mut bytes = [0; 24];
        bytes[0] = CURSOR_VERSION | u8::from(ascending);
        bytes[1..17].copy_from_slice(&self.last.to_bytes());
        bytes[17..].copy_from_slice(&self.fingerprint);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn parse(text: &str) -> Result<Self, Invalid> {
        Self::decode(text).ok_or_else(|| {
            Invalid::field(
                "cursor",
                "this is no cursor; pass the meta.cursor of the page before unchanged, or leave it \
                 out to start again",
            )
        })
    }

    fn decode(text: &str) -> Option<Self> {
        let mut bytes = [0; 24];
        let length =
            (text.len() == 32).then(|| URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok());
        if length.flatten() != Some(24) || bytes[0] & !1 != CURSOR_VERSION {
            return None;
        }
        let order = if bytes[0] & 1 == 1 { SortOrder::Ascending } else { SortOrder::Descending };
        let last = Ulid::from_bytes(*bytes[1..].first_chunk()?);
        Some(Self { last, order, fingerprint: *bytes[17..].first_chunk()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::tenant::Mode;

    const LIST: List = List {
        name: "things",
        filters: &[("status", "", Schema::string), ("sourceId", "", Schema::string)],
        range: Some(("createdAfter", "createdBefore")),
        order: SortOrder::Descending,
        limit: 20,
    };

    fn read(query: &str) -> Result<Paging, String> {
        let tenant = Tenant::new(1, Mode::Test);
        Paging::read(&LIST, &Query::parse(Some(query)), tenant, None)
            .map_err(|invalid| invalid.field.unwrap_or_default().into_owned())
    }

    fn cursor_after(query: &str) -> String {
        let paging = read(query).expect("a good query");
        let meta = paging.meta(Some(Ulid(7)), true);
        let meta = serde_json::to_value(meta).expect("it prints");
        assert_eq!(meta["cursor"], meta["page"]["nextCursor"]);
        meta["cursor"].as_str().expect("a cursor").to_owned()
    }

    #[test]
    fn limits_run_from_1_to_100() {
        assert_eq!(read("").map(|paging| paging.query.limit), Ok(20));
        assert_eq!(read("limit=1").map(|paging| paging.query.limit), Ok(1));
        assert_eq!(read("limit=100").map(|paging| paging.query.limit), Ok(100));
        for query in [
            "limit=0",
            "limit=-1",
            "limit=101",
            "limit=1000",
            "limit=abc",
            "limit=",
            "limit=%2B5",
            "limit=1.0",
            "limit=99999999999999999999",
            "limit=5&limit=5",
        ] {
            assert_eq!(read(query).map(|_| ()), Err("limit".to_owned()), "{query}");
        }
    }

    #[test]
    fn a_cursor_leads_on_within_the_same_list_only() {
        let cursor = cursor_after("status=pending&order=asc&limit=5");
        assert!(cursor.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        assert_eq!(cursor.len(), 32);
        for query in ["status=pending&limit=50", "order=asc&status=pending&other=1"] {
            let paging = read(&format!("{query}&cursor={cursor}")).expect("the same list");
            assert_eq!(paging.query.after, Some(Ulid(7)));
            assert_eq!(paging.query.order, SortOrder::Ascending);
        }
        for query in [
            "status=failed",
            "",
            "status=pending&sourceId=x",
            "status=pending&order=desc",
            "status=pending&createdAfter=2026-01-01",
        ] {
            let paging = read(&format!("{query}&cursor={cursor}"));
            assert_eq!(paging.map(|_| ()), Err("cursor".to_owned()), "{query}");
        }
        let other = Tenant::new(2, Mode::Test);
        let query = format!("status=pending&cursor={cursor}");
        assert!(Paging::read(&LIST, &Query::parse(Some(&query)), other, None).is_err());
        let tenant = Tenant::new(1, Mode::Test);
        assert!(Paging::read(&LIST, &Query::parse(Some(&query)), tenant, Some(Ulid(1))).is_err());
    }

    #[test]
    fn garbage_is_no_cursor() {
        let good = cursor_after("");
        assert!(read(&format!("cursor={good}")).is_ok());
        assert!(read("cursor=").is_ok());
        for cursor in [
            "abc",
            "%00",
            &good[..31],
            &format!("{good}A"),
            &good.replace(&good[..1], "_"),
            "cur_01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "................................",
        ] {
            assert_eq!(read(&format!("cursor={cursor}")).map(|_| ()), Err("cursor".to_owned()));
        }
    }

    #[test]
    fn the_last_page_has_no_cursor() {
        let meta = read("").expect("a good query").meta(Some(Ulid(7)), false);
        let text = serde_json::to_string(&meta).expect("it prints");
        assert_eq!(
            text,
            r#"{"cursor":null,"hasMore":false,"page":{"limit":20,"hasMore":false,"nextCursor":null}}"#
        );
    }

    #[test]
    fn order_has_two_names_that_must_agree() {
        for query in ["order=asc", "direction=asc", "order=asc&direction=asc"] {
            assert_eq!(read(query).map(|paging| paging.query.order), Ok(SortOrder::Ascending));
        }
        assert_eq!(read("order=up").map(|_| ()), Err("order".to_owned()));
        assert_eq!(read("direction=ASC").map(|_| ()), Err("direction".to_owned()));
        assert_eq!(read("order=asc&direction=desc").map(|_| ()), Err("order".to_owned()));
    }

    #[test]
    fn a_range_is_read_in_every_form() {
        let paging = read("createdAfter=1778582520&createdBefore=2026-05-12T10:42:01Z");
        let query = paging.expect("a good query").query;
        assert_eq!(query.from, Some(Timestamp(1_778_582_520_000)));
        assert_eq!(query.until, Some(Timestamp(1_778_582_521_000)));
        assert_eq!(read("createdAfter=soon").map(|_| ()), Err("createdAfter".to_owned()));
    }
}
