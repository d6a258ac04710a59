//! JSON Schemas (draft 2020-12, the dialect of OpenAPI 3.1), written by hand next to the code that
//! they describe: requests are read field by field, so there is no type to derive a schema from, and
//! answers declare each field with its schema ([`printed`](super::printed)).
//! Schemas cannot drift: the tests check every answer against them, and limits are the constants
//! that the code enforces.

use serde_json::{Map, Value, json};

/// No control characters.
const PRINTABLE: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";
/// No U+0000, the one character that no text may hold.
const NO_NUL: &str = r"^[^\u0000]*$";

/// A schema under construction.
#[derive(Clone, Debug)]
pub struct Schema(Map<String, Value>);

impl Schema {
    pub fn any() -> Self {
        Self(Map::new())
    }

    fn of(kind: &str) -> Self {
        Self::any().with("type", kind)
    }

    pub fn string() -> Self {
        Self::of("string")
    }

    /// Free text of at most `longest` characters.
    pub fn text(longest: usize) -> Self {
        Self::string().with("maxLength", longest).with("pattern", NO_NUL)
    }

    /// A name or an id that somebody else made.
    pub fn name(longest: usize) -> Self {
        let name = Self::string().with("minLength", 1).with("maxLength", longest);
        name.with("pattern", PRINTABLE)
    }

    /// A string that a regular expression describes.
    pub fn matching(pattern: &str) -> Self {
        Self::string().with("pattern", pattern)
    }

    pub fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        let words: Vec<_> = words.into_iter().collect();
        Self::string().with("enum", words)
    }

    /// One of the words of `all`.
    pub fn one_of<T: Copy>(all: &[T], word: fn(T) -> &'static str) -> Self {
        Self::words(all.iter().map(|known| word(*known)))
    }
    pub fn text_or_null(description: &str) -> Self {
        Self::string().says(description).or_null()
    }

    /// A text that is `null` in most answers, and so in the example.
    pub fn rare_text(description: &str) -> Self {
        Self::text_or_null(description).like(())
    }

    /// A whole number of at least `least`.
    pub fn integer(least: i64) -> Self {
        Self::of("integer").with("format", "int64").with("minimum", least)
    }

    pub fn boolean() -> Self {
        Self::of("boolean")
    }

    /// Nothing but `null`.
    pub fn null() -> Self {
        Self::of("null")
    }

    /// A point in time: ISO 8601 with an offset.
    pub fn time() -> Self {
        Self::string().with("format", "date-time").like("2026-05-12T10:42:00.123Z")
    }

    pub fn list(items: Self) -> Self {
        Self::of("array").with("items", items.0)
    }

    pub fn map(values: Self) -> Self {
        Self::of("object").with("additionalProperties", values.0)
    }

    /// The schema that the document has under this name.
    pub fn named(name: &str) -> Self {
        Self::any().with("$ref", format!("#/components/schemas/{name}"))
    }

    /// A value that fits one of these schemas.
    pub fn any_of(choices: impl IntoIterator<Item = Self>) -> Self {
        let choices: Vec<_> = choices.into_iter().map(Value::from).collect();
        Self::any().with("anyOf", choices)
    }

    /// A value that fits all of these schemas.
    pub fn all_of(parts: impl IntoIterator<Item = Self>) -> Self {
        let parts: Vec<_> = parts.into_iter().map(Value::from).collect();
        Self::any().with("allOf", parts)
    }

    #[must_use]
    pub fn with(mut self, keyword: &str, value: impl Into<Value>) -> Self {
        self.0.insert(keyword.to_owned(), value.into());
        self
    }

    /// The same with a description.
    #[must_use]
    pub fn says(self, text: &str) -> Self {
        self.with("description", text)
    }

    #[must_use]
    pub fn like(self, example: impl Into<Value>) -> Self {
        self.with("examples", vec![example.into()])
    }

    /// The same or `null`.
    #[must_use]
    pub fn or_null(mut self) -> Self {
        if let Some(Value::String(kind)) = self.0.get("type") {
            let kinds = json!([kind, "null"]);
            if let Some(Value::Array(words)) = self.0.get_mut("enum") {
                words.push(Value::Null);
            }
            return self.with("type", kinds);
        }
        let description = self.0.remove("description");
        let either = Self::any_of([self, Self::null()]);
        match description {
            Some(text) => either.with("description", text),
            None => either,
        }
    }
}

impl From<Schema> for Value {
    fn from(schema: Schema) -> Self {
        Self::Object(schema.0)
    }
}

/// The fields of an object, in the order in which they are shown.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    properties: Map<String, Value>,
    required: Vec<String>,
    description: &'static str,
}

impl Fields {
    pub fn new() -> Self {
        Self::default()
    }

    /// The fields of a struct; `comment` is its doc comment, which describes the object.
    pub fn of(comment: &'static str) -> Self {
        Self { description: comment.trim(), ..Self::default() }
    }

    /// A field that is always there.
    #[must_use]
    pub fn must(mut self, name: impl Into<String>, schema: Schema) -> Self {
        let name = name.into();
        self.required.push(name.clone());
        self.may(name, schema)
    }

    /// A field that need not be there.
    #[must_use]
    pub fn may(mut self, name: impl Into<String>, schema: Schema) -> Self {
        self.properties.insert(name.into(), schema.into());
        self
    }

    /// The same with the fields of another object.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.properties.extend(other.properties);
        self.required.extend(other.required);
        self
    }

    /// The same with another schema for a field.
    #[must_use]
    pub fn with(self, name: &str, schema: Schema) -> Self {
        self.may(name, schema)
    }

    /// The same without these fields.
    #[must_use]
    pub fn without(mut self, names: &[&str]) -> Self {
        self.properties.retain(|name, _| !names.contains(&name.as_str()));
        self
    }

    /// The same where these fields, which are otherwise left out, are always there.
    #[must_use]
    pub fn always(mut self, names: &[&str]) -> Self {
        for name in names {
            let schema = self.properties.shift_remove(*name).unwrap_or_default();
            self.properties.insert((*name).to_owned(), schema);
            self.required.push((*name).to_owned());
        }
        self
    }

    /// An object that we print: these fields and no other.
    pub fn closed(self) -> Schema {
        let description = self.description;
        let schema = self.open().with("additionalProperties", false);
        if description.is_empty() { schema } else { schema.says(description) }
    }

    /// An object that we read: other fields are ignored.
    pub fn open(self) -> Schema {
        let schema = Schema::of("object").with("properties", self.properties);
        match self.required.as_slice() {
            [] => schema,
            required => schema.with("required", required),
        }
    }
}
