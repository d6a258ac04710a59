//! A JSON object, taken apart once: keys are compared as they stand, values stay raw until a getter
//! reads them. Unknown keys are ignored, repeated keys are refused at every level that is read.

use super::fields::ObjectFields;
use super::metadata;
use super::text::read_string;
use crate::http::invalid::{Invalid, excerpt};
use crate::http::time;
use domain::money::Currency;
use domain::money::MAX_AMOUNT;
use domain::time::Timestamp;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// How many keys the top level of a body can have.
const MAX_KEYS: usize = 100;

/// The keys and raw values of one JSON object.
#[derive(Debug)]
pub struct Object<'a> {
    fields: Vec<(Cow<'a, str>, &'a RawValue)>,
}

/// The least that an amount can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Least {
    One,
    Zero,
}

/// The error for a field that must be there and is not.
pub fn missing(field: &'static str, what: &str) -> Invalid {
    Invalid::field(field, format!("{field} is missing; give {what}"))
}

impl<'a> Object<'a> {
    /// Reads a body that must hold one JSON object.
    pub fn parse(body: &'a [u8]) -> Result<Self, Invalid> {
        let text = std::str::from_utf8(body).map_err(|error| {
            let at = error.valid_up_to();
            Invalid::request(format!(
                "the body is not valid UTF-8 from byte {at} on; send JSON in UTF-8"
            ))
        })?;
        if text.bytes().all(|byte| byte.is_ascii_whitespace()) {
            return Err(Invalid::request("the body is empty; send a JSON object"));
        }
        let fields = ObjectFields::read(text, MAX_KEYS).map_err(|error| not_an_object(&error))?;
        if let Some(key) = fields.repeated {
            let message = format!("{key:?} appears more than once; give each field once");
            return Err(Invalid::field(key, message));
        }
        if fields.overflow {
            let message = format!("the body has more than {MAX_KEYS} fields; leave some out");
            return Err(Invalid::request(message));
        }
        Ok(Self { fields: fields.found })
    }

    /// The names of its fields, in the order they came.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(name, _)| &**name)
    }

    /// The raw JSON of a field. A field that is `null` counts as absent.
    pub(super) fn raw(&self, field: &str) -> Option<&'a str> {
        let (_, value) = self.fields.iter().find(|(key, _)| key == field)?;
        Some(value.get()).filter(|text| *text != "null")
    }

    /// Free text of at most `longest` characters.
    pub fn text(
        &self,
        field: &'static str,
        longest: usize,
    ) -> Result<Option<Cow<'a, str>>, Invalid> {
        let Some(raw) = self.raw(field) else { return Ok(None) };
        read_string(raw, longest).map(Some).map_err(|why| Invalid::field(field, why.about(field)))
    }

    /// A name or an id: 1 to `longest` characters, none of them a control character.
    pub fn name(
        &self,
        field: &'static str,
        longest: usize,
    ) -> Result<Option<Cow<'a, str>>, Invalid> {
        let text = self.text(field, longest)?;
        match &text {
            Some(text) if text.is_empty() => {
                Err(Invalid::field(field, format!("{field} is empty; leave it out or fill it in")))
            }
            Some(text) if text.chars().any(char::is_control) => Err(Invalid::field(
                field,
                format!("{field} must not contain control characters; send it without them"),
            )),
            _ => Ok(text),
        }
    }

    /// An amount in minor units, at most [`MAX_AMOUNT`].
    pub fn amount(&self, field: &'static str, least: Least) -> Result<Option<i64>, Invalid> {
        let Some(raw) = self.raw(field) else { return Ok(None) };
        read_amount(raw, least)
            .map(Some)
            .map_err(|why| Invalid::field(field, format!("{field} {why}; got {}", excerpt(raw))))
    }

    pub fn flag(&self, field: &'static str) -> Result<Option<bool>, Invalid> {
        match self.raw(field) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => {
                let message = format!("{field} must be true or false; got {}", excerpt(other));
                Err(Invalid::field(field, message))
            }
        }
    }

    pub fn currency(&self, field: &'static str) -> Result<Option<Currency>, Invalid> {
        let Some(text) = self.text(field, 200)? else { return Ok(None) };
        Currency::parse(&text).map(Some).map_err(|_| {
            let given = excerpt(&text);
            Invalid::field(
                field,
                format!(
                    "{field} must be an ISO 4217 code in capital letters, such as USD; got {given:?}"
                ),
            )
        })
    }

    pub fn time(&self, field: &'static str) -> Result<Option<Timestamp>, Invalid> {
        let Some(text) = self.text(field, 200)? else { return Ok(None) };
        time::parse_iso(&text).map(Some).ok_or_else(|| {
            let given = excerpt(&text);
            Invalid::field(field, format!("{field} must be {}; got {given:?}", time::FORMAT))
        })
    }

    /// The caller's key-value pairs, as one canonical JSON text.
    pub fn metadata(&self, field: &'static str) -> Result<Option<Box<str>>, Invalid> {
        self.raw(field).map(|raw| metadata::read(field, raw)).transpose()
    }
}

fn not_an_object(error: &serde_json::Error) -> Invalid {
    if error.is_data() {
        return Invalid::request("the body must be one JSON object, such as {\"amount\": 500}");
    }
    Invalid::request(format!("the body is not valid JSON ({error}); send one JSON object"))
}

/// Reads the raw JSON of an amount. The error goes between the field's name and what it got.
fn read_amount(raw: &str, least: Least) -> Result<i64, Cow<'static, str>> {
    if raw.starts_with('"') {
        return Err("must be a number, not a string: write 500 without quotes".into());
    }
    if !raw.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return Err("must be a whole number of minor units".into());
    }
    if raw.contains(['.', 'e', 'E']) {
        return Err("must be a whole number of minor units (12.50 USD is 1250), \
                    written without fraction or exponent"
            .into());
    }
    let smallest = match least {
        Least::One => 1,
        Least::Zero => 0,
    };
    if raw.starts_with('-') || (raw == "0" && smallest > 0) {
        return Err(format!("must be {smallest} or more").into());
    }
    raw.parse()
        .ok()
        .filter(|amount| *amount <= MAX_AMOUNT)
        .ok_or_else(|| format!("must be at most {MAX_AMOUNT}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `body` and says what is wrong with it, as `field: message`.
    fn refusal(body: &[u8]) -> String {
        let invalid = Object::parse(body).expect_err("a bad body");
        format!("{}: {}", invalid.field.unwrap_or_default(), invalid.message)
    }

    fn amount(raw: &str, least: Least) -> Result<Option<i64>, String> {
        let body = format!("{{\"amount\": {raw}}}");
        let object = Object::parse(body.as_bytes()).expect("valid JSON");
        object.amount("amount", least).map_err(|invalid| {
            assert_eq!(invalid.field.as_deref(), Some("amount"));
            invalid.message.into_owned()
        })
    }

    #[test]
    fn a_body_that_is_not_one_object_is_refused_with_its_place() {
        for (body, expected) in [
            (&b""[..], ": the body is empty; send a JSON object"),
            (b" \n", ": the body is empty; send a JSON object"),
            (b"[]", ": the body must be one JSON object, such as {\"amount\": 500}"),
            (b"null", ": the body must be one JSON object, such as {\"amount\": 500}"),
            (b"5", ": the body must be one JSON object, such as {\"amount\": 500}"),
            (
                b"{\"a\": 1,}",
                ": the body is not valid JSON (trailing comma at line 1 column 9); send one JSON object",
            ),
            (
                b"{} {}",
                ": the body is not valid JSON (trailing characters at line 1 column 4); send one JSON object",
            ),
            (
                b"{\"a\": \"\xff\"}",
                ": the body is not valid UTF-8 from byte 7 on; send JSON in UTF-8",
            ),
        ] {
            assert_eq!(refusal(body), expected, "{}", String::from_utf8_lossy(body));
        }
        assert!(refusal(b"{\"a\": 01}").contains("not valid JSON"));
        assert!(refusal(b"{\"a\": NaN}").contains("not valid JSON"));
        assert!(refusal(b"{'a': 1}").contains("not valid JSON"));
        assert!(refusal(b"\xef\xbb\xbf{}").contains("not valid JSON"));
    }

    #[test]
    fn repeated_keys_are_refused_known_or_not_and_however_they_are_spelt() {
        assert_eq!(
            refusal(b"{\"amount\": 1, \"x\": {}, \"amount\": 1}"),
            "amount: \"amount\" appears more than once; give each field once"
        );
        assert!(refusal(b"{\"zzz\": 1, \"zzz\": 2}").starts_with("zzz: "));
        assert!(refusal(b"{\"amount\": 1, \"\\u0061mount\": 2}").starts_with("amount: "));
    }

    #[test]
    fn too_many_keys_are_refused() {
        let body: Vec<String> = (0..10_000).map(|n| format!("\"{n}\":0")).collect();
        let body = format!("{{{}}}", body.join(","));
        assert_eq!(refusal(body.as_bytes()), ": the body has more than 100 fields; leave some out");
    }

    #[test]
    fn deep_nesting_in_unknown_fields_is_skipped_without_recursion() {
        let body = format!("{{\"a\": {}{}}}", "[".repeat(30_000), "]".repeat(30_000));
        assert!(Object::parse(body.as_bytes()).is_ok());
    }

    #[test]
    fn amounts_are_whole_numbers_in_range() {
        assert_eq!(amount("500", Least::One), Ok(Some(500)));
        assert_eq!(amount("null", Least::One), Ok(None));
        assert_eq!(amount("0", Least::Zero), Ok(Some(0)));
        assert_eq!(amount("9007199254740991", Least::One), Ok(Some(MAX_AMOUNT)));
        for (raw, expected) in [
            (
                "\"500\"",
                "amount must be a number, not a string: write 500 without quotes; got \"500\"",
            ),
            ("0", "amount must be 1 or more; got 0"),
            ("-0", "amount must be 1 or more; got -0"),
            ("-5", "amount must be 1 or more; got -5"),
            ("9007199254740992", "amount must be at most 9007199254740991; got 9007199254740992"),
            (
                "9223372036854775808",
                "amount must be at most 9007199254740991; got 9223372036854775808",
            ),
            ("true", "amount must be a whole number of minor units; got true"),
            ("{\"a\": 1}", "amount must be a whole number of minor units; got {\"a\": 1}"),
        ] {
            assert_eq!(amount(raw, Least::One), Err(expected.to_owned()), "{raw}");
        }
        for raw in ["12.5", "12.0", "1e3", "5E0", "1e999999"] {
            let message = amount(raw, Least::One).expect_err(raw);
            assert!(message.contains("without fraction or exponent"), "{message}");
        }
        assert_eq!(amount("-1", Least::Zero), Err("amount must be 0 or more; got -1".to_owned()));
        let long = "9".repeat(1000);
        let message = amount(&long, Least::One).expect_err("too large");
        assert!(message.len() < 100, "{message}");
    }

    #[test]
    fn strings_have_a_length_and_are_unicode() {
        let body = "{\"a\": \"h\\u00e9\", \"b\": \"\\ud800\", \"c\": \"\\u0000\", \"d\": 5, \"e\": \"ééé\", \"f\": \"\", \"g\": \"a\\nb\", \"n\": null}";
        let object = Object::parse(body.as_bytes()).expect("valid JSON");
        assert_eq!(object.text("a", 2), Ok(Some("hé".into())));
        assert_eq!(object.text("e", 3), Ok(Some("ééé".into())));
        assert_eq!(object.text("n", 3), Ok(None));
        assert_eq!(object.text("missing", 3), Ok(None));
        assert_eq!(object.text("f", 3), Ok(Some("".into())));
        assert_eq!(object.text("g", 3), Ok(Some("a\nb".into())));
        for (field, text) in [("b", "escape"), ("c", "U+0000"), ("d", "string"), ("e", "longer")] {
            let invalid = object.text(field, 2).expect_err(field);
            assert_eq!(invalid.field.as_deref(), Some(field));
            assert!(invalid.message.contains(text), "{}", invalid.message);
        }
        assert!(object.name("f", 3).is_err(), "an empty name");
        assert!(object.name("g", 3).is_err(), "a name with a line break");
    }

    #[test]
    fn currencies_and_times_are_read_strictly() {
        let body = br#"{"a": "USD", "b": "usd", "c": "XAU", "d": "2026-05-12T10:42:00Z", "e": 5}"#;
        let object = Object::parse(body).expect("valid JSON");
        assert_eq!(object.currency("a"), Ok(Some(Currency::parse("USD").expect("a currency"))));
        assert!(object.currency("b").is_err());
        assert!(object.currency("c").is_err());
        assert!(object.currency("e").is_err());
        assert_eq!(object.time("d"), Ok(Some(Timestamp(1_778_582_520_000))));
        assert!(object.time("a").is_err());
        assert!(object.time("e").is_err());
    }
}
