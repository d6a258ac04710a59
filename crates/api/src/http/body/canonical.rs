//! JSON objects that are kept as they were sent: one canonical text (keys in order, no spaces), so that
//! a repeated request is recognised however its client orders and spaces it. Numbers stay as they are
//! written.

use super::fields::ObjectFields;
use super::object::Object;
use super::text::read_string;
use crate::http::invalid::{Invalid, excerpt};
use serde_json::value::RawValue;

/// Keys of one object.
const MAX_KEYS: usize = 100;
/// Objects and lists in one another.
const MAX_DEPTH: usize = 16;
/// Bytes of the canonical text.
pub const MAX_BYTES: usize = 8 * 1024;

impl Object<'_> {
    /// A JSON object, as one canonical text.
    pub fn canonical(&self, field: &'static str) -> Result<Option<Box<str>>, Invalid> {
        self.raw(field).map(|raw| read(field, raw)).transpose()
    }
}

/// Reads the raw JSON of an object.
fn read(field: &'static str, raw: &str) -> Result<Box<str>, Invalid> {
    if !raw.starts_with('{') {
        let message = format!("{field} must be a JSON object, such as {{\"a\": 1}}");
        return Err(Invalid::field(field, message));
    }
    let mut text = String::with_capacity(raw.len().min(MAX_BYTES));
    write(&mut text, field, raw, 1)?;
    Ok(text.into())
}

/// Appends the canonical text of a value; `path` leads to it.
fn write(text: &mut String, path: &str, raw: &str, depth: usize) -> Result<(), Invalid> {
    let invalid = |message: String| Invalid::field(path.to_owned(), message);
    if depth > MAX_DEPTH {
        return Err(invalid(format!("{path} is nested deeper than {MAX_DEPTH}; flatten it")));
    }
    match raw.as_bytes().first() {
        Some(b'{') => write_object(text, path, raw, depth)?,
        Some(b'[') => {
            let items: Vec<&RawValue> =
                serde_json::from_str(raw).map_err(|error| invalid(error.to_string()))?;
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                write(text, &format!("{path}[{at}]"), item.get(), depth + 1)?;
            }
            text.push(']');
        }
        Some(b'"') => {
            let string = read_string(raw, MAX_BYTES).map_err(|flaw| invalid(flaw.about(path)))?;
            push_string(text, path, &string)?;
        }
        _ => text.push_str(raw),
    }
    if text.len() > MAX_BYTES {
        let whole = path.split(['.', '[']).next().unwrap_or(path);
        let message = format!("{whole} is larger than {MAX_BYTES} bytes; shorten it");
        return Err(Invalid::field(whole.to_owned(), message));
    }
    Ok(())
}

fn write_object(text: &mut String, path: &str, raw: &str, depth: usize) -> Result<(), Invalid> {
    let invalid = |message: String| Invalid::field(path.to_owned(), message);
    let mut fields =
        ObjectFields::read(raw, MAX_KEYS).map_err(|error| invalid(error.to_string()))?;
    if let Some(key) = fields.repeated {
        let message = format!("{key:?} appears more than once in {path}");
        return Err(Invalid::field(format!("{path}.{key}"), message));
    }
    if fields.overflow {
        return Err(invalid(format!("{path} can have at most {MAX_KEYS} keys; leave some out")));
    }
    fields.found.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    text.push('{');
    for (at, (key, value)) in fields.found.iter().enumerate() {
        if key.contains('\0') {
            let message = format!("keys of {path} must not contain the character U+0000");
            return Err(invalid(message));
        }
        if at > 0 {
            text.push(',');
        }
        push_string(text, path, key)?;
        text.push(':');
        write(text, &format!("{path}.{}", excerpt(key)), value.get(), depth + 1)?;
    }
    text.push('}');
    Ok(())
}

fn push_string(text: &mut String, path: &str, string: &str) -> Result<(), Invalid> {
    let printed = serde_json::to_string(string)
        .map_err(|error| Invalid::field(path.to_owned(), format!("{path}: {error}")))?;
    text.push_str(&printed);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(raw: &str) -> Result<String, String> {
        let body = format!("{{\"data\": {raw}}}");
        let object = Object::parse(body.as_bytes()).expect("valid JSON");
        let read = object.canonical("data").map(|text| text.map(String::from).unwrap_or_default());
        read.map_err(|invalid| {
            format!("{}: {}", invalid.field.unwrap_or_default(), invalid.message)
        })
    }

    #[test]
    fn the_text_kept_does_not_depend_on_order_spacing_or_escapes() {
        let kept = Ok(r#"{"a":[1,{"b":"é","c":null}],"d":12345678901234567890.10}"#.to_owned());
        let one = r#"{"a":[1,{"b":"é","c":null}],"d":12345678901234567890.10}"#;
        let other = "{ \"d\" : 12345678901234567890.10,\n\"\\u0061\": [ 1, \
                     {\"c\":null, \"b\":\"\\u00e9\"} ] }";
        assert_eq!(check(one), kept);
        assert_eq!(check(other), kept);
        assert_eq!(check("{}"), Ok("{}".to_owned()));
        assert_eq!(check("null"), Ok(String::new()));
    }

    #[test]
    fn what_is_no_object_or_too_much_is_refused_where_it_stands() {
        let deep = format!("{}{}", "{\"a\":".repeat(16), "1".to_owned() + &"}".repeat(16));
        let long = format!("{{\"a\": \"{}\"}}", "x".repeat(MAX_BYTES));
        let many = format!("{{\"a\": [{}1]}}", "1,".repeat(MAX_BYTES));
        let keys: Vec<_> = (0..101).map(|n| format!("\"{n}\":0")).collect();
        let keys = format!("{{{}}}", keys.join(","));
        for (raw, expected) in [
            ("[]", "data: data must be a JSON object"),
            ("\"a\"", "data: data must be a JSON object"),
            ("5", "data: data must be a JSON object"),
            (r#"{"a":{"b":1,"b":2}}"#, "data.a.b: \"b\" appears more than once in data.a"),
            (r#"{"a":["\u0000"]}"#, "data.a[0]: data.a[0] must not contain"),
            (r#"{"a":{"\u0000":1}}"#, "data.a: keys of data.a must not contain"),
            (r#"{"a":"\ud800"}"#, "data.a: data.a has an escape"),
            (&keys, "data: data can have at most 100 keys"),
        ] {
            let message = check(raw).expect_err(raw);
            assert!(message.starts_with(expected), "{message}");
        }
        assert!(check(&deep).is_err_and(|message| message.contains("nested deeper than 16")));
        let too_large = "data: data is larger than 8192 bytes; shorten it";
        assert_eq!(check(&long), Err(too_large.to_owned()));
        assert_eq!(check(&many), Err(too_large.to_owned()));
        let fits = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_BYTES - 8));
        assert_eq!(check(&fits).as_deref(), Ok(fits.as_str()));
    }
}
