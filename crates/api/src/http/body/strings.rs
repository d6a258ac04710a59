//! Lists of strings in a JSON object.

use super::fields::ObjectFields;
use super::object::Object;
use super::text::read_string;
use crate::http::invalid::Invalid;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Limits on a list of strings.
#[derive(Clone, Copy, Debug)]
pub struct StringList {
    pub most: usize,
    /// How many characters each at most.
    pub longest: usize,
}

/// Limits on an object whose values are strings.
#[derive(Clone, Copy, Debug)]
pub struct TextMap {
    pub most: usize,
    /// How many characters each value has at most.
    pub longest: usize,
}

/// A name and its string.
pub type NamedText<'a> = (Cow<'a, str>, Cow<'a, str>);

impl<'a> Object<'a> {
    pub fn strings(
        &self,
        field: &'static str,
        list: StringList,
    ) -> Result<Option<Vec<String>>, Invalid> {
        let Some(raw) = self.raw(field) else { return Ok(None) };
        let items: Vec<&RawValue> = serde_json::from_str(raw).map_err(|_| {
            Invalid::field(field, format!("{field} must be a list of strings, such as [\"a\"]"))
        })?;
        if items.len() > list.most {
            let message = format!("{field} has more than {} items; leave some out", list.most);
            return Err(Invalid::field(field, message));
        }
        let item = |(at, raw): (usize, &&RawValue)| {
            let name = format!("{field}[{at}]");
            let text = read_string(raw.get(), list.longest);
            text.map(Into::into).map_err(|flaw| Invalid::field(field, flaw.about(&name)))
        };
        items.iter().enumerate().map(item).collect::<Result<_, _>>().map(Some)
    }

    /// An object whose values are strings. A value that is `null` counts as absent. Refusals repeat neither a name nor
    /// a value, since they can be secrets.
    pub fn texts(
        &self,
        field: &'static str,
        limits: TextMap,
    ) -> Result<Option<Vec<NamedText<'a>>>, Invalid> {
        let Some(raw) = self.raw(field) else { return Ok(None) };
        let invalid = |message: String| Invalid::field(field, message);
        let fields = ObjectFields::read(raw, limits.most).map_err(|_| {
            invalid(format!("{field} must be an object of strings, such as {{\"a\": \"b\"}}"))
        })?;
        if fields.repeated.is_some() {
            return Err(invalid(format!("a name in {field} appears more than once")));
        }
        if fields.overflow {
            let message = format!("{field} has more than {} values; leave some out", limits.most);
            return Err(invalid(message));
        }
        let given = fields.found.into_iter().filter(|(_, value)| value.get() != "null");
        let text = |(name, value): (_, &'a RawValue)| {
            let value = read_string(value.get(), limits.longest);
            let value = value.map_err(|why| invalid(why.about(&format!("a value in {field}"))));
            Ok((name, value?))
        };
        given.map(text).collect::<Result<_, _>>().map(Some)
    }

    /// A JSON object that is passed on unchanged.
    pub fn json_object(&self, field: &'static str) -> Result<Option<Map<String, Value>>, Invalid> {
        let Some(raw) = self.raw(field) else { return Ok(None) };
        serde_json::from_str(raw).map(Some).map_err(|_| {
            Invalid::field(field, format!("{field} must be a JSON object, such as {{\"a\": 1}}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_of_strings_is_read_and_refusals_repeat_none_of_it() {
        let body = br#"{"a": {"x": "1", "y\u0021": "\u00e9", "n": null}, "b": {}, "c": ["s3cret"],
            "d": {"s3cret": 1}, "e": {"s3cret": "s3cret-long"}, "f": {"s3cret": "1", "s3cret": "2"},
            "g": null, "h": {"1": "", "2": "", "3": "", "s3cret": ""}, "i": {"s3cret": {"s3cret": 1}}}"#;
        let object = Object::parse(body).expect("valid JSON");
        let limits = TextMap { most: 3, longest: 6 };
        let pairs = object.texts("a", limits).expect("a good object").expect("it is there");
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(pairs, [("x", "1"), ("y!", "\u{e9}")]);
        assert_eq!(object.texts("b", limits), Ok(Some(Vec::new())));
        assert_eq!(object.texts("g", limits), Ok(None));
        for (field, text) in [
            ("c", "object of strings"),
            ("d", "must be a string"),
            ("e", "longer than 6"),
            ("f", "more than once"),
            ("h", "more than 3"),
            ("i", "must be a string"),
        ] {
            let invalid = object.texts(field, limits).expect_err(field);
            assert_eq!(invalid.field.as_deref(), Some(field));
            assert!(invalid.message.contains(text), "{}", invalid.message);
            assert!(!invalid.message.contains("s3cret"), "{}", invalid.message);
        }
    }

    #[test]
    fn a_list_of_strings_is_read_and_anything_else_is_refused() {
        let body = br#"{"a": ["x", "\u00e9"], "b": [], "c": "x", "d": ["x", 1], "e": ["long"],
            "f": ["1", "2", "3"], "g": null, "h": ["\u0000"]}"#;
        let object = Object::parse(body).expect("valid JSON");
        let list = StringList { most: 2, longest: 3 };
        assert_eq!(object.strings("a", list), Ok(Some(vec!["x".into(), "é".into()])));
        assert_eq!(object.strings("b", list), Ok(Some(Vec::new())));
        assert_eq!(object.strings("g", list), Ok(None));
        for (field, text) in [
            ("c", "list of strings"),
            ("d", "d[1]"),
            ("e", "e[0]"),
            ("f", "more than 2"),
            ("h", "h[0]"),
        ] {
            let invalid = object.strings(field, list).expect_err(field);
            assert_eq!(invalid.field.as_deref(), Some(field));
            assert!(invalid.message.contains(text), "{}", invalid.message);
        }
    }
}
