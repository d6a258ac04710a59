//! The caller's key-value pairs: checked, and kept as one canonical JSON text (keys in order, no
//! spaces), so that a repeated request is recognised however its client orders and spaces them.

use super::fields::ObjectFields;
use super::text::read_string;
use crate::http::invalid::{Invalid, excerpt};
use std::borrow::Cow;

/// Keys of one object.
pub const MAX_KEYS: usize = 50;
pub const MAX_KEY_CHARS: usize = 40;
pub const MAX_VALUE_CHARS: usize = 500;
/// Bytes of the canonical text.
pub const MAX_BYTES: usize = 16 * 1024;

/// Reads the raw JSON of an object of strings.
pub fn read(field: &'static str, raw: &str) -> Result<Box<str>, Invalid> {
    let invalid = |message: String| Invalid::field(field, message);
    let fields = ObjectFields::read(raw, MAX_KEYS)
        .map_err(|_| invalid(format!("{field} must be an object of strings, or null")))?;
    if let Some(key) = fields.repeated {
        let path = format!("{field}.{key}");
        return Err(Invalid::field(path, format!("{key:?} appears more than once in {field}")));
    }
    if fields.overflow {
        return Err(invalid(format!("{field} can have at most {MAX_KEYS} keys; leave some out")));
    }
    let mut pairs = Vec::with_capacity(fields.found.len());
    for (key, value) in fields.found {
        check_key(field, &key)?;
        let value = read_string(value.get(), MAX_VALUE_CHARS).map_err(|why| {
            let path = format!("{field}.{key}");
            let message = why.about(&path);
            Invalid::field(path, message)
        })?;
        pairs.push((key, value));
    }
    pairs.sort_unstable();
    let text =
        print(&pairs).map_err(|error| invalid(format!("{field} cannot be kept: {error}")))?;
    if text.len() > MAX_BYTES {
        return Err(invalid(format!("{field} is larger than {MAX_BYTES} bytes; shorten it")));
    }
    Ok(text.into())
}

fn check_key(field: &'static str, key: &str) -> Result<(), Invalid> {
    let length = key.chars().count();
    if (1..=MAX_KEY_CHARS).contains(&length) && !key.contains('\0') {
        return Ok(());
    }
    let key = excerpt(key);
    Err(Invalid::field(
        field,
        format!("keys of {field} must have 1 to {MAX_KEY_CHARS} characters; got {key:?}"),
    ))
}

fn print(pairs: &[(Cow<'_, str>, Cow<'_, str>)]) -> Result<String, serde_json::Error> {
    let mut text = String::with_capacity(64);
    text.push('{');
    for (key, value) in pairs {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&serde_json::to_string(key)?);
        text.push(':');
        text.push_str(&serde_json::to_string(value)?);
    }
    text.push('}');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(raw: &str) -> Result<String, String> {
        read("metadata", raw).map(String::from).map_err(|invalid| {
            format!("{}: {}", invalid.field.unwrap_or_default(), invalid.message)
        })
    }

    #[test]
    fn the_text_kept_does_not_depend_on_order_spacing_or_escapes() {
        let kept = Ok(r#"{"a":"1","b":"é\n"}"#.to_owned());
        assert_eq!(check(r#"{"a":"1","b":"é\n"}"#), kept);
        assert_eq!(check("{ \"b\" : \"\\u00e9\\u000a\",\n\"\\u0061\" : \"1\" }"), kept);
        assert_eq!(check("{}"), Ok("{}".to_owned()));
    }

    #[test]
    fn what_is_not_an_object_of_strings_is_refused() {
        for (raw, expected) in [
            ("[]", "metadata: metadata must be an object of strings, or null"),
            ("\"a\"", "metadata: metadata must be an object of strings, or null"),
            (r#"{"a":1}"#, "metadata.a: metadata.a must be a string in double quotes"),
            (r#"{"a":null}"#, "metadata.a: metadata.a must be a string in double quotes"),
            (r#"{"a":{"b":"c"}}"#, "metadata.a: metadata.a must be a string in double quotes"),
            (r#"{"a":"1","a":"2"}"#, "metadata.a: \"a\" appears more than once in metadata"),
            (r#"{"":"1"}"#, "metadata: keys of metadata must have 1 to 40 characters; got \"\""),
        ] {
            assert_eq!(check(raw), Err(expected.to_owned()), "{raw}");
        }
    }

    #[test]
    fn sizes_are_limited() {
        let object = |keys: usize, value: usize| {
            let pairs: Vec<String> =
                (0..keys).map(|n| format!("\"{n:>5}\":\"{}\"", "x".repeat(value))).collect();
            format!("{{{}}}", pairs.join(","))
        };
        assert!(check(&object(50, 300)).is_ok());
        assert!(check(&object(51, 1)).is_err_and(|error| error.contains("at most 50 keys")));
        assert!(check(&object(10_000, 1)).is_err_and(|error| error.contains("at most 50 keys")));
        assert!(check(&object(50, 330)).is_err_and(|error| error.contains("16384 bytes")));
        assert!(check(&object(1, 501)).is_err_and(|error| error.contains("500 characters")));
        let key = "k".repeat(41);
        assert!(check(&format!("{{\"{key}\":\"\"}}")).is_err_and(|e| e.contains("1 to 40")));
    }
}
