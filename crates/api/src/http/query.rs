//! Query strings. Unknown parameters are ignored, a known one may appear once.

use super::invalid::{Invalid, excerpt, one_of};
use std::borrow::Cow;

/// The parameters of one request target.
#[derive(Debug)]
pub struct Query<'a> {
    pairs: Vec<(Cow<'a, str>, &'a str)>,
}

impl<'a> Query<'a> {
    /// Takes apart what follows the question mark.
    pub fn parse(query: Option<&'a str>) -> Self {
        let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            // An undecodable name matches no known parameter.
            (decode(name).unwrap_or(Cow::Borrowed(name)), value)
        });
        Self { pairs: pairs.collect() }
    }

    pub fn get(&self, name: &'static str) -> Result<Option<Cow<'a, str>>, Invalid> {
        let mut values = self.pairs.iter().filter(|(known, _)| known == name);
        let Some((_, value)) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            let message = format!("{name} appears more than once; give it once");
            return Err(Invalid::field(name, message));
        }
        let text = decode(value).filter(|text| !text.chars().any(char::is_control));
        text.map(Some).ok_or_else(|| {
            let message =
                format!("{name} must be percent-encoded UTF-8 without control characters");
            Invalid::field(name, message)
        })
    }

    /// A parameter that is one of the words of `all`.
    pub fn word<T: Copy>(
        &self,
        name: &'static str,
        all: &[T],
        word: fn(T) -> &'static str,
    ) -> Result<Option<T>, Invalid> {
        self.get(name)?.map(|text| one_of(name, &text, all, word)).transpose()
    }
}

/// Items of one page.
pub const MAX_LIMIT: u32 = 100;
pub fn read_limit(query: &Query<'_>) -> Result<Option<u32>, Invalid> {
    let Some(text) = query.get("limit")? else { return Ok(None) };
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let limit = text.parse().ok().filter(|limit| digits && (1..=MAX_LIMIT).contains(limit));
    limit.map(Some).ok_or_else(|| {
        let text = excerpt(&text);
        Invalid::field("limit", format!("limit must be from 1 to {MAX_LIMIT}; got {text:?}"))
    })
}

/// Undoes form encoding: `+` is a space, `%41` is `A`.
fn decode(text: &str) -> Option<Cow<'_, str>> {
    decode_with(text, b' ')
}

/// Undoes percent-encoding in one segment of a path, where `+` is a plus.
pub fn decode_segment(text: &str) -> Option<Cow<'_, str>> {
    decode_with(text, b'+')
}

fn decode_with(text: &str, plus: u8) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => plus,
            b'%' => hex_digit(bytes.next()?)? << 4 | hex_digit(bytes.next()?)?,
            other => other,
        });
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

/// The value of one hexadecimal digit.
pub const fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_unknown_ones_ignored() {
        let query = Query::parse(Some("a=b+c%2Bd&e=%C3%A9&%66=1&x=%zz&empty=&flag&&=v"));
        assert_eq!(query.get("a"), Ok(Some("b c+d".into())));
        assert_eq!(query.get("e"), Ok(Some("é".into())));
        assert_eq!(query.get("f"), Ok(Some("1".into())));
        assert_eq!(query.get("empty"), Ok(Some("".into())));
        assert_eq!(query.get("flag"), Ok(Some("".into())));
        assert_eq!(query.get("missing"), Ok(None));
        assert_eq!(Query::parse(None).get("a"), Ok(None));
    }

    #[test]
    fn a_plus_in_a_path_is_a_plus() {
        assert_eq!(decode_segment("a+b%20c"), Some("a+b c".into()));
        assert_eq!(decode_segment("%"), None);
    }

    #[test]
    fn a_known_parameter_that_is_repeated_or_garbled_is_refused() {
        let query = Query::parse(Some("a=1&a=1&b=%zz&c=%f&d=%ff&e=%00&%61=2"));
        for name in ["a", "b", "c", "d", "e"] {
            let invalid = query.get(name).expect_err(name);
            assert_eq!(invalid.field.as_deref(), Some(name));
        }
    }
}
