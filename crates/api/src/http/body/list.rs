//! Lists of objects in a JSON object, and whole numbers that are no amounts.

use super::object::Object;
use crate::http::invalid::{Invalid, excerpt};
use serde_json::value::RawValue;
use std::ops::RangeInclusive;

impl<'a> Object<'a> {
    /// A list of at most `most` objects, each read by `read`.
    pub fn objects<T>(
        &self,
        field: &'static str,
        most: usize,
        read: impl Fn(&Object<'a>) -> Result<T, Invalid>,
    ) -> Result<Option<Vec<T>>, Invalid> {
        let Some(raw) = self.raw(field) else { return Ok(None) };
        let items: Vec<&RawValue> = serde_json::from_str(raw)
            .map_err(|_| Invalid::field(field, format!("{field} must be a list of objects")))?;
        if items.len() > most {
            let message = format!("{field} has more than {most} items; leave some out");
            return Err(Invalid::field(field, message));
        }
        let item = |(at, raw): (usize, &&'a RawValue)| {
            let object = Object::parse(raw.get().as_bytes()).map_err(|inner| {
                let path = inner.field.map_or_else(
                    || format!("{field}[{at}]"),
                    |name| format!("{field}[{at}].{name}"),
                );
                Invalid::field(path, format!("each of {field} must be an object, each field once"))
            })?;
            read(&object).map_err(|inner| {
                let name = inner.field.unwrap_or_default();
                Invalid::field(format!("{field}[{at}].{name}"), inner.message)
            })
        };
        items.iter().enumerate().map(item).collect::<Result<_, _>>().map(Some)
    }

    pub fn whole(
        &self,
        field: &'static str,
        range: RangeInclusive<i64>,
    ) -> Result<Option<i64>, Invalid> {
        let Some(raw) = self.raw(field) else { return Ok(None) };
        let plain = raw.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        let number = raw.parse().ok().filter(|number| plain && range.contains(number));
        number.map(Some).ok_or_else(|| {
            let (least, most) = (range.start(), range.end());
            let given = excerpt(raw);
            let message =
                format!("{field} must be a whole number from {least} to {most}; got {given}");
            Invalid::field(field, message)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_objects_name_the_item_and_field_that_is_wrong() {
        let body =
            br#"{"ok": [{"n": 1}, {"n": 2}], "none": null, "no": {"n": 1}, "in": [{"n": 1}, 5],
            "bad": [{"n": 1}, {"n": 11}], "twice": [{"n": 1, "n": 1}], "many": [{}, {}, {}]}"#;
        let object = Object::parse(body).expect("valid JSON");
        let read = |field| object.objects(field, 2, |item| item.whole("n", 1..=10));
        assert_eq!(read("ok"), Ok(Some(vec![Some(1), Some(2)])));
        assert_eq!(read("none"), Ok(None));
        for (field, named) in [
            ("no", "no"),
            ("in", "in[1]"),
            ("bad", "bad[1].n"),
            ("twice", "twice[0].n"),
            ("many", "many"),
        ] {
            let invalid = read(field).expect_err(field);
            assert_eq!(invalid.field.as_deref(), Some(named));
        }
    }

    #[test]
    fn whole_numbers_have_a_range() {
        let body = br#"{"a": 10, "b": 0, "c": 11, "d": 1.0, "e": "5", "f": 1e1, "g": -5, "h": true,
            "i": 99999999999999999999, "n": null}"#;
        let object = Object::parse(body).expect("valid JSON");
        assert_eq!(object.whole("a", 1..=10), Ok(Some(10)));
        assert_eq!(object.whole("n", 1..=10), Ok(None));
        for field in ["b", "c", "d", "e", "f", "g", "h", "i"] {
            let invalid = object.whole(field, 1..=10).expect_err(field);
            assert_eq!(invalid.field.as_deref(), Some(field));
        }
    }
}
