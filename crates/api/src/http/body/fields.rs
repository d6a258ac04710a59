//! The keys and raw values of one JSON object, read in one pass.

use crate::http::invalid::excerpt;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// The keys and raw values of an object, and what is wrong with the keys.
pub struct ObjectFields<'a> {
    /// In the order they came, each key once.
    pub found: Vec<(Cow<'a, str>, &'a RawValue)>,
    pub repeated: Option<String>,
    /// There are more keys than asked for.
    pub overflow: bool,
}

impl<'a> ObjectFields<'a> {
    /// Reads the whole text, but keeps at most `most` keys.
    pub fn read(text: &'a str, most: usize) -> Result<Self, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let fields = deserializer.deserialize_map(ObjectFieldsVisitor { most })?;
        deserializer.end()?;
        Ok(fields)
    }
}

struct ObjectFieldsVisitor {
    most: usize,
}

impl<'de> Visitor<'de> for ObjectFieldsVisitor {
    type Value = ObjectFields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let found = Vec::with_capacity(8);
        let mut fields = ObjectFields { found, repeated: None, overflow: false };
        while let Some(Text(key)) = map.next_key()? {
            if fields.found.iter().any(|(known, _)| *known == key) {
                fields.repeated.get_or_insert_with(|| excerpt(&key).to_owned());
            } else if fields.found.len() < self.most {
                fields.found.push((key, map.next_value()?));
                continue;
            } else {
                fields.overflow = true;
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(fields)
    }
}

/// A string that borrows where it can; `Cow` by itself never does.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}
