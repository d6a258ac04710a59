//! The span of time of a report.

use crate::http::invalid::{Invalid, excerpt};
use crate::http::query::Query;
use crate::http::time::{FORMAT, Iso, parse_query_time};
use domain::time::Timestamp;

const DAY_MS: i64 = 86_400_000;
const DEFAULT_DAYS: i64 = 30;
const MOST_DAYS: i64 = 366;

/// A span of time `[from, to)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub from: Timestamp,
    pub to: Timestamp,
}

impl Span {
    /// Reads `from` and `to`. Without them, the 30 UTC days that end with today.
    pub fn read(query: &Query<'_>, now: Timestamp) -> Result<Self, Invalid> {
        let (from, to) = (read_time(query, "from")?, read_time(query, "to")?);
        let to = to.unwrap_or_else(|| now.plus_ms(DAY_MS - now.0.rem_euclid(DAY_MS)));
        let from = from.unwrap_or_else(|| Timestamp(to.plus_ms(-DEFAULT_DAYS * DAY_MS).0.max(0)));
        let span_ms = to.ms_since(from);
        if span_ms <= 0 {
            let message = format!("to is not after from: {} and {}", Iso(from), Iso(to));
            return Err(Invalid::field("to", message));
        }
        if span_ms > MOST_DAYS * DAY_MS {
            let message = format!("from and to are more than {MOST_DAYS} days apart; ask for less");
            return Err(Invalid::field("to", message));
        }
        Ok(Self { from, to })
    }
}

fn read_time(query: &Query<'_>, name: &'static str) -> Result<Option<Timestamp>, Invalid> {
    let Some(text) = query.get(name)?.filter(|text| !text.is_empty()) else { return Ok(None) };
    parse_query_time(&text).map(Some).ok_or_else(|| {
        let text = excerpt(&text);
        let message =
            format!("{name} must be a date such as 2026-05-12, or {FORMAT}; got {text:?}");
        Invalid::field(name, message)
    })
}

/// The UTC date of a moment: `2026-05-12`.
pub fn date(at: Timestamp) -> String {
    let mut text = Iso(at).to_string();
    text.truncate(10);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-05-12T10:42:00Z.
    const NOW: Timestamp = Timestamp(1_778_582_520_000);

    fn span(query: &str) -> Result<(String, String), String> {
        let span = Span::read(&Query::parse(Some(query)), NOW);
        span.map(|span| (Iso(span.from).to_string(), Iso(span.to).to_string()))
            .map_err(|invalid| invalid.field.unwrap_or_default().into_owned())
    }

    #[test]
    fn a_span_is_half_open_and_defaults_to_the_30_days_that_end_with_today() {
        for (query, from, to) in [
            ("", "2026-04-13T00:00:00.000Z", "2026-05-13T00:00:00.000Z"),
            ("from=2026-05-01", "2026-05-01T00:00:00.000Z", "2026-05-13T00:00:00.000Z"),
            ("to=2026-02-01", "2026-01-02T00:00:00.000Z", "2026-02-01T00:00:00.000Z"),
            (
                "from=2026-01-01T12:00:00Z&to=2026-01-01T13:00:00%2B00:30",
                "2026-01-01T12:00:00.000Z",
                "2026-01-01T12:30:00.000Z",
            ),
            ("from=&to=", "2026-04-13T00:00:00.000Z", "2026-05-13T00:00:00.000Z"),
            (
                "from=2024-01-01&to=2025-01-01",
                "2024-01-01T00:00:00.000Z",
                "2025-01-01T00:00:00.000Z",
            ),
        ] {
            assert_eq!(span(query), Ok((from.to_owned(), to.to_owned())), "{query}");
        }
    }

    #[test]
    fn a_span_that_is_empty_backwards_or_longer_than_366_days_is_refused() {
        for (query, field) in [
            ("from=2026-05-01&to=2026-05-01", "to"),
            ("from=2026-05-02&to=2026-05-01", "to"),
            ("from=2027-01-01", "to"),
            ("from=2024-01-01&to=2025-01-02", "to"),
            ("from=soon", "from"),
            ("to=2026-13-01", "to"),
            ("from=1&from=1", "from"),
        ] {
            assert_eq!(span(query), Err(field.to_owned()), "{query}");
        }
    }
}
