//! Points in time as the wire writes them: ISO 8601 in UTC with milliseconds.

use domain::time::Timestamp;
use jiff::fmt::StdFmtWrite;
use jiff::fmt::temporal::DateTimePrinter;
use serde::{Serialize, Serializer};
use std::fmt;

static PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

/// Numbers from here on are milliseconds since the epoch, smaller ones are seconds: as seconds this
/// is the year 5138, as milliseconds 1973.
const FIRST_MILLISECONDS: i64 = 100_000_000_000;

/// The format of a time in a request, for messages.
pub const FORMAT: &str = "an ISO 8601 time with an offset, such as 2026-05-12T10:42:00Z";

/// Prints a point in time: `2026-05-12T10:42:00.123Z`.
#[derive(Clone, Copy, Debug)]
pub struct Iso(pub Timestamp);

impl fmt::Display for Iso {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The calendar ends with the years -9999 and 9999; what lies beyond prints as its end.
        let end = if self.0.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
        let time = jiff::Timestamp::from_millisecond(self.0.0).unwrap_or(end);
        PRINTER.print_timestamp(&time, StdFmtWrite(f)).map_err(|_| fmt::Error)
    }
}

impl Serialize for Iso {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads [`FORMAT`]. Times before 1970 are refused, fractions of a millisecond dropped.
pub fn parse_iso(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp(time.as_millisecond())).filter(|time| time.0 >= 0)
}

/// Reads a time in a query: [`FORMAT`], a date (midnight UTC), or seconds or milliseconds since the
/// epoch.
pub fn parse_query_time(text: &str) -> Option<Timestamp> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let number: i64 = text.parse().ok()?;
        let ms = if number >= FIRST_MILLISECONDS { number } else { number.checked_mul(1000)? };
        // Times beyond the end of the calendar are refused.
        return jiff::Timestamp::from_millisecond(ms).ok().map(|_| Timestamp(ms));
    }
    if text.len() == 10 {
        return parse_iso(&format!("{text}T00:00:00Z"));
    }
    // An offset's plus sign that the caller did not percent-encode arrives as a space.
    parse_iso(text).or_else(|| {
        let (time, offset) = text.rsplit_once(' ')?;
        parse_iso(&format!("{time}+{offset}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_print_with_milliseconds() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_778_582_520_123, "2026-05-12T10:42:00.123Z"),
            (i64::MAX, "9999-12-30T22:00:00.999Z"),
        ] {
            assert_eq!(Iso(Timestamp(ms)).to_string(), text);
        }
    }

    #[test]
    fn times_read_back() {
        for (text, ms) in [
            ("2026-05-12T10:42:00.123Z", Some(1_778_582_520_123)),
            ("2026-05-12T10:42:00.123999Z", Some(1_778_582_520_123)),
            ("2026-05-12T17:42:00+07:00", Some(1_778_582_520_000)),
            ("2026-05-12T10:42:00", None),
            ("1969-12-31T23:59:59Z", None),
            ("2026-13-12T10:42:00Z", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(parse_iso(text).map(|time| time.0), ms, "{text}");
        }
    }

    #[test]
    fn queries_take_dates_and_epochs_and_forgive_a_bare_plus() {
        for (text, ms) in [
            ("1778582520", Some(1_778_582_520_000)),
            ("1778582520123", Some(1_778_582_520_123)),
            ("2026-05-12", Some(1_778_544_000_000)),
            ("2026-05-12T17:42:00 07:00", Some(1_778_582_520_000)),
            ("2026-05-12T10:42:00Z", Some(1_778_582_520_000)),
            ("99999999999999999999", None),
            ("9223372036854775807", None),
            ("-5", None),
            ("1e9", None),
        ] {
            assert_eq!(parse_query_time(text).map(|time| time.0), ms, "{text}");
        }
    }
}
