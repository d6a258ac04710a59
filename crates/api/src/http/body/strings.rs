//! Lists of strings in a JSON object.

use super::object::Object;
use super::text::read_string;
use crate::http::invalid::Invalid;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Limits on a list of strings.
#[derive(Clone, Copy, Debug)]
pub struct StringList {
    pub most: usize,
    /// How many characters each at most.
    pub longest: usize,
}

impl Object<'_> {
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
